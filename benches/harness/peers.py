"""Builds the peers, and installs the few tools that are missing."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

from harness import BENCHES, WORK

GO_WINIO = "github.com/Microsoft/go-winio"
GO_PEER = WORK / "peer"
ROOT = BENCHES.parent
WHEEL = ROOT / "target/windows-wheel"
# command -> Debian package
TOOLS = {"igzip": "isal", "zstd": "zstd", "openssl": "openssl", "tar": "tar", "cc": "gcc", "go": "golang-go"}


def build() -> None:
    """Everything that is measured besides winlayers, and what makes the inputs."""
    WORK.mkdir(exist_ok=True)
    install_missing()
    build_fold()
    version = re.search(rf"{GO_WINIO} (v\S+)", (BENCHES / "peers/go/go.mod").read_text())
    assert version, "go.mod names go-winio"
    copy_go_winio(version[1])
    subprocess.run(["go", "build", "-o", GO_PEER, "."], cwd=BENCHES / "peers/go", check=True)


def build_winlayers() -> None:
    """The module as it is shipped: a checkout may have the one that is built for pytest, or an older one."""
    subprocess.run(["make", "--no-print-directory", "-C", ROOT, ".venv/.native-release"], check=True)


def build_for_windows() -> None:
    """The same for Windows: the wheel that is shipped, in the Python under Wine, and go-winio's code as an exe."""
    if subprocess.run([ROOT / "tools/windows/wheel.sh", WHEEL]).returncode:
        raise RuntimeError("no wheel for Windows can be built here")
    subprocess.run([ROOT / "tools/windows/install.sh", WHEEL], check=True)
    environment = os.environ | {"GOOS": "windows", "GOARCH": "amd64"}
    subprocess.run(["go", "build", "-o", WORK / "peer.exe", "."], cwd=BENCHES / "peers/go", check=True, env=environment)
    source, built = BENCHES / "fold/fold.c", WORK / "fold.pyd"
    if not built.exists() or built.stat().st_mtime < source.stat().st_mtime:
        # The headers are those of this system's Python, which has a file that Windows has not, and needs nothing of it.
        (WORK / "include/sys").mkdir(parents=True, exist_ok=True)
        (WORK / "include/sys/select.h").touch()
        options = ["-O3", "-mavx2", "-s", "-shared", f"-I{WORK / 'include'}", f"-I{sysconfig.get_path('include')}"]
        python = subprocess.run(
            ["bash", "-c", 'source "$0" && echo "$drive"', ROOT / "tools/windows/env.sh"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        compiler = "x86_64-w64-mingw32-gcc"
        subprocess.run([compiler, *options, source, "-o", built, f"{python}/python/python3.dll"], check=True)


def stop_windows() -> None:
    subprocess.run(["bash", "-c", 'source "$0" && "$WINESERVER" -k', ROOT / "tools/windows/env.sh"])


def install_missing() -> None:
    missing = [package for command, package in TOOLS.items() if not shutil.which(command)]
    if not missing:
        return
    if shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", *missing], check=True)
    else:
        raise SystemExit(f"benchmarks need these Debian packages: {' '.join(missing)}")


def build_fold() -> None:
    """The checksum, as a Python module."""
    source, built = BENCHES / "fold/fold.c", WORK / "fold.abi3.so"
    if not built.exists() or built.stat().st_mtime < source.stat().st_mtime:
        include = sysconfig.get_path("include")
        subprocess.run(["cc", "-O3", "-mavx2", "-shared", "-fPIC", f"-I{include}", source, "-o", built], check=True)


def copy_go_winio(version: str) -> None:
    """A copy of go-winio that builds on any system: its code for streams and tars, without its calls into Windows."""
    target = WORK / "go-winio"
    marker = target / "VERSION"
    if marker.exists() and marker.read_text() == version:
        return
    answer = subprocess.run(
        ["go", "mod", "download", "-json", f"{GO_WINIO}@{version}"],
        cwd=WORK,
        check=True,
        capture_output=True,
        text=True,
    )
    source = Path(json.loads(answer.stdout)["Dir"])
    shutil.rmtree(target, ignore_errors=True)
    (target / "backuptar").mkdir(parents=True)
    for name in ("ea.go", "reparse.go", "backup.go", "backuptar/tar.go", "backuptar/strconv.go"):
        (target / name).write_text(without_windows((source / name).read_text()))
    (target / "go.mod").write_text(f"module {GO_WINIO}\n\ngo 1.26\n")
    (target / "portable.go").write_text(PORTABLE_GO)
    marker.write_text(version)


def without_windows(code: str) -> str:
    code = code.replace("//go:build windows\n", "")
    code = code.replace('"golang.org/x/sys/windows"', '"winlayersbench/windows"')
    code, _, calls = code.partition("// BackupFileReader provides")  # from here on it calls into Windows
    if calls:
        code = re.sub(r"const \(\n\tWRITE_DAC.*?\n\)\n", "", code, flags=re.DOTALL)
        code = re.sub(r'\t("errors"|"os"|"runtime"|"github.com/Microsoft/go-winio/internal/fs")\n', "", code)
    return code


PORTABLE_GO = """// Package winio: what the copied files need from those left out.
package winio

import (
	"errors"

	"winlayersbench/windows"
)

type FileBasicInfo struct {
	CreationTime, LastAccessTime, LastWriteTime, ChangeTime windows.Filetime
	FileAttributes                                          uint32
	_                                                       uint32
}

func SddlToSecurityDescriptor(string) ([]byte, error) {
	return nil, errors.New("only on Windows")
}
"""
