#!/usr/bin/env bash
# Build the wheels and the source distribution into dist/, and check them: `wheels.sh [linux] [windows]`, default both.
# The Linux wheel is linked by Zig against the symbols of an old C library, whatever the one of this machine
# (docs/decisions/010-wheels.md); it is made from the source distribution, which shows that nothing is missing there.
# The Windows one is cross-built and tried under Wine. What cannot be made on this system is an error only when named.
set -euo pipefail
cd "$(dirname "$0")/.."
manylinux=2_17
python=.venv/bin/python
target=$(rustc -vV | sed -n 's/^host: //p')
build=(maturin build --quiet --release --locked --strip --out dist)

linux() {
  "${build[@]}" --sdist --zig --compatibility "manylinux_$manylinux" --target "$target" --target-dir target/wheels
}

# macOS: the wheel of this system as it is.
native() {
  "${build[@]}" --sdist --target-dir target/wheels
}

windows() {
  tools/windows/cross.sh "${build[@]}" --target x86_64-pc-windows-gnu
}

# In the Wine prefix of the tests, one at a time: all checkouts share it, and its server is ended below.
try_windows() (
  source tools/windows/env.sh
  rm -rf target/wheels-site
  .venv/bin/pip install --quiet --no-compile --target target/wheels-site --platform win_amd64 --python-version 3.13 \
    --only-binary :all: --constraint requirements-dev.txt dist/*win_amd64.whl
  mkdir -p "$WINEPREFIX"
  exec 9>"$WINEPREFIX.lock"
  flock 9
  trap '"$WINESERVER" -k </dev/null >/dev/null 2>&1 || true' EXIT
  tools/windows/prefix.sh 9>&-
  timeout 300 tools/windows/winpy tools/try_wheel.py "Z:$root/target/wheels-site" 9>&-
)

# Its `wineserver` and its cross-compiler are Debian packages.
# shellcheck disable=SC2046 # a list of names
can_windows() { tools/apt.sh wine64 $(tools/windows/cross.sh --packages); }

wanted=("$@")
if [ $# = 0 ]; then
  case $(uname -s) in
    Linux) wanted=(linux) ;;
    *) wanted=(native) ;;
  esac
  if can_windows; then wanted+=(windows); else echo "skipped: the wheel for Windows"; fi
fi

"$python" -m pip install --quiet --disable-pip-version-check --requirement requirements-wheels.txt
rm -rf dist
for system in "${wanted[@]}"; do
  case $system in
    windows) can_windows && windows ;;
    *) "$system" ;;
  esac
done
"$python" tools/check_wheels.py dist
for system in "${wanted[@]}"; do
  [ "$system" != windows ] || try_windows
done
ls -l dist
