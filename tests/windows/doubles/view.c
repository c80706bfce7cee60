#include "view.h"

#include "kept.h"
#include "tombstones.h"

static bool copy_kept(Call *call, const wchar_t *from, const wchar_t *to)
{
    Kept kept;
    if (!kept_of(&call->scope, from, &kept)) {
        kept_drop(&call->scope, to);
        return true;
    }
    kept.flags |= KEPT_LAID_OUT;
    return kept_put(&call->scope, to, &kept) || fail_last(call);
}

static bool overlay_file(Call *call, const wchar_t *from, const wchar_t *to)
{
    if (exists(to) && !remove_tree(&call->scope, to))
        return fail_last(call);
    if (!CopyFileW(from, to, TRUE))
        return fail_last(call);
    return copy_kept(call, from, to) && (copy_times(from, to) || fail_last(call));
}

static bool overlay_folder(Call *call, const wchar_t *from, const wchar_t *to)
{
    Listing listing;
    if (exists(to) && !is_folder(to) && !remove_tree(&call->scope, to))
        return fail_last(call);
    if (!make_folder(to) || !list_folder(&call->scope, from, &listing))
        return fail_last(call);
    for (size_t i = 0; i < listing.count; i++) {
        const Object *object = &listing.objects[i];
        if (object->attributes & FILE_ATTRIBUTE_REPARSE_POINT)
            continue; // never followed
        const wchar_t *source = join(&call->scope, from, object->name), *target = join(&call->scope, to, object->name);
        if (!(object->folder ? overlay_folder : overlay_file)(call, source, target))
            return false;
    }
    DWORD attributes = GetFileAttributesW(from) & ~(DWORD)FILE_ATTRIBUTE_DIRECTORY;
    SetFileAttributesW(to, attributes != 0 ? attributes : FILE_ATTRIBUTE_NORMAL);
    return copy_kept(call, from, to) && (copy_times(from, to) || fail_last(call));
}

static bool hide_deleted(Call *call, const Layer *layer, const wchar_t *volume)
{
    Chain deleted = tombstones_of(call, layer);
    for (size_t i = 0; i < deleted.count; i++) {
        const wchar_t *path = join(&call->scope, volume, deleted.paths[i]);
        if (exists(path) && !remove_tree(&call->scope, path))
            return fail_last(call);
    }
    return true;
}

bool view_lay_out(Call *call, const Chain *layers, const wchar_t *volume)
{
    if (!make_folder(volume))
        return fail_last(call);
    for (size_t i = layers->count; i-- > 0;) {
        Layer layer = layer_at(call, layers->paths[i]);
        const wchar_t *files = join(&call->scope, layer.path, L"Files");
        if (!hide_deleted(call, &layer, volume) || (is_folder(files) && !overlay_folder(call, files, volume)))
            return false;
    }
    return true;
}
