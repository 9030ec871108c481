"""Do the pages on errors and debugging say what happens today?"""

from __future__ import annotations

import builtins
import contextlib
import io
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import funcgrad as fg
from funcgrad import errors

DOCS = Path(__file__).parents[2] / "docs"
ERRORS, DEBUGGING = DOCS / "errors.md", DOCS / "debugging.md"
NOT_IN_PYTHON = {
    "CacheWarning": "a shell",
    "CompilationWarning": "a compiler that fails",
    "MemoryCheckError": "a mistake in funcgrad",
    "MemoryError": "all memory",
    "RecursionError": "hundreds of levels",
    "SettingError": "a shell",
}
OWN = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.Documented)]


def sections() -> dict[str, list[str]]:
    """The Python blocks of the page on errors, by heading."""
    parts = re.split(r"^## (.*)$", ERRORS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = zip(parts[1::2], parts[2::2], strict=True)
    return {name: re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL) for name, text in found}


@pytest.mark.parametrize("kind", [c for c in OWN if c is not errors.Documented], ids=lambda c: c.__name__)
def test_every_class_has_a_section_and_points_to_it(kind: Any) -> None:
    assert kind.__name__ in sections()
    assert kind.section == kind.__name__.lower()
    assert kind("message").__notes__ == [f"See docs/errors.md#{kind.section}"]
    assert str(kind("message")) == "message"


@pytest.mark.parametrize("name", sections())
def test_the_examples_raise_what_they_say(name: str) -> None:
    blocks = sections()[name]
    space: dict[str, Any] = {"__name__": "page"}
    exec("import numpy as np\nimport funcgrad as fg", space)
    raised = []
    for block in blocks:
        code = compile(block, "page", "exec")
        if found := re.match("# (?:raises|warns) (.*)", block):  # in tests, warnings are errors
            expected = found[1]
            kind = next(getattr(m, expected) for m in (errors, fg.export, builtins) if hasattr(m, expected))
            with pytest.raises(kind) as caught:
                exec(code, space)
            if caught.type.__name__ not in ("AttributeError", "ProgramError"):
                assert "page:" in str(caught.value), caught.value
            raised.append(expected)
        else:
            exec(code, space)
    assert raised[:1] == [name] or name in NOT_IN_PYTHON


def blocks() -> Iterator[tuple[str, str, str]]:
    """The Python blocks of the page on debugging with what they print, and how that is meant."""
    text = DEBUGGING.read_text(encoding="utf-8")
    pattern = r"^```python\n(.*?)^```\n(?:\n<!-- output(: contains)? -->\n```text\n(.*?)^```\n)?"
    yield from re.findall(pattern, text, re.MULTILINE | re.DOTALL)


def test_the_page_on_debugging() -> None:
    space: dict[str, Any] = {"__name__": "page"}
    handlers = logging.root.handlers[:]
    try:
        for code, contains, output in blocks():
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(code, "page", "exec"), space)
            if contains:
                for line in output.splitlines():
                    assert line in out.getvalue()
            else:
                assert out.getvalue() == output
    finally:
        logging.root.handlers[:] = handlers
    assert fg.config.read("debug_nans") is False
