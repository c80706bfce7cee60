#!/usr/bin/env bash
# Make .venv with the pinned tools of requirements-dev.txt; PYTHON names the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "error: Python 3.11 or newer is needed; name one with make PYTHON=..." >&2
  exit 1
}
# An interpreter that was upgraded or removed leaves a .venv that cannot start.
if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
  "$python" -c 'import ensurepip' 2>/dev/null || tools/apt.sh python3-venv
  "$python" -m venv --clear .venv
fi
.venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
touch .venv/.ready
