#include "baseline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"

bool observe(Call *call, const wchar_t *path, Record *record)
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

bool baseline_save(Call *call, const Layer *sandbox)
{
    Buffer text = buffer(&call->scope);
    return describe_folder(call, sandbox->volume, L"", &text) &&
           (write_file(baseline_file(call, sandbox), text.bytes, text.length) || fail_last(call));
}

bool baseline_exists(Call *call, const Layer *sandbox)
{
    return exists(baseline_file(call, sandbox));
}

static int compare_records(const void *a, const void *b)
{
    return compare_names(((const Record *)a)->path, ((const Record *)b)->path);
}

Baseline baseline_load(Call *call, const Layer *sandbox)
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

const Record *baseline_find(const Baseline *baseline, const wchar_t *path)
{
    Record wanted = {.path = path};
    return bsearch(&wanted, baseline->records, baseline->count, sizeof wanted, compare_records);
}
