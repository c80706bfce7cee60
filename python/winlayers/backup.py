"""Files and folders as backup streams, by Windows itself: all that NTFS keeps of one, its data, streams, owner, ACLs.

Both calls take an elevated process, whose backup privileges they turn on for their own thread and only while they work:
they reach every file, whatever its ACL says. `BackupStreamReader` and `BackupStreamWriter` take streams apart and make
them, on any system.

>>> import sys
>>> import winlayers as wl
>>> try:
...     wl.backup.read("no such file")
... except (OSError if sys.platform == "win32" else wl.UnsupportedOperationError):
...     print("there is none, or this is not Windows")
there is none, or this is not Windows
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

from winlayers import _native

if TYPE_CHECKING:
    from winlayers._native import LayerStream, Limits, _Source

__all__ = ["read", "write"]

_Path: TypeAlias = str | os.PathLike[str]


def read(path: _Path) -> LayerStream:
    """Read a file, a folder or a link as a backup stream: a binary file, read from front to end.

    A link is read itself, not what it points to; `path` may be longer than Win32 allows. Times and attributes are in no
    backup stream.

    Raises UnsupportedOperationError on other systems; PermissionError with `winerror` 1314 when the process is not
    elevated (a stream without the audit part of the ACLs would look like one of a file that has none); OSError.

    >>> import sys
    >>> import winlayers as wl
    >>> def streams(path: str) -> list[int]:
    ...     with wl.backup.read(path) as stream:
    ...         return [header.id for header in wl.BackupStreamReader(stream)]
    >>> try:
    ...     streams("no such file")
    ... except (OSError if sys.platform == "win32" else wl.UnsupportedOperationError):
    ...     print("there is none, or this is not Windows")
    there is none, or this is not Windows
    """
    return _native.backup_read(path)


def write(path: _Path, stream: _Source, *, directory: bool = False, limits: Limits | None = None) -> None:
    """Give a file what a backup stream holds; `stream` is bytes, a binary file, or the path of one.

    Where nothing has that name, an empty file is made first, with `directory` an empty folder, and removed again when
    anything fails. What is there already gets the streams that the backup stream has (its data is replaced as a whole)
    and keeps the others; when that fails midway, it is not as it was. A link at the end of `path` is written itself.
    Times and attributes stay the system's business.

    The stream is checked as it goes, and nothing behind a mistake is written. Raises FormatError, LimitExceededError,
    and RefusedError for a stream that would reach other files (a LINK stream, or a name other than ":name:$DATA");
    UnsupportedOperationError on other systems; PermissionError with `winerror` 1314 when the process is not elevated;
    IsADirectoryError and NotADirectoryError for what is there and of the other kind; OSError.

    >>> import sys
    >>> import winlayers as wl
    >>> try:
    ...     wl.backup.write("no such folder/file", b"")
    ... except (OSError if sys.platform == "win32" else wl.UnsupportedOperationError):
    ...     print("there is none, or this is not Windows")
    there is none, or this is not Windows
    """
    _native.backup_write(path, stream, directory=directory, limits=limits)
