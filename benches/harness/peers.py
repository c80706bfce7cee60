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
# command -> Debian package
TOOLS = {"igzip": "isal", "zstd": "zstd", "openssl": "openssl", "tar": "tar", "cc": "gcc", "go": "golang-go"}


def build() -> None:
    """Everything that is measured besides winlayers."""
    WORK.mkdir(exist_ok=True)
    install_missing()
    build_fold()
    version = re.search(rf"{GO_WINIO} (v\S+)", (BENCHES / "peers/go/go.mod").read_text())
    assert version, "go.mod names go-winio"
    copy_go_winio(version[1])
    subprocess.run(["go", "build", "-o", GO_PEER, "."], cwd=BENCHES / "peers/go", check=True)


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
