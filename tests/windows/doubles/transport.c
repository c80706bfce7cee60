#include "transport.h"

#include <string.h>

const wchar_t *metadata_name(Scope *scope, const wchar_t *folder)
{
    return concat(scope, folder, METADATA, NULL);
}

bool malformed(Call *call, const wchar_t *path, const char *expected)
{
    return violation(call, "path", expected, "%s", utf8(&call->scope, plain_path(path)));
}

bool load_stored(Call *call, Scope *scope, const wchar_t *path, Stored *stored)
{
    Buffer bytes = buffer(scope);
    if (!read_file(path, &bytes))
        return fail_last(call);
    if (bytes.length < sizeof stored->attributes)
        return malformed(call, path, "four bytes of attributes");
    memcpy(&stored->attributes, bytes.bytes, sizeof stored->attributes);
    stored->streams = bytes.bytes + sizeof stored->attributes;
    stored->length = bytes.length - sizeof stored->attributes;
    return true;
}

bool copy_raw(Call *call, const wchar_t *from, const wchar_t *to, const wchar_t *name)
{
    const wchar_t *source = join(&call->scope, from, name);
    return !exists(source) || copy_folder_raw(&call->scope, source, join(&call->scope, to, name)) || fail_last(call);
}
