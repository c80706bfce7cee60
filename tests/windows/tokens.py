"""Access tokens of Windows with ctypes: who a thread is, and which privileges are enabled."""

import ctypes
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ctypes import byref
from ctypes import wintypes as w
from functools import cache

BACKUP, RESTORE, SECURITY = "SeBackupPrivilege", "SeRestorePrivilege", "SeSecurityPrivilege"
ALL = (BACKUP, RESTORE, SECURITY)
NO_TOKEN = 1008
TOKEN_ALL = 0xF01FF
DISABLED, REMOVED = 0, 4
IMPERSONATION = 2


class Luid(ctypes.Structure):
    _fields_ = (("low", w.DWORD), ("high", w.LONG), ("attributes", w.DWORD))


class PrivilegeSet(ctypes.Structure):
    _fields_ = (("count", w.DWORD), ("control", w.DWORD), ("privilege", Luid))


class TokenPrivileges(ctypes.Structure):
    _fields_ = (("count", w.DWORD), ("privilege", Luid))


@cache
def advapi32() -> ctypes.CDLL:
    return ctypes.CDLL("advapi32", use_last_error=True)


@contextmanager
def token(of: str) -> Iterator[w.HANDLE | None]:
    """Open the token of this thread or of the process; a thread may have none."""
    kernel32 = ctypes.CDLL("kernel32")
    kernel32.GetCurrentThread.restype = kernel32.GetCurrentProcess.restype = w.HANDLE
    handle = w.HANDLE()
    if of == "thread":
        opened = advapi32().OpenThreadToken(w.HANDLE(kernel32.GetCurrentThread()), TOKEN_ALL, True, byref(handle))
    else:
        opened = advapi32().OpenProcessToken(w.HANDLE(kernel32.GetCurrentProcess()), TOKEN_ALL, byref(handle))
    if not opened:
        assert (of, last_error()) == ("thread", NO_TOKEN)
        yield None
        return
    yield handle
    kernel32.CloseHandle(handle)


def enabled(of: str = "thread") -> set[str] | None:
    """Give the privileges that are enabled; None for a thread that acts as the process."""
    with token(of) as handle:
        if handle is None:
            return None
        held = set()
        for name in ALL:
            wanted, result = PrivilegeSet(1, 1, luid(name)), w.BOOL()
            assert advapi32().PrivilegeCheck(handle, byref(wanted), byref(result))
            if result.value:
                held.add(name)
        return held


def take_away(of: str, privileges: Iterable[str], state: int = DISABLED) -> None:
    """Disable privileges, or remove them for good."""
    with token(of) as handle:
        for name in privileges:
            privilege = luid(name)
            privilege.attributes = state
            wanted = TokenPrivileges(1, privilege)
            assert advapi32().AdjustTokenPrivileges(handle, False, byref(wanted), 0, None, None)


def identity() -> bytes:
    """Give the id of the very token that the thread has: the first field of TOKEN_STATISTICS."""
    buffer, length = ctypes.create_string_buffer(64), w.DWORD()
    with token("thread") as handle:
        assert advapi32().GetTokenInformation(handle, 10, buffer, len(buffer), byref(length))
    return buffer.raw[:8]


@contextmanager
def impersonation() -> Iterator[None]:
    """Let the thread have a token of its own, as a caller of the package might."""
    assert advapi32().ImpersonateSelf(IMPERSONATION)
    try:
        yield
    finally:
        assert advapi32().RevertToSelf()


def luid(name: str) -> Luid:
    found = Luid()
    assert advapi32().LookupPrivilegeValueW(None, ctypes.c_wchar_p(name), byref(found))
    return found


def last_error() -> int:
    if sys.platform == "win32":
        return ctypes.get_last_error()
    raise NotImplementedError
