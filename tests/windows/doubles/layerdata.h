// The JSON arguments of computestorage.dll.
#pragma once

#include "layer.h"

typedef enum { OS_CONTAINER, OS_VM } OsType;

// LayerData: the parents; `self` may not be among them.
Chain argument_layer_data(Call *call, const wchar_t *text, const Layer *self);
// ExportLayerOptions: whether the layer is said to be writable.
bool argument_export_options(Call *call, const wchar_t *text);
// OsLayerOptions.
OsType argument_os_options(Call *call, const wchar_t *text);
// Options that have no members: NULL, empty or {}.
void argument_no_options(Call *call, const wchar_t *text);
