#include "scope.h"

#include <stdlib.h>

#include "files.h"

struct Block {
    Block *next;
    max_align_t start;
};

static wchar_t *control_folder(Scope *scope)
{
    DWORD units = GetEnvironmentVariableW(L"WINLAYERS_DOUBLES", NULL, 0);
    if (units <= 1)
        return NULL;
    wchar_t *value = take(scope, units * sizeof *value);
    GetEnvironmentVariableW(L"WINLAYERS_DOUBLES", value, units);
    return full_path(scope, value);
}

bool scope_open(Scope *scope)
{
    scope->blocks = NULL;
    scope->control = control_folder(scope);
    return scope->control != NULL && is_folder(scope->control);
}

Scope scope_within(const Scope *scope)
{
    return (Scope){.control = scope->control};
}

void scope_close(Scope *scope)
{
    while (scope->blocks != NULL) {
        Block *next = scope->blocks->next;
        free(scope->blocks);
        scope->blocks = next;
    }
}

void *take(Scope *scope, size_t bytes)
{
    Block *block = calloc(1, sizeof *block + bytes);
    if (block == NULL)
        abort();
    block->next = scope->blocks;
    scope->blocks = block;
    return &block->start;
}
