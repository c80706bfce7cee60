// Memory that lives as long as one call, and the folder that controls the doubles.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <windows.h>

typedef struct Block Block;

typedef struct Scope {
    Block *blocks;
    const wchar_t *control; // the folder that WINLAYERS_DOUBLES names, starting with \\?\.
} Scope;

// False when the variable names no folder.
bool scope_open(Scope *scope);
// Another scope, for memory that is not to live as long.
Scope scope_within(const Scope *scope);
void scope_close(Scope *scope);

// Zeroed memory, freed with the scope.
void *take(Scope *scope, size_t bytes);
