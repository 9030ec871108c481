"""Does the work of tracing and transforming grow with the length of a program, and no faster?  Counted in calls."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg

X = np.linspace(0.1, 0.8, 8)


def unrolled(rounds: int) -> Callable[[Any], Any]:
    """A function of five operations to a round."""

    def f(x: Any) -> Any:
        for _ in range(rounds):
            x = np.sin(x) * 0.5 + np.cos(x) * x
        return np.sum(x)

    return f


def calls(function: Callable[[], Any]) -> int:
    """How many Python functions a call calls."""
    count = 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(before)
    return count


TRANSFORMED: dict[str, Callable[[Callable[[Any], Any]], Any]] = {
    "tracing": lambda f: fg.make_jaxpr(f)(X),
    "grad": lambda f: fg.make_jaxpr(fg.grad(f))(X),
    "jvp": lambda f: fg.make_jaxpr(lambda x: fg.jvp(f, (x,), (x,)))(X),
    "vmap": lambda f: fg.make_jaxpr(fg.vmap(f))(X[:, None]),
    "grad of grad": lambda f: fg.make_jaxpr(fg.grad(lambda x: np.sum(fg.grad(f)(x))))(X),
    "checkpoint": lambda f: fg.make_jaxpr(fg.grad(fg.checkpoint(f)))(X),
    "grad, not traced": lambda f: fg.grad(f)(X),
    "simplified": lambda f: fg.jit(fg.grad(f)).lower(X).as_text("simplified"),
}


@pytest.mark.parametrize("name", TRANSFORMED)
def test_the_work_is_linear(name: str) -> None:
    run = TRANSFORMED[name]
    run(unrolled(20))  # what is found once and kept
    short, middle, long = (calls(lambda n=n: run(unrolled(n))) for n in (20, 40, 60))
    assert 0 < long - middle <= 1.02 * (middle - short)


def test_ten_thousand_equations() -> None:
    program = fg.make_jaxpr(fg.grad(unrolled(2000)))(X)
    assert 20_000 < len(program.equations) < 40_000
