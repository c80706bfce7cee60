#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

WCHAR NTAPI RtlUpcaseUnicodeChar(WCHAR unit);

Buffer buffer(Scope *scope)
{
    return (Buffer){.scope = scope, .bytes = take(scope, 1)};
}

static void reserve(Buffer *to, size_t more)
{
    if (to->length + more <= to->capacity)
        return;
    size_t capacity = (to->length + more) * 2;
    char *bytes = take(to->scope, capacity + 1);
    memcpy(bytes, to->bytes, to->length);
    to->bytes = bytes;
    to->capacity = capacity;
}

void append(Buffer *to, const void *bytes, size_t length)
{
    if (length == 0)
        return;
    reserve(to, length);
    memcpy(to->bytes + to->length, bytes, length);
    to->length += length;
    to->bytes[to->length] = 0;
}

void append_format(Buffer *to, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = __mingw_vsnprintf(NULL, 0, format, arguments);
    reserve(to, (size_t)length);
    __mingw_vsnprintf(to->bytes + to->length, (size_t)length + 1, format, again);
    to->length += (size_t)length;
    va_end(again);
    va_end(arguments);
}

char *utf8(Scope *scope, const wchar_t *text)
{
    int length = WideCharToMultiByte(CP_UTF8, 0, text, -1, NULL, 0, NULL, NULL);
    char *bytes = take(scope, (size_t)length + 1);
    WideCharToMultiByte(CP_UTF8, 0, text, -1, bytes, length, NULL, NULL);
    return bytes;
}

wchar_t *utf16(Scope *scope, const char *text)
{
    int units = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, NULL, 0);
    if (units == 0)
        return NULL;
    wchar_t *wide = take(scope, (size_t)units * sizeof *wide);
    MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, wide, units);
    return wide;
}

bool well_formed(const wchar_t *text, size_t units)
{
    for (size_t i = 0; i < units; i++) {
        if (!IS_SURROGATE_PAIR(text[i], i + 1 < units ? text[i + 1] : 0)) {
            if (text[i] >= 0xD800 && text[i] <= 0xDFFF)
                return false;
        } else {
            i++;
        }
    }
    return true;
}

wchar_t *concat(Scope *scope, const wchar_t *first, ...)
{
    size_t units = 1;
    va_list parts;
    va_start(parts, first);
    for (const wchar_t *part = first; part != NULL; part = va_arg(parts, const wchar_t *))
        units += wcslen(part);
    va_end(parts);

    wchar_t *text = take(scope, units * sizeof *text);
    va_start(parts, first);
    for (const wchar_t *part = first; part != NULL; part = va_arg(parts, const wchar_t *))
        wcscat(text, part);
    va_end(parts);
    return text;
}

wchar_t *join(Scope *scope, const wchar_t *folder, const wchar_t *name)
{
    return concat(scope, folder, L"\\", name, NULL);
}

const wchar_t *below(Scope *scope, const wchar_t *folder, const wchar_t *name)
{
    if (folder[0] == 0 || name[0] == 0)
        return folder[0] == 0 ? name : folder;
    return join(scope, folder, name);
}

wchar_t *full_path(Scope *scope, const wchar_t *path)
{
    const wchar_t *prefix = wcsncmp(path, L"\\\\", 2) == 0 ? L"" : L"\\\\?\\";
    DWORD units = GetFullPathNameW(path, 0, NULL, NULL);
    wchar_t *full = take(scope, (units + 1) * sizeof *full);
    GetFullPathNameW(path, units + 1, full, NULL);
    full = concat(scope, prefix, full, NULL);
    for (size_t end = wcslen(full); end > 7 && full[end - 1] == L'\\'; end--)
        full[end - 1] = 0;
    return full;
}

const wchar_t *plain_path(const wchar_t *path)
{
    return wcsncmp(path, L"\\\\?\\", 4) == 0 ? path + 4 : path;
}

bool is_absolute(const wchar_t *path)
{
    const wchar_t *plain = plain_path(path);
    bool drive = plain[0] != 0 && plain[1] == L':' && (plain[2] == L'\\' || plain[2] == L'/');
    return drive || wcsncmp(plain, L"\\\\", 2) == 0 || (plain != path && plain[0] != 0);
}

const wchar_t *last_part(const wchar_t *path)
{
    const wchar_t *part = path;
    for (const wchar_t *at = path; *at != 0; at++) {
        if (*at == L'\\' || *at == L'/')
            part = at + 1;
    }
    return part;
}

wchar_t *parent_folder(Scope *scope, const wchar_t *path)
{
    wchar_t *parent = concat(scope, path, NULL);
    wchar_t *part = parent + (last_part(path) - path);
    if (part > parent)
        part[-1] = 0;
    return parent;
}

wchar_t upper(wchar_t unit)
{
    return RtlUpcaseUnicodeChar(unit);
}

int compare_names(const wchar_t *a, const wchar_t *b)
{
    while (*a != 0 && upper(*a) == upper(*b)) {
        a++;
        b++;
    }
    return (int)upper(*a) - (int)upper(*b);
}

bool same_name(const wchar_t *a, const wchar_t *b)
{
    return compare_names(a, b) == 0;
}

bool ends_with(const wchar_t *text, const wchar_t *end)
{
    size_t units = wcslen(text), wanted = wcslen(end);
    return units >= wanted && same_name(text + units - wanted, end);
}
