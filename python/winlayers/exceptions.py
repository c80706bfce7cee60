"""Every exception of winlayers.

All derive from `WinLayersError` and carry a stable `code`, a `hint` where there is something to do about it, and the
facts of the error as attributes; all of it survives pickling. Plain I/O raises `OSError` with errno and filename, not
one of these.

>>> import winlayers as wl
>>> try:
...     wl.SecurityDescriptor(b"short").owner
... except wl.FormatError as error:
...     print(error.code, error.field, error.expected, error.found, error.offset)
bad_security_descriptor header 20 bytes 5 bytes 0
"""

from typing import ClassVar

__all__ = [
    "BackendError",
    "FormatError",
    "HcsError",
    "IntegrityError",
    "LayerExistsError",
    "LayerInUseError",
    "LayerNotFoundError",
    "LimitExceededError",
    "LossWarning",
    "MisuseError",
    "RefusedError",
    "StoreDamagedError",
    "StoreError",
    "UnsupportedOperationError",
    "WinLayersError",
]


class WinLayersError(Exception):
    """The base of all errors of winlayers.

    >>> error = WinLayersError("it broke", hint="mend it")
    >>> str(error), error.code, error.hint
    ('it broke', 'error', 'mend it')
    """

    _default_code: ClassVar[str] = "error"

    code: str
    """A stable snake_case word for programs, listed in docs/errors.md."""
    hint: str | None
    """What can be done about it, for people, or None."""

    def __init__(self, message: str = "", *, code: str | None = None, hint: str | None = None) -> None:
        """Give the message; a code where it is a more exact one than the class's own; and a hint."""
        super().__init__(message)
        self.code = code or self._default_code
        self.hint = hint


class FormatError(WinLayersError, ValueError):
    """The input is not what its format demands.

    >>> error = FormatError("bad", code="bad_tar", format="tar", offset=512, field="checksum", expected="1", found="2")
    >>> error.offset, error.field, error.member
    (512, 'checksum', None)
    """

    _default_code = "bad_format"

    format: str | None
    """Which format was read: `tar`, `backup stream`, ..."""
    offset: int | None
    """Where in the input, in bytes, or None where that is not known."""
    member: bytes | None
    """The raw name of the member it happened in, or None."""
    field: str | None
    """The field of the format."""
    expected: str | None
    """What the format demands there."""
    found: str | None
    """What is there."""

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        hint: str | None = None,
        format: str | None = None,
        offset: int | None = None,
        member: bytes | None = None,
        field: str | None = None,
        expected: str | None = None,
        found: str | None = None,
    ) -> None:
        """Give the message and the facts."""
        super().__init__(message, code=code, hint=hint)
        self.format = format
        self.offset = offset
        self.member = member
        self.field = field
        self.expected = expected
        self.found = found


class RefusedError(WinLayersError, ValueError):
    """The input is well-formed, and a rule of the policy or of the dialect refuses it.

    >>> RefusedError("no", code="name_escapes", rule="name_escapes", member=b"../x").member
    b'../x'
    """

    _default_code = "refused"

    rule: str | None
    """The rule; the same word as `code`."""
    member: bytes | None
    """The raw name of the member it happened in, or None."""
    detail: str
    """What exactly was refused; may be empty."""

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        hint: str | None = None,
        rule: str | None = None,
        member: bytes | None = None,
        detail: str = "",
    ) -> None:
        """Give the message and the facts."""
        super().__init__(message, code=code, hint=hint)
        self.rule = rule if rule is not None else self.code
        self.member = member
        self.detail = detail


class LimitExceededError(RefusedError):
    """The input is larger than a bound of `Limits` allows.

    >>> error = LimitExceededError("too long", limit="path", size=40_000, max=32_767)
    >>> error.limit, error.size, error.max
    ('path', 40000, 32767)
    """

    _default_code = "limit"

    limit: str | None
    """The field of `Limits`."""
    size: int | None
    """What the input asked for."""
    max: int | None
    """What the bound allows."""

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        hint: str | None = None,
        limit: str | None = None,
        size: int | None = None,
        max: int | None = None,
        member: bytes | None = None,
    ) -> None:
        """Give the message and the facts."""
        super().__init__(message, code=code, hint=hint, member=member)
        self.limit = limit
        self.size = size
        self.max = max


class IntegrityError(WinLayersError):
    """Bytes differ from what was promised about them.

    >>> IntegrityError("no match", what="diffID", expected="a", found="b").what
    'diffID'
    """

    _default_code = "integrity"

    what: str | None
    """Which bytes."""
    expected: str | None
    """What was promised."""
    found: str | None
    """What is there."""

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        hint: str | None = None,
        what: str | None = None,
        expected: str | None = None,
        found: str | None = None,
    ) -> None:
        """Give the message and the facts."""
        super().__init__(message, code=code, hint=hint)
        self.what = what
        self.expected = expected
        self.found = found


class MisuseError(WinLayersError, RuntimeError):
    """An object was used in a way that its documentation rules out.

    >>> MisuseError("closed", code="closed").code
    'closed'
    """

    _default_code = "misuse"

    detail: str
    """More about it; may be empty."""

    def __init__(
        self, message: str = "", *, code: str | None = None, hint: str | None = None, detail: str = ""
    ) -> None:
        """Give the message and the facts."""
        super().__init__(message, code=code, hint=hint)
        self.detail = detail


class StoreError(WinLayersError):
    """A layer store cannot do what it was asked.

    >>> StoreError("the parent is another one", code="wrong_parent", layer="abc").layer
    'abc'
    """

    _default_code = "store"

    layer: str | None
    """The layer's id, or None."""

    def __init__(
        self, message: str = "", *, code: str | None = None, hint: str | None = None, layer: str | None = None
    ) -> None:
        """Give the message and the facts."""
        super().__init__(message, code=code, hint=hint)
        self.layer = layer


class LayerNotFoundError(StoreError, LookupError):
    """The store has no such layer.

    >>> isinstance(LayerNotFoundError("no layer abc", layer="abc"), LookupError)
    True
    """

    _default_code = "layer_not_found"


class LayerExistsError(StoreError):
    """The store has this layer already.

    >>> LayerExistsError("layer abc exists").code
    'layer_exists'
    """

    _default_code = "layer_exists"


class LayerInUseError(StoreError):
    """The layer is mounted, or another one is built on it.

    >>> LayerInUseError("layer abc is in use").code
    'layer_in_use'
    """

    _default_code = "layer_in_use"


class StoreDamagedError(StoreError):
    """What the store finds on disk is not what it wrote.

    >>> StoreDamagedError("layer abc has no metadata").code
    'store_damaged'
    """

    _default_code = "store_damaged"


class BackendError(WinLayersError):
    """The host, or the part of it that holds layers, failed.

    >>> BackendError("no").code
    'backend'
    """

    _default_code = "backend"


class UnsupportedOperationError(BackendError, NotImplementedError):
    """This cannot be done here.

    >>> import winlayers as wl
    >>> try:
    ...     wl.SecurityDescriptor.from_sddl("D:(XA;;GA;;;WD;(a == 1))")
    ... except UnsupportedOperationError as error:
    ...     print(error.operation)
    reading SDDL entries of type XA
    """

    _default_code = "unsupported"

    operation: str | None
    """What was asked for."""
    reason: str | None
    """Why it cannot be had, and what would help."""

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        hint: str | None = None,
        operation: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Give the message and the facts."""
        super().__init__(message, code=code, hint=hint)
        self.operation = operation
        self.reason = reason


class HcsError(BackendError):
    """The Host Compute Service of Windows returned a failure.

    >>> HcsError("no", operation="ImportLayer", hresult=0x80070005).hresult == 0x80070005
    True
    """

    _default_code = "hcs"

    operation: str | None
    """The function that failed."""
    hresult: int | None
    """What it returned, as an unsigned number."""
    name: str | None
    """The name that Windows has for it, where it is known: "ERROR_PATH_NOT_FOUND"."""
    layer: str | None
    """The layer that it was about."""
    path: str | None
    """The folder that the function was given."""

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        hint: str | None = None,
        operation: str | None = None,
        hresult: int | None = None,
        name: str | None = None,
        layer: str | None = None,
        path: str | None = None,
    ) -> None:
        """Give the message and the facts."""
        super().__init__(message, code=code, hint=hint)
        self.operation = operation
        self.hresult = hresult
        self.name = name
        self.layer = layer
        self.path = path


class LossWarning(UserWarning):
    """A writer was closed with losses that nobody looked at.

    >>> issubclass(LossWarning, UserWarning)
    True
    """
