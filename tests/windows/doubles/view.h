// What a prepared layer shows: the files of its chain, merged; and what changed in there since.
#pragma once

#include "layer.h"

// Lays the layers out in `volume`, the last one first.
bool view_lay_out(Call *call, const Chain *layers, const wchar_t *volume);
// Remembers what the sandbox's volume looks like.
bool view_remember(Call *call, const Layer *sandbox);
bool view_is_remembered(Call *call, const Layer *sandbox);
// Writes what differs from that as a transport folder.
bool view_export(Call *call, const Layer *sandbox, const wchar_t *target);
