#include "transport.h"

#include <string.h>

#include "reading.h"

static const wchar_t METADATA[] = L".$wcidirs$";
static const char BOM_AND_VERSION[] = "\xEF\xBB\xBFVersion 1.0";

typedef struct Stored {
    DWORD attributes;
    const char *streams;
    size_t length;
} Stored;

const wchar_t *metadata_name(Scope *scope, const wchar_t *folder)
{
    return concat(scope, folder, METADATA, NULL);
}

static bool malformed(Call *call, const wchar_t *path, const char *expected)
{
    return violation(call, "path", expected, "%s", utf8(&call->scope, plain_path(path)));
}

// Tombstones

static bool tombstone_is_good(const wchar_t *line)
{
    if (line == NULL || line[0] != L'\\' || wcspbrk(line, L"/:") != NULL)
        return false;
    while (*line == L'\\') {
        size_t units = wcscspn(line + 1, L"\\");
        bool dots = (units == 1 && line[1] == L'.') || (units == 2 && line[1] == L'.' && line[2] == L'.');
        if (units == 0 || dots)
            return false;
        line += units + 1;
    }
    return true;
}

// False when a line is wrong.
static bool parse_tombstones(Scope *scope, const Buffer *text, Chain *paths)
{
    size_t head = strlen(BOM_AND_VERSION);
    if (strlen(text->bytes) != text->length || strncmp(text->bytes, BOM_AND_VERSION, head) != 0)
        return false;
    *paths = (Chain){.paths = take(scope, (text->length + 1) * sizeof *paths->paths)};
    char *line = text->bytes + head;
    line += *line == '\r';
    while (*line == '\n' && line[1] != 0) {
        char *start = ++line;
        line += strcspn(line, "\n");
        Buffer one = buffer(scope);
        append(&one, start, (size_t)(line - start));
        if (one.length > 0 && one.bytes[one.length - 1] == '\r')
            one.bytes[--one.length] = 0;
        const wchar_t *path = utf16(scope, one.bytes);
        if (!tombstone_is_good(path))
            return false;
        paths->paths[paths->count++] = path + 1;
    }
    return *line == 0 || *line == '\n';
}

Chain read_tombstones(Call *call, const Layer *layer)
{
    Chain paths = {0};
    Buffer text = buffer(&call->scope);
    if (read_file(join(&call->scope, layer->place, L"tombstones.txt"), &text))
        parse_tombstones(&call->scope, &text, &paths);
    return paths;
}

bool write_tombstones(Call *call, const Chain *paths, const wchar_t *target)
{
    Buffer text = buffer(&call->scope);
    append_format(&text, "%s\n", BOM_AND_VERSION);
    for (size_t i = 0; i < paths->count; i++)
        append_format(&text, "\\%s\n", utf8(&call->scope, paths->paths[i]));
    return write_file(join(&call->scope, target, L"tombstones.txt"), text.bytes, text.length) || fail_last(call);
}

// Checking

static DWORD check_header(void *context, const StreamHeader *header, const void *raw, size_t bytes)
{
    (void)raw, (void)bytes;
    const bool *folder = context;
    return *folder && header->id == STREAM_DATA ? ERROR_INVALID_DATA : 0;
}

static DWORD ignore_body(void *context, const StreamHeader *header, uint64_t offset, const void *bytes, size_t length)
{
    (void)context, (void)header, (void)offset, (void)bytes, (void)length;
    return 0;
}

static DWORD ignore_end(void *context, const StreamHeader *header)
{
    (void)context, (void)header;
    return 0;
}

static bool load_stored(Call *call, Scope *scope, const wchar_t *path, Stored *stored)
{
    Buffer bytes = buffer(scope);
    if (!read_file(path, &bytes))
        return fail_last(call);
    if (bytes.length < sizeof stored->attributes)
        return malformed(call, path, "four bytes of attributes");
    memcpy(&stored->attributes, bytes.bytes, sizeof stored->attributes);
    stored->streams = bytes.bytes + sizeof stored->attributes;
    stored->length = bytes.length - sizeof stored->attributes;
    return true;
}

static bool check_content(Call *call, Scope *scope, const wchar_t *path, bool folder)
{
    Stored stored;
    if (!load_stored(call, scope, path, &stored))
        return false;
    if (folder != ((stored.attributes & FILE_ATTRIBUTE_DIRECTORY) != 0))
        return malformed(call, path, folder ? "the attribute DIRECTORY" : "no attribute DIRECTORY");
    StreamParser *parser = take(scope, sizeof *parser);
    parser->sink = (StreamSink){&folder, check_header, ignore_body, ignore_end};
    if (stream_feed(parser, stored.streams, stored.length) != 0)
        return malformed(call, path, "a well-formed backup stream");
    return stream_at_boundary(parser) || malformed(call, path, "a backup stream that is not cut short");
}

static bool check_stored(Call *call, const wchar_t *path, bool folder)
{
    Scope scope = scope_within(&call->scope);
    bool good = check_content(call, &scope, path, folder);
    scope_close(&scope);
    return good;
}

static bool holds(const Listing *listing, const wchar_t *name, bool folder)
{
    for (size_t i = 0; i < listing->count; i++) {
        if (same_name(listing->objects[i].name, name))
            return listing->objects[i].folder == folder;
    }
    return false;
}

static bool check_files(Call *call, const wchar_t *folder);

static bool check_folder(Call *call, const wchar_t *path, const Listing *siblings)
{
    if (ends_with(path, METADATA))
        return malformed(call, path, "a file of metadata");
    bool described = holds(siblings, metadata_name(&call->scope, last_part(path)), false);
    if (!described && is_empty_folder(&call->scope, path))
        return malformed(call, path, "metadata beside an empty folder");
    return check_files(call, path);
}

static bool check_file(Call *call, const wchar_t *path, const Listing *siblings)
{
    if (!ends_with(path, METADATA))
        return check_stored(call, path, false);
    wchar_t *owner = concat(&call->scope, last_part(path), NULL);
    owner[wcslen(owner) - wcslen(METADATA)] = 0;
    if (!holds(siblings, owner, true))
        return malformed(call, path, "the folder of this metadata");
    return check_stored(call, path, true);
}

static bool check_files(Call *call, const wchar_t *folder)
{
    Listing listing;
    if (!list_folder(&call->scope, folder, &listing))
        return fail_last(call);
    for (size_t i = 0; i < listing.count; i++) {
        const Object *object = &listing.objects[i];
        const wchar_t *path = join(&call->scope, folder, object->name);
        if (i > 0 && same_name(object->name, listing.objects[i - 1].name))
            return malformed(call, path, "names that differ by more than case");
        if (object->attributes & FILE_ATTRIBUTE_REPARSE_POINT)
            return malformed(call, path, "files and folders only");
        if (!(object->folder ? check_folder : check_file)(call, path, &listing))
            return false;
    }
    return true;
}

static bool check_hives(Call *call, const wchar_t *folder)
{
    Listing listing;
    if (!list_folder(&call->scope, folder, &listing))
        return fail_last(call);
    for (size_t i = 0; i < listing.count; i++) {
        if (listing.objects[i].folder)
            return malformed(call, join(&call->scope, folder, listing.objects[i].name), "files alone in Hives");
    }
    return true;
}

static bool check_tombstones(Call *call, const wchar_t *path)
{
    Buffer text = buffer(&call->scope);
    Chain paths;
    if (!read_file(path, &text))
        return malformed(call, path, "tombstones.txt");
    return parse_tombstones(&call->scope, &text, &paths) ||
           malformed(call, path, "a mark of UTF-8, Version 1.0, then paths that start with \\");
}

static bool check_top(Call *call, const wchar_t *source, const Listing *top)
{
    static const struct {
        const wchar_t *name;
        bool folder;
    } known[] = {
        {L"tombstones.txt", false}, {L"Files", true}, {L"Files.$wcidirs$", false}, {L"Hives", true}, {L"UtilityVM", true}};
    for (size_t i = 0; i < top->count; i++) {
        bool found = false;
        for (size_t j = 0; j < sizeof known / sizeof *known; j++)
            found |= same_name(top->objects[i].name, known[j].name) && top->objects[i].folder == known[j].folder;
        if (!found)
            return malformed(call, join(&call->scope, source, top->objects[i].name), "what a transport folder holds");
    }
    return true;
}

bool transport_check(Call *call, const wchar_t *source)
{
    Listing top;
    if (!list_folder(&call->scope, source, &top))
        return fail_last(call);
    const wchar_t *files = join(&call->scope, source, L"Files"), *hives = join(&call->scope, source, L"Hives");
    const wchar_t *metadata = metadata_name(&call->scope, files);
    if (!check_top(call, source, &top) || !check_tombstones(call, join(&call->scope, source, L"tombstones.txt")))
        return false;
    if (!is_folder(files))
        return malformed(call, files, "the folder Files");
    return check_files(call, files) && (!exists(metadata) || check_stored(call, metadata, true)) &&
           (!exists(hives) || check_hives(call, hives));
}

// Reading

// A Win32 error or 0.
static DWORD keep_streams(Scope *scope, const Stored *stored, HANDLE object)
{
    Keeper *keeper = take(scope, sizeof *keeper);
    if (!keeper_open(keeper, scope, object, true))
        return GetLastError();
    keeper->kept.flags = KEPT_ATTRIBUTES;
    keeper->kept.attributes = stored->attributes;
    DWORD error = keeper_feed(keeper, stored->streams, stored->length);
    return error == 0 && !kept_save(scope, keeper->place, &keeper->kept) ? GetLastError() : error;
}

static bool set_attributes(Call *call, const wchar_t *path, DWORD attributes)
{
    attributes &= FILE_ATTRIBUTE_READONLY | FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM | FILE_ATTRIBUTE_ARCHIVE;
    return SetFileAttributesW(path, attributes != 0 ? attributes : FILE_ATTRIBUTE_NORMAL) || fail_last(call);
}

static bool keep_content(Call *call, Scope *scope, const wchar_t *stored_file, const wchar_t *path)
{
    Stored stored;
    if (!load_stored(call, scope, stored_file, &stored))
        return false;
    HANDLE object = open_object(path, GENERIC_READ | GENERIC_WRITE);
    if (object == INVALID_HANDLE_VALUE)
        return fail_last(call);
    DWORD error = keep_streams(scope, &stored, object);
    CloseHandle(object);
    if (error != 0)
        return fail(call, error);
    return (copy_times(stored_file, path) || fail_last(call)) && set_attributes(call, path, stored.attributes);
}

static bool keep_stored(Call *call, const wchar_t *stored_file, const wchar_t *path)
{
    Scope scope = scope_within(&call->scope);
    bool done = keep_content(call, &scope, stored_file, path);
    scope_close(&scope);
    return done;
}

static bool read_files(Call *call, const wchar_t *source, const wchar_t *target);

static bool read_folder(Call *call, const wchar_t *source, const wchar_t *target)
{
    const wchar_t *metadata = metadata_name(&call->scope, source);
    return read_files(call, source, target) && (!exists(metadata) || keep_stored(call, metadata, target));
}

static bool read_one(Call *call, const wchar_t *source, const wchar_t *target)
{
    return (write_file(target, NULL, 0) || fail_last(call)) && keep_stored(call, source, target);
}

static bool read_files(Call *call, const wchar_t *source, const wchar_t *target)
{
    Listing listing;
    if (!make_folder(target) || !list_folder(&call->scope, source, &listing))
        return fail_last(call);
    for (size_t i = 0; i < listing.count; i++) {
        const wchar_t *name = listing.objects[i].name;
        const wchar_t *from = join(&call->scope, source, name), *to = join(&call->scope, target, name);
        if (ends_with(name, METADATA))
            continue;
        if (!(listing.objects[i].folder ? read_folder : read_one)(call, from, to))
            return false;
    }
    return true;
}

static bool copy_raw(Call *call, const wchar_t *from, const wchar_t *to, const wchar_t *name)
{
    const wchar_t *source = join(&call->scope, from, name);
    return !exists(source) || copy_folder_raw(&call->scope, source, join(&call->scope, to, name)) || fail_last(call);
}

static bool copy_tombstones(Call *call, const wchar_t *from, const wchar_t *to)
{
    const wchar_t *source = join(&call->scope, from, L"tombstones.txt");
    return CopyFileW(source, join(&call->scope, to, L"tombstones.txt"), FALSE) || fail_last(call);
}

bool transport_read(Call *call, const wchar_t *source, const Layer *layer)
{
    return read_folder(call, join(&call->scope, source, L"Files"), join(&call->scope, layer->path, L"Files")) &&
           copy_raw(call, source, layer->path, L"Hives") && copy_raw(call, source, layer->path, L"UtilityVM") &&
           copy_tombstones(call, source, layer->place);
}

// Writing

static bool write_reading(Call *call, Reading *reading, HANDLE file, DWORD attributes)
{
    char chunk[32768];
    DWORD length = sizeof attributes, written;
    memcpy(chunk, &attributes, sizeof attributes);
    do {
        if (!WriteFile(file, chunk, length, &written, NULL))
            return fail_last(call);
        DWORD error = reading_next(reading, chunk, sizeof chunk, &length);
        if (error != 0)
            return fail(call, error);
    } while (length > 0);
    return true;
}

bool transport_put(Call *call, const wchar_t *object, DWORD attributes, const wchar_t *target)
{
    HANDLE source = open_object(object, GENERIC_READ);
    if (source == INVALID_HANDLE_VALUE)
        return fail_last(call);
    HANDLE file = CreateFileW(target, GENERIC_WRITE, 0, NULL, CREATE_NEW, 0, NULL);
    Scope scope = scope_within(&call->scope);
    Reading reading;
    bool opened = file != INVALID_HANDLE_VALUE && reading_open(&reading, &scope, source, true);
    bool done = opened ? write_reading(call, &reading, file, attributes) : fail_last(call);
    scope_close(&scope);
    CloseHandle(source);
    if (file != INVALID_HANDLE_VALUE)
        CloseHandle(file);
    return done && (copy_times(object, target) || fail_last(call));
}

static bool write_files(Call *call, const wchar_t *source, const wchar_t *target);

static DWORD stored_attributes(Call *call, const wchar_t *path, bool *kept)
{
    Kept found;
    *kept = kept_of(&call->scope, path, &found);
    return *kept && (found.flags & KEPT_ATTRIBUTES) ? found.attributes : GetFileAttributesW(path);
}

static bool write_folder(Call *call, const wchar_t *source, const wchar_t *target)
{
    bool kept;
    DWORD attributes = stored_attributes(call, source, &kept);
    if (!write_files(call, source, target))
        return false;
    bool bare = !kept && !is_empty_folder(&call->scope, target);
    return bare || transport_put(call, source, attributes, metadata_name(&call->scope, target));
}

static bool write_one(Call *call, const wchar_t *source, const wchar_t *target)
{
    bool kept;
    DWORD attributes = stored_attributes(call, source, &kept);
    return transport_put(call, source, attributes, target);
}

static bool write_files(Call *call, const wchar_t *source, const wchar_t *target)
{
    Listing listing;
    if (!make_folder(target) || !list_folder(&call->scope, source, &listing))
        return fail_last(call);
    for (size_t i = 0; i < listing.count; i++) {
        const wchar_t *from = join(&call->scope, source, listing.objects[i].name);
        const wchar_t *to = join(&call->scope, target, listing.objects[i].name);
        if (!(listing.objects[i].folder ? write_folder : write_one)(call, from, to))
            return false;
    }
    return true;
}

static bool write_root(Call *call, const Layer *layer, const wchar_t *target)
{
    const wchar_t *source = join(&call->scope, layer->path, L"Files"), *files = join(&call->scope, target, L"Files");
    bool kept;
    DWORD attributes = stored_attributes(call, source, &kept);
    if (!write_files(call, source, files))
        return false;
    return !kept || transport_put(call, source, attributes, metadata_name(&call->scope, files));
}

bool transport_write(Call *call, const Layer *layer, const wchar_t *target)
{
    return write_root(call, layer, target) && copy_raw(call, layer->path, target, L"Hives") &&
           copy_raw(call, layer->path, target, L"UtilityVM") && copy_tombstones(call, layer->place, target);
}
