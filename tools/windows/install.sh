#!/usr/bin/env bash
# Give the prefix's Windows Python a wheel and what its tests need: install.sh FOLDER_OF_WHEEL. Makes the prefix first.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tools/windows/env.sh
# shellcheck disable=SC2046 # a list of names
tools/apt.sh wine64 $(tools/windows/cross.sh --packages)
tools/windows/prefix.sh

for_windows() {
  .venv/bin/pip install --quiet --no-compile --target "$site" --platform win_amd64 --python-version 3.13 \
    --only-binary :all: "$@"
}
wanted=$(cat requirements-dev.txt tools/windows/install.sh | sha256sum)
if [ "$(cat "$site/.made-for" 2>/dev/null)" != "$wanted" ]; then
  rm -rf "$site"
  # colorama by name: pip judges the markers of dependencies by this system, not by Windows.
  for_windows --constraint requirements-dev.txt pytest hypothesis rich distlib colorama==0.4.6
  echo "$wanted" >"$site/.made-for"
fi
for_windows --no-deps --upgrade "$1"/*.whl
