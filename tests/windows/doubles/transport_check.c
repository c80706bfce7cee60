#include "tombstones.h"
#include "transport.h"

typedef struct Checked {
    bool folder, in_alternate;
} Checked;

static DWORD check_header(void *context, const StreamHeader *header, const void *raw, size_t bytes)
{
    (void)raw, (void)bytes;
    Checked *checked = context;
    bool data = stream_is_file_data(header, &checked->in_alternate);
    return data && checked->folder ? ERROR_INVALID_DATA : 0;
}

static bool check_content(Call *call, Scope *scope, const wchar_t *path, bool folder)
{
    Stored stored;
    if (!load_stored(call, scope, path, &stored))
        return false;
    if (folder != ((stored.attributes & FILE_ATTRIBUTE_DIRECTORY) != 0))
        return malformed(call, path, folder ? "the attribute DIRECTORY" : "no attribute DIRECTORY");
    StreamParser *parser = take(scope, sizeof *parser);
    Checked checked = {.folder = folder};
    parser->sink = (StreamSink){.context = &checked, .begin = check_header};
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

static bool check_root_metadata(Call *call, const wchar_t *root)
{
    const wchar_t *metadata = metadata_name(&call->scope, root);
    return !exists(metadata) || check_stored(call, metadata, true);
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

static bool check_top(Call *call, const wchar_t *source, const Listing *top)
{
    static const struct {
        const wchar_t *name;
        bool folder;
    } known[] = {
        {L"tombstones.txt", false}, {L"Files", true}, {L"Files.$wcidirs$", false},
        {L"Hives", true}, {L"Hives.$wcidirs$", false}, {L"UtilityVM", true}};
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
    if (!check_top(call, source, &top) || !tombstones_check(call, source))
        return false;
    if (!is_folder(files))
        return malformed(call, files, "the folder Files");
    return check_files(call, files) && check_root_metadata(call, files) && check_root_metadata(call, hives) &&
           (!exists(hives) || check_hives(call, hives));
}
