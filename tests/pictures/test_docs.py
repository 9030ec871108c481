"""Does docs/pictures.md show what `visualize` draws?  Run with ``FUNCGRAD_UPDATE_DOCS=1`` to draw the pictures anew."""

from __future__ import annotations

import linecache
import os
import re
from pathlib import Path
from typing import Any

import pytest

import funcgrad as fg
from tests.pictures.browser import Browser, found
from tests.pictures.test_page import node, search

PAGE = Path(__file__).parents[2] / "docs" / "pictures.md"
PICTURES = PAGE.with_suffix("")
LARGEST = 200_000  # bytes of a file


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the code on the page defines; it runs in a folder of its own."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    linecache.cache["train.py"] = (len(code), None, code.splitlines(keepends=True), "train.py")
    namespace: dict[str, Any] = {"__name__": "train"}
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("page"))
    try:
        exec(compile(code, "train.py", "exec"), namespace)
        assert Path("loss.html").stat().st_size < 1_000_000
        namespace["page"] = Path("loss.html").absolute()
    finally:
        os.chdir(before)
    return namespace


@pytest.mark.parametrize("view", ["program", "kernels", "memory"])
def test_the_drawings_on_the_page(drawn: dict[str, Any], view: str) -> None:
    """By our own layout, so that they are the same everywhere."""
    arguments = (drawn["params"], drawn["x"], drawn["y"])
    if view == "program":
        text = fg.visualize(drawn["loss"], gradient=True, layout="builtin")(*arguments).svg(view)
    else:
        text = fg.visualize(fg.grad(drawn["loss"]), layout="builtin")(*arguments).svg(view)
    path = PICTURES / f"{view}.svg"
    if os.environ.get("FUNCGRAD_UPDATE_DOCS"):
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text
    assert path.stat().st_size < LARGEST


def test_the_photograph_of_the_page(drawn: dict[str, Any]) -> None:
    """A browser's letters differ from machine to machine: only that there is one, and that it is small."""
    path = PICTURES / "page.png"
    if os.environ.get("FUNCGRAD_UPDATE_DOCS") and found():
        with Browser(1200, 760) as browser:
            arguments = (drawn["params"], drawn["x"], drawn["y"])
            fg.visualize(drawn["loss"], gradient=True, layout="builtin")(*arguments).save(drawn["page"])
            browser.open(drawn["page"])
            search(browser, "tanh(x")
            at = node(browser, "tanh")
            browser.move(at["x"] + 20, at["y"] + 14)
            browser.picture(path)
    assert path.stat().st_size < LARGEST


def test_every_picture_is_on_the_page() -> None:
    shown = re.findall(r"\]\(pictures/([^)]*)\)", PAGE.read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(path.name for path in PICTURES.iterdir())
