// The transport folder: what ImportLayer reads and ExportLayer writes.
#pragma once

#include "kept.h"
#include "layer.h"

// Everything in it is checked before anything is read; what is malformed is a violation.
bool transport_check(Call *call, const wchar_t *source);
// Files as plain files, the rest of their metadata kept.
bool transport_read(Call *call, const wchar_t *source, const Layer *layer);
// All of an imported layer.
bool transport_write(Call *call, const Layer *layer, const wchar_t *target);

// One file of a transport folder: attributes and the backup stream of `object`.
bool transport_put(Call *call, const wchar_t *object, DWORD attributes, const wchar_t *target);
const wchar_t *metadata_name(Scope *scope, const wchar_t *folder);
bool write_tombstones(Call *call, const Chain *paths, const wchar_t *target);
// The deleted paths of a layer, without \ in front.
Chain read_tombstones(Call *call, const Layer *layer);
