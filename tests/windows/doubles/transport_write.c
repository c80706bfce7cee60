#include <string.h>

#include "reading.h"
#include "tombstones.h"
#include "transport.h"

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
           copy_raw(call, layer->path, target, L"UtilityVM") && tombstones_copy(call, layer->place, target);
}
