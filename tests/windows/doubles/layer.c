#include "layer.h"

#include <stdio.h>
#include <string.h>

#include "guid.h"
#include "kept.h"

static const char *const STATES[] = {"idle", "active", "prepared"};
enum { FIRST_SIZE_GIB = 20 };

static const wchar_t *in_control(Call *call, const wchar_t *folder, const wchar_t *name)
{
    const wchar_t *parent = join(&call->scope, call->scope.control, folder);
    make_folder(parent);
    return name != NULL ? join(&call->scope, parent, name) : parent;
}

static void load(Call *call, Layer *layer)
{
    Buffer stored = buffer(&call->scope);
    if (!read_file(join(&call->scope, layer->place, L"layer"), &stored))
        return;
    unsigned kind;
    unsigned long long size;
    int start = 0;
    if (sscanf(stored.bytes, "%u %llu\n%n", &kind, &size, &start) < 2)
        return;
    layer->kind = (Kind)kind;
    layer->size = size;
    layer->parents = utf16(&call->scope, stored.bytes + start);
}

Layer layer_at(Call *call, const wchar_t *path)
{
    Layer layer = {.path = path, .parents = L""};
    HANDLE folder = path != NULL && is_folder(path) ? open_object(path, FILE_READ_ATTRIBUTES) : INVALID_HANDLE_VALUE;
    if (folder == INVALID_HANDLE_VALUE)
        return layer;
    const wchar_t *key = object_key(&call->scope, folder);
    CloseHandle(folder);
    GUID guid = name_guid(key);
    in_control(call, L"volumes", NULL);
    layer.place = in_control(call, L"layers", key);
    layer.volume = in_control(call, L"volumes", guid_text(&call->scope, &guid));
    load(call, &layer);
    if (layer.kind == KIND_SANDBOX && !exists(join(&call->scope, path, L"sandbox.vhdx")))
        layer.kind = KIND_NONE; // Another folder that got the identity of one that was removed behind the back of HCS.
    return layer;
}

bool layer_become(Call *call, Layer *layer, Kind kind, const Chain *chain)
{
    layer_forget(call, layer);
    *layer = layer_at(call, layer->path);
    if (layer->place == NULL || !make_folder(layer->place))
        return fail_last(call);
    layer->kind = kind;
    layer->size = kind == KIND_SANDBOX ? (uint64_t)FIRST_SIZE_GIB << 30 : 0;
    layer->parents = chain_text(&call->scope, chain);
    return layer_save(call, layer);
}

bool layer_save(Call *call, const Layer *layer)
{
    Buffer text = buffer(&call->scope);
    append_format(&text, "%u %llu\n%s", layer->kind, (unsigned long long)layer->size,
                  utf8(&call->scope, layer->parents));
    return write_file(join(&call->scope, layer->place, L"layer"), text.bytes, text.length) || fail_last(call);
}

void layer_forget(Call *call, const Layer *layer)
{
    if (layer->place == NULL)
        return;
    remove_tree(&call->scope, layer->place);
    remove_tree(&call->scope, layer->volume);
}

bool layer_is_plausible(Call *call, const Layer *layer)
{
    static const wchar_t *const names[] = {L"Files", L"layerchain.json", L"layerID", L"blank-base.vhdx"};
    if (layer->place == NULL)
        return false;
    if (layer->kind != KIND_NONE || is_empty_folder(&call->scope, layer->path))
        return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (exists(join(&call->scope, layer->path, names[i])))
            return true;
    }
    return false;
}

static const wchar_t *ready_file(Call *call, const Layer *layer)
{
    GUID guid = name_guid(layer->path);
    return in_control(call, L"ready", guid_text(&call->scope, &guid));
}

State layer_state(Call *call, const Layer *layer)
{
    Buffer text = buffer(&call->scope);
    if (!read_file(ready_file(call, layer), &text))
        return STATE_IDLE;
    return strncmp(text.bytes, "prepared\n", 9) == 0 ? STATE_PREPARED : STATE_ACTIVE;
}

bool layer_set_state(Call *call, const Layer *layer, State state)
{
    const wchar_t *path = ready_file(call, layer);
    if (state == STATE_IDLE)
        return DeleteFileW(path) || fail_last(call);
    Buffer text = buffer(&call->scope);
    append_format(&text, "%s\n%s\n", STATES[state], utf8(&call->scope, plain_path(layer->path)));
    return write_file(path, text.bytes, text.length) || fail_last(call);
}

bool layer_require(Call *call, const Layer *layer, State state)
{
    State found = layer_state(call, layer);
    return found == state || wrong_order(call, layer->path, STATES[state], STATES[found]);
}

const wchar_t *chain_text(Scope *scope, const Chain *chain)
{
    const wchar_t *text = L"";
    for (size_t i = 0; chain != NULL && i < chain->count; i++) {
        GUID guid = name_guid(last_part(chain->paths[i]));
        text = concat(scope, text, guid_text(scope, &guid), L" ", NULL);
    }
    return text;
}

const wchar_t *layer_of_volume(Call *call, const wchar_t *path)
{
    const wchar_t *folder = in_control(call, L"ready", NULL);
    Listing ready;
    if (!list_folder(&call->scope, folder, &ready))
        return path;
    for (size_t i = 0; i < ready.count; i++) {
        Buffer text = buffer(&call->scope);
        read_file(join(&call->scope, folder, ready.objects[i].name), &text);
        char *line = strchr(text.bytes, '\n');
        if (line == NULL)
            continue;
        line[1 + strcspn(line + 1, "\n")] = 0;
        const wchar_t *layer = full_path(&call->scope, utf16(&call->scope, line + 1));
        const wchar_t *volume = layer_at(call, layer).volume;
        if (volume != NULL && same_name(volume, path))
            return layer;
    }
    return path;
}
