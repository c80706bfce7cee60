// virtdisk.dll (names: virtdisk.def): the disk of a sandbox that somebody left attached, as far as a caller opens and detaches it.
#include "arguments.h"
#include "files.h"
#include "memory.h"

#include <stdlib.h>
#include <string.h>

#define DLL "virtdisk"

enum { LAST_DEVICE = 4 };

// These functions give Win32 errors, no HRESULTs.
static DWORD end(Call *call)
{
    HRESULT result = call_end(call);
    return HRESULT_FACILITY(result) == FACILITY_WIN32 ? (DWORD)HRESULT_CODE(result) : (DWORD)result;
}

static void check_type(Call *call, const VIRTUAL_STORAGE_TYPE *type)
{
    static const GUID unknown;
    if ((uintptr_t)type % _Alignof(VIRTUAL_STORAGE_TYPE) != 0 || !is_readable(type, sizeof *type))
        violation(call, "type", "an aligned pointer to a VIRTUAL_STORAGE_TYPE", "%p", (const void *)type);
    else if (type->DeviceId > LAST_DEVICE)
        violation(call, "device", "0 to 4", "%lu", (unsigned long)type->DeviceId);
    else if (memcmp(&type->VendorId, &unknown, sizeof unknown) != 0)
        violation(call, "vendor", "the GUID of all zeros", "%s", "another");
}

static void check_number(Call *call, const char *name, ULONG expected, ULONG found)
{
    if (found != expected)
        violation(call, name, expected == 0 ? "0" : "VIRTUAL_DISK_ACCESS_DETACH", "%#lx", found);
}

DWORD WINAPI open_virtual_disk(PVIRTUAL_STORAGE_TYPE type, PCWSTR path, VIRTUAL_DISK_ACCESS_MASK access,
                               OPEN_VIRTUAL_DISK_FLAG flags, POPEN_VIRTUAL_DISK_PARAMETERS parameters, PHANDLE disk)
{
    Call call;
    call_begin(&call, DLL, "OpenVirtualDisk");
    check_type(&call, type);
    path = argument_path(&call, "path", path);
    check_number(&call, "access", VIRTUAL_DISK_ACCESS_DETACH, access);
    check_number(&call, "flags", 0, flags);
    if (parameters != NULL)
        violation(&call, "parameters", "NULL", "%p", (void *)parameters);
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
DWORD WINAPI detach_virtual_disk(HANDLE disk, DETACH_VIRTUAL_DISK_FLAG flags, ULONG provider_flags)
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

_Static_assert(__builtin_types_compatible_p(__typeof__(open_virtual_disk), __typeof__(OpenVirtualDisk)), "virtdisk.h");
_Static_assert(__builtin_types_compatible_p(__typeof__(detach_virtual_disk), __typeof__(DetachVirtualDisk)), "virtdisk.h");
