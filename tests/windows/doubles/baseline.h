// What the volume of a sandbox looked like when it was laid out.
#pragma once

#include "layer.h"

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

bool baseline_save(Call *call, const Layer *sandbox);
bool baseline_exists(Call *call, const Layer *sandbox);
// In the order of the paths.
Baseline baseline_load(Call *call, const Layer *sandbox);
// NULL when there was nothing of that path.
const Record *baseline_find(const Baseline *baseline, const wchar_t *path);

// What a file or folder looks like now; the path is left out.
bool observe(Call *call, const wchar_t *path, Record *record);
