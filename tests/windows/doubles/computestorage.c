// computestorage.dll: the functions of Windows Server 2019 and later.
#include <objbase.h>
#include <string.h>

#include "arguments.h"
#include "engine.h"
#include "files.h"
#include "guid.h"
#include "layerdata.h"

#define EXPORT __declspec(dllexport) HRESULT WINAPI

static const char DLL[] = "computestorage";

static Layer argument_layer_at(Call *call, const char *name, const wchar_t *path)
{
    return layer_at(call, argument_path(call, name, path));
}

// By its folder, or by the volume where it is seen.
static Layer argument_mounted_layer(Call *call, const char *name, const wchar_t *path)
{
    const wchar_t *full = argument_path(call, name, path);
    return layer_at(call, full != NULL ? layer_of_volume(call, full) : NULL);
}

EXPORT HcsImportLayer(const wchar_t *path, const wchar_t *source, const wchar_t *data)
{
    Call call;
    call_begin(&call, DLL, "HcsImportLayer");
    Layer layer = argument_layer_at(&call, "id", path);
    const wchar_t *folder = argument_folder(&call, "path", source);
    Chain chain = argument_layer_data(&call, data, &layer);
    if (call_ready(&call))
        engine_import(&call, &layer, folder, &chain);
    return call_end(&call);
}

EXPORT HcsExportLayer(const wchar_t *path, const wchar_t *target, const wchar_t *data, const wchar_t *options)
{
    Call call;
    call_begin(&call, DLL, "HcsExportLayer");
    Layer layer = argument_layer_at(&call, "id", path);
    const wchar_t *folder = argument_folder(&call, "path", target);
    Chain chain = argument_layer_data(&call, data, &layer);
    bool writable = argument_export_options(&call, options);
    if (layer.place != NULL && writable != (layer.kind == KIND_SANDBOX))
        violation(&call, "options", "IsWritableLayer as the layer is", "%s", writable ? "true" : "false");
    if (call_ready(&call))
        engine_export(&call, &layer, folder, &chain, EXPORT_UNPREPARED);
    return call_end(&call);
}

EXPORT HcsDestroyLayer(const wchar_t *path)
{
    Call call;
    call_begin(&call, DLL, "HcsDestroyLayer");
    Layer layer = argument_layer_at(&call, "id", path);
    if (call_ready(&call))
        engine_destroy(&call, &layer);
    return call_end(&call);
}

static void set_up_base(Call *call, const wchar_t *path, OsType type)
{
    if (type == OS_VM)
        engine_process_utility(call, path);
    else
        engine_process_base(call, path);
}

EXPORT HcsSetupBaseOSLayer(const wchar_t *path, HANDLE disk, const wchar_t *options)
{
    Call call;
    call_begin(&call, DLL, "HcsSetupBaseOSLayer");
    const wchar_t *folder = argument_folder(&call, "id", path);
    argument_handle(&call, "vhd", disk);
    OsType type = argument_os_options(&call, options);
    if (call_ready(&call))
        set_up_base(&call, folder, type);
    return call_end(&call);
}

EXPORT HcsSetupBaseOSVolume(const wchar_t *path, const wchar_t *volume, const wchar_t *options)
{
    Call call;
    call_begin(&call, DLL, "HcsSetupBaseOSVolume");
    const wchar_t *folder = argument_folder(&call, "id", path);
    argument_folder(&call, "volume", volume);
    OsType type = argument_os_options(&call, options);
    if (call_ready(&call))
        set_up_base(&call, folder, type);
    return call_end(&call);
}

EXPORT HcsInitializeWritableLayer(const wchar_t *path, const wchar_t *data, const wchar_t *options)
{
    Call call;
    call_begin(&call, DLL, "HcsInitializeWritableLayer");
    Layer layer = argument_layer_at(&call, "id", path);
    Chain chain = argument_layer_data(&call, data, &layer);
    argument_no_options(&call, options);
    if (call_ready(&call))
        engine_initialize_sandbox(&call, &layer, &chain);
    return call_end(&call);
}

EXPORT HcsAttachLayerStorageFilter(const wchar_t *path, const wchar_t *data)
{
    Call call;
    call_begin(&call, DLL, "HcsAttachLayerStorageFilter");
    Layer layer = argument_mounted_layer(&call, "id", path);
    Chain chain = argument_layer_data(&call, data, &layer);
    if (call_ready(&call))
        engine_prepare(&call, &layer, &chain);
    return call_end(&call);
}

EXPORT HcsDetachLayerStorageFilter(const wchar_t *path)
{
    Call call;
    call_begin(&call, DLL, "HcsDetachLayerStorageFilter");
    Layer layer = argument_mounted_layer(&call, "id", path);
    if (call_ready(&call))
        engine_unprepare(&call, &layer, NULL);
    return call_end(&call);
}

EXPORT HcsAttachOverlayFilter(const wchar_t *volume, const wchar_t *data)
{
    Call call;
    call_begin(&call, DLL, "HcsAttachOverlayFilter");
    Layer layer = argument_mounted_layer(&call, "volume", volume);
    Chain chain = argument_layer_data(&call, data, &layer);
    if (call_ready(&call))
        engine_prepare(&call, &layer, &chain);
    return call_end(&call);
}

EXPORT HcsDetachOverlayFilter(const wchar_t *volume, const wchar_t *data)
{
    Call call;
    call_begin(&call, DLL, "HcsDetachOverlayFilter");
    Layer layer = argument_mounted_layer(&call, "volume", volume);
    Chain chain = argument_layer_data(&call, data, &layer);
    if (call_ready(&call))
        engine_unprepare(&call, &layer, &chain);
    return call_end(&call);
}

EXPORT HcsFormatWritableLayerVhd(HANDLE disk)
{
    Call call;
    call_begin(&call, DLL, "HcsFormatWritableLayerVhd");
    argument_handle(&call, "vhd", disk);
    call_ready(&call);
    return call_end(&call);
}

static void give_volume_of_disk(Call *call, HANDLE disk, wchar_t **out)
{
    GUID guid = name_guid(object_key(&call->scope, disk));
    const wchar_t *volumes = join(&call->scope, call->scope.control, L"volumes");
    const wchar_t *volume = join(&call->scope, volumes, guid_text(&call->scope, &guid));
    if (!make_folder(volumes) || !make_folder(volume)) {
        fail_last(call);
        return;
    }
    size_t bytes = (wcslen(plain_path(volume)) + 1) * sizeof *volume;
    *out = CoTaskMemAlloc(bytes);
    memcpy(*out, plain_path(volume), bytes);
}

EXPORT HcsGetLayerVhdMountPath(HANDLE disk, wchar_t **out)
{
    Call call;
    call_begin(&call, DLL, "HcsGetLayerVhdMountPath");
    argument_handle(&call, "vhd", disk);
    argument_out(&call, "mount_path", out, sizeof *out);
    if (call_ready(&call))
        give_volume_of_disk(&call, disk, out);
    return call_end(&call);
}

EXPORT HcsInitializeLegacyWritableLayer(const wchar_t *mount, const wchar_t *folder, const wchar_t *data,
                                        const wchar_t *options)
{
    Call call;
    call_begin(&call, DLL, "HcsInitializeLegacyWritableLayer");
    argument_folder(&call, "mount", mount);
    Layer layer = argument_layer_at(&call, "id", folder);
    Chain chain = argument_layer_data(&call, data, &layer);
    argument_no_options(&call, options);
    if (call_ready(&call))
        engine_initialize_sandbox(&call, &layer, &chain);
    return call_end(&call);
}

EXPORT HcsExportLegacyWritableLayer(const wchar_t *mount, const wchar_t *folder, const wchar_t *target,
                                    const wchar_t *data)
{
    Call call;
    call_begin(&call, DLL, "HcsExportLegacyWritableLayer");
    argument_folder(&call, "mount", mount);
    Layer layer = argument_layer_at(&call, "id", folder);
    const wchar_t *to = argument_folder(&call, "path", target);
    Chain chain = argument_layer_data(&call, data, &layer);
    if (call_ready(&call))
        engine_export(&call, &layer, to, &chain, EXPORT_UNPREPARED);
    return call_end(&call);
}
