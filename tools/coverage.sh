#!/usr/bin/env bash
# What the tests reach: the Rust core by its own tests, the Python package by pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

# cargo-llvm-cov needs LLVM's tools of the version the compiler was made with: rustup's, else Debian's.
version=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
tools=$(rustc --print target-libdir)/../bin
if [ ! -x "$tools/llvm-cov" ]; then
  tools/apt.sh "llvm-$version"
  tools=/usr/lib/llvm-$version/bin
fi
echo '--- Rust'
LLVM_COV=$tools/llvm-cov LLVM_PROFDATA=$tools/llvm-profdata timeout 1200 cargo llvm-cov --locked --quiet --summary-only
echo '--- Python'
timeout 1200 pytest -q --cov=winlayers --cov-report=term-missing:skip-covered
