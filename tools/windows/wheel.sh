#!/usr/bin/env bash
# Cross-build the Windows wheel into an empty folder: wheel.sh FOLDER [option of maturin...].
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck disable=SC2046 # a list of names
tools/apt.sh $(tools/windows/cross.sh --packages)
rm -rf "$1"
tools/windows/cross.sh maturin build --quiet --release --locked --target x86_64-pc-windows-gnu --out "$1" "${@:2}"
