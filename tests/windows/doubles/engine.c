#include "engine.h"

#include "baseline.h"
#include "difference.h"
#include "kept.h"
#include "transport.h"
#include "view.h"

static bool is_layer(Call *call, const Layer *layer)
{
    if (layer->place == NULL)
        return fail(call, ERROR_FILE_NOT_FOUND);
    const char *path = utf8(&call->scope, plain_path(layer->path));
    return layer->kind != KIND_NONE || violation(call, "id", "a layer", "%s", path);
}

static bool has_chain(Call *call, const Layer *layer, const Chain *chain)
{
    const wchar_t *found = chain_text(&call->scope, chain);
    if (layer->kind == KIND_CREATED || wcscmp(found, layer->parents) == 0)
        return true;
    const wchar_t *expected = concat(&call->scope, L"the chain that it was made with: ", layer->parents, NULL);
    return violation(call, "descriptors", utf8(&call->scope, expected), "%s", utf8(&call->scope, found));
}

static bool has_parents(Call *call, const Chain *chain)
{
    return chain->count > 0 || violation(call, "descriptors", "at least one parent", "none");
}

static bool make_new_folder(Call *call, Layer *layer)
{
    if (exists(layer->path))
        return fail(call, ERROR_ALREADY_EXISTS);
    if (!make_folder(layer->path))
        return fail_last(call);
    *layer = layer_at(call, layer->path);
    return true;
}

void engine_create(Call *call, Layer *layer, const wchar_t *parent)
{
    if (parent != NULL && layer_at(call, parent).kind == KIND_NONE)
        violation(call, "parent", "a layer, or none", "%s", utf8(&call->scope, plain_path(parent)));
    else if (make_new_folder(call, layer))
        layer_become(call, layer, KIND_CREATED, NULL);
}

static void become_sandbox(Call *call, Layer *layer, const Chain *chain)
{
    static const char content[] = "the disk of a sandbox\n";
    if (layer_become(call, layer, KIND_SANDBOX, chain) &&
        !write_file(join(&call->scope, layer->path, L"sandbox.vhdx"), content, sizeof content - 1))
        fail_last(call);
}

void engine_create_sandbox(Call *call, Layer *layer, const Chain *chain)
{
    if (has_parents(call, chain) && make_new_folder(call, layer))
        become_sandbox(call, layer, chain);
}

void engine_initialize_sandbox(Call *call, Layer *layer, const Chain *chain)
{
    if (layer->place == NULL)
        fail(call, ERROR_PATH_NOT_FOUND);
    else if (!is_empty_folder(&call->scope, layer->path))
        violation(call, "path", "an empty folder", "%s", utf8(&call->scope, plain_path(layer->path)));
    else if (has_parents(call, chain))
        become_sandbox(call, layer, chain);
}

void engine_destroy(Call *call, Layer *layer)
{
    const char *path = utf8(&call->scope, plain_path(layer->path));
    if (layer->place == NULL)
        fail(call, ERROR_FILE_NOT_FOUND);
    else if (!layer_is_plausible(call, layer))
        violation(call, "id", "a layer", "%s", path);
    else if (!layer_require(call, layer, STATE_IDLE))
        return;
    else if (!remove_tree(&call->scope, layer->path))
        fail_last(call);
    else
        layer_forget(call, layer);
}

void engine_activate(Call *call, Layer *layer)
{
    if (is_layer(call, layer) && layer_require(call, layer, STATE_IDLE))
        layer_set_state(call, layer, STATE_ACTIVE);
}

// Also of a prepared layer: a caller whose UnprepareLayer failed lets go of it all the same.
void engine_deactivate(Call *call, Layer *layer)
{
    if (!is_layer(call, layer))
        return;
    bool prepared = layer_state(call, layer) == STATE_PREPARED;
    if (prepared && layer->kind != KIND_SANDBOX && !remove_tree(&call->scope, layer->volume))
        fail_last(call);
    else if (prepared || layer_require(call, layer, STATE_ACTIVE))
        layer_set_state(call, layer, STATE_IDLE);
}

static bool prepare_sandbox(Call *call, const Layer *layer, const Chain *chain)
{
    if (baseline_exists(call, layer))
        return true;
    return view_lay_out(call, chain, layer->volume) && baseline_save(call, layer);
}

static bool prepare_other(Call *call, const Layer *layer, const Chain *chain)
{
    Chain layers = {.paths = take(&call->scope, (chain->count + 1) * sizeof *layers.paths), .count = chain->count + 1};
    layers.paths[0] = layer->path;
    for (size_t i = 0; i < chain->count; i++)
        layers.paths[i + 1] = chain->paths[i];
    return view_lay_out(call, &layers, layer->volume);
}

void engine_prepare(Call *call, Layer *layer, const Chain *chain)
{
    if (!is_layer(call, layer) || !layer_require(call, layer, STATE_ACTIVE) || !has_chain(call, layer, chain))
        return;
    if ((layer->kind == KIND_SANDBOX ? prepare_sandbox : prepare_other)(call, layer, chain))
        layer_set_state(call, layer, STATE_PREPARED);
}

void engine_unprepare(Call *call, Layer *layer, const Chain *chain)
{
    if (!is_layer(call, layer) || !layer_require(call, layer, STATE_PREPARED))
        return;
    if (chain != NULL && !has_chain(call, layer, chain))
        return;
    if (layer->kind != KIND_SANDBOX && !remove_tree(&call->scope, layer->volume))
        fail_last(call);
    else
        layer_set_state(call, layer, STATE_ACTIVE);
}

static bool is_without_content(Call *call, const Layer *layer)
{
    static const char *const kinds[] = {"", "", "a base layer", "an imported layer", "a sandbox"};
    const wchar_t *files = join(&call->scope, layer->path, L"Files");
    bool is_empty = !exists(files) || is_empty_folder(&call->scope, files);
    if (layer->kind != KIND_NONE && layer->kind != KIND_CREATED && !(layer->kind == KIND_IMPORTED && is_empty))
        return violation(call, "id", "a layer without content", "%s", kinds[layer->kind]);
    return is_empty || violation(call, "id", "a layer without content", "one with files in Files");
}

static bool import_from(Call *call, Layer *layer, const wchar_t *source, const Chain *chain)
{
    return transport_check(call, source) && (make_folder(layer->path) || fail_last(call)) &&
           layer_become(call, layer, KIND_IMPORTED, chain) && transport_read(call, source, layer);
}

void engine_import(Call *call, Layer *layer, const wchar_t *source, const Chain *chain)
{
    if (has_parents(call, chain) && is_without_content(call, layer) && layer_require(call, layer, STATE_IDLE))
        import_from(call, layer, source, chain);
}

static bool is_in_state_to_export(Call *call, const Layer *layer, ExportRule rule)
{
    if (rule == EXPORT_ACTIVE)
        return layer_require(call, layer, STATE_ACTIVE);
    return layer_state(call, layer) != STATE_PREPARED || layer_require(call, layer, STATE_ACTIVE);
}

static bool is_exportable(Call *call, const Layer *layer)
{
    if (layer->kind == KIND_IMPORTED || layer->kind == KIND_SANDBOX)
        return true;
    return violation(call, "id", "an imported layer or a sandbox", "a base layer, or one without content");
}

static void export_to(Call *call, const Layer *layer, const wchar_t *target)
{
    (layer->kind == KIND_SANDBOX ? difference_export : transport_write)(call, layer, target);
}

void engine_export(Call *call, Layer *layer, const wchar_t *target, const Chain *chain, ExportRule rule)
{
    if (!is_layer(call, layer) || !is_exportable(call, layer) || !is_in_state_to_export(call, layer, rule))
        return;
    if (!is_empty_folder(&call->scope, target))
        violation(call, "path", "an empty folder", "%s", utf8(&call->scope, plain_path(target)));
    else if (has_chain(call, layer, chain))
        export_to(call, layer, target);
}

void engine_copy(Call *call, Layer *source, Layer *target, const Chain *chain)
{
    if (!is_layer(call, source) || !has_chain(call, source, chain))
        return;
    if (source->kind != KIND_SANDBOX)
        violation(call, "id", "a sandbox", "another layer");
    else if (exists(target->path))
        fail(call, ERROR_ALREADY_EXISTS);
    if (FAILED(call->result))
        return;
    const wchar_t *between = join(&call->scope, call->scope.control, L"copied");
    if (!make_folder(between))
        fail_last(call);
    else if (difference_export(call, source, between))
        import_from(call, target, between, chain);
    remove_tree(&call->scope, between);
}

void engine_expand(Call *call, Layer *layer, uint64_t size)
{
    if (!is_layer(call, layer))
        return;
    if (layer->kind != KIND_SANDBOX) {
        violation(call, "id", "a sandbox", "another layer");
    } else if (layer_state(call, layer) == STATE_PREPARED) {
        wrong_order(call, layer->path, "idle or active", "prepared");
    } else if (size <= layer->size) {
        violation(call, "size", "more than it has", "%llu, has %llu", (unsigned long long)size,
                  (unsigned long long)layer->size);
    } else {
        layer->size = size;
        layer_save(call, layer);
    }
}

static bool write_disk(Call *call, const wchar_t *folder, const wchar_t *name)
{
    static const char content[] = "a disk\n";
    return write_file(join(&call->scope, folder, name), content, sizeof content - 1) || fail_last(call);
}

static bool has_files(Call *call, const wchar_t *path)
{
    if (is_folder(join(&call->scope, path, L"Files")))
        return true;
    return violation(call, "path", "a folder with Files in it", "%s", utf8(&call->scope, plain_path(path)));
}

void engine_process_base(Call *call, const wchar_t *path)
{
    Layer layer = layer_at(call, path);
    if (!has_files(call, path) || !layer_require(call, &layer, STATE_IDLE))
        return;
    if (layer.kind == KIND_IMPORTED || layer.kind == KIND_SANDBOX)
        is_without_content(call, &layer);
    else if (write_disk(call, path, L"blank-base.vhdx") && write_disk(call, path, L"blank.vhdx"))
        layer_become(call, &layer, KIND_BASE, NULL);
}

// The host changes these whenever it makes a disk of the utility VM.
static bool rewrite_boot_files(Call *call, const wchar_t *path)
{
    static const wchar_t *const names[] = {L"BCD", L"BCD.LOG", L"BCD.LOG1", L"BCD.LOG2"};
    static const char content[] = "rewritten by the host\n";
    const wchar_t *boot = join(&call->scope, path, L"Files\\EFI\\Microsoft\\Boot");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const wchar_t *file = join(&call->scope, boot, names[i]);
        DWORD attributes = GetFileAttributesW(file);
        if (attributes == INVALID_FILE_ATTRIBUTES)
            continue;
        SetFileAttributesW(file, FILE_ATTRIBUTE_NORMAL);
        if (!write_file(file, content, sizeof content - 1) || !SetFileAttributesW(file, attributes))
            return fail_last(call);
    }
    return true;
}

void engine_process_utility(Call *call, const wchar_t *path)
{
    if (!same_name(last_part(path), L"UtilityVM"))
        violation(call, "path", "a folder UtilityVM", "%s", utf8(&call->scope, plain_path(path)));
    else if (has_files(call, path) && write_disk(call, path, L"blank.vhdx"))
        rewrite_boot_files(call, path);
}

const wchar_t *engine_mount_path(Call *call, const Layer *layer)
{
    if (layer->kind == KIND_NONE) { // A question: asking it of any folder does no harm.
        fail(call, ERROR_PATH_NOT_FOUND);
        return NULL;
    }
    return plain_path(layer_state(call, layer) == STATE_IDLE ? layer->path : layer->volume);
}
