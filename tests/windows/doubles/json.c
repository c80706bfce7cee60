#include "json.h"

#include <string.h>

enum { DEEPEST = 16 };

typedef struct Reader {
    Scope *scope;
    const char *at;
    int depth;
} Reader;

static Json *read_value(Reader *reader);

static void skip_space(Reader *reader)
{
    reader->at += strspn(reader->at, " \t\r\n");
}

static bool accept(Reader *reader, char wanted)
{
    skip_space(reader);
    if (*reader->at != wanted)
        return false;
    reader->at++;
    return true;
}

static Json *new_value(Reader *reader, JsonType type)
{
    Json *value = take(reader->scope, sizeof *value);
    value->type = type;
    return value;
}

static bool read_unit(Reader *reader, unsigned *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++) {
        char digit = *reader->at++;
        const char *digits = "0123456789abcdef", *found = digit != 0 ? strchr(digits, digit | 0x20) : NULL;
        if (found == NULL)
            return false;
        *unit = *unit << 4 | (unsigned)(found - digits);
    }
    return true;
}

static bool read_unicode(Reader *reader, Buffer *text)
{
    unsigned unit, low;
    wchar_t units[3] = {0};
    if (!read_unit(reader, &unit) || unit == 0)
        return false;
    units[0] = (wchar_t)unit;
    if (IS_HIGH_SURROGATE(unit)) {
        if (reader->at[0] != '\\' || reader->at[1] != 'u')
            return false;
        reader->at += 2;
        if (!read_unit(reader, &low))
            return false;
        units[1] = (wchar_t)low;
    }
    if (!well_formed(units, wcslen(units)))
        return false;
    const char *bytes = utf8(reader->scope, units);
    append(text, bytes, strlen(bytes));
    return true;
}

static bool read_escape(Reader *reader, Buffer *text)
{
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    char name = *reader->at++;
    if (name == 'u')
        return read_unicode(reader, text);
    const char *found = name != 0 ? strchr(names, name) : NULL;
    if (found == NULL)
        return false;
    append(text, &meant[found - names], 1);
    return true;
}

static const char *read_string(Reader *reader)
{
    if (!accept(reader, '"'))
        return NULL;
    Buffer text = buffer(reader->scope);
    while (*reader->at != '"') {
        if ((unsigned char)*reader->at < 0x20)
            return NULL;
        if (*reader->at != '\\')
            append(&text, reader->at++, 1);
        else if (reader->at++, !read_escape(reader, &text))
            return NULL;
    }
    reader->at++;
    return text.bytes;
}

static Json *read_number(Reader *reader)
{
    const char *start = reader->at;
    reader->at += *start == '-';
    size_t digits = strspn(reader->at, "0123456789");
    if (digits == 0 || (*reader->at == '0' && digits > 1))
        return NULL;
    reader->at += digits;
    Buffer text = buffer(reader->scope);
    append(&text, start, (size_t)(reader->at - start));
    Json *value = new_value(reader, JSON_NUMBER);
    value->text = text.bytes;
    return value;
}

static Json *read_word(Reader *reader)
{
    static const char *const words[] = {"null", "false", "true"};
    for (int i = 0; i < 3; i++) {
        if (strncmp(reader->at, words[i], strlen(words[i])) == 0) {
            reader->at += strlen(words[i]);
            return new_value(reader, (JsonType)i);
        }
    }
    return NULL;
}

static Json *read_member(Reader *reader, const Json *object)
{
    const char *key = read_string(reader);
    if (key == NULL || json_member(object, key) != NULL || !accept(reader, ':'))
        return NULL;
    Json *value = read_value(reader);
    if (value != NULL)
        value->key = key;
    return value;
}

static Json *read_members(Reader *reader, JsonType type, char end)
{
    Json *whole = new_value(reader, type), **last = &whole->first;
    if (accept(reader, end))
        return whole;
    do {
        Json *member = type == JSON_OBJECT ? read_member(reader, whole) : read_value(reader);
        if (member == NULL)
            return NULL;
        *last = member;
        last = &member->next;
    } while (accept(reader, ','));
    return accept(reader, end) ? whole : NULL;
}

static Json *read_string_value(Reader *reader)
{
    const char *text = read_string(reader);
    if (text == NULL)
        return NULL;
    Json *value = new_value(reader, JSON_STRING);
    value->text = text;
    return value;
}

static Json *read_value(Reader *reader)
{
    if (reader->depth == DEEPEST)
        return NULL;
    reader->depth++;
    skip_space(reader);
    Json *value;
    if (accept(reader, '{'))
        value = read_members(reader, JSON_OBJECT, '}');
    else if (accept(reader, '['))
        value = read_members(reader, JSON_LIST, ']');
    else if (*reader->at == '"')
        value = read_string_value(reader);
    else if (*reader->at == '-' || (*reader->at >= '0' && *reader->at <= '9'))
        value = read_number(reader);
    else
        value = read_word(reader);
    reader->depth--;
    return value;
}

Json *json_parse(Scope *scope, const char *text)
{
    Reader reader = {.scope = scope, .at = text};
    Json *value = read_value(&reader);
    skip_space(&reader);
    return value != NULL && *reader.at == 0 ? value : NULL;
}

const Json *json_member(const Json *object, const char *key)
{
    const Json *member = object->first;
    while (member != NULL && strcmp(member->key, key) != 0)
        member = member->next;
    return member;
}

bool json_is(const Json *value, JsonType type)
{
    return value != NULL && value->type == type;
}

void json_quote(Buffer *to, const char *text)
{
    append(to, "\"", 1);
    for (; *text != 0; text++) {
        if (*text == '"' || *text == '\\')
            append_format(to, "\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            append_format(to, "\\u%04x", *text);
        else
            append(to, text, 1);
    }
    append(to, "\"", 1);
}
