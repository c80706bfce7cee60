"""The documentation's examples run: the Python blocks of the README and docs/, and the docstrings written in Rust."""

import doctest
import inspect
import re
from pathlib import Path

import pytest

import winlayers
from winlayers import _native

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.mark.parametrize("page", [pytest.param(page, id=page.relative_to(ROOT).as_posix()) for page in PAGES])
def test_the_python_blocks_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, in one namespace and an empty folder; a block that cannot run begins ```python no-run."""
    text = page.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in BLOCK.finditer(text):
        line = text.count("\n", 0, block.start(1))
        if ">>>" in block[1]:
            _run_doctest(block[1], namespace, page.name, line)
        else:
            exec(compile("\n" * line + block[1], str(page), "exec"), namespace)


def _native_docstrings() -> dict[str, str]:
    """Everything public in the native module and the members of its classes; pytest looks for doctests only in .py."""
    found = {}
    for name, value in vars(_native).items():
        found[name] = value
        if inspect.isclass(value):
            found |= {f"{name}.{key}": member for key, member in vars(value).items()}
    return {name: text for name, value in found.items() if isinstance(text := value.__doc__, str) and ">>>" in text}


@pytest.mark.parametrize("name", sorted(_native_docstrings()))
def test_an_example_written_in_rust_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _run_doctest(_native_docstrings()[name], {"wl": winlayers, "winlayers": winlayers}, name)


def _run_doctest(text: str, namespace: dict[str, object], name: str, line: int = 0) -> None:
    test = doctest.DocTestParser().get_doctest(text, namespace, name, name, line)
    test.globs = namespace  # not a copy: the next block goes on with it
    report: list[str] = []
    result = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=report.append, clear_globs=False)
    assert result.failed == 0, "".join(report)


@pytest.mark.parametrize("name", sorted(winlayers.__all__))
def test_every_public_name_has_an_example(name: str) -> None:
    value = getattr(winlayers, name)
    members = vars(value).values() if inspect.isclass(value) or inspect.ismodule(value) else ()
    texts = [text for item in (value, *members) if isinstance(text := getattr(item, "__doc__", None), str)]
    assert any(">>>" in text for text in texts)
