"""The pages that are made from the code are as the code is now."""

import subprocess
import sys
from pathlib import Path

import pytest

from winlayers import exceptions

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("tool", ["codes.py", "deviations.py", "rooms.py"])
def test_a_page_is_up_to_date(tool: str) -> None:
    subprocess.run([sys.executable, ROOT / "tools" / tool, "--check"], check=True)


@pytest.mark.parametrize(
    ("page", "source", "least"),
    [
        ("errors.md", "error/codes.rs", 50),
        ("formats/problems.md", "problem.rs", 20),
        ("formats/losses.md", "policy.rs", 20),
    ],
)
def test_every_code_is_on_the_page(page: str, source: str, least: int) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    lines = (ROOT / "rust" / "src" / source).read_text(encoding="utf-8").splitlines()
    # Every quoted word that stands where a code stands, with a text behind it, however the sets are laid out.
    codes = {line.split('"')[1] for line in lines if ' = "' in line and line.rstrip().endswith(";") and '", "' in line}
    if page == "errors.md":
        codes |= {value._default_code for value in vars(exceptions).values() if hasattr(value, "_default_code")}
    assert len(codes) >= least
    assert not {code for code in codes if f"`{code}`" not in text}
