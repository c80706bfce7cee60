"""The pages that are made from the code are as the code is now."""

import subprocess
import sys
from pathlib import Path

import pytest

from winlayers import exceptions

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("tool", ["deviations.py", "error_codes.py", "rooms.py"])
def test_a_page_is_up_to_date(tool: str) -> None:
    subprocess.run([sys.executable, ROOT / "tools" / tool, "--check"], check=True)


def test_every_code_is_on_the_page() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    codes = {value._default_code for value in vars(exceptions).values() if hasattr(value, "_default_code")}
    source = (ROOT / "rust" / "src" / "error.rs").read_text(encoding="utf-8")
    # Every quoted snake_case word that stands where a code stands, however the sets are laid out.
    codes |= {line.split('"')[1] for line in source.splitlines() if ' = "' in line and line.rstrip().endswith('";')}
    assert len(codes) > 50
    assert not {code for code in codes if f"`{code}`" not in page}
