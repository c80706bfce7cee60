// Text, paths and growing buffers.
#pragma once

#include "scope.h"

typedef struct Buffer {
    Scope *scope;
    char *bytes; // a NUL follows, which `length` does not count
    size_t length, capacity;
} Buffer;

Buffer buffer(Scope *scope);
void append(Buffer *to, const void *bytes, size_t length);
void append_format(Buffer *to, const char *format, ...) __attribute__((format(gnu_printf, 2, 3)));

char *utf8(Scope *scope, const wchar_t *text);
// NULL when the bytes are not UTF-8.
wchar_t *utf16(Scope *scope, const char *text);
bool well_formed(const wchar_t *text, size_t units);

// The last argument is NULL.
wchar_t *concat(Scope *scope, const wchar_t *first, ...);
wchar_t *join(Scope *scope, const wchar_t *folder, const wchar_t *name);
// The same where either may be empty.
const wchar_t *below(Scope *scope, const wchar_t *folder, const wchar_t *name);
// Absolute, with \\?\ in front and none of \ at the end.
wchar_t *full_path(Scope *scope, const wchar_t *path);
// Without \\?\ in front.
const wchar_t *plain_path(const wchar_t *path);
bool is_absolute(const wchar_t *path);
const wchar_t *last_part(const wchar_t *path);
wchar_t *parent_folder(Scope *scope, const wchar_t *path);

// As NTFS compares names: unit by unit, in upper case.
wchar_t upper(wchar_t unit);
int compare_names(const wchar_t *a, const wchar_t *b);
bool same_name(const wchar_t *a, const wchar_t *b);
bool ends_with(const wchar_t *text, const wchar_t *end);
