"""Errors as the shell sees them: an exit code, and one line (or one JSON object) on standard error."""

import os
import sys
from typing import Any

import winlayers as wl
from winlayers.cli.output import as_json_text, escape, json_name

USAGE = 2
BAD_INPUT = 3
STORE_STATE = 4
HOST = 5

# The library's hints speak Python; these say the same in options.
HINTS = {
    "reparse_tag": "--dialect lossless carries it.",
    "stream_order": "--dialect lossless carries it.",
    "loss": "--dialect lossless carries it.",
    "name_escapes": "ls --permissive and cat --permissive look at such an archive all the same.",
    "name_backslash": "ls --permissive and cat --permissive look at such an archive all the same.",
    "name_colon": "ls --permissive and cat --permissive look at such an archive all the same.",
    "name_empty": "ls --permissive and cat --permissive look at such an archive all the same.",
    "member_type": "ls --permissive and cat --permissive look at such an archive all the same.",
}

# What an error may know besides its message, in the order in which JSON has it.
FACTS = (
    "format",
    "member",
    "offset",
    "field",
    "rule",
    "detail",
    "limit",
    "size",
    "max",
    "what",
    "expected",
    "found",
    "operation",
    "reason",
    "hresult",
    "layer",
    "errno",
    "filename",
)


class Usage(Exception):  # noqa: N818 - as below
    """The command line asks for something that does not exist."""

    code = "usage"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        """Give the message, and what would be right."""
        super().__init__(message)
        self.hint = hint


class NotInLayer(Exception):  # noqa: N818 - it is the fact, not its class, that is told
    """The layer is sound, and does not hold what was asked of it."""

    code = "not_in_layer"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        """Give the message, and where to look."""
        super().__init__(message)
        self.hint = hint


def exit_code(error: BaseException) -> int:
    """Give the exit code of an error."""
    if isinstance(error, (wl.FormatError, wl.RefusedError, wl.IntegrityError, NotInLayer)):
        return BAD_INPUT
    if isinstance(error, wl.StoreError):
        return STORE_STATE
    # What the commands give to the library comes from the command line.
    if isinstance(error, (wl.MisuseError, Usage)):
        return USAGE
    return HOST


def report(error: Exception, *, as_json: bool) -> int:
    """Tell of an error on standard error, and give its exit code."""
    fields = describe(error)
    try:
        if as_json:
            sys.stderr.write(as_json_text(fields) + "\n")
        else:
            sys.stderr.write(f"error: {escape(str(fields['message']))}\n")
            if fields["hint"]:
                sys.stderr.write(f"hint: {escape(str(fields['hint']))}\n")
        if fields["error"] == "internal" and os.environ.get("WINLAYERS_TRACEBACK"):
            import traceback

            traceback.print_exception(error, file=sys.stderr)
    except OSError:
        pass  # nobody listens
    return exit_code(error)


def describe(error: Exception) -> dict[str, Any]:
    """Give the fields of the JSON object: `error` (the code), `message`, `hint`, and the facts that there are."""
    code = getattr(error, "code", None)
    message, hint = str(error), getattr(error, "hint", None)
    if isinstance(error, OSError):
        code = "io"
        message = str(error.strerror or error)
        if error.filename is not None:
            message = f"{os.fsdecode(error.filename)}: {message}"
    elif isinstance(error, MemoryError):
        code, message = "memory", "out of memory"
    elif not isinstance(code, str):
        code = "internal"
        message = f"{type(error).__name__}: {error}" if message else type(error).__name__
        hint = "This is a fault in winlayers, please report it; WINLAYERS_TRACEBACK=1 shows where it is."
    fields: dict[str, Any] = {"error": code, "message": message, "hint": HINTS.get(code, hint)}
    for name in FACTS:
        value = getattr(error, name, None)
        if value is None or value == "":
            continue
        if name == "member":
            fields |= json_name("member", value)
        else:
            fields[name] = os.fsdecode(value) if name == "filename" and not isinstance(value, int) else value
    return fields
