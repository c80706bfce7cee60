// virtdisk.dll: the disk of a sandbox that somebody left attached, as far as a caller opens and detaches it.
#include "arguments.h"
#include "files.h"
#include "memory.h"

#include <stdlib.h>
#include <string.h>

#define EXPORT __declspec(dllexport) DWORD WINAPI
#define DLL "virtdisk"

enum { ACCESS_DETACH = 0x00040000, LAST_DEVICE = 4 };

typedef struct StorageType {
    ULONG device;
    GUID vendor;
} StorageType;
_Static_assert(sizeof(StorageType) == 20, "VIRTUAL_STORAGE_TYPE");

// These functions give Win32 errors, no HRESULTs.
static DWORD end(Call *call)
{
    HRESULT result = call_end(call);
    return HRESULT_FACILITY(result) == FACILITY_WIN32 ? (DWORD)HRESULT_CODE(result) : (DWORD)result;
}

static void check_type(Call *call, const StorageType *type)
{
    static const GUID unknown;
    if ((uintptr_t)type % _Alignof(StorageType) != 0 || !is_readable(type, sizeof *type))
        violation(call, "type", "an aligned pointer to a VIRTUAL_STORAGE_TYPE", "%p", (const void *)type);
    else if (type->device > LAST_DEVICE)
        violation(call, "device", "0 to 4", "%lu", type->device);
    else if (memcmp(&type->vendor, &unknown, sizeof unknown) != 0)
        violation(call, "vendor", "the GUID of all zeros", "another");
}

static void check_number(Call *call, const char *name, ULONG expected, ULONG found)
{
    if (found != expected)
        violation(call, name, expected == 0 ? "0" : "VIRTUAL_DISK_ACCESS_DETACH", "%#lx", found);
}

EXPORT OpenVirtualDisk(const StorageType *type, const wchar_t *path, ULONG access, ULONG flags, const void *parameters,
                       HANDLE *disk)
{
    Call call;
    call_begin(&call, DLL, "OpenVirtualDisk");
    check_type(&call, type);
    path = argument_path(&call, "path", path);
    check_number(&call, "access", ACCESS_DETACH, access);
    check_number(&call, "flags", 0, flags);
    if (parameters != NULL)
        violation(&call, "parameters", "NULL", "%p", parameters);
    if (argument_out(&call, "handle", disk, sizeof *disk) && call_ready(&call)) {
        HANDLE opened = open_object(path, FILE_READ_ATTRIBUTES);
        if (opened == INVALID_HANDLE_VALUE)
            fail_last(&call);
        else
            *disk = opened;
    }
    return end(&call);
}

// What the system holds of an attached disk: the handle that `attached` names, of this process.
EXPORT DetachVirtualDisk(HANDLE disk, ULONG flags, ULONG provider_flags)
{
    Call call;
    call_begin(&call, DLL, "DetachVirtualDisk");
    argument_handle(&call, "handle", disk);
    check_number(&call, "flags", 0, flags);
    check_number(&call, "provider flags", 0, provider_flags);
    if (call_ready(&call)) {
        const wchar_t *attached = join(&call.scope, call.scope.control, L"attached");
        Buffer held = buffer(&call.scope);
        if (!read_file(attached, &held) || !remove_object(attached, 0))
            fail(&call, ERROR_NOT_READY);
        else if (!CloseHandle((HANDLE)(uintptr_t)strtoull(held.bytes, NULL, 10)))
            fail_last(&call);
    }
    return end(&call);
}
