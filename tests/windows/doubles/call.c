#include "call.h"

#include <stdarg.h>
#include <stdio.h>

#include "files.h"
#include "guid.h"
#include "json.h"

HANDLE lock_control(Scope *scope)
{
    GUID guid = name_guid(scope->control);
    HANDLE lock = CreateMutexW(NULL, FALSE, concat(scope, L"Local\\winlayers-doubles-", guid_text(scope, &guid), NULL));
    WaitForSingleObject(lock, INFINITE);
    return lock;
}

void unlock_control(HANDLE lock)
{
    ReleaseMutex(lock);
    CloseHandle(lock);
}

void call_begin(Call *call, const char *dll, const char *name)
{
    *call = (Call){.dll = dll, .name = name, .result = S_OK};
    if (!scope_open(&call->scope)) {
        call->result = E_UNEXPECTED;
        call->scope.control = L"";
    }
    call->record = buffer(&call->scope);
    if (FAILED(call->result))
        return;
    call->lock = lock_control(&call->scope);
    call->plan = failplan_count(&call->scope, L"fail", name);
}

static void hang(Call *call)
{
    unlock_control(call->lock);
    Sleep(call->plan.value);
    call->lock = lock_control(&call->scope);
}

bool call_ready(Call *call)
{
    if (SUCCEEDED(call->result) && call->plan.act == ACT_HANG)
        hang(call);
    if (SUCCEEDED(call->result) && call->plan.act == ACT_FAIL)
        call->result = (HRESULT)call->plan.value;
    return SUCCEEDED(call->result);
}

static void write_record(Call *call)
{
    Buffer line = buffer(&call->scope);
    append_format(&line, "{\"dll\":\"%s\",\"call\":\"%s\"", call->dll, call->name);
    append(&line, call->record.bytes, call->record.length);
    append_format(&line, ",\"hr\":\"0x%08lx\"}\n", (unsigned long)call->result);
    append_to_file(join(&call->scope, call->scope.control, L"calls.ndjson"), line.bytes, line.length);
}

HRESULT call_end(Call *call)
{
    if (SUCCEEDED(call->result) && call->plan.act == ACT_FAIL_LATE)
        call->result = (HRESULT)call->plan.value;
    if (call->lock != NULL) {
        write_record(call);
        unlock_control(call->lock);
    }
    scope_close(&call->scope);
    return call->result;
}

void note_json(Call *call, const char *key, const char *json)
{
    append_format(&call->record, ",\"%s\":%s", key, json);
}

void note_text(Call *call, const char *key, const wchar_t *value)
{
    Buffer quoted = buffer(&call->scope);
    json_quote(&quoted, utf8(&call->scope, value));
    note_json(call, key, quoted.bytes);
}

void note_number(Call *call, const char *key, uint64_t value)
{
    append_format(&call->record, ",\"%s\":%llu", key, (unsigned long long)value);
}

static bool report(Call *call, HRESULT result, const char *argument, const char *expected, const char *found)
{
    if (FAILED(call->result))
        return false;
    call->result = result;
    Buffer line = buffer(&call->scope);
    append_format(&line, "%s: %s: expected %s, found %s\n", call->name, argument, expected, found);
    append_to_file(join(&call->scope, call->scope.control, L"violations.txt"), line.bytes, line.length);
    return false;
}

bool violation(Call *call, const char *argument, const char *expected, const char *found, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, found);
    __mingw_vsnprintf(text, sizeof text, found, arguments);
    va_end(arguments);
    return report(call, E_INVALIDARG, argument, expected, text);
}

bool wrong_order(Call *call, const wchar_t *layer, const char *expected, const char *found)
{
    const char *argument = utf8(&call->scope, plain_path(layer));
    return report(call, HRESULT_FROM_WIN32(ERROR_INVALID_STATE), argument, expected, found);
}

bool fail(Call *call, DWORD error)
{
    if (SUCCEEDED(call->result))
        call->result = HRESULT_FROM_WIN32(error != 0 ? error : ERROR_GEN_FAILURE);
    return false;
}

bool fail_last(Call *call)
{
    return fail(call, GetLastError());
}
