// Whether pointers of a caller can be used, found out without touching what they point to.
#pragma once

#include <stdbool.h>
#include <stddef.h>

bool is_readable(const void *pointer, size_t bytes);
bool is_writable(const void *pointer, size_t bytes);
