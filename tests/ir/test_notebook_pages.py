"""Does a listing in a notebook work in a browser?  It folds, shows lines, and scrolls where the window is narrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from tests.pictures.browser import Browser, found

pytestmark = pytest.mark.skipif(found() is None, reason="no Chromium is installed")
HEAD = "<!DOCTYPE html><meta charset=utf-8><meta name=viewport content=width=device-width><link rel=icon href=data:,>"
SIZES = {"desk": (1000, 700, False), "telephone": (390, 780, True)}


def step(carry: Any, x: Any) -> Any:
    new = np.tanh(carry) * x
    return new, fg.lax.cond(np.sum(x) > 0, np.sin, np.cos, carry)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two listings on one page, as in a notebook; one has programs in a program."""
    program = fg.make_jaxpr(lambda xs: fg.lax.scan(step, np.ones(3), xs))(np.ones((5, 3)))
    path = tmp_path_factory.mktemp("notebook") / "page.html"
    cells = [program._repr_html_(), fg.jit(np.sin).lower(1.0)._repr_html_()]
    path.write_text(HEAD + "".join(f"<div class=cell>{cell}</div>" for cell in cells), encoding="utf-8")
    return path


@pytest.mark.parametrize("size", ["desk", pytest.param("telephone", marks=pytest.mark.slow)])
def test_a_listing_in_a_notebook(page: Path, size: str) -> None:
    with Browser(*SIZES[size]) as browser:
        browser.open(page)
        height = "document.querySelector('.funcgrad-listing').getBoundingClientRect().height"
        folded = browser.run(height)
        assert browser.all("details", "e.open") == [False, False, False]
        assert "tanh carry" not in browser.run("document.body.innerText")
        at = browser.box("summary")
        browser.click(at["x"] + 10, at["y"] + at["height"] / 2)
        assert browser.all("details", "e.open")[0] is True
        assert browser.run(height) > folded + 60
        text = browser.run("document.body.innerText")
        assert "tanh carry\n" in text
        assert "\n\n\n" not in text
        titles = browser.all(".row[title]", "[e.innerText, e.title]")
        (line,) = [title for equation, title in titles if " tanh " in equation]
        assert f"{Path(__file__).name}:{step.__code__.co_firstlineno + 1} (in step)" in line
        assert browser.run("document.documentElement.scrollWidth") <= SIZES[size][0]
        assert browser.run("getComputedStyle(document.querySelector('.funcgrad-listing')).overflowX") == "auto"
        light = browser.run("getComputedStyle(document.querySelector('.name')).color")
        browser.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        assert browser.run("getComputedStyle(document.querySelector('.name')).color") != light
        assert browser.problems == []
