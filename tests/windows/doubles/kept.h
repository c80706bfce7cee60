// What the file system cannot hold of a file: its streams but the data, and its attributes.
// Kept in `streams\` of the control folder: by the identity of the file, and below `volumes\` by its path.
#pragma once

#include "files.h"
#include "stream.h"

enum {
    KEPT_ATTRIBUTES = 1, // `attributes` counts
    KEPT_LAID_OUT = 2,   // came with the lower layers: nobody wrote it since
};

typedef struct Kept {
    uint32_t flags, attributes;
    uint64_t length; // of the file's data when it was written
    Buffer streams;  // headers, names and bodies; of DATA no body, of SPARSE_BLOCK only its offset
} Kept;

// Where the streams of an open object are kept.
const wchar_t *kept_place(Scope *scope, HANDLE object);
bool kept_load(Scope *scope, const wchar_t *place, Kept *kept);
bool kept_save(Scope *scope, const wchar_t *place, const Kept *kept);

// By path; false and nothing where there is none.
bool kept_of(Scope *scope, const wchar_t *path, Kept *kept);
bool kept_put(Scope *scope, const wchar_t *path, const Kept *kept);
void kept_drop(Scope *scope, const wchar_t *path);

// Removes a file or folder with all that is in it, and what is kept of it.
bool remove_tree(Scope *scope, const wchar_t *path);

// Writes a backup stream to an open file: data to the file, all else kept.
typedef struct Keeper {
    Scope *scope;
    HANDLE file;
    bool with_security, skipping, file_data, in_alternate;
    const wchar_t *place;
    Kept kept;
    uint64_t sparse_offset;
    StreamParser parser;
} Keeper;

bool keeper_open(Keeper *keeper, Scope *scope, HANDLE file, bool with_security);
// A Win32 error or 0. Each complete stream is kept at once.
DWORD keeper_feed(Keeper *keeper, const void *bytes, size_t length);
