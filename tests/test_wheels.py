"""The check of the wheels that `make wheels` and CI make finds what must not be in one."""

import importlib.util
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
NAMES = {"winlayers/py.typed": b"", "winlayers/_native.pyi": b"", "winlayers/_native.abi3.so": b"code"}


@pytest.fixture
def check_wheels() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_wheels", ROOT / "tools" / "check_wheels.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wheel(folder: Path, tag: str = "cp311-abi3-win_amd64", **changed: bytes | None) -> Path:
    """Make a wheel; `native=b"..."` and the like replace a file, None leaves it out."""
    path = folder / f"winlayers-1.0-{tag}.whl"
    short = {"typed": "winlayers/py.typed", "native": "winlayers/_native.abi3.so", "test": "tests/test_x.py"}
    files: dict[str, bytes | None] = {**NAMES, **{short[key]: value for key, value in changed.items()}}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            if data is not None:
                archive.writestr(name, data)
    return path


def test_a_wheel_without_fault(check_wheels: ModuleType, tmp_path: Path) -> None:
    assert check_wheels.faults_of_content(wheel(tmp_path)) == []
    assert check_wheels.faults_of_tag(wheel(tmp_path)) == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_a_feature_for_tests_is_found(check_wheels: ModuleType, tmp_path: Path, encoding: str) -> None:
    code = b"\0code\0" + "WINLAYERS_BACKUP_DLL".encode(encoding) + b"\0code"
    (fault,) = check_wheels.faults_of_content(wheel(tmp_path, native=code))
    assert "WINLAYERS_BACKUP_DLL" in fault
    assert check_wheels.check(tmp_path) == 1


def test_other_faults_are_found(check_wheels: ModuleType, tmp_path: Path) -> None:
    assert "py.typed is missing" in check_wheels.faults_of_content(wheel(tmp_path, typed=None))[0]
    assert "no part" in check_wheels.faults_of_content(wheel(tmp_path, test=b""))[0]
    assert "native module" in check_wheels.faults_of_content(wheel(tmp_path, native=None))[0]
    assert "cp312" in check_wheels.faults_of_tag(wheel(tmp_path, "cp312-cp312-win_amd64"))[0]
    for path in tmp_path.iterdir():
        path.unlink()
    assert check_wheels.check(tmp_path) == 1


def test_the_installed_module_has_no_feature_for_tests(check_wheels: ModuleType) -> None:
    """What the tests themselves run with may have it under Wine; a module built by the README's commands has not."""
    from winlayers import _native

    code = Path(_native.__file__).read_bytes()
    if sys.platform == "win32":
        pytest.skip("the Windows build that is tested under Wine has test doubles")
    assert not [word for word in check_wheels.FORBIDDEN if word.encode() in code]
