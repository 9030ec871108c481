"""Does docs/transformations.md show what each transformation does today?
Run with ``FUNCGRAD_UPDATE_DOCS=1`` to write the listings anew.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.simplify import simplify

PAGE = Path(__file__).parents[2] / "docs" / "transformations.md"
X, T = np.ones(3), np.ones(3)


def f(x: Any) -> Any:
    """The function of the page."""
    return np.sum(np.sin(x) * x)


def g(x: Any) -> Any:
    """The vector function of the page."""
    return np.sin(x) * x


double = fg.custom_jvp(lambda x: np.sin(x))
double.defjvps(lambda t, out, x: 2.0 * t)


def printing(x: Any) -> Any:
    """A function that prints."""
    fg.debug.print("x = {}", x)
    return x * x


def text(function: Any, *args: Any) -> str:
    """A function's program, simplified as for the compiler."""
    return str(simplify(fg.make_jaxpr(function)(*args)))


LISTINGS: dict[str, Callable[[], str]] = {
    "f": lambda: text(f, X),
    "g": lambda: text(g, X),
    "grad": lambda: text(fg.grad(f), X),
    "value_and_grad": lambda: text(fg.value_and_grad(f), X),
    "vjp": lambda: text(lambda x, ct: fg.vjp(g, x)[1](ct), X, T),
    "jvp": lambda: text(lambda x, t: fg.jvp(g, (x,), (t,)), X, T),
    "linearize": lambda: text(fg.linearize(g, X)[1], T),
    "linear_transpose": lambda: text(fg.linear_transpose(lambda x: np.sum(2.0 * x[1:]), X), 1.0),
    "vmap": lambda: text(fg.vmap(f), np.ones((8, 3))),
    "axis_name": lambda: text(fg.vmap(lambda x: x - fg.lax.pmean(x, "i"), axis_name="i"), np.ones(8)),
    "jacfwd": lambda: text(fg.jacfwd(g), X),
    "jacrev": lambda: text(fg.jacrev(g), X),
    "hessian": lambda: text(fg.hessian(f), X),
    "hvp": lambda: text(lambda x, v: fg.jvp(fg.grad(f), (x,), (v,))[1], X, T),
    "checkpoint": lambda: text(fg.grad(lambda x: np.sum(fg.checkpoint(lambda y: np.sin(np.sin(y)))(x))), X),
    "custom_jvp": lambda: str(fg.make_jaxpr(double)(1.0)),
    "custom_jvp, grad": lambda: text(fg.grad(double), 1.0),
    "stop_gradient": lambda: text(fg.grad(lambda x: x * fg.stop_gradient(x)), 2.0),
    "debug.print": lambda: re.sub(r"<funcgrad[^>]*>", "show", text(fg.grad(printing), 2.0)),
}


@pytest.mark.parametrize("name", LISTINGS)
def test_the_listings(name: str) -> None:
    listing = LISTINGS[name]().rstrip()
    page = PAGE.read_text()
    pattern = re.compile(rf"(<!-- {re.escape(name)} -->\n```\w*\n)(.*?)(\n```)", re.DOTALL)
    found = pattern.search(page)
    assert found is not None
    if os.environ.get("FUNCGRAD_UPDATE_DOCS"):
        PAGE.write_text(pattern.sub(lambda m: m[1] + listing + m[3], page))
        return
    assert found[2] == listing


def test_every_listing_of_the_page_is_tested() -> None:
    assert re.findall(r"<!-- (.*?) -->\n```", PAGE.read_text()) == list(LISTINGS)
