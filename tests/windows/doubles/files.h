// Files and folders. Every function returns false with the reason in GetLastError().
#pragma once

#include "text.h"

typedef struct Object {
    const wchar_t *name;
    DWORD attributes;
    bool folder;
} Object;

typedef struct Listing {
    Object *objects; // in the order of their names
    size_t count;
} Listing;

bool read_file(const wchar_t *path, Buffer *to);
bool write_file(const wchar_t *path, const void *bytes, size_t length);
bool append_to_file(const wchar_t *path, const void *bytes, size_t length);

bool exists(const wchar_t *path);
bool is_folder(const wchar_t *path);
bool make_folder(const wchar_t *path);
bool list_folder(Scope *scope, const wchar_t *path, Listing *listing);
bool is_empty_folder(Scope *scope, const wchar_t *path);

// An open file or folder; a link is opened itself.
HANDLE open_object(const wchar_t *path, DWORD access);
bool same_object(const wchar_t *a, const wchar_t *b);
// "serial-index" of an open object: stays when it is renamed.
wchar_t *object_key(Scope *scope, HANDLE object);
// Removes one file or empty folder, a read-only one, too; of a link the link itself.
bool remove_object(const wchar_t *path, DWORD attributes);
bool copy_times(const wchar_t *from, const wchar_t *to);
bool copy_folder_raw(Scope *scope, const wchar_t *from, const wchar_t *to);
