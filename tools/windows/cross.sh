#!/usr/bin/env bash
# Run a command (cargo, maturin) with an environment in which it builds for Windows; `cross.sh --packages` names the
# Debian packages that takes. Rustup's target serves where it is installed (rustup target add x86_64-pc-windows-gnu).
# Elsewhere Debian's Rust does: it brings the source of the standard library, which is then built for Windows on the
# spot. The target folder is its own: builds for this system would otherwise rebuild it in turns with these.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
target=x86_64-pc-windows-gnu
packages=(gcc-mingw-w64-x86-64)
setting=(CARGO_BUILD_TARGET=$target CARGO_TARGET_DIR="$root/target/windows")

if ! compgen -G "$(rustc --print target-libdir --target $target 2>/dev/null)/libstd-*" >/dev/null; then
  packages+=(rustc-web cargo-web rust-web-src)
  setting+=(
    PATH="$root/.venv/bin:/usr/bin:/bin" CARGO=/usr/bin/cargo RUSTC=/usr/bin/rustc
    RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_BUILD_STD=std,panic_abort CARGO_TARGET_DIR="$root/target/windows-debian"
  )
fi

if [ "$1" = --packages ]; then
  echo "${packages[@]}"
else
  exec env "${setting[@]}" "$@"
fi
