#include "kept.h"

#include <string.h>

#include "guid.h"

typedef struct KeptHead {
    uint32_t magic, flags, attributes, reserved;
    uint64_t length;
} KeptHead;

enum { KEPT_MAGIC = 0x5450454B };

static const wchar_t *final_path(Scope *scope, HANDLE object)
{
    DWORD units = GetFinalPathNameByHandleW(object, NULL, 0, VOLUME_NAME_DOS);
    wchar_t *path = take(scope, (units + 1) * sizeof *path);
    return GetFinalPathNameByHandleW(object, path, units + 1, VOLUME_NAME_DOS) != 0 ? path : L"";
}

// The part of the object's path below `volumes\`, or NULL. Both are asked from the system, which has several spellings.
static const wchar_t *path_in_volumes(Scope *scope, HANDLE object)
{
    HANDLE folder = open_object(join(scope, scope->control, L"volumes"), FILE_READ_ATTRIBUTES);
    if (folder == INVALID_HANDLE_VALUE)
        return NULL;
    const wchar_t *volumes = final_path(scope, folder), *path = final_path(scope, object);
    CloseHandle(folder);
    size_t units = wcslen(volumes);
    if (units == 0 || wcslen(path) <= units || path[units] != L'\\')
        return NULL;
    wchar_t *start = concat(scope, path, NULL);
    start[units] = 0;
    return same_name(start, volumes) ? path + units + 1 : NULL;
}

static bool is_open_folder(HANDLE object)
{
    BY_HANDLE_FILE_INFORMATION information;
    return GetFileInformationByHandle(object, &information) &&
           (information.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
}

const wchar_t *kept_place(Scope *scope, HANDLE object)
{
    const wchar_t *streams = join(scope, scope->control, L"streams");
    make_folder(streams);
    const wchar_t *path = path_in_volumes(scope, object);
    if (path == NULL) {
        const wchar_t *key = object_key(scope, object);
        return key != NULL ? join(scope, streams, key) : NULL;
    }
    // A folder that takes the place of a file has nothing of it.
    GUID guid = name_guid(is_open_folder(object) ? join(scope, path, L"") : path);
    return join(scope, streams, guid_text(scope, &guid));
}

bool kept_load(Scope *scope, const wchar_t *place, Kept *kept)
{
    Buffer stored = buffer(scope);
    KeptHead head;
    if (!read_file(place, &stored) || stored.length < sizeof head)
        return false;
    memcpy(&head, stored.bytes, sizeof head);
    if (head.magic != KEPT_MAGIC)
        return false;
    *kept = (Kept){head.flags, head.attributes, head.length, buffer(scope)};
    append(&kept->streams, stored.bytes + sizeof head, stored.length - sizeof head);
    return true;
}

bool kept_save(Scope *scope, const wchar_t *place, const Kept *kept)
{
    KeptHead head = {KEPT_MAGIC, kept->flags, kept->attributes, 0, kept->length};
    Buffer bytes = buffer(scope);
    append(&bytes, &head, sizeof head);
    append(&bytes, kept->streams.bytes, kept->streams.length);
    return write_file(place, bytes.bytes, bytes.length);
}

static const wchar_t *place_of(Scope *scope, const wchar_t *path)
{
    HANDLE object = open_object(path, FILE_READ_ATTRIBUTES);
    if (object == INVALID_HANDLE_VALUE)
        return NULL;
    const wchar_t *place = kept_place(scope, object);
    CloseHandle(object);
    return place;
}

bool kept_of(Scope *scope, const wchar_t *path, Kept *kept)
{
    const wchar_t *place = place_of(scope, path);
    return place != NULL && kept_load(scope, place, kept);
}

bool kept_put(Scope *scope, const wchar_t *path, const Kept *kept)
{
    const wchar_t *place = place_of(scope, path);
    return place != NULL && kept_save(scope, place, kept);
}

void kept_drop(Scope *scope, const wchar_t *path)
{
    const wchar_t *place = place_of(scope, path);
    if (place != NULL)
        DeleteFileW(place);
}

static bool has_other_links(const wchar_t *path)
{
    BY_HANDLE_FILE_INFORMATION information = {0};
    HANDLE object = open_object(path, FILE_READ_ATTRIBUTES);
    if (object == INVALID_HANDLE_VALUE)
        return false;
    GetFileInformationByHandle(object, &information);
    CloseHandle(object);
    return !(information.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) && information.nNumberOfLinks > 1;
}

bool remove_tree(Scope *scope, const wchar_t *path)
{
    DWORD attributes = GetFileAttributesW(path);
    if (attributes == INVALID_FILE_ATTRIBUTES)
        return false;
    bool link = (attributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0;
    if ((attributes & FILE_ATTRIBUTE_DIRECTORY) && !link) {
        Listing listing;
        if (!list_folder(scope, path, &listing))
            return false;
        for (size_t i = 0; i < listing.count; i++) {
            if (!remove_tree(scope, join(scope, path, listing.objects[i].name)))
                return false;
        }
    }
    if (!link && !has_other_links(path))
        kept_drop(scope, path);
    return remove_object(path, attributes);
}

static DWORD keep_header(void *context, const StreamHeader *header, const void *raw, size_t bytes)
{
    Keeper *keeper = context;
    keeper->skipping = header->id == STREAM_SECURITY && !keeper->with_security;
    keeper->file_data = stream_is_file_data(header, &keeper->in_alternate);
    keeper->sparse_offset = 0;
    if (!keeper->skipping)
        append(&keeper->kept.streams, raw, bytes);
    return 0;
}

static DWORD write_at(HANDLE file, uint64_t offset, const char *bytes, size_t length)
{
    LARGE_INTEGER position = {.QuadPart = (LONGLONG)offset};
    if (!SetFilePointerEx(file, position, NULL, FILE_BEGIN))
        return GetLastError();
    DWORD written;
    if (length > 0 && (!WriteFile(file, bytes, (DWORD)length, &written, NULL) || written != length))
        return GetLastError() != 0 ? GetLastError() : ERROR_WRITE_FAULT;
    return 0;
}

// The first eight bytes of the body of a sparse block are kept: they say where the rest goes.
static DWORD keep_sparse(Keeper *keeper, uint64_t offset, const char *bytes, size_t length)
{
    for (; offset < SPARSE_OFFSET_BYTES && length > 0; offset++, bytes++, length--) {
        keeper->sparse_offset |= (uint64_t)(unsigned char)*bytes << (8 * offset);
        append(&keeper->kept.streams, bytes, 1);
    }
    if (offset < SPARSE_OFFSET_BYTES)
        return 0;
    return write_at(keeper->file, keeper->sparse_offset + offset - SPARSE_OFFSET_BYTES, bytes, length);
}

static DWORD keep_body(void *context, const StreamHeader *header, uint64_t offset, const void *bytes, size_t length)
{
    Keeper *keeper = context;
    if (keeper->file_data && header->id == STREAM_SPARSE_BLOCK)
        return keep_sparse(keeper, offset, bytes, length);
    if (keeper->file_data)
        return write_at(keeper->file, offset, bytes, length);
    if (!keeper->skipping)
        append(&keeper->kept.streams, bytes, length);
    return 0;
}

// A block without bytes gives the length of the file.
static DWORD extend_to_block(Keeper *keeper)
{
    LARGE_INTEGER size, wanted = {.QuadPart = (LONGLONG)keeper->sparse_offset};
    if (!GetFileSizeEx(keeper->file, &size))
        return GetLastError();
    if (size.QuadPart >= wanted.QuadPart)
        return 0;
    bool done = SetFilePointerEx(keeper->file, wanted, NULL, FILE_BEGIN) && SetEndOfFile(keeper->file);
    return done ? 0 : GetLastError();
}

static DWORD keep_end(void *context, const StreamHeader *header)
{
    Keeper *keeper = context;
    DWORD error = keeper->file_data && header->id == STREAM_SPARSE_BLOCK ? extend_to_block(keeper) : 0;
    LARGE_INTEGER size = {0};
    GetFileSizeEx(keeper->file, &size);
    keeper->kept.length = (uint64_t)size.QuadPart;
    if (error == 0 && !kept_save(keeper->scope, keeper->place, &keeper->kept))
        error = GetLastError();
    return error;
}

bool keeper_open(Keeper *keeper, Scope *scope, HANDLE file, bool with_security)
{
    keeper->scope = scope;
    keeper->file = file;
    keeper->with_security = with_security;
    keeper->place = kept_place(scope, file);
    keeper->kept = (Kept){.streams = buffer(scope)};
    keeper->parser.sink = (StreamSink){keeper, keep_header, keep_body, keep_end};
    return keeper->place != NULL;
}

DWORD keeper_feed(Keeper *keeper, const void *bytes, size_t length)
{
    return stream_feed(&keeper->parser, bytes, length);
}
