#include "tombstones.h"
#include "transport.h"

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

bool transport_read(Call *call, const wchar_t *source, const Layer *layer)
{
    return read_folder(call, join(&call->scope, source, L"Files"), join(&call->scope, layer->path, L"Files")) &&
           copy_raw(call, source, layer->path, L"Hives") && copy_raw(call, source, layer->path, L"UtilityVM") &&
           tombstones_copy(call, source, layer->place);
}
