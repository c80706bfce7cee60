#include "files.h"

#include <stdlib.h>

enum { SHARE_ALL = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE };

bool read_file(const wchar_t *path, Buffer *to)
{
    HANDLE file = CreateFileW(path, GENERIC_READ, SHARE_ALL, NULL, OPEN_EXISTING, 0, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return false;
    char chunk[65536];
    DWORD length = 0;
    bool done;
    while ((done = ReadFile(file, chunk, sizeof chunk, &length, NULL)) && length > 0)
        append(to, chunk, length);
    DWORD error = GetLastError();
    CloseHandle(file);
    SetLastError(error);
    return done;
}

static bool write_all(HANDLE file, const char *bytes, size_t length)
{
    if (file == INVALID_HANDLE_VALUE)
        return false;
    bool done = true;
    DWORD written;
    for (; done && length > 0; bytes += written, length -= written)
        done = WriteFile(file, bytes, length > 1 << 20 ? 1 << 20 : (DWORD)length, &written, NULL) && written > 0;
    DWORD error = GetLastError();
    CloseHandle(file);
    SetLastError(error);
    return done;
}

bool write_file(const wchar_t *path, const void *bytes, size_t length)
{
    return write_all(CreateFileW(path, GENERIC_WRITE, SHARE_ALL, NULL, CREATE_ALWAYS, 0, NULL), bytes, length);
}

bool append_to_file(const wchar_t *path, const void *bytes, size_t length)
{
    return write_all(CreateFileW(path, FILE_APPEND_DATA, SHARE_ALL, NULL, OPEN_ALWAYS, 0, NULL), bytes, length);
}

bool exists(const wchar_t *path)
{
    return GetFileAttributesW(path) != INVALID_FILE_ATTRIBUTES;
}

bool is_folder(const wchar_t *path)
{
    DWORD attributes = GetFileAttributesW(path);
    return attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
}

bool make_folder(const wchar_t *path)
{
    return CreateDirectoryW(path, NULL) || (GetLastError() == ERROR_ALREADY_EXISTS && is_folder(path));
}

static int compare_objects(const void *a, const void *b)
{
    const wchar_t *left = ((const Object *)a)->name, *right = ((const Object *)b)->name;
    int order = compare_names(left, right);
    return order != 0 ? order : wcscmp(left, right);
}

static void add_object(Scope *scope, Listing *listing, size_t *capacity, const WIN32_FIND_DATAW *found)
{
    if (listing->count == *capacity) {
        *capacity = *capacity * 2 + 16;
        Object *objects = take(scope, *capacity * sizeof *objects);
        for (size_t i = 0; i < listing->count; i++)
            objects[i] = listing->objects[i];
        listing->objects = objects;
    }
    listing->objects[listing->count++] = (Object){
        .name = concat(scope, found->cFileName, NULL),
        .attributes = found->dwFileAttributes,
        .folder = (found->dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0,
    };
}

bool list_folder(Scope *scope, const wchar_t *path, Listing *listing)
{
    *listing = (Listing){0};
    size_t capacity = 0;
    WIN32_FIND_DATAW found;
    HANDLE search = FindFirstFileW(join(scope, path, L"*"), &found);
    if (search == INVALID_HANDLE_VALUE)
        return false;
    do {
        if (wcscmp(found.cFileName, L".") != 0 && wcscmp(found.cFileName, L"..") != 0)
            add_object(scope, listing, &capacity, &found);
    } while (FindNextFileW(search, &found));
    FindClose(search);
    if (listing->count > 0)
        qsort(listing->objects, listing->count, sizeof(Object), compare_objects);
    return true;
}

bool is_empty_folder(Scope *scope, const wchar_t *path)
{
    Listing listing;
    return is_folder(path) && list_folder(scope, path, &listing) && listing.count == 0;
}

HANDLE open_object(const wchar_t *path, DWORD access)
{
    return CreateFileW(path, access, SHARE_ALL, NULL, OPEN_EXISTING,
                       FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT, NULL);
}

static bool identity(const wchar_t *path, BY_HANDLE_FILE_INFORMATION *information)
{
    HANDLE object = open_object(path, FILE_READ_ATTRIBUTES);
    if (object == INVALID_HANDLE_VALUE)
        return false;
    bool known = GetFileInformationByHandle(object, information);
    CloseHandle(object);
    return known;
}

bool same_object(const wchar_t *a, const wchar_t *b)
{
    BY_HANDLE_FILE_INFORMATION left, right;
    return identity(a, &left) && identity(b, &right) && left.dwVolumeSerialNumber == right.dwVolumeSerialNumber &&
           left.nFileIndexHigh == right.nFileIndexHigh && left.nFileIndexLow == right.nFileIndexLow;
}

wchar_t *object_key(Scope *scope, HANDLE object)
{
    BY_HANDLE_FILE_INFORMATION information;
    if (!GetFileInformationByHandle(object, &information))
        return NULL;
    Buffer key = buffer(scope);
    append_format(&key, "%08lx-%08lx%08lx", information.dwVolumeSerialNumber, information.nFileIndexHigh,
                  information.nFileIndexLow);
    return utf16(scope, key.bytes);
}

bool remove_object(const wchar_t *path, DWORD attributes)
{
    if (attributes & FILE_ATTRIBUTE_READONLY)
        SetFileAttributesW(path, FILE_ATTRIBUTE_NORMAL);
    return attributes & FILE_ATTRIBUTE_DIRECTORY ? RemoveDirectoryW(path) : DeleteFileW(path);
}

bool copy_times(const wchar_t *from, const wchar_t *to)
{
    WIN32_FILE_ATTRIBUTE_DATA times;
    if (!GetFileAttributesExW(from, GetFileExInfoStandard, &times))
        return false;
    HANDLE object = open_object(to, FILE_WRITE_ATTRIBUTES);
    if (object == INVALID_HANDLE_VALUE)
        return false;
    bool done = SetFileTime(object, &times.ftCreationTime, &times.ftLastAccessTime, &times.ftLastWriteTime);
    CloseHandle(object);
    return done;
}

bool copy_folder_raw(Scope *scope, const wchar_t *from, const wchar_t *to)
{
    Listing listing;
    if (!make_folder(to) || !list_folder(scope, from, &listing))
        return false;
    for (size_t i = 0; i < listing.count; i++) {
        const wchar_t *source = join(scope, from, listing.objects[i].name);
        const wchar_t *target = join(scope, to, listing.objects[i].name);
        if (listing.objects[i].folder ? !copy_folder_raw(scope, source, target) : !CopyFileW(source, target, TRUE))
            return false;
    }
    return true;
}
