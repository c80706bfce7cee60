#include "reading.h"

#include <string.h>

// O:BAG:SYD: with an access list without entries.
static const unsigned char DEFAULT_SECURITY[] = {
    1, 0, 0x04, 0x80, 20, 0, 0, 0, 36, 0, 0, 0, 0, 0, 0, 0, 48, 0, 0, 0, // header
    1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0,                  // S-1-5-32-544
    1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0,                                 // S-1-5-18
    2, 0, 8, 0, 0, 0, 0, 0,
};

static void add(Reading *reading, Piece piece)
{
    if (reading->count == reading->capacity) {
        reading->capacity = reading->capacity * 2 + 8;
        Piece *pieces = take(reading->scope, reading->capacity * sizeof *pieces);
        if (reading->count > 0)
            memcpy(pieces, reading->pieces, reading->count * sizeof *pieces);
        reading->pieces = pieces;
    }
    reading->pieces[reading->count++] = piece;
}

static void add_memory(Reading *reading, const void *bytes, uint64_t length, bool ends)
{
    add(reading, (Piece){.memory = bytes, .length = length, .ends_stream = ends});
}

static void add_header(Reading *reading, uint32_t id, uint32_t attributes, uint64_t size)
{
    StreamHeader header = {.id = id, .attributes = attributes, .size = (int64_t)size};
    Buffer raw = buffer(reading->scope);
    append(&raw, &header, STREAM_HEADER_BYTES);
    add_memory(reading, raw.bytes, STREAM_HEADER_BYTES, size == 0);
}

static void add_file_data(Reading *reading, uint64_t offset, uint64_t length)
{
    if (length > 0)
        add(reading, (Piece){.offset = offset, .length = length, .ends_stream = true});
}

static void add_whole_data(Reading *reading, uint64_t size)
{
    add_header(reading, STREAM_DATA, 0, size);
    add_file_data(reading, 0, size);
}

static void add_default(Reading *reading, bool folder, uint64_t size, bool with_security)
{
    if (with_security) {
        add_header(reading, STREAM_SECURITY, 2, sizeof DEFAULT_SECURITY);
        add_memory(reading, DEFAULT_SECURITY, sizeof DEFAULT_SECURITY, true);
    }
    if (!folder)
        add_whole_data(reading, size);
}

// A stream of the file's own data, of which the header is kept, and of a block the offset.
static uint64_t add_kept_data(Reading *reading, const char *at, const StreamHeader *header, bool changed)
{
    uint64_t head = STREAM_HEADER_BYTES, body = (uint64_t)header->size, offset = 0;
    if (header->id == STREAM_SPARSE_BLOCK) {
        memcpy(&offset, at + head, SPARSE_OFFSET_BYTES);
        head += SPARSE_OFFSET_BYTES;
        body -= SPARSE_OFFSET_BYTES;
    }
    if (!changed) {
        add_memory(reading, at, head, body == 0);
        add_file_data(reading, offset, body);
    }
    return head;
}

static void add_kept(Reading *reading, const Kept *kept, bool folder, uint64_t size, bool with_security)
{
    bool changed = !folder && size != kept->length, in_alternate = false;
    const char *at = kept->streams.bytes, *end = at + kept->streams.length;
    while (at < end) {
        StreamHeader header;
        memcpy(&header, at, STREAM_HEADER_BYTES);
        uint64_t length = STREAM_HEADER_BYTES + header.name_bytes + (uint64_t)header.size;
        if (stream_is_file_data(&header, &in_alternate))
            length = add_kept_data(reading, at, &header, changed);
        else if (header.id != STREAM_SECURITY || with_security)
            add_memory(reading, at, length, true);
        at += length;
    }
    // Data that was written since is given in one piece, whatever shape it had.
    if (changed)
        add_whole_data(reading, size);
}

bool reading_open(Reading *reading, Scope *scope, HANDLE file, bool with_security)
{
    *reading = (Reading){.scope = scope, .file = file};
    BY_HANDLE_FILE_INFORMATION information;
    if (!GetFileInformationByHandle(file, &information))
        return false;
    bool folder = (information.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
    uint64_t size = (uint64_t)information.nFileSizeHigh << 32 | information.nFileSizeLow;
    const wchar_t *place = kept_place(scope, file);
    Kept kept;
    if (place != NULL && kept_load(scope, place, &kept))
        add_kept(reading, &kept, folder, size, with_security);
    else
        add_default(reading, folder, size, with_security);
    return true;
}

static DWORD read_at(HANDLE file, uint64_t offset, char *to, DWORD length)
{
    LARGE_INTEGER position = {.QuadPart = (LONGLONG)offset};
    DWORD read;
    if (!SetFilePointerEx(file, position, NULL, FILE_BEGIN) || !ReadFile(file, to, length, &read, NULL))
        return GetLastError();
    return read == length ? 0 : ERROR_HANDLE_EOF;
}

DWORD reading_next(Reading *reading, char *to, DWORD wanted, DWORD *given)
{
    *given = 0;
    while (*given < wanted && reading->at < reading->count) {
        const Piece *piece = &reading->pieces[reading->at];
        uint64_t left = piece->length - reading->done;
        DWORD part = left < wanted - *given ? (DWORD)left : wanted - *given;
        if (piece->memory != NULL) {
            memcpy(to + *given, piece->memory + reading->done, part);
        } else {
            DWORD error = read_at(reading->file, piece->offset + reading->done, to + *given, part);
            if (error != 0)
                return error;
        }
        *given += part;
        reading->done += part;
        if (reading->done == piece->length) {
            reading->at++;
            reading->done = 0;
        }
    }
    return 0;
}

uint64_t reading_skip(Reading *reading, uint64_t wanted)
{
    uint64_t skipped = 0;
    bool ended = false;
    while (skipped < wanted && reading->at < reading->count && !ended) {
        const Piece *piece = &reading->pieces[reading->at];
        uint64_t left = piece->length - reading->done, part = left < wanted - skipped ? left : wanted - skipped;
        skipped += part;
        reading->done += part;
        if (reading->done == piece->length) {
            ended = piece->ends_stream;
            reading->at++;
            reading->done = 0;
        }
    }
    return skipped;
}
