#include "tombstones.h"

#include <string.h>

#include "files.h"
#include "transport.h"

static const wchar_t NAME[] = L"tombstones.txt";
static const char BOM_AND_VERSION[] = "\xEF\xBB\xBFVersion 1.0";

static bool is_good(const wchar_t *line)
{
    if (line == NULL || line[0] != L'\\' || wcspbrk(line, L"/:") != NULL)
        return false;
    while (*line == L'\\') {
        size_t units = wcscspn(line + 1, L"\\");
        bool dots = (units == 1 && line[1] == L'.') || (units == 2 && line[1] == L'.' && line[2] == L'.');
        if (units == 0 || dots)
            return false;
        line += units + 1;
    }
    return true;
}

// False when a line is wrong.
static bool parse(Scope *scope, const Buffer *text, Chain *paths)
{
    size_t head = strlen(BOM_AND_VERSION);
    if (strlen(text->bytes) != text->length || strncmp(text->bytes, BOM_AND_VERSION, head) != 0)
        return false;
    *paths = (Chain){.paths = take(scope, (text->length + 1) * sizeof *paths->paths)};
    char *line = text->bytes + head;
    line += *line == '\r';
    while (*line == '\n' && line[1] != 0) {
        char *start = ++line;
        line += strcspn(line, "\n");
        Buffer one = buffer(scope);
        append(&one, start, (size_t)(line - start));
        if (one.length > 0 && one.bytes[one.length - 1] == '\r')
            one.bytes[--one.length] = 0;
        const wchar_t *path = utf16(scope, one.bytes);
        if (!is_good(path))
            return false;
        paths->paths[paths->count++] = path + 1;
    }
    return *line == 0 || *line == '\n';
}

Chain tombstones_of(Call *call, const Layer *layer)
{
    Chain paths = {0};
    Buffer text = buffer(&call->scope);
    if (read_file(join(&call->scope, layer->place, NAME), &text))
        parse(&call->scope, &text, &paths);
    return paths;
}

bool tombstones_write(Call *call, const Chain *paths, const wchar_t *folder)
{
    Buffer text = buffer(&call->scope);
    append_format(&text, "%s\n", BOM_AND_VERSION);
    for (size_t i = 0; i < paths->count; i++)
        append_format(&text, "\\%s\n", utf8(&call->scope, paths->paths[i]));
    return write_file(join(&call->scope, folder, NAME), text.bytes, text.length) || fail_last(call);
}

bool tombstones_check(Call *call, const wchar_t *folder)
{
    const wchar_t *path = join(&call->scope, folder, NAME);
    Buffer text = buffer(&call->scope);
    Chain paths;
    if (!read_file(path, &text))
        return malformed(call, path, "tombstones.txt");
    return parse(&call->scope, &text, &paths) ||
           malformed(call, path, "a mark of UTF-8, Version 1.0, then paths that start with \\");
}

bool tombstones_copy(Call *call, const wchar_t *from, const wchar_t *to)
{
    const wchar_t *source = join(&call->scope, from, NAME);
    return CopyFileW(source, join(&call->scope, to, NAME), FALSE) || fail_last(call);
}
