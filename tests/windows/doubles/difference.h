// What was changed in the volume of a sandbox since it was laid out.
#pragma once

#include "layer.h"

// Writes it as a transport folder.
bool difference_export(Call *call, const Layer *sandbox, const wchar_t *target);
