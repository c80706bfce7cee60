#include "stream.h"

#include <string.h>

#include "text.h"

static const wchar_t DATA_NAME_END[] = L":$DATA";

bool stream_is_file_data(const StreamHeader *header, bool *in_alternate)
{
    if (header->id == STREAM_DATA || header->id == STREAM_ALTERNATE)
        *in_alternate = header->id == STREAM_ALTERNATE && (header->attributes & STREAM_IS_SPARSE);
    return header->id == STREAM_DATA || (header->id == STREAM_SPARSE_BLOCK && !*in_alternate);
}

bool stream_at_boundary(const StreamParser *parser)
{
    return !parser->in_body && parser->raw_length == 0;
}

static bool alternate_name_is_good(const unsigned char *bytes, uint32_t length)
{
    wchar_t name[STREAM_NAME_LIMIT / 2 + 1];
    size_t units = length / 2, end = wcslen(DATA_NAME_END);
    memcpy(name, bytes, length);
    name[units] = 0;
    return wcslen(name) == units && units > end + 1 && name[0] == L':' && ends_with(name, DATA_NAME_END) &&
           wcschr(name + 1, L':') == name + units - end;
}

static bool header_is_good(const StreamParser *parser)
{
    const StreamHeader *header = &parser->header;
    if (header->id < STREAM_DATA || header->id > STREAM_GHOSTED || header->size < 0)
        return false;
    if (header->name_bytes % 2 != 0 || header->name_bytes > STREAM_NAME_LIMIT)
        return false;
    if (header->id == STREAM_SPARSE_BLOCK && header->size < SPARSE_OFFSET_BYTES)
        return false;
    if (header->id == STREAM_DATA && parser->data_seen)
        return false;
    return header->id == STREAM_ALTERNATE || header->name_bytes == 0;
}

static DWORD end_stream(StreamParser *parser)
{
    parser->in_body = false;
    parser->raw_length = 0;
    return parser->sink.end != NULL ? parser->sink.end(parser->sink.context, &parser->header) : 0;
}

static DWORD begin_body(StreamParser *parser)
{
    const StreamHeader *header = &parser->header;
    if (header->id == STREAM_ALTERNATE &&
        !alternate_name_is_good(parser->raw + STREAM_HEADER_BYTES, header->name_bytes))
        return ERROR_INVALID_DATA;
    parser->data_seen |= header->id == STREAM_DATA;
    parser->in_body = true;
    parser->offset = 0;
    DWORD error = parser->sink.begin(parser->sink.context, header, parser->raw, parser->raw_length);
    return error == 0 && header->size == 0 ? end_stream(parser) : error;
}

static size_t smaller(size_t a, uint64_t b)
{
    return a < b ? a : (size_t)b;
}

static DWORD feed_header(StreamParser *parser, const char **bytes, size_t *length)
{
    bool fixed = parser->raw_length < STREAM_HEADER_BYTES;
    size_t wanted = STREAM_HEADER_BYTES + (fixed ? 0 : parser->header.name_bytes);
    size_t taken = smaller(*length, wanted - parser->raw_length);
    memcpy(parser->raw + parser->raw_length, *bytes, taken);
    parser->raw_length += taken;
    *bytes += taken;
    *length -= taken;
    if (parser->raw_length < wanted)
        return 0;
    if (fixed) {
        memcpy(&parser->header, parser->raw, STREAM_HEADER_BYTES);
        if (!header_is_good(parser))
            return ERROR_INVALID_DATA;
        if (parser->header.name_bytes > 0)
            return 0;
    }
    return begin_body(parser);
}

static DWORD feed_body(StreamParser *parser, const char **bytes, size_t *length)
{
    const StreamHeader *header = &parser->header;
    size_t taken = smaller(*length, (uint64_t)header->size - parser->offset);
    DWORD error = 0;
    if (parser->sink.body != NULL)
        error = parser->sink.body(parser->sink.context, header, parser->offset, *bytes, taken);
    parser->offset += taken;
    *bytes += taken;
    *length -= taken;
    return error == 0 && parser->offset == (uint64_t)header->size ? end_stream(parser) : error;
}

DWORD stream_feed(StreamParser *parser, const void *bytes, size_t length)
{
    const char *at = bytes;
    DWORD error = 0;
    while (error == 0 && length > 0)
        error = parser->in_body ? feed_body(parser, &at, &length) : feed_header(parser, &at, &length);
    return error;
}
