#!/usr/bin/env bash
# Build the test doubles: build.sh OUTDIR makes vmcompute.dll, computestorage.dll, virtdisk.dll and
# winlayers_backup.dll there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT

compiler=(x86_64-w64-mingw32-gcc -std=c11 -O2 -Wall -Wextra -Werror -DWIN32_LEAN_AND_MEAN)
for source in "$here"/*.c; do
  "${compiler[@]}" -c -o "$objects/$(basename "$source" .c).o" "$source"
done

dlls=(vmcompute computestorage virtdisk winlayers_backup)
mkdir "$objects/dlls"
for dll in "${dlls[@]}"; do
  mv "$objects/$dll.o" "$objects/dlls"
done
link() {
  "${compiler[@]}" -s -shared -static-libgcc -o "$out/$1.dll" "$objects/dlls/$1.o" "${@:2}" "$objects"/*.o -lntdll -lole32
}
link vmcompute
link computestorage
link virtdisk "$here/virtdisk.def"
link winlayers_backup "$here/winlayers_backup.def"
