#include "failplan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "guid.h"

enum { MOST_RULES = 64 };

typedef struct Counts {
    char version[40]; // of the plan that they belong to
    unsigned long counts[MOST_RULES];
} Counts;

// Changes whenever the file is written again.
static void version_of(Scope *scope, const wchar_t *path, const char *content, char *version)
{
    WIN32_FILE_ATTRIBUTE_DATA file = {0};
    GetFileAttributesExW(path, GetFileExInfoStandard, &file);
    Buffer text = buffer(scope);
    append_format(&text, "%lx %lx %s", file.ftLastWriteTime.dwHighDateTime, file.ftLastWriteTime.dwLowDateTime,
                  content);
    wchar_t *wide = utf16(scope, text.bytes);
    GUID guid = name_guid(wide != NULL ? wide : L"");
    strcpy(version, utf8(scope, guid_text(scope, &guid)));
}

static Counts load_counts(Scope *scope, const wchar_t *path, const char *version)
{
    Counts counts = {0};
    Buffer stored = buffer(scope);
    if (read_file(path, &stored) && stored.length == sizeof counts)
        memcpy(&counts, stored.bytes, sizeof counts);
    if (strcmp(counts.version, version) != 0) {
        counts = (Counts){0};
        strcpy(counts.version, version);
    }
    return counts;
}

static Plan parse_action(const char *action)
{
    if (strncmp(action, "hang:", 5) == 0)
        return (Plan){ACT_HANG, strtoul(action + 5, NULL, 10)};
    if (strncmp(action, "late:", 5) == 0)
        return (Plan){ACT_FAIL_LATE, strtoul(action + 5, NULL, 0)};
    return (Plan){ACT_FAIL, strtoul(action, NULL, 0)};
}

static Plan count_rules(char *rules, Counts *counts, const char *call)
{
    Plan plan = {ACT_NORMALLY, 0};
    int index = 0;
    for (char *rule = strtok(rules, "\r\n"); rule != NULL && index < MOST_RULES; rule = strtok(NULL, "\r\n"), index++) {
        char name[64], action[64];
        unsigned long turn;
        if (sscanf(rule, "%63s %lu %63s", name, &turn, action) != 3)
            continue;
        if (strcmp(name, "*") != 0 && strcmp(name, call) != 0)
            continue;
        if (++counts->counts[index] == turn && plan.act == ACT_NORMALLY)
            plan = parse_action(action);
    }
    return plan;
}

Plan failplan_count(Scope *scope, const wchar_t *file, const char *call)
{
    const wchar_t *path = join(scope, scope->control, file);
    Buffer rules = buffer(scope);
    if (!read_file(path, &rules))
        return (Plan){ACT_NORMALLY, 0};
    char version[40];
    version_of(scope, path, rules.bytes, version);
    const wchar_t *beside = concat(scope, path, L".count", NULL);
    Counts counts = load_counts(scope, beside, version);
    Plan plan = count_rules(rules.bytes, &counts, call);
    write_file(beside, &counts, sizeof counts);
    return plan;
}
