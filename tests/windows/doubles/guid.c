#include "guid.h"

#include <stdio.h>
#include <string.h>

static uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 31)) * 0x7FB5D329728EA185u;
    value = (value ^ (value >> 27)) * 0x81DADEF4BC2DD44Du;
    return value ^ (value >> 33);
}

static uint64_t hash(const wchar_t *name, uint64_t seed)
{
    for (; *name != 0; name++)
        seed = mix(seed + upper(*name) + 1);
    return mix(seed);
}

GUID name_guid(const wchar_t *name)
{
    uint64_t halves[2] = {hash(name, 0x646F75626C65u), hash(name, 0x776C6179657273u)};
    GUID guid;
    memcpy(&guid, halves, sizeof guid);
    guid.Data3 = (guid.Data3 & 0x0FFF) | 0x5000;
    guid.Data4[0] = (guid.Data4[0] & 0x3F) | 0x80;
    return guid;
}

bool same_guid(const GUID *a, const GUID *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

wchar_t *guid_text(Scope *scope, const GUID *guid)
{
    Buffer text = buffer(scope);
    append_format(&text, "%08x-%04x-%04x-%02x%02x-", (unsigned)guid->Data1, guid->Data2, guid->Data3, guid->Data4[0],
                  guid->Data4[1]);
    for (int i = 2; i < 8; i++)
        append_format(&text, "%02x", guid->Data4[i]);
    return utf16(scope, text.bytes);
}

bool parse_guid(const wchar_t *text, GUID *guid)
{
    static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    if (wcslen(text) != sizeof shape - 1)
        return false;
    char digits[33] = "";
    size_t count = 0;
    for (size_t i = 0; shape[i] != 0; i++) {
        bool digit = text[i] < 0x80 && strchr("0123456789abcdefABCDEF", (char)text[i]) != NULL;
        if (shape[i] == 'x' ? !digit : text[i] != L'-')
            return false;
        if (digit)
            digits[count++] = (char)text[i];
    }
    unsigned bytes[8];
    unsigned data[3];
    sscanf(digits, "%8x%4x%4x%2x%2x%2x%2x%2x%2x%2x%2x", &data[0], &data[1], &data[2], &bytes[0], &bytes[1], &bytes[2],
           &bytes[3], &bytes[4], &bytes[5], &bytes[6], &bytes[7]);
    *guid = (GUID){.Data1 = data[0], .Data2 = (unsigned short)data[1], .Data3 = (unsigned short)data[2]};
    for (int i = 0; i < 8; i++)
        guid->Data4[i] = (unsigned char)bytes[i];
    return true;
}
