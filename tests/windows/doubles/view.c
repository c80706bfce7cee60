#include "view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kept.h"
#include "transport.h"

// Laying out

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
    Chain deleted = read_tombstones(call, layer);
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

// The baseline: a line for each file and folder, in the order of the paths.

typedef struct Record {
    DWORD attributes;
    unsigned long long size, written;
    char key[40];
    const wchar_t *path; // relative
} Record;

typedef struct Baseline {
    Record *records;
    size_t count;
} Baseline;

static bool observe(Call *call, const wchar_t *path, Record *record)
{
    WIN32_FILE_ATTRIBUTE_DATA seen;
    HANDLE object = open_object(path, FILE_READ_ATTRIBUTES);
    if (object == INVALID_HANDLE_VALUE)
        return fail_last(call);
    const wchar_t *key = object_key(&call->scope, object);
    CloseHandle(object);
    if (key == NULL || !GetFileAttributesExW(path, GetFileExInfoStandard, &seen))
        return fail_last(call);
    record->attributes = seen.dwFileAttributes;
    record->size = (unsigned long long)seen.nFileSizeHigh << 32 | seen.nFileSizeLow;
    record->written = (unsigned long long)seen.ftLastWriteTime.dwHighDateTime << 32 | seen.ftLastWriteTime.dwLowDateTime;
    snprintf(record->key, sizeof record->key, "%s", utf8(&call->scope, key));
    return true;
}

// Either may be empty.
static const wchar_t *below(Scope *scope, const wchar_t *folder, const wchar_t *name)
{
    if (folder[0] == 0 || name[0] == 0)
        return folder[0] == 0 ? name : folder;
    return join(scope, folder, name);
}

static bool describe_folder(Call *call, const wchar_t *volume, const wchar_t *folder, Buffer *text)
{
    Listing listing;
    if (!list_folder(&call->scope, below(&call->scope, volume, folder), &listing))
        return fail_last(call);
    for (size_t i = 0; i < listing.count; i++) {
        const wchar_t *path = below(&call->scope, folder, listing.objects[i].name);
        Record record;
        if (!observe(call, join(&call->scope, volume, path), &record))
            return false;
        append_format(text, "%lx %llx %llx %s %s\n", record.attributes, record.size, record.written, record.key,
                      utf8(&call->scope, path));
        if (listing.objects[i].folder && !describe_folder(call, volume, path, text))
            return false;
    }
    return true;
}

static const wchar_t *baseline_file(Call *call, const Layer *sandbox)
{
    return join(&call->scope, sandbox->place, L"baseline");
}

bool view_remember(Call *call, const Layer *sandbox)
{
    Buffer text = buffer(&call->scope);
    return describe_folder(call, sandbox->volume, L"", &text) &&
           (write_file(baseline_file(call, sandbox), text.bytes, text.length) || fail_last(call));
}

bool view_is_remembered(Call *call, const Layer *sandbox)
{
    return exists(baseline_file(call, sandbox));
}

static int compare_records(const void *a, const void *b)
{
    return compare_names(((const Record *)a)->path, ((const Record *)b)->path);
}

static Baseline load_baseline(Call *call, const Layer *sandbox)
{
    Buffer text = buffer(&call->scope);
    read_file(baseline_file(call, sandbox), &text);
    Baseline baseline = {.records = take(&call->scope, (text.length / 10 + 1) * sizeof(Record))};
    for (char *line = strtok(text.bytes, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        Record *record = &baseline.records[baseline.count];
        int start = 0;
        if (sscanf(line, "%lx %llx %llx %39s %n", &record->attributes, &record->size, &record->written, record->key,
                   &start) != 4)
            continue;
        record->path = utf16(&call->scope, line + start);
        baseline.count++;
    }
    qsort(baseline.records, baseline.count, sizeof(Record), compare_records);
    return baseline;
}

static const Record *find_record(const Baseline *baseline, const wchar_t *path)
{
    Record wanted = {.path = path};
    return bsearch(&wanted, baseline->records, baseline->count, sizeof wanted, compare_records);
}

// The difference

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
    const Record *before = find_record(&export->baseline, path);
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
    bool changed = differs(find_record(&export->baseline, path), &now) || was_rewritten(export, path);
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

bool view_export(Call *call, const Layer *sandbox, const wchar_t *target)
{
    Export export = {call, load_baseline(call, sandbox), sandbox->volume, join(&call->scope, target, L"Files")};
    if (!make_folder(export.files) || !make_folder(join(&call->scope, target, L"Hives")))
        return fail_last(call);
    if (!view_is_remembered(call, sandbox))
        return write_tombstones(call, &(Chain){0}, target);
    Chain deleted = gone(&export);
    return export_folder(&export, L"") && write_tombstones(call, &deleted, target);
}
