#!/usr/bin/env bash
# Install the named Debian packages that are missing. Where that cannot be done: a line that names them, and status 1.
set -euo pipefail

missing=()
for package in "$@"; do
  dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() { DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -q "$@" </dev/null >"$log" 2>&1; }
install() { apt install -y --no-install-recommends "${missing[@]}"; }

if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  echo "installing ${missing[*]}"
  # The package lists may be absent or old: then they are fetched, and it is tried once more.
  if install || { apt update && install; }; then exit 0; fi
  tail -n 5 "$log" >&2
fi
echo "missing Debian packages: ${missing[*]}" >&2
exit 1
