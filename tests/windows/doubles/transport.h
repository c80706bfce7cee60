// The transport folder: what ImportLayer reads and ExportLayer writes.
#pragma once

#include "kept.h"
#include "layer.h"

#define METADATA L".$wcidirs$"

// A file of `Files`: attributes and a backup stream.
typedef struct Stored {
    DWORD attributes;
    const char *streams;
    size_t length;
} Stored;

bool load_stored(Call *call, Scope *scope, const wchar_t *path, Stored *stored);
// The metadata beside a folder.
const wchar_t *metadata_name(Scope *scope, const wchar_t *folder);
// A violation about something in the folder.
bool malformed(Call *call, const wchar_t *path, const char *expected);
// A folder of this name with files as they are; nothing where there is none.
bool copy_raw(Call *call, const wchar_t *from, const wchar_t *to, const wchar_t *name);

// Everything in it is checked before anything is read; what is malformed is a violation.
bool transport_check(Call *call, const wchar_t *source);
// Files as plain files, the rest of their metadata kept.
bool transport_read(Call *call, const wchar_t *source, const Layer *layer);
// All of an imported layer.
bool transport_write(Call *call, const Layer *layer, const wchar_t *target);
// One file of a transport folder: attributes and the backup stream of `object`.
bool transport_put(Call *call, const wchar_t *object, DWORD attributes, const wchar_t *target);
