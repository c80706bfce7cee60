#!/usr/bin/env bash
# Build the wheel for Windows and run the Python tests in a Windows Python under Wine.
# It checks the ABI and all logic that does not need NTFS; nothing here is a real Windows. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tools/windows/env.sh
# shellcheck disable=SC2046 # a list of names
tools/apt.sh wine64 $(tools/windows/cross.sh --packages)
trap '"$WINESERVER" -k </dev/null >/dev/null 2>&1 || true' EXIT

rm -rf target/windows-wheel
tools/windows/cross.sh maturin build --quiet --release --locked --target x86_64-pc-windows-gnu --out target/windows-wheel
tools/windows/prefix.sh
.venv/bin/pip install --quiet --no-compile --target "$site" --platform win_amd64 --python-version 3.13 \
  --only-binary :all: --no-deps --upgrade target/windows-wheel/*.whl

HYPOTHESIS_PROFILE=wine timeout 1200 tools/windows/winpy -m pytest -p no:cacheprovider "${@:-tests}"
