#include "difference.h"

#include <string.h>

#include "baseline.h"
#include "kept.h"
#include "tombstones.h"
#include "transport.h"

typedef struct Export {
    Call *call;
    Baseline baseline;
    const wchar_t *volume, *files;
} Export;

// What the lower layer says, with the bits that were changed since.
static DWORD export_attributes(Export *export, const wchar_t *path, const Record *before, DWORD now)
{
    Kept kept;
    bool known = kept_of(&export->call->scope, join(&export->call->scope, export->volume, path), &kept) &&
                 (kept.flags & KEPT_ATTRIBUTES);
    return known && before != NULL ? kept.attributes ^ (before->attributes ^ now) : now;
}

static bool put(Export *export, const wchar_t *path, const wchar_t *target)
{
    Scope *scope = &export->call->scope;
    const wchar_t *object = join(scope, export->volume, path);
    DWORD now = GetFileAttributesW(object);
    const Record *before = baseline_find(&export->baseline, path);
    return transport_put(export->call, object, export_attributes(export, path, before, now), target);
}

// The folder and those that lead to it, each with its metadata.
static bool put_folder(Export *export, const wchar_t *path)
{
    Scope *scope = &export->call->scope;
    const wchar_t *target = join(scope, export->files, path);
    if (path[0] == 0 || exists(target))
        return true;
    const wchar_t *parent = wcschr(path, L'\\') != NULL ? parent_folder(scope, path) : L"";
    if (!put_folder(export, parent))
        return false;
    return (make_folder(target) || fail_last(export->call)) && put(export, path, metadata_name(scope, target));
}

static bool was_rewritten(Export *export, const wchar_t *path)
{
    Kept kept;
    return kept_of(&export->call->scope, join(&export->call->scope, export->volume, path), &kept) &&
           !(kept.flags & KEPT_LAID_OUT);
}

static bool differs(const Record *before, const Record *now)
{
    bool folder = (now->attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
    if (before == NULL || before->attributes != now->attributes || strcmp(before->key, now->key) != 0)
        return true;
    return !folder && (before->size != now->size || before->written != now->written);
}

static bool export_folder(Export *export, const wchar_t *folder);

static bool export_object(Export *export, const wchar_t *folder, const Object *object)
{
    Scope *scope = &export->call->scope;
    const wchar_t *path = below(scope, folder, object->name);
    Record now;
    if (!observe(export->call, join(scope, export->volume, path), &now))
        return false;
    bool changed = differs(baseline_find(&export->baseline, path), &now) || was_rewritten(export, path);
    if (object->folder)
        return (!changed || put_folder(export, path)) && export_folder(export, path);
    return !changed || (put_folder(export, folder) && put(export, path, join(scope, export->files, path)));
}

static bool export_folder(Export *export, const wchar_t *folder)
{
    Listing listing;
    if (!list_folder(&export->call->scope, below(&export->call->scope, export->volume, folder), &listing))
        return fail_last(export->call);
    for (size_t i = 0; i < listing.count; i++) {
        if (!export_object(export, folder, &listing.objects[i]))
            return false;
    }
    return true;
}

// What is gone although the folder that it was in is not.
static Chain gone(Export *export)
{
    Scope *scope = &export->call->scope;
    Chain paths = {.paths = take(scope, (export->baseline.count + 1) * sizeof *paths.paths)};
    for (size_t i = 0; i < export->baseline.count; i++) {
        const wchar_t *path = export->baseline.records[i].path, *object = join(scope, export->volume, path);
        if (!exists(object) && is_folder(parent_folder(scope, object)))
            paths.paths[paths.count++] = path;
    }
    return paths;
}

bool difference_export(Call *call, const Layer *sandbox, const wchar_t *target)
{
    Export export = {call, baseline_load(call, sandbox), sandbox->volume, join(&call->scope, target, L"Files")};
    if (!make_folder(export.files) || !make_folder(join(&call->scope, target, L"Hives")))
        return fail_last(call);
    if (!baseline_exists(call, sandbox))
        return tombstones_write(call, &(Chain){0}, target);
    Chain deleted = gone(&export);
    return export_folder(&export, L"") && tombstones_write(call, &deleted, target);
}
