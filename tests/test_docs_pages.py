"""Does the code in docs/ run, and show what the pages say that it shows?

Blocks of ``python`` are run, blocks of ``pycon`` are compared, page by page, from top to bottom, in one namespace.
Run with ``FUNCGRAD_UPDATE_DOCS=1`` to write what is shown anew.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.ir.primitive import registry

DOCS = Path(__file__).parents[1] / "docs"
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
BLOCK = re.compile(r"(?:^<!-- (?P<mark>[^\n]*) -->\n)?^```(?P<language>python|pycon)\n(?P<text>.*?)^```$", re.M | re.S)
THEIRS = "theirs"  # the mark of code of other libraries, which is shown beside ours and not run

# pages whose code is run by tests of their own
ELSEWHERE = {
    "architecture.md": "tests/ops",  # one line, the declaration of sin
    "c.md": "tests/interop/test_pages.py",
    "cli.md": "tests/test_listing_pages.py",
    "debugging.md": "tests/debug/test_pages.py",
    "errors.md": "tests/debug/test_pages.py",
    "export.md": "tests/export/test_page.py",
    "layers.md": "tests/nn/layers/test_docs.py",
    "listings.md": "tests/test_listing_pages.py",
    "mlp_listing.md": "tests/test_docs.py",
    "numba.md": "tests/interop/test_pages.py",
    "pictures.md": "tests/pictures/test_docs.py",
    "profiling.md": "tests/runtime/test_profile_page.py",
    "scipy.md": "tests/interop/test_pages.py",
    "threads.md": "tests/interop/test_pages.py",
    "transformations.md": "tests/transform/test_page.py",
    "tutorial.md": "tests/test_tutorial.py",
}
SLOW = {"for_numba_users.md"}  # Numba compiles for seconds
PAGES = sorted(
    path
    for path in DOCS.rglob("*.md")
    if "_build" not in path.parts and path.name not in ELSEWHERE and BLOCK.search(path.read_text(encoding="utf-8"))
)


def outcome(example: doctest.Example, namespace: dict[str, Any]) -> str:
    """What Python shows for an example."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            exec(compile(example.source, "page", "single"), namespace)
        except Exception as error:
            error.__notes__ = []  # they are for people, and name files
            message = traceback.format_exception_only(error)[-1]
            return f"{out.getvalue()}Traceback (most recent call last):\n    ...\n{message}"
    assert "\n\n" not in out.getvalue(), "doctest takes a blank line for the end: show less"
    return out.getvalue()


def shown(text: str, namespace: dict[str, Any]) -> str:
    """A block of ``pycon`` with what Python shows today."""
    lines = []
    for part in doctest.DocTestParser().parse(text):
        if isinstance(part, str):
            lines.append(part)
            continue
        first, *rest = part.source.splitlines()
        lines.append(
            "".join([f">>> {first}\n", *(f"... {line}".rstrip() + "\n" for line in rest), outcome(part, namespace)])
        )
    return "".join(lines)


def differences(text: str, namespace: dict[str, Any]) -> str:
    """What a block of ``pycon`` says and what Python shows, where they differ."""
    report = []
    for example in doctest.DocTestParser().get_examples(text):
        found = outcome(example, namespace)
        if not doctest.OutputChecker().check_output(example.want, found, FLAGS):
            report.append(f"{example.source}shown:\n{example.want}computed:\n{found}")
    return "\n".join(report)


@contextlib.contextmanager
def as_found() -> Iterator[None]:
    """How NumPy prints, how many threads and which primitives there are, is afterwards what it was."""
    threads, primitives = fg.get_num_threads(), dict(registry)
    with np.printoptions():
        yield
    fg.set_num_threads(threads)
    registry.clear()
    registry.update(primitives)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.slow if page.name in SLOW else (), id=str(page.relative_to(DOCS)))
        for page in PAGES
    ],
)
def test_the_code_of_a_page(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    namespace: dict[str, Any] = {"__name__": "page"}
    update, written, end = bool(os.environ.get("FUNCGRAD_UPDATE_DOCS")), [], 0
    with as_found():
        for block in BLOCK.finditer(text):
            line = text.count("\n", 0, block.start("text"))
            if block["mark"] == THEIRS:
                continue
            if block["language"] == "python":
                code = "\n" * line + block["text"]
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(compile(code, str(page), "exec"), namespace)
            elif update:
                written += [text[end : block.start("text")], shown(block["text"], namespace)]
                end = block.end("text")
            else:
                report = differences(block["text"], namespace)
                assert not report, report
    if update and written:
        page.write_text("".join(written) + text[end:], encoding="utf-8")
