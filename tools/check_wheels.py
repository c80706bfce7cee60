#!/usr/bin/env python3
"""Check the wheels and the source distribution of a folder, and try what can run here in a fresh environment.

Of every wheel: that it is one for abi3 of Python 3.11 with the types beside the module; that the module asks for
nothing but the stable ABI (abi3audit) and for no library that a bare system lacks; that its tag is what auditwheel
finds (Linux); that it has no feature that only tests may have; that PyPI can show its description (twine).
"""

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What names a feature of test builds: `backup-double` reads this variable, and a program that does can be made to load
# any library. On Windows the name may be there in UTF-16.
FORBIDDEN = ("WINLAYERS_BACKUP_DLL",)
# What every Windows has. No library of a compiler: those would have to be in the wheel.
WINDOWS_LIBRARIES = {
    "advapi32.dll",
    "bcrypt.dll",
    "bcryptprimitives.dll",
    "combase.dll",
    "kernel32.dll",
    "msvcrt.dll",
    "ntdll.dll",
    "ole32.dll",
    "oleaut32.dll",
    "python3.dll",
    "shell32.dll",
    "user32.dll",
    "userenv.dll",
    "virtdisk.dll",
    "ws2_32.dll",
}
LEGACY_TAGS = {"manylinux2014": "manylinux_2_17"}


def native_modules(wheel: Path) -> dict[str, bytes]:
    """Give the bytes of each module that is machine code."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name.endswith((".so", ".pyd", ".dylib"))}


def faults_of_content(wheel: Path) -> list[str]:
    """Say what a wheel must not have, or lacks."""
    faults = []
    modules = native_modules(wheel)
    if len(modules) != 1:
        faults.append(f"one native module is wanted, and there are {sorted(modules)}")
    for name, code in modules.items():
        faults += [
            f"{name} has {word} in it: it was built with a feature for tests"
            for word in FORBIDDEN
            if word.encode() in code or word.encode("utf-16-le") in code
        ]
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    faults += [f"{name} is missing" for name in ("winlayers/py.typed", "winlayers/_native.pyi") if name not in names]
    faults += [f"{name} is no part of the package" for name in names if name.startswith(("tests/", "rust/"))]
    return faults


def faults_of_tag(wheel: Path) -> list[str]:
    """Compare what the name says with what is inside."""
    python, abi, platforms = wheel.stem.split("-")[-3:]
    faults = [] if (python, abi) == ("cp311", "abi3") else [f"it is for {python}-{abi}, not for cp311-abi3"]
    if "linux" in platforms:
        command = [sys.executable, "-m", "auditwheel", "show", "--json", str(wheel)]
        answer = subprocess.run(command, capture_output=True, check=True, text=True, env=_environment()).stdout
        found = json.loads(answer[answer.index("{") :])["overall_tag"]
        told = {_modern(tag) for tag in platforms.split(".")}
        if told != {found} or not found.startswith("manylinux_"):
            faults.append(f"its tag is {platforms}, and auditwheel finds {found}")
        else:
            print(f"  {found}, as auditwheel finds")
    return faults


def _modern(tag: str) -> str:
    name, _, machine = tag.partition("_")
    return f"{LEGACY_TAGS[name]}_{machine}" if name in LEGACY_TAGS else tag


def faults_of_libraries(wheel: Path) -> list[str]:
    """Name the libraries that a Windows may lack; auditwheel does it for Linux."""
    if "-win" not in wheel.stem:
        return []
    import pefile

    faults = []
    for name, code in native_modules(wheel).items():
        image = pefile.PE(data=code)
        wanted = {entry.dll.decode().lower() for entry in getattr(image, "DIRECTORY_ENTRY_IMPORT", [])}
        strange = {dll for dll in wanted if not dll.startswith("api-ms-win-")} - WINDOWS_LIBRARIES
        # With Microsoft's compiler: python.org's Python has it.
        strange -= {"vcruntime140.dll", "vcruntime140_1.dll"}
        if strange:
            faults.append(f"{name} needs {', '.join(sorted(strange))}")
        else:
            print(f"  needs {', '.join(sorted(wanted))}")
    return faults


def faults_of_abi(wheel: Path) -> list[str]:
    """Ask abi3audit whether the module stays in the stable ABI of the version that it names."""
    command = [sys.executable, "-m", "abi3audit", "--strict", "--summary", "--report", str(wheel)]
    done = subprocess.run(command, capture_output=True, check=False, text=True, env=_environment())
    return [] if done.returncode == 0 else [f"abi3audit: {done.stdout}{done.stderr}"]


def try_it(wheel: Path) -> list[str]:
    """Install it with what it needs into a fresh environment, and let it work there."""
    with tempfile.TemporaryDirectory(prefix="winlayers-try-") as name:
        folder = Path(name)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        binaries = folder / ("Scripts" if sys.platform == "win32" else "bin")
        pins = ROOT / "requirements-dev.txt"
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--constraint", str(pins)]
        subprocess.run([str(binaries / "python"), *install, str(wheel)], check=True, env=_environment())
        commands = [
            [str(binaries / "winlayers"), "--version"],
            [str(binaries / "python"), str(ROOT / "tools" / "try_wheel.py")],
        ]
        for command in commands:
            # From a folder that has no winlayers in it.
            done = subprocess.run(command, capture_output=True, check=False, text=True, cwd=folder, env=_environment())
            print("".join(f"  {line}\n" for line in done.stdout.splitlines()), end="")
            if done.returncode != 0:
                return [f"{Path(command[0]).name}: {done.stdout}{done.stderr}"]
    return []


def runs_here(wheel: Path) -> bool:
    """Say whether the interpreter that runs this may install the wheel."""
    from packaging.tags import sys_tags
    from packaging.utils import parse_wheel_filename

    return not parse_wheel_filename(wheel.name)[3].isdisjoint(sys_tags())


def _environment() -> dict[str, str]:
    """Give this process's variables without those that lead to the packages of a checkout or switch byte code off."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")
    }


def check(folder: Path) -> int:
    """Check everything; print what was found, and give the exit status."""
    wheels, sources = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    if not wheels:
        print(f"no wheel in {folder}")
        return 1
    bad = False
    for wheel in wheels:
        print(f"{wheel.name}: {wheel.stat().st_size:,} bytes", flush=True)
        faults = faults_of_content(wheel)
        faults = faults or faults_of_tag(wheel) + faults_of_libraries(wheel) + faults_of_abi(wheel)
        if runs_here(wheel) and not faults:
            faults = try_it(wheel)
        for fault in faults:
            print(f"  FAULT: {fault}")
        bad = bad or bool(faults)
    command = [sys.executable, "-m", "twine", "--no-color", "check", "--strict", *map(str, wheels + sources)]
    done = subprocess.run(command, capture_output=True, check=False, text=True, env=_environment())
    if done.returncode != 0:
        print(f"FAULT: twine: {done.stdout}{done.stderr}")
    return int(bad or done.returncode != 0)


if __name__ == "__main__":
    sys.exit(check(Path(sys.argv[1])))
