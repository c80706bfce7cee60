#include "layerdata.h"

#include <string.h>

#include "arguments.h"
#include "guid.h"
#include "json.h"

typedef struct Member {
    const char *name;
    JsonType type; // JSON_TRUE stands for both
    bool needed;
    const char *const *values; // of a string, ending in NULL; NULL: any
} Member;

static const char *const PATH_TYPES[] = {"AbsolutePath", "VirtualSmbShareName", NULL};
static const char *const CACHES[] = {"", "Disabled", "Enabled", "Private", "PrivateAllowSharing", NULL};
static const char *const FILTERS[] = {"UnionFS", "WCIFS", NULL};
static const char *const OS_TYPES[] = {"Container", "Vm", NULL};
static const char *const MAJOR[] = {"2", NULL}, *const MINOR[] = {"1", NULL};

static const Member LAYER_DATA[] = {
    {"SchemaVersion", JSON_OBJECT, true, NULL},
    {"Layers", JSON_LIST, true, NULL},
    {"FilterType", JSON_STRING, false, FILTERS},
    {0},
};
static const Member SCHEMA_VERSION[] = {{"Major", JSON_NUMBER, true, MAJOR}, {"Minor", JSON_NUMBER, true, MINOR}, {0}};
static const Member LAYER[] = {
    {"Id", JSON_STRING, true, NULL},
    {"Path", JSON_STRING, true, NULL},
    {"PathType", JSON_STRING, false, PATH_TYPES},
    {"Cache", JSON_STRING, false, CACHES},
    {0},
};
static const Member EXPORT_OPTIONS[] = {{"IsWritableLayer", JSON_TRUE, false, NULL}, {0}};
static const Member OS_OPTIONS[] = {
    {"Type", JSON_STRING, true, OS_TYPES},
    {"DisableCiCacheOptimization", JSON_TRUE, false, NULL},
    {"SkipUpdateBcdForBoot", JSON_TRUE, false, NULL},
    {0},
};
static const Member NOTHING[] = {{0}};

static bool is_one_of(const char *text, const char *const *values)
{
    while (*values != NULL && strcmp(*values, text) != 0)
        values++;
    return *values != NULL;
}

static bool check_value(Call *call, const char *argument, const Member *member, const Json *value)
{
    JsonType type = value->type == JSON_FALSE ? JSON_TRUE : value->type;
    if (type != member->type)
        return violation(call, argument, "a value of the right type", "another one for %s", member->name);
    if (member->values != NULL && !is_one_of(value->text, member->values))
        return violation(call, argument, "a known value", "%s for %s", value->text, member->name);
    return true;
}

static bool check_members(Call *call, const char *argument, const Json *object, const Member *members)
{
    if (!json_is(object, JSON_OBJECT))
        return violation(call, argument, "a JSON object", "another value");
    for (const Json *value = object->first; value != NULL; value = value->next) {
        const Member *member = members;
        while (member->name != NULL && strcmp(member->name, value->key) != 0)
            member++;
        if (member->name == NULL)
            return violation(call, argument, "known members", "%s", value->key);
        if (!check_value(call, argument, member, value))
            return false;
    }
    for (const Member *member = members; member->name != NULL; member++) {
        if (member->needed && json_member(object, member->name) == NULL)
            return violation(call, argument, "all members", "no %s", member->name);
    }
    return true;
}

// NULL when it is not what the members say.
static const Json *argument_json(Call *call, const char *argument, const wchar_t *text, const Member *members)
{
    text = argument_text(call, argument, text);
    if (text == NULL)
        return NULL;
    const Json *value = json_parse(&call->scope, utf8(&call->scope, text));
    if (value == NULL) {
        violation(call, argument, "JSON", "%s", utf8(&call->scope, text));
        return NULL;
    }
    return check_members(call, argument, value, members) ? value : NULL;
}

static bool check_layer(Call *call, const Json *layer, Chain *chain, const Layer *self)
{
    if (!check_members(call, "layer_data.Layers", layer, LAYER))
        return false;
    const char *id = json_member(layer, "Id")->text;
    const wchar_t *path = utf16(&call->scope, json_member(layer, "Path")->text), *wide = utf16(&call->scope, id);
    if (path == NULL || !is_absolute(path))
        return violation(call, "layer_data.Layers.Path", "an absolute path", "%s", json_member(layer, "Path")->text);
    GUID wanted = name_guid(last_part(path)), found;
    if (wide == NULL || !parse_guid(wide, &found) || !same_guid(&wanted, &found))
        return violation(call, "layer_data.Layers.Id", utf8(&call->scope, guid_text(&call->scope, &wanted)), "%s", id);
    path = full_path(&call->scope, path);
    if (!check_parent(call, "layer_data.Layers.Path", path, chain, self))
        return false;
    chain->paths[chain->count++] = path;
    return true;
}

static size_t count_members(const Json *list)
{
    size_t count = 0;
    for (const Json *member = list->first; member != NULL; member = member->next)
        count++;
    return count;
}

Chain argument_layer_data(Call *call, const wchar_t *text, const Layer *self)
{
    Chain chain = {0};
    const Json *data = argument_json(call, "layer_data", text, LAYER_DATA);
    if (data == NULL || !check_members(call, "layer_data", json_member(data, "SchemaVersion"), SCHEMA_VERSION))
        return chain;
    const Json *layers = json_member(data, "Layers");
    chain.paths = take(&call->scope, (count_members(layers) + 1) * sizeof *chain.paths);
    for (const Json *layer = layers->first; layer != NULL; layer = layer->next) {
        if (!check_layer(call, layer, &chain, self))
            return chain;
    }
    check_chain(call, "layer_data.Layers", &chain);
    return chain;
}

bool argument_export_options(Call *call, const wchar_t *text)
{
    const Json *options = argument_json(call, "options", text, EXPORT_OPTIONS);
    return options != NULL && json_is(json_member(options, "IsWritableLayer"), JSON_TRUE);
}

OsType argument_os_options(Call *call, const wchar_t *text)
{
    const Json *options = argument_json(call, "options", text, OS_OPTIONS);
    return options != NULL && strcmp(json_member(options, "Type")->text, "Vm") == 0 ? OS_VM : OS_CONTAINER;
}

void argument_no_options(Call *call, const wchar_t *text)
{
    if (text == NULL || *text == 0)
        note_text(call, "options", L"");
    else
        argument_json(call, "options", text, NOTHING);
}
