// A layer: what it is, its parents, and whether it is active or prepared.
// Kept in `layers\` of the control folder by the identity of the layer's folder, which a rename keeps; what is not idle
// has a file in `ready\`, by path.
#pragma once

#include "call.h"

typedef enum { KIND_NONE, KIND_CREATED, KIND_BASE, KIND_IMPORTED, KIND_SANDBOX } Kind;
typedef enum { STATE_IDLE, STATE_ACTIVE, STATE_PREPARED } State;

typedef struct Chain {
    const wchar_t **paths; // nearest first
    size_t count;
} Chain;

typedef struct Layer {
    const wchar_t *path;  // NULL: an argument was wrong
    const wchar_t *place; // the folder of its state; NULL: the layer's folder is missing
    Kind kind;
    uint64_t size;           // of a sandbox
    const wchar_t *parents;  // GUIDs of its chain, nearest first, a space behind each
    const wchar_t *volume;   // where it is seen while it is active
} Layer;

Layer layer_at(Call *call, const wchar_t *path);
// Makes the folder a layer of this kind and forgets what it was.
bool layer_become(Call *call, Layer *layer, Kind kind, const Chain *chain);
bool layer_save(Call *call, const Layer *layer);
void layer_forget(Call *call, const Layer *layer);
// Also a folder that a caller is filling, or that holds nothing.
bool layer_is_plausible(Call *call, const Layer *layer);

State layer_state(Call *call, const Layer *layer);
bool layer_set_state(Call *call, const Layer *layer, State state);
// False, and a wrong order, when it is in another state.
bool layer_require(Call *call, const Layer *layer, State state);

const wchar_t *chain_text(Scope *scope, const Chain *chain);
// The layer with this mount path that is active, or the path itself.
const wchar_t *layer_of_volume(Call *call, const wchar_t *path);
