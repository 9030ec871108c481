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


clipped = fg.custom_vjp(lambda x: x)
clipped.defvjp(lambda x: (x, None), lambda _, ct: (np.clip(ct, -1.0, 1.0),))

total = fg.custom_batching.custom_vmap(lambda x: np.sum(np.sin(x)))
total.def_vmap(lambda size, batched, xs: (np.sum(np.sin(xs), axis=1), True))


@fg.custom_gradient
def halved(x: Any) -> Any:
    """A function whose derivative is half of what it is."""
    return x * x, lambda ct: ct * x


def root(a: Any) -> Any:
    """The square root of `a`, by Newton's method."""

    def newton(f: Any, x: Any) -> Any:
        return fg.lax.while_loop(lambda x: np.abs(x * x - a) > 1e-9, lambda x: 0.5 * (x + a / x), x)

    return fg.lax.custom_root(lambda x: x * x - a, a, newton, lambda g, y: y / g(1.0))


def quotient(a: Any, b: Any) -> Any:
    """b / a, by a solver of its own."""
    return fg.lax.custom_linear_solve(lambda x: a * x, b, lambda _, b: b / a, symmetric=True)


def looped(x: Any) -> Any:
    """Three sines, one of the other."""
    return fg.lax.fori_loop(0, 3, lambda i, x: np.sin(x), x)


def called(x: Any) -> Any:
    """A function that calls one of NumPy's, as it is."""
    return fg.pure_callback(np.sin, fg.ShapeDtypeStruct((), np.float64), x) * 2.0


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
    "jit": lambda: str(fg.make_jaxpr(lambda x: fg.jit(g)(x) + 1.0)(X)),
    "grad": lambda: text(fg.grad(f), X),
    "value_and_grad": lambda: text(fg.value_and_grad(f), X),
    "vjp": lambda: text(lambda x, ct: fg.vjp(g, x)[1](ct), X, T),
    "jvp": lambda: text(lambda x, t: fg.jvp(g, (x,), (t,)), X, T),
    "linearize": lambda: text(fg.linearize(g, X)[1], T),
    "linearize, loop": lambda: text(fg.linearize(looped, 0.5)[1], 1.0),
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
    "custom_vjp, grad": lambda: text(fg.grad(lambda x: np.sum(np.exp(clipped(x)))), X),
    "custom_gradient, grad": lambda: text(fg.grad(halved), 3.0),
    "custom_vmap": lambda: text(fg.vmap(total), np.ones((8, 3))),
    "custom_root, grad": lambda: text(fg.grad(root), 2.0),
    "custom_linear_solve, grad": lambda: text(fg.grad(quotient), 2.0, 3.0),
    "closure_convert": lambda: str(fg.make_jaxpr(lambda x: fg.closure_convert(lambda y: y * x, 1.0)[0](2.0, x))(3.0)),
    "stop_gradient": lambda: text(fg.grad(lambda x: x * fg.stop_gradient(x)), 2.0),
    "pure_callback": lambda: re.sub(r"<ufunc[^>]*>", "sin", text(called, 2.0)),
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
