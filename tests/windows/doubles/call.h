// One call of an exported function: its log line, its violations, its result, the lock that it holds.
#pragma once

#include "failplan.h"
#include "text.h"

typedef struct Call {
    Scope scope;
    const char *dll, *name;
    Buffer record; // the members of its JSON object
    HRESULT result;
    Plan plan;
    HANDLE lock;
} Call;

// Takes the lock of the control folder, which one call in all processes holds.
void call_begin(Call *call, const char *dll, const char *name);
// After the arguments were read. False when the call is to do nothing: a bad argument, or a failure on demand.
bool call_ready(Call *call);
// Writes the log line.
HRESULT call_end(Call *call);

void note_text(Call *call, const char *key, const wchar_t *value);
void note_number(Call *call, const char *key, uint64_t value);
void note_json(Call *call, const char *key, const char *json);

// All return false and keep the first result. `found` is a format.
bool violation(Call *call, const char *argument, const char *expected, const char *found, ...)
    __attribute__((format(gnu_printf, 4, 5)));
bool wrong_order(Call *call, const wchar_t *layer, const char *expected, const char *found);
bool fail(Call *call, DWORD error);
bool fail_last(Call *call);

// The lock for those who make no log line.
HANDLE lock_control(Scope *scope);
void unlock_control(HANDLE lock);
