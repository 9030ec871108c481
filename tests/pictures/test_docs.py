"""Does docs/pictures.md show what `visualize` draws?  Run with ``FUNCGRAD_UPDATE_DOCS=1`` to draw the pictures anew."""

from __future__ import annotations

import linecache
import os
import re
from pathlib import Path
from typing import Any

import pytest

import funcgrad as fg

PAGE = Path(__file__).parents[2] / "docs" / "pictures.md"
PICTURES, SCREENSHOTS = PAGE.with_suffix(""), PAGE.with_name("screenshots")
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


def test_every_picture_is_on_a_page() -> None:
    pages = (*PAGE.parent.glob("*.md"), PAGE.parents[1] / "CONTRIBUTING.md")
    pattern = r"\]\((?:docs/)?((?:pictures|screenshots)/[^)]*)\)"
    shown = {link for page in pages for link in re.findall(pattern, page.read_text(encoding="utf-8"))}
    there = [*PICTURES.iterdir(), *SCREENSHOTS.iterdir()]
    assert shown == {f"{path.parent.name}/{path.name}" for path in there}


def test_screenshots_are_small() -> None:
    """``python -m docs.screenshots`` takes them; a browser's letters differ from machine to machine."""
    sizes = {path.name: path.stat().st_size for path in SCREENSHOTS.iterdir()}
    assert max(sizes.values()) <= 100_000, sizes
