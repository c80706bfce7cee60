"""What the tests of a real Windows host ask of it, and how they start processes with fewer rights."""

import ctypes
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

DWORD = ctypes.c_uint32
HANDLE = ctypes.c_void_p
TEXT = ctypes.c_wchar_p
POINTER = ctypes.c_void_p

SYSTEM32_ONLY = 0x800


def function(library: str, name: str, result: Any, *arguments: Any) -> Any:
    """Give a function of a library of the system, with its types."""
    if sys.platform == "win32":
        found = getattr(ctypes.WinDLL(library, winmode=SYSTEM32_ONLY, use_last_error=True), name)
        found.restype, found.argtypes = result, arguments
        return found
    else:  # noqa: RET505 # so that mypy knows it as the code of another system
        raise NotImplementedError(name)


def failure(operation: str) -> OSError:
    """Give the exception for the last error of this thread."""
    if sys.platform == "win32":
        error = ctypes.WinError(ctypes.get_last_error())
        error.add_note(operation)
        return error
    else:  # noqa: RET505
        raise NotImplementedError(operation)


def why_not_here() -> str | None:
    """Say what of a host with containers is missing; None where nothing is."""
    if sys.platform == "win32":
        if "WINEPREFIX" in os.environ or hasattr(ctypes.WinDLL("ntdll.dll"), "wine_get_version"):
            return "needs a real Windows host, not Wine"
        try:
            ctypes.WinDLL("vmcompute.dll", winmode=SYSTEM32_ONLY)
        except OSError:
            return "needs the Containers feature: Enable-WindowsOptionalFeature -Online -FeatureName Containers"
        if not function("shell32.dll", "IsUserAnAdmin", ctypes.c_int)():
            return "needs an elevated process"
        return None
    else:  # noqa: RET505
        return "needs a real Windows host"


def image() -> Path | None:
    """Give the archive of nanoserver that `docker save` made, where there is one."""
    name = os.environ.get("WINLAYERS_NANOSERVER")
    return Path(name) if name else None


def command(*arguments: str, status: int = 0) -> str:
    """Run `winlayers` in a process of its own, expect its status, and give its output."""
    line = [sys.executable, "-m", "winlayers.cli", *arguments]
    done = subprocess.run(line, capture_output=True, check=False, text=True, encoding="utf-8")
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def run_without_rights(arguments: list[str]) -> int:
    """Run a program as this user without any privilege and without the Administrators group; give its exit code."""
    open_token = function("advapi32.dll", "OpenProcessToken", ctypes.c_int, HANDLE, DWORD, POINTER)
    restrict = function(
        "advapi32.dll",
        "CreateRestrictedToken",
        ctypes.c_int,
        *(HANDLE, DWORD, DWORD, POINTER, DWORD, POINTER, DWORD, POINTER, POINTER),
    )
    make_sid = function("advapi32.dll", "ConvertStringSidToSidW", ctypes.c_int, TEXT, POINTER)
    start = function(
        "advapi32.dll",
        "CreateProcessAsUserW",
        ctypes.c_int,
        *(HANDLE, TEXT, POINTER, POINTER, POINTER, ctypes.c_int, DWORD, POINTER, TEXT, POINTER, POINTER),
    )
    wait = function("kernel32.dll", "WaitForSingleObject", DWORD, HANDLE, DWORD)
    exit_code = function("kernel32.dll", "GetExitCodeProcess", ctypes.c_int, HANDLE, POINTER)
    close = function("kernel32.dll", "CloseHandle", ctypes.c_int, HANDLE)

    token, fewer, administrators = HANDLE(), HANDLE(), POINTER()
    all_access, no_privileges = 0xF01FF, 1
    if not open_token(HANDLE(-1), all_access, ctypes.byref(token)):
        raise failure("OpenProcessToken")
    if not make_sid("S-1-5-32-544", ctypes.byref(administrators)):
        raise failure("ConvertStringSidToSid")
    denied = (ctypes.c_uint64 * 2)(administrators.value or 0, 0)
    if not restrict(token, no_privileges, 1, denied, 0, None, 0, None, ctypes.byref(fewer)):
        raise failure("CreateRestrictedToken")
    startup = ctypes.create_string_buffer(struct.pack("<I100x", 104), 104)
    process = ctypes.create_string_buffer(24)
    line = ctypes.create_unicode_buffer(subprocess.list2cmdline(arguments))
    if not start(fewer, None, line, None, None, 0, 0, None, None, startup, process):
        raise failure("CreateProcessAsUser")
    handle, thread = struct.unpack_from("<QQ", process.raw)
    code = DWORD()
    try:
        assert wait(handle, 120_000) == 0, "it does not end"
        if not exit_code(handle, ctypes.byref(code)):
            raise failure("GetExitCodeProcess")
    finally:
        for item in (handle, thread, token, fewer):
            close(item)
    return code.value
