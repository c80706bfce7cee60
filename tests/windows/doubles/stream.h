// A parser of backup streams that takes them in pieces of any size.
#pragma once

#include "scope.h"

enum {
    STREAM_DATA = 1,
    STREAM_EA = 2,
    STREAM_SECURITY = 3,
    STREAM_ALTERNATE = 4,
    STREAM_LINK = 5,
    STREAM_PROPERTY = 6,
    STREAM_OBJECT_ID = 7,
    STREAM_REPARSE = 8,
    STREAM_SPARSE_BLOCK = 9,
    STREAM_TXFS = 10,
    STREAM_GHOSTED = 11,
    STREAM_HEADER_BYTES = 20,
    STREAM_NAME_LIMIT = 65536,
    SPARSE_OFFSET_BYTES = 8,
    STREAM_IS_SPARSE = 8, // an attribute
};

typedef struct StreamHeader {
    uint32_t id, attributes;
    int64_t size;
    uint32_t name_bytes;
} StreamHeader;

_Static_assert(offsetof(StreamHeader, size) == 8 && offsetof(StreamHeader, name_bytes) == 16, "as in WIN32_STREAM_ID");

// Each returns 0 or the Win32 error that ends the parsing; `body` and `end` may be NULL.
typedef struct StreamSink {
    void *context;
    // The header with its name: `bytes` long.
    DWORD (*begin)(void *context, const StreamHeader *header, const void *raw, size_t bytes);
    DWORD (*body)(void *context, const StreamHeader *header, uint64_t offset, const void *bytes, size_t length);
    DWORD (*end)(void *context, const StreamHeader *header);
} StreamSink;

typedef struct StreamParser {
    StreamSink sink;
    StreamHeader header;
    unsigned char raw[STREAM_HEADER_BYTES + STREAM_NAME_LIMIT];
    size_t raw_length; // of the header and name so far
    bool in_body, data_seen;
    uint64_t offset; // in the body
} StreamParser;

// ERROR_INVALID_DATA when the bytes are no backup stream.
DWORD stream_feed(StreamParser *parser, const void *bytes, size_t length);
// Whether a stream may end here.
bool stream_at_boundary(const StreamParser *parser);
// Whether the body is the file's own data. `in_alternate`, at first false, goes from stream to stream: the blocks behind
// a sparse alternate stream are that stream's.
bool stream_is_file_data(const StreamHeader *header, bool *in_alternate);
