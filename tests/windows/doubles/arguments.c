#include "arguments.h"

#include "files.h"
#include "guid.h"
#include "json.h"
#include "memory.h"

enum { LONGEST_TEXT = 32768 };
static const char WELL_FORMED[] = "readable, well-formed UTF-16 with a NUL in the first 32768 units";

static bool aligned(const void *pointer, size_t bytes, size_t alignment)
{
    return (uintptr_t)pointer % alignment == 0 && is_readable(pointer, bytes);
}

// Units before the NUL, page by page; LONGEST_TEXT when there is none.
static size_t text_units(const wchar_t *value)
{
    size_t units = 0;
    for (; units < LONGEST_TEXT; units++) {
        bool new_page = units == 0 || ((uintptr_t)(value + units) & 0xFFF) == 0;
        if (new_page && !is_readable(value + units, sizeof *value))
            return LONGEST_TEXT;
        if (value[units] == 0)
            return units;
    }
    return units;
}

static bool good_text(const wchar_t *value)
{
    if (value == NULL || (uintptr_t)value % sizeof *value != 0)
        return false;
    size_t units = text_units(value);
    return units < LONGEST_TEXT && well_formed(value, units);
}

const wchar_t *argument_text(Call *call, const char *name, const wchar_t *value)
{
    if (good_text(value)) {
        note_text(call, name, value);
        return value;
    }
    note_json(call, name, "null");
    violation(call, name, WELL_FORMED, "%p", (const void *)value);
    return NULL;
}

bool argument_out(Call *call, const char *name, const void *pointer, size_t bytes)
{
    if ((uintptr_t)pointer % bytes == 0 && is_writable(pointer, bytes))
        return true;
    return violation(call, name, "an aligned pointer to writable memory", "%p", pointer);
}

const wchar_t *argument_path(Call *call, const char *name, const wchar_t *value)
{
    value = argument_text(call, name, value);
    if (value == NULL)
        return NULL;
    if (is_absolute(value))
        return full_path(&call->scope, value);
    violation(call, name, "an absolute path", "%s", utf8(&call->scope, value));
    return NULL;
}

const wchar_t *argument_folder(Call *call, const char *name, const wchar_t *value)
{
    const wchar_t *path = argument_path(call, name, value);
    if (path == NULL || is_folder(path))
        return path;
    violation(call, name, "a folder that exists", "%s", utf8(&call->scope, value));
    return NULL;
}

bool argument_handle(Call *call, const char *name, HANDLE handle)
{
    DWORD flags;
    bool good = handle != NULL && handle != INVALID_HANDLE_VALUE && GetHandleInformation(handle, &flags) &&
                GetFileType(handle) == FILE_TYPE_DISK;
    return good || violation(call, name, "an open handle of a file", "%p", (void *)handle);
}

bool argument_driver(Call *call, const DriverInfo *info)
{
    if (!aligned(info, sizeof *info, _Alignof(DriverInfo)))
        return violation(call, "info", "an aligned pointer to a DriverInfo", "%p", (const void *)info);
    note_number(call, "flavour", info->flavour);
    if (info->flavour != FLAVOUR_DIFF && info->flavour != FLAVOUR_FILTER)
        violation(call, "flavour", "0 or 1", "%lu", (unsigned long)info->flavour);
    const wchar_t *home = argument_text(call, "home", info->home);
    if (home == NULL || home[0] == 0)
        return home != NULL;
    return is_absolute(home) || violation(call, "home", "an absolute path or none", "%s", utf8(&call->scope, home));
}

static bool one_component(const wchar_t *id)
{
    return id[0] != 0 && wcspbrk(id, L"\\/:") == NULL && wcscmp(id, L".") != 0 && wcscmp(id, L"..") != 0;
}

const wchar_t *argument_layer_path(Call *call, const DriverInfo *info, const char *name, const wchar_t *id)
{
    id = argument_text(call, name, id);
    if (id == NULL || FAILED(call->result))
        return NULL;
    bool alone = info->home[0] == 0;
    if (alone ? is_absolute(id) : one_component(id))
        return full_path(&call->scope, alone ? id : join(&call->scope, info->home, id));
    violation(call, name, alone ? "an absolute path, home being empty" : "one component, home being given", "%s",
              utf8(&call->scope, id));
    return NULL;
}

Layer argument_layer(Call *call, const DriverInfo *info, const wchar_t *id)
{
    argument_driver(call, info);
    return layer_at(call, argument_layer_path(call, info, "id", id));
}

bool check_parent(Call *call, const char *argument, const wchar_t *path, const Chain *before, const Layer *self)
{
    const char *name = utf8(&call->scope, path);
    if (layer_at(call, path).kind == KIND_NONE)
        return violation(call, argument, "the folder of a layer", "%s", name);
    if (layer_at(call, path).kind == KIND_SANDBOX)
        return violation(call, argument, "a parent that is no sandbox", "%s", name);
    if (self->path != NULL && same_name(path, self->path))
        return violation(call, argument, "a parent", "the layer itself, %s", name);
    for (size_t i = 0; i < before->count; i++) {
        if (same_name(path, before->paths[i]))
            return violation(call, argument, "each parent once", "%s again", name);
    }
    return true;
}

bool check_chain(Call *call, const char *argument, const Chain *chain)
{
    if (chain->count == 0)
        return true;
    Layer nearest = layer_at(call, chain->paths[0]);
    Chain rest = {chain->paths + 1, chain->count - 1};
    const wchar_t *found = chain_text(&call->scope, &rest);
    bool known = nearest.kind == KIND_BASE || nearest.kind == KIND_IMPORTED;
    if (!known || wcscmp(found, nearest.parents) == 0)
        return true;
    return violation(call, argument, utf8(&call->scope, concat(&call->scope, L"the parents of the first one: ",
                                                               nearest.parents, NULL)),
                     "%s", utf8(&call->scope, found));
}

static void note_descriptor(Call *call, Buffer *list, const LayerDescriptor *descriptor, const wchar_t *path)
{
    if (list->length > 1)
        append(list, ",", 1);
    const char *id = utf8(&call->scope, guid_text(&call->scope, &descriptor->id));
    append_format(list, "{\"id\":\"%s\",\"flags\":%lu,\"path\":", id, (unsigned long)descriptor->flags);
    json_quote(list, utf8(&call->scope, path));
    append(list, "}", 1);
}

static bool check_descriptor(Call *call, const LayerDescriptor *descriptor, Buffer *list)
{
    if (!good_text(descriptor->path))
        return violation(call, "descriptors.path", WELL_FORMED, "%p", (const void *)descriptor->path);
    note_descriptor(call, list, descriptor, descriptor->path);
    const char *path = utf8(&call->scope, descriptor->path);
    if ((descriptor->flags & ~DESCRIPTOR_DIRTY) != 0)
        return violation(call, "descriptors.flags", "0 or bit 31", "0x%08lx", (unsigned long)descriptor->flags);
    if (!is_absolute(descriptor->path))
        return violation(call, "descriptors.path", "an absolute path", "%s", path);
    GUID wanted = name_guid(last_part(descriptor->path));
    if (!same_guid(&descriptor->id, &wanted))
        return violation(call, "descriptors.id", utf8(&call->scope, guid_text(&call->scope, &wanted)), "%s for %s",
                         utf8(&call->scope, guid_text(&call->scope, &descriptor->id)), path);
    return true;
}

static bool read_descriptors(Call *call, const LayerDescriptor *descriptors, Chain *chain, size_t count,
                             const Layer *self, Buffer *list)
{
    for (size_t i = 0; i < count; i++) {
        if (!check_descriptor(call, &descriptors[i], list))
            return false;
        const wchar_t *path = full_path(&call->scope, descriptors[i].path);
        if (!check_parent(call, "descriptors", path, chain, self))
            return false;
        chain->paths[chain->count++] = path;
    }
    return check_chain(call, "descriptors", chain);
}

Chain argument_chain(Call *call, const LayerDescriptor *descriptors, size_t count, const Layer *self)
{
    Chain chain = {0};
    if (count > 0 && (count > 1000 || !aligned(descriptors, count * sizeof *descriptors, _Alignof(LayerDescriptor)))) {
        violation(call, "descriptors", "an aligned pointer to that many descriptors", "%p, %llu",
                  (const void *)descriptors, (unsigned long long)count);
        return chain;
    }
    chain.paths = take(&call->scope, (count + 1) * sizeof *chain.paths);
    Buffer list = buffer(&call->scope);
    append(&list, "[", 1);
    read_descriptors(call, descriptors, &chain, count, self, &list);
    append(&list, "]", 1);
    note_json(call, "descriptors", list.bytes);
    return chain;
}
