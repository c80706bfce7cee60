#!/usr/bin/env bash
# Run the Python tests in a Windows Python under Wine, in two parts:
# 1. the wheel that is shipped, on a Windows without Containers: the codec, and the store on plain files;
# 2. the same code with what only tests call, on a Windows whose Host Compute Service, BackupRead and BackupWrite are the
#    doubles of tests/windows/doubles.
# It checks the ABI and all logic that does not need NTFS; nothing here is a real Windows. Arguments go to pytest, of the
# first part where they do not name tests/windows.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tools/windows/env.sh

tools/windows/wheel.sh target/windows-wheel
tools/windows/wheel.sh target/windows-test-wheel --features python,testing,backup-double
tests/windows/doubles/build.sh target/windows-doubles

# One at a time: all checkouts share the prefix, and its server is ended below.
mkdir -p "$WINEPREFIX"
exec 9>"$WINEPREFIX.lock"
flock 9
doubles=(vmcompute.dll computestorage.dll)
system=$drive/windows/system32
clean() {
  "$WINESERVER" -k </dev/null >/dev/null 2>&1 || true
  remove_doubles
}
# That of virtdisk.dll, which Wine has, lies where Python looks first.
remove_doubles() { rm -f "${doubles[@]/#/$system/}" "$drive/python/virtdisk.dll"; }
trap clean EXIT
remove_doubles

run() {
  tools/windows/install.sh "$1" 9>&-
  HYPOTHESIS_PROFILE=wine timeout 1200 tools/windows/winpy -m pytest -p no:cacheprovider "${@:2}" 9>&-
}
if [[ "${*:-tests}" != tests/windows* ]]; then
  WINLAYERS_BACKEND=portable run target/windows-wheel "${@:-tests}"
fi
if [[ $# -eq 0 || "$*" == tests/windows* ]]; then
  cp "${doubles[@]/#/target/windows-doubles/}" "$system"
  cp target/windows-doubles/virtdisk.dll "$drive/python"
  WINLAYERS_TEST_DOUBLES="Z:$root/target/windows-doubles" run target/windows-test-wheel "${@:-tests/windows}"
fi
