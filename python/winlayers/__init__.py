"""Windows container layers for Python: read, write, prove and store them on any system.

>>> import winlayers as wl
>>> wl.SecurityDescriptor.from_sddl("O:BAG:SYD:(A;;FA;;;BA)").owner
'S-1-5-32-544'
"""

from winlayers import exceptions, tarsplit
from winlayers._native import (
    Ace,
    BackupStreamReader,
    BackupStreamWriter,
    BasicInfo,
    Entry,
    ExtendedAttribute,
    FileTime,
    LayerReader,
    LayerWriter,
    Limits,
    Loss,
    Policy,
    ReparsePoint,
    SecurityDescriptor,
    Stream,
    StreamHeader,
    fold_name,
)
from winlayers._values import FileAttributes, SecurityControl
from winlayers.exceptions import (
    BackendError,
    FormatError,
    HcsError,
    IntegrityError,
    LayerExistsError,
    LayerInUseError,
    LayerNotFoundError,
    LimitExceededError,
    LossWarning,
    MisuseError,
    RefusedError,
    StoreDamagedError,
    StoreError,
    UnsupportedOperationError,
    WinLayersError,
)

__all__ = [
    "Ace",
    "BackendError",
    "BackupStreamReader",
    "BackupStreamWriter",
    "BasicInfo",
    "Entry",
    "ExtendedAttribute",
    "FileAttributes",
    "FileTime",
    "FormatError",
    "HcsError",
    "IntegrityError",
    "LayerExistsError",
    "LayerInUseError",
    "LayerNotFoundError",
    "LayerReader",
    "LayerWriter",
    "LimitExceededError",
    "Limits",
    "Loss",
    "LossWarning",
    "MisuseError",
    "Policy",
    "RefusedError",
    "ReparsePoint",
    "SecurityControl",
    "SecurityDescriptor",
    "StoreDamagedError",
    "StoreError",
    "Stream",
    "StreamHeader",
    "UnsupportedOperationError",
    "WinLayersError",
    "exceptions",
    "fold_name",
    "tarsplit",
]
