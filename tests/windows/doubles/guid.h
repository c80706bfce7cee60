// The GUID of a name: stands for the formula of the real NameToGuid, which is not public.
#pragma once

#include "text.h"

// Deterministic, blind to case, in the shape of a UUID of version 5.
GUID name_guid(const wchar_t *name);
bool same_guid(const GUID *a, const GUID *b);
// 36 characters, lower case, no braces.
wchar_t *guid_text(Scope *scope, const GUID *guid);
bool parse_guid(const wchar_t *text, GUID *guid);
