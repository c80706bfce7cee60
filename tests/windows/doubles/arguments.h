// Reads and checks the arguments of a call, and puts them into its log line.
// A wrong one is a violation; the rest are read all the same.
#pragma once

#include "abi.h"
#include "layer.h"

// The text itself, or NULL when it is no readable, well-formed UTF-16 that ends.
const wchar_t *argument_text(Call *call, const char *name, const wchar_t *value);
bool argument_out(Call *call, const char *name, const void *pointer, size_t bytes);
// An absolute path, in full; NULL when it is none.
const wchar_t *argument_path(Call *call, const char *name, const wchar_t *value);
const wchar_t *argument_folder(Call *call, const char *name, const wchar_t *value);
bool argument_handle(Call *call, const char *name, HANDLE handle);

// home\id, or id alone. Logs both, and the flavour.
Layer argument_layer(Call *call, const DriverInfo *info, const wchar_t *id);
// The same for another id of the same driver, which is logged as `name`.
const wchar_t *argument_layer_path(Call *call, const DriverInfo *info, const char *name, const wchar_t *id);
bool argument_driver(Call *call, const DriverInfo *info);

// `self` may not be in it.
Chain argument_chain(Call *call, const LayerDescriptor *descriptors, size_t count, const Layer *self);
// One layer of a chain: exists, absolute, no parent twice.
bool check_parent(Call *call, const char *argument, const wchar_t *path, const Chain *before, const Layer *self);
// The parents of the nearest one must be the rest of the chain.
bool check_chain(Call *call, const char *argument, const Chain *chain);
