"""How do the listing, the picture, the profile and this site look?  ``python -m docs.screenshots`` photographs them.

It takes a Chromium and Pillow, and for the site Sphinx; ``FUNCGRAD_SITE`` names a site that is built already. `FOLDER`
is where they are.
"""

from __future__ import annotations

import linecache
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import PIL.Image

import funcgrad as fg
from tests.pictures.browser import Browser
from tests.pictures.test_page import node, search

HERE = Path(__file__).parent
FOLDER = HERE / "screenshots"
COLOURS = 96
NOTEBOOK = """<!DOCTYPE html><meta charset=utf-8><link rel=icon href=data:,>
<body style="margin:16px;background:#fff;color:#222">"""


def shown_on(page: str, file: str) -> dict[str, Any]:
    """What the first block of code on a page defines; its lines are those of `file`."""
    code = re.findall(r"```python\n(.*?)```", (HERE / page).read_text(encoding="utf-8"), re.DOTALL)[0]
    code = "\n".join(line for line in code.splitlines() if not line.startswith(("picture", "print")))
    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
    namespace: dict[str, Any] = {"__name__": file.partition(".")[0]}
    exec(compile(code, file, "exec"), namespace)
    return namespace


@contextmanager
def browser(name: str, width: int, height: int, mobile: bool = False) -> Iterator[Browser]:
    """A window of this size, and at the end what is seen in it as a small file."""
    path = FOLDER / f"{name}.png"
    with Browser(width, height, mobile) as opened:
        yield opened
        opened.picture(path)
    image = PIL.Image.open(path).convert("RGB")
    image.quantize(COLOURS, dither=PIL.Image.Dither.NONE).save(path, optimize=True)


def listing(folder: Path) -> None:
    """A program in a notebook, its inner program unfolded, and the line of an equation."""
    page = shown_on("pictures.md", "train.py")

    def step(params: Any, batch: Any) -> Any:
        x, y = batch
        value, grads = fg.value_and_grad(page["loss"])(params, x, y)
        params = fg.tree.map(lambda p, g: p - 0.1 * g, params, grads)
        return params, value

    program = fg.make_jaxpr(lambda params, batches: fg.lax.scan(step, params, batches))(
        page["params"], (page["x"].reshape(4, 32, 784), page["y"].reshape(4, 32, 10))
    )
    path = folder / "listing.html"
    path.write_text(NOTEBOOK + program._repr_html_(), encoding="utf-8")
    with browser("listing", 1000, 420) as opened:
        opened.open(path)
        opened.run("document.querySelector('summary').click()")
        at = opened.all("details .row", "e.getBoundingClientRect().toJSON()")[3]
        opened.move(at["x"] + 90, at["y"] + 6)


def picture(folder: Path) -> None:
    """The page of the loss and its gradient, after a search, pointing at an operation."""
    page = shown_on("pictures.md", "train.py")
    path = folder / "loss.html"
    fg.visualize(page["loss"], gradient=True, layout="builtin")(page["params"], page["x"], page["y"]).save(path)
    with browser("picture", 1200, 840) as opened:
        opened.open(path)
        search(opened, "tanh(x")
        at = node(opened, "tanh")
        opened.move(at["x"] + 20, at["y"] + 14)


def profile(folder: Path) -> None:
    """The page of a profile."""
    page = shown_on("profiling.md", "train.py")
    path = folder / "profile.html"
    fg.profile(page["step"])(page["params"], page["x"], page["y"]).to_html(path)
    with browser("profile", 1200, 980) as opened:
        opened.open(path)


def site(folder: Path) -> None:
    """A page of this site on a desk and on a telephone."""
    built = Path(os.environ.get("FUNCGRAD_SITE") or folder / "site")
    if not built.exists():
        command = [sys.executable, *"-m sphinx -q -n -d".split(), str(folder / "trees"), str(HERE), str(built)]
        subprocess.run(command, check=True)
    with browser("site", 1200, 760) as opened:
        opened.open(built / "getting_started.html")
    with browser("site_telephone", 390, 780, mobile=True) as opened:
        opened.open(built / "getting_started.html")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        for take in (listing, picture, profile, site):
            if len(sys.argv) == 1 or take.__name__ in sys.argv[1:]:
                take(Path(name))
