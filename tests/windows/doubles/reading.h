// What BackupRead gives of a file: pieces of memory and pieces of the file's data, in order.
#pragma once

#include "kept.h"

typedef struct Piece {
    const char *memory; // NULL: from the file at `offset`
    uint64_t offset, length;
    bool ends_stream;
} Piece;

typedef struct Reading {
    Scope *scope;
    HANDLE file;
    Piece *pieces;
    size_t count, capacity;
    size_t at;     // the current piece
    uint64_t done; // of the current piece
} Reading;

bool reading_open(Reading *reading, Scope *scope, HANDLE file, bool with_security);
// A Win32 error or 0; fewer bytes than wanted only at the end.
DWORD reading_next(Reading *reading, char *to, DWORD wanted, DWORD *given);
// Passes over at most `wanted` bytes, never into the next stream.
uint64_t reading_skip(Reading *reading, uint64_t wanted);
