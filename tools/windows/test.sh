#!/usr/bin/env bash
# Build the wheel for Windows and run the Python tests in a Windows Python under Wine.
# It checks the ABI and all logic that does not need NTFS; nothing here is a real Windows. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tools/windows/env.sh
# shellcheck disable=SC2046 # a list of names
tools/apt.sh wine64 $(tools/windows/cross.sh --packages)

rm -rf target/windows-wheel
tools/windows/cross.sh maturin build --quiet --release --locked --target x86_64-pc-windows-gnu --out target/windows-wheel

for_windows() {
  .venv/bin/pip install --quiet --no-compile --target "$site" --platform win_amd64 --python-version 3.13 \
    --only-binary :all: "$@"
}
wanted=$(cat requirements-dev.txt tools/windows/test.sh | sha256sum)
if [ "$(cat "$site/.made-for" 2>/dev/null)" != "$wanted" ]; then
  rm -rf "$site"
  # colorama by name: pip judges the markers of dependencies by this system, not by Windows.
  for_windows --constraint requirements-dev.txt pytest hypothesis rich distlib colorama==0.4.6
  echo "$wanted" >"$site/.made-for"
fi
for_windows --no-deps --upgrade target/windows-wheel/*.whl

# One at a time: all checkouts share the prefix, and its server is ended below.
mkdir -p "$WINEPREFIX"
exec 9>"$WINEPREFIX.lock"
flock 9
trap '"$WINESERVER" -k </dev/null >/dev/null 2>&1 || true' EXIT
tools/windows/prefix.sh 9>&-
HYPOTHESIS_PROFILE=wine timeout 1200 tools/windows/winpy -m pytest -p no:cacheprovider "${@:-tests}" 9>&-
