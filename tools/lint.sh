#!/usr/bin/env bash
# Every check that runs no test; all of them run, and the status is 1 when one of them found something.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=()
check() {
  echo "--- $*"
  "$@" </dev/null || failed+=("$*")
}

check cargo fmt --check
check cargo fmt --check --manifest-path fuzz/Cargo.toml
check cargo clippy --quiet --locked --all-targets -- -D warnings
check cargo clippy --quiet --locked --all-targets --features python -- -D warnings
check env RUSTDOCFLAGS='-D warnings' cargo doc --quiet --locked --no-deps
check cargo deny --log-level error check licenses bans sources
check ruff check
check ruff format --check
check mypy
check stubtest winlayers._native --allowlist tools/stubtest-allow.txt

# Prose has at most 120 columns, as code; tables of the pages are wider.
narrow_prose() {
  ! LC_ALL=C.UTF-8 git grep -nE '^.{121}' -- '*.md' '*.rs' | grep -E '\.md:[0-9]+:[^|]|\.rs:[0-9]+: *//'
}
check narrow_prose

# The workflows of GitHub, by a Go program.
if command -v go >/dev/null && (cd tools/actionlint && go mod download) 2>/dev/null; then
  check go -C tools/actionlint tool actionlint "$PWD"/.github/workflows/*.yml
else
  echo "skipped: actionlint, which needs Go and its modules"
fi

# The core and the Python face for Windows.
# shellcheck disable=SC2046 # a list of names
if tools/apt.sh $(tools/windows/cross.sh --packages); then
  check tools/windows/cross.sh cargo check --quiet --locked --features python --release
else
  echo "skipped: the check for Windows"
fi

if [ ${#failed[@]} -gt 0 ]; then
  printf '\nfound problems:\n'
  printf '  %s\n' "${failed[@]}"
  exit 1
fi
