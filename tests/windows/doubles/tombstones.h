// What a layer deletes from those below it: `tombstones.txt`, in the transport folder and in the layer's state.
#pragma once

#include "layer.h"

// Malformed ones are a violation.
bool tombstones_check(Call *call, const wchar_t *folder);
bool tombstones_copy(Call *call, const wchar_t *from, const wchar_t *to);
bool tombstones_write(Call *call, const Chain *paths, const wchar_t *folder);
// The deleted paths of a layer, without \ in front.
Chain tombstones_of(Call *call, const Layer *layer);
