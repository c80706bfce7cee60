// What the calls do to layers, whatever DLL they come through. Each is to be called after call_ready().
#pragma once

#include "layer.h"

typedef enum { EXPORT_ACTIVE, EXPORT_UNPREPARED } ExportRule;

void engine_create(Call *call, Layer *layer, const wchar_t *parent);
void engine_create_sandbox(Call *call, Layer *layer, const Chain *chain);
// The folder is there, and empty.
void engine_initialize_sandbox(Call *call, Layer *layer, const Chain *chain);
void engine_destroy(Call *call, Layer *layer);
void engine_activate(Call *call, Layer *layer);
void engine_deactivate(Call *call, Layer *layer);
void engine_prepare(Call *call, Layer *layer, const Chain *chain);
void engine_unprepare(Call *call, Layer *layer, const Chain *chain); // NULL: not given
void engine_import(Call *call, Layer *layer, const wchar_t *source, const Chain *chain);
void engine_export(Call *call, Layer *layer, const wchar_t *target, const Chain *chain, ExportRule rule);
void engine_copy(Call *call, Layer *source, Layer *target, const Chain *chain);
void engine_expand(Call *call, Layer *layer, uint64_t size);
void engine_process_base(Call *call, const wchar_t *path);
void engine_process_utility(Call *call, const wchar_t *path);
// Where the layer is seen now.
const wchar_t *engine_mount_path(Call *call, const Layer *layer);
