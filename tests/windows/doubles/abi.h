// The structs that callers of vmcompute.dll pass.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <windows.h>

typedef struct DriverInfo {
    uint32_t flavour;
    const wchar_t *home;
} DriverInfo;

typedef struct LayerDescriptor {
    GUID id;
    uint32_t flags;
    const wchar_t *path;
} LayerDescriptor;

enum { FLAVOUR_DIFF = 0, FLAVOUR_FILTER = 1 };
#define DESCRIPTOR_DIRTY 0x80000000u

_Static_assert(sizeof(void *) == 8 && sizeof(wchar_t) == 2, "64-bit Windows");
_Static_assert(offsetof(DriverInfo, flavour) == 0, "DriverInfo.flavour");
_Static_assert(offsetof(DriverInfo, home) == 8, "DriverInfo.home");
_Static_assert(sizeof(DriverInfo) == 16, "DriverInfo");
_Static_assert(offsetof(LayerDescriptor, id) == 0, "LayerDescriptor.id");
_Static_assert(offsetof(LayerDescriptor, flags) == 16, "LayerDescriptor.flags");
_Static_assert(offsetof(LayerDescriptor, path) == 24, "LayerDescriptor.path");
_Static_assert(sizeof(LayerDescriptor) == 32, "LayerDescriptor");
