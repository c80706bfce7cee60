// winlayers_backup.dll: BackupRead, BackupWrite and BackupSeek, which Wine has not.
#include <stdlib.h>

#include "call.h"
#include "memory.h"
#include "reading.h"

enum { CONTEXT_MAGIC = 0x424B5550 };

typedef enum { FOR_READING, FOR_WRITING } Purpose;

typedef struct Context {
    uint32_t magic;
    Purpose purpose;
    DWORD error; // that ended it
    Scope scope;
    Reading reading;
    Keeper keeper;
} Context;

static volatile LONG open_contexts;

DWORD WINAPI open_context_count(void)
{
    return (DWORD)open_contexts;
}

static bool failed(DWORD error)
{
    if (error != 0)
        SetLastError(error);
    return error != 0;
}

static Context *context_of(void **context, Purpose purpose)
{
    Context *found = *context;
    if (!is_readable(found, sizeof *found))
        return NULL;
    return found->magic == CONTEXT_MAGIC && found->purpose == purpose ? found : NULL;
}

static void close_context(void **context, Context *open)
{
    open->magic = 0;
    scope_close(&open->scope);
    free(open);
    *context = NULL;
    InterlockedDecrement(&open_contexts);
}

// The last call of all: frees the context.
static BOOL finish(void **context, Purpose purpose)
{
    if (*context == NULL)
        return TRUE;
    Context *open = context_of(context, purpose);
    if (open == NULL)
        return !failed(ERROR_INVALID_PARAMETER);
    close_context(context, open);
    return TRUE;
}

static bool start(Context *open, HANDLE file, BOOL with_security)
{
    if (open->purpose == FOR_READING)
        return reading_open(&open->reading, &open->scope, file, with_security);
    return keeper_open(&open->keeper, &open->scope, file, with_security);
}

static Context *open_context(void **context, Purpose purpose, HANDLE file, BOOL with_security)
{
    Context *open = calloc(1, sizeof *open);
    if (open == NULL)
        abort();
    open->magic = CONTEXT_MAGIC;
    open->purpose = purpose;
    *context = open;
    InterlockedIncrement(&open_contexts);
    if (!scope_open(&open->scope))
        SetLastError(ERROR_NOT_READY);
    else if (start(open, file, with_security))
        return open;
    DWORD error = GetLastError();
    close_context(context, open);
    SetLastError(error);
    return NULL;
}

static Context *continue_or_open(void **context, Purpose purpose, HANDLE file, BOOL with_security)
{
    DWORD flags;
    if (file == NULL || !GetHandleInformation(file, &flags)) {
        SetLastError(ERROR_INVALID_HANDLE);
        return NULL;
    }
    if (*context == NULL)
        return open_context(context, purpose, file, with_security);
    Context *open = context_of(context, purpose);
    if (open == NULL)
        SetLastError(ERROR_INVALID_PARAMETER);
    return open;
}

// The error that the file `backup_fail` wants for this call.
static DWORD error_on_demand(Scope *scope, const char *name)
{
    if (!exists(join(scope, scope->control, L"backup_fail")))
        return 0;
    HANDLE lock = lock_control(scope);
    Plan plan = failplan_count(scope, L"backup_fail", name);
    unlock_control(lock);
    return plan.act != ACT_NORMALLY ? plan.value : 0;
}

static bool bad_outputs(const DWORD *done, void *const *context)
{
    bool good = is_writable(done, sizeof *done) && is_writable(context, sizeof *context);
    return failed(good ? 0 : ERROR_INVALID_PARAMETER);
}

BOOL WINAPI backup_read(HANDLE file, LPBYTE bytes, DWORD wanted, LPDWORD done, BOOL abort, BOOL with_security,
                        LPVOID *context)
{
    if (bad_outputs(done, context))
        return FALSE;
    *done = 0;
    if (abort)
        return finish(context, FOR_READING);
    if (!is_writable(bytes, wanted))
        return !failed(ERROR_INVALID_PARAMETER);
    Context *open = continue_or_open(context, FOR_READING, file, with_security);
    if (open == NULL || failed(error_on_demand(&open->scope, "BackupRead")))
        return FALSE;
    open->reading.file = file;
    return !failed(reading_next(&open->reading, (char *)bytes, wanted, done));
}

BOOL WINAPI backup_write(HANDLE file, LPBYTE bytes, DWORD length, LPDWORD done, BOOL abort, BOOL with_security,
                         LPVOID *context)
{
    if (bad_outputs(done, context))
        return FALSE;
    *done = 0;
    if (abort)
        return finish(context, FOR_WRITING);
    if (!is_readable(bytes, length))
        return !failed(ERROR_INVALID_PARAMETER);
    Context *open = continue_or_open(context, FOR_WRITING, file, with_security);
    if (open == NULL || failed(error_on_demand(&open->scope, "BackupWrite")))
        return FALSE;
    open->keeper.file = file;
    if (open->error == 0)
        open->error = keeper_feed(&open->keeper, bytes, length);
    if (failed(open->error))
        return FALSE;
    *done = length;
    return TRUE;
}

BOOL WINAPI backup_seek(HANDLE file, DWORD low, DWORD high, LPDWORD done_low, LPDWORD done_high, LPVOID *context)
{
    DWORD flags;
    if (bad_outputs(done_low, context) || bad_outputs(done_high, context))
        return FALSE;
    if (!GetHandleInformation(file, &flags))
        return !failed(ERROR_INVALID_HANDLE);
    Context *open = context_of(context, FOR_READING);
    if (open == NULL)
        return !failed(ERROR_INVALID_PARAMETER);
    uint64_t wanted = (uint64_t)high << 32 | low, skipped = reading_skip(&open->reading, wanted);
    *done_low = (DWORD)skipped;
    *done_high = (DWORD)(skipped >> 32);
    return !failed(skipped < wanted ? ERROR_SEEK : 0);
}
