"""Do the pages in docs/ show what the code does today?
Run with ``FUNCGRAD_UPDATE_DOCS=1`` to write the listings anew.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funcgrad as fg

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "mlp_listing.md"
COMPILER = DOCS / "compiler.md"


def loss(params: Any, x: Any, y: Any) -> Any:
    for w, b in params[:-1]:
        x = fg.nn.relu(x @ w + b)
    w, b = params[-1]
    log_p = fg.nn.log_softmax(x @ w + b)
    return -np.mean(np.take_along_axis(log_p, y[:, None], 1))


def lowered() -> Any:
    params = [
        (np.zeros((64, 32), np.float32), np.zeros(32, np.float32)),
        (np.zeros((32, 10), np.float32), np.zeros(10, np.float32)),
    ]
    x, y = np.zeros((20, 64), np.float32), np.zeros(20, np.int64)
    return fg.jit(fg.value_and_grad(loss)).lower(params, x, y)


def hold(path: Path, mark: str, text: str) -> None:
    """The block under a mark shows the text."""
    page = path.read_text(encoding="utf-8")
    pattern = re.compile(rf"(<!-- {mark} -->\n```\w*\n)(.*?)(\n?```)", re.DOTALL)
    found = pattern.search(page)
    assert found is not None
    if os.environ.get("FUNCGRAD_UPDATE_DOCS"):
        path.write_text(page[: found.start(2)] + text.strip("\n") + "\n```" + page[found.end(3) :], encoding="utf-8")
        return
    assert found[2] == text.strip("\n")


@pytest.mark.parametrize("dialect", ["ir", "simplified", "python"])
def test_the_listings_of_the_network(dialect: str) -> None:
    hold(PAGE, dialect, lowered().as_text(dialect).rstrip())


def length(x: Any) -> Any:
    """The function of the page on the compiler."""
    return np.sum(np.sqrt(1.0 + x * x))


X = np.linspace(-1.0, 1.0, 1000)
CPU = "x86-64-v3"


def stage(dialect: str) -> str:
    return fg.jit(fg.grad(length)).lower(X).as_text(dialect)


def body_of(llvm: str) -> str:
    """The function that is the kernel's loop."""
    found = re.search(r"^define internal void @body.*?^}", llvm, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[0]


def innermost(assembly: str) -> str:
    """The loop of vector instructions: from its label to the jump back to it."""
    loops = re.findall(r"^(\.LBB\d+_\d+):(?:[^\n]*)\n((?:\t[^\n]*\n)*?\tj\w+\t\1\n)", assembly, re.MULTILINE)
    label, text = next((label, text) for label, text in loops if "vsqrtpd" in text)
    return f"{label}:\n{text.expandtabs(8)}"


STAGES: dict[str, Callable[[], str]] = {
    "trace": lambda: str(fg.make_jaxpr(length)(X)),
    "transform": lambda: str(fg.make_jaxpr(fg.grad(length))(X)),
    "simplify": lambda: stage("simplified"),
    "lower": lambda: stage("python"),
    "llvm": lambda: body_of(stage("llvm")),
    "assembly": lambda: innermost(stage("assembly")),
}


@pytest.mark.parametrize("name", STAGES)
def test_the_stages_of_the_compiler(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "assembly":
        if platform.machine() != "x86_64":
            pytest.skip("the page shows the instructions of another kind of processor")
        monkeypatch.setenv("FUNCGRAD_CPU", CPU)
    hold(COMPILER, f"compiler: {name}", STAGES[name]())


def test_every_stage_of_the_page_is_tested() -> None:
    assert re.findall(r"<!-- compiler: (\w+) -->", COMPILER.read_text(encoding="utf-8")) == list(STAGES)
