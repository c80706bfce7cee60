#include "memory.h"

#include <stdint.h>
#include <windows.h>

enum {
    WRITABLE = PAGE_READWRITE | PAGE_WRITECOPY | PAGE_EXECUTE_READWRITE | PAGE_EXECUTE_WRITECOPY,
    READABLE = WRITABLE | PAGE_READONLY | PAGE_EXECUTE_READ,
};

static bool is_usable(const void *pointer, size_t bytes, DWORD protection)
{
    uintptr_t at = (uintptr_t)pointer, end = at + bytes;
    if (pointer == NULL || end < at)
        return false;
    while (at < end) {
        MEMORY_BASIC_INFORMATION region;
        if (VirtualQuery((const void *)at, &region, sizeof region) == 0 || region.State != MEM_COMMIT)
            return false;
        if ((region.Protect & protection) == 0 || (region.Protect & PAGE_GUARD) != 0)
            return false;
        at = (uintptr_t)region.BaseAddress + region.RegionSize;
    }
    return true;
}

bool is_readable(const void *pointer, size_t bytes)
{
    return is_usable(pointer, bytes, READABLE);
}

bool is_writable(const void *pointer, size_t bytes)
{
    return is_usable(pointer, bytes, WRITABLE);
}
