// Which call is to fail or to hang: the files `fail` and `backup_fail` of the control folder.
#pragma once

#include "text.h"

typedef enum { ACT_NORMALLY, ACT_FAIL, ACT_FAIL_LATE, ACT_HANG } Act;

typedef struct Plan {
    Act act;
    DWORD value; // an HRESULT, a Win32 error or milliseconds
} Plan;

// Counts this call, and says what the first rule says that has come to its turn. The caller holds the lock.
Plan failplan_count(Scope *scope, const wchar_t *file, const char *call);
