// A strict JSON reader, and the escapes of a JSON string.
#pragma once

#include "text.h"

typedef enum { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_LIST, JSON_OBJECT } JsonType;

typedef struct Json {
    JsonType type;
    const char *key;  // of a member of an object
    const char *text; // of a string, or the digits of a number
    struct Json *first, *next;
} Json;

// NULL when the text is anything but one JSON value: members that come twice are refused, too.
Json *json_parse(Scope *scope, const char *text);
const Json *json_member(const Json *object, const char *key);
bool json_is(const Json *value, JsonType type);

void json_quote(Buffer *to, const char *text);
