// vmcompute.dll: the functions of the first generation.
#include <objbase.h>
#include <string.h>

#include "arguments.h"
#include "engine.h"
#include "files.h"
#include "guid.h"
#include "memory.h"

#define EXPORT __declspec(dllexport) HRESULT WINAPI

static const char DLL[] = "vmcompute";

EXPORT ActivateLayer(const DriverInfo *info, const wchar_t *id)
{
    Call call;
    call_begin(&call, DLL, "ActivateLayer");
    Layer layer = argument_layer(&call, info, id);
    if (call_ready(&call))
        engine_activate(&call, &layer);
    return call_end(&call);
}

EXPORT DeactivateLayer(const DriverInfo *info, const wchar_t *id)
{
    Call call;
    call_begin(&call, DLL, "DeactivateLayer");
    Layer layer = argument_layer(&call, info, id);
    if (call_ready(&call))
        engine_deactivate(&call, &layer);
    return call_end(&call);
}

// A full path, or the name of a layer beside this one; NULL for none.
static const wchar_t *argument_parent(Call *call, const Layer *layer, const wchar_t *parent)
{
    if (parent == NULL)
        note_json(call, "parent", "null");
    if (parent == NULL || argument_text(call, "parent", parent) == NULL || parent[0] == 0 || layer->path == NULL)
        return NULL;
    if (is_absolute(parent))
        return full_path(&call->scope, parent);
    return join(&call->scope, parent_folder(&call->scope, layer->path), parent);
}

EXPORT CreateLayer(const DriverInfo *info, const wchar_t *id, const wchar_t *parent)
{
    Call call;
    call_begin(&call, DLL, "CreateLayer");
    Layer layer = argument_layer(&call, info, id);
    const wchar_t *below = argument_parent(&call, &layer, parent);
    if (call_ready(&call))
        engine_create(&call, &layer, below);
    return call_end(&call);
}

EXPORT CreateSandboxLayer(const DriverInfo *info, const wchar_t *id, uintptr_t parent,
                          const LayerDescriptor *descriptors, size_t count)
{
    Call call;
    call_begin(&call, DLL, "CreateSandboxLayer");
    Layer layer = argument_layer(&call, info, id);
    note_number(&call, "parent", parent);
    if (parent != 0)
        violation(&call, "parent", "0", "0x%llx", (unsigned long long)parent);
    Chain chain = argument_chain(&call, descriptors, count, &layer);
    if (call_ready(&call))
        engine_create_sandbox(&call, &layer, &chain);
    return call_end(&call);
}

EXPORT DestroyLayer(const DriverInfo *info, const wchar_t *id)
{
    Call call;
    call_begin(&call, DLL, "DestroyLayer");
    Layer layer = argument_layer(&call, info, id);
    if (call_ready(&call))
        engine_destroy(&call, &layer);
    return call_end(&call);
}

EXPORT ExpandSandboxSize(const DriverInfo *info, const wchar_t *id, uint64_t size)
{
    Call call;
    call_begin(&call, DLL, "ExpandSandboxSize");
    Layer layer = argument_layer(&call, info, id);
    note_number(&call, "size", size);
    if (call_ready(&call))
        engine_expand(&call, &layer, size);
    return call_end(&call);
}

EXPORT ExportLayer(const DriverInfo *info, const wchar_t *id, const wchar_t *path, const LayerDescriptor *descriptors,
                   size_t count)
{
    Call call;
    call_begin(&call, DLL, "ExportLayer");
    Layer layer = argument_layer(&call, info, id);
    const wchar_t *target = argument_folder(&call, "path", path);
    Chain chain = argument_chain(&call, descriptors, count, &layer);
    if (call_ready(&call))
        engine_export(&call, &layer, target, &chain,
                      info->flavour == FLAVOUR_FILTER ? EXPORT_ACTIVE : EXPORT_UNPREPARED);
    return call_end(&call);
}

EXPORT ImportLayer(const DriverInfo *info, const wchar_t *id, const wchar_t *path, const LayerDescriptor *descriptors,
                   size_t count)
{
    Call call;
    call_begin(&call, DLL, "ImportLayer");
    Layer layer = argument_layer(&call, info, id);
    const wchar_t *source = argument_folder(&call, "path", path);
    Chain chain = argument_chain(&call, descriptors, count, &layer);
    if (call_ready(&call))
        engine_import(&call, &layer, source, &chain);
    return call_end(&call);
}

EXPORT PrepareLayer(const DriverInfo *info, const wchar_t *id, const LayerDescriptor *descriptors, size_t count)
{
    static volatile LONG running;
    LONG others = InterlockedIncrement(&running) - 1;
    Call call;
    call_begin(&call, DLL, "PrepareLayer");
    Layer layer = argument_layer(&call, info, id);
    Chain chain = argument_chain(&call, descriptors, count, &layer);
    if (others > 0)
        violation(&call, "PrepareLayer", "one at a time in a process", "%ld more", others);
    if (call_ready(&call))
        engine_prepare(&call, &layer, &chain);
    HRESULT result = call_end(&call);
    InterlockedDecrement(&running);
    return result;
}

EXPORT UnprepareLayer(const DriverInfo *info, const wchar_t *id)
{
    Call call;
    call_begin(&call, DLL, "UnprepareLayer");
    Layer layer = argument_layer(&call, info, id);
    if (call_ready(&call))
        engine_unprepare(&call, &layer, NULL);
    return call_end(&call);
}

static void give_mount_path(Call *call, const Layer *layer, size_t *length, wchar_t *to)
{
    const wchar_t *path = engine_mount_path(call, layer);
    if (path == NULL)
        return;
    size_t units = wcslen(path) + 1, given = *length;
    *length = units;
    if (to == NULL)
        return;
    if (given < units)
        fail(call, ERROR_INSUFFICIENT_BUFFER);
    else if (!is_writable(to, given * sizeof *to))
        violation(call, "buffer", "as much writable memory as length says", "%p", (void *)to);
    else
        memcpy(to, path, units * sizeof *to);
}

EXPORT GetLayerMountPath(const DriverInfo *info, const wchar_t *id, size_t *length, wchar_t *to)
{
    Call call;
    call_begin(&call, DLL, "GetLayerMountPath");
    Layer layer = argument_layer(&call, info, id);
    if (argument_out(&call, "length", length, sizeof *length))
        note_number(&call, "length", to != NULL ? *length : 0);
    if (call_ready(&call))
        give_mount_path(&call, &layer, length, to);
    return call_end(&call);
}

EXPORT LayerExists(const DriverInfo *info, const wchar_t *id, uint32_t *there)
{
    Call call;
    call_begin(&call, DLL, "LayerExists");
    Layer layer = argument_layer(&call, info, id);
    argument_out(&call, "exists", there, sizeof *there);
    if (call_ready(&call))
        *there = layer_is_plausible(&call, &layer);
    return call_end(&call);
}

EXPORT CopyLayer(const DriverInfo *info, const wchar_t *source, const wchar_t *target,
                 const LayerDescriptor *descriptors, size_t count)
{
    Call call;
    call_begin(&call, DLL, "CopyLayer");
    Layer from = argument_layer(&call, info, source);
    Layer to = layer_at(&call, argument_layer_path(&call, info, "target", target));
    Chain chain = argument_chain(&call, descriptors, count, &from);
    if (call_ready(&call))
        engine_copy(&call, &from, &to, &chain);
    return call_end(&call);
}

static void give_base_images(Call *call, wchar_t **out)
{
    Buffer json = buffer(&call->scope);
    if (!read_file(join(&call->scope, call->scope.control, L"base_images.json"), &json))
        append_format(&json, "{\"Images\":[]}");
    const wchar_t *text = utf16(&call->scope, json.bytes);
    if (text == NULL) {
        fail(call, ERROR_NO_UNICODE_TRANSLATION);
        return;
    }
    size_t bytes = (wcslen(text) + 1) * sizeof *text;
    *out = CoTaskMemAlloc(bytes);
    memcpy(*out, text, bytes);
}

EXPORT GetBaseImages(wchar_t **out)
{
    Call call;
    call_begin(&call, DLL, "GetBaseImages");
    argument_out(&call, "images", out, sizeof *out);
    if (call_ready(&call))
        give_base_images(&call, out);
    return call_end(&call);
}

EXPORT NameToGuid(const wchar_t *name, GUID *guid)
{
    Call call;
    call_begin(&call, DLL, "NameToGuid");
    if (argument_text(&call, "name", name) != NULL && name[0] == 0)
        violation(&call, "name", "a name", "an empty one");
    if ((uintptr_t)guid % _Alignof(GUID) != 0 || !is_writable(guid, sizeof *guid))
        violation(&call, "guid", "an aligned pointer to writable memory", "%p", (void *)guid);
    if (call_ready(&call))
        *guid = name_guid(name);
    return call_end(&call);
}

EXPORT ProcessBaseImage(const wchar_t *path)
{
    Call call;
    call_begin(&call, DLL, "ProcessBaseImage");
    const wchar_t *folder = argument_folder(&call, "path", path);
    if (call_ready(&call))
        engine_process_base(&call, folder);
    return call_end(&call);
}

EXPORT ProcessUtilityImage(const wchar_t *path)
{
    Call call;
    call_begin(&call, DLL, "ProcessUtilityImage");
    const wchar_t *folder = argument_folder(&call, "path", path);
    if (call_ready(&call))
        engine_process_utility(&call, folder);
    return call_end(&call);
}

EXPORT GrantVmAccess(const wchar_t *vmid, const wchar_t *path)
{
    Call call;
    call_begin(&call, DLL, "GrantVmAccess");
    if (argument_text(&call, "vmid", vmid) != NULL && vmid[0] == 0)
        violation(&call, "vmid", "the id of a VM", "an empty one");
    const wchar_t *file = argument_path(&call, "path", path);
    if (call_ready(&call) && !exists(file))
        fail(&call, ERROR_FILE_NOT_FOUND);
    return call_end(&call);
}
