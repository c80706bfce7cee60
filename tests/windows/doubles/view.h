// What a prepared layer shows: the files of its chain, merged.
#pragma once

#include "layer.h"

// Lays the layers out in `volume`, the last one first.
bool view_lay_out(Call *call, const Chain *layers, const wchar_t *volume);
