"""How deep can transformations and loops be nested, and how long can a program be?"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad import lax
from funcgrad.simplify import simplify
from tests.faults.programs import check_nothing_is_held

ROOM = 20_000  # what the error message tells to set
AXES = 60  # NumPy's arrays have 64 at most
DOUBLING = 10  # levels of loops whose derivative takes twice as long for each: it runs the inner loops anew
Function = Callable[[Any], Any]
NESTS: dict[str, Callable[[Function], Function]] = {
    "grad": lambda f: lambda x: fg.grad(f)(x) * x,
    "jvp": lambda f: lambda x: fg.jvp(f, (x,), (1.0,))[1] * x,
    "vmap": lambda f: lambda x: fg.vmap(f)(np.reshape(x, (1,)))[0],
    "jit": fg.jit,
    "checkpoint": fg.checkpoint,
    "scan": lambda f: lambda x: lax.scan(lambda c, _: (f(c), None), x, None, length=1)[0],
    "cond": lambda f: lambda x: lax.cond(x > -1.0, f, lambda y: y, x),
    "while_loop": lambda f: lambda x: lax.while_loop(lambda c: c[0] < 1, lambda c: (c[0] + 1, f(c[1])), (0, x))[1],
}
FORMS: dict[str, Callable[[Function], Function]] = {
    "eager": lambda f: f,
    "jit": fg.jit,
    "jit of grad": lambda f: fg.jit(fg.grad(f)),
}


@contextmanager
def room(frames: int) -> Iterator[None]:
    """A context in which so many frames may be nested."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(frames)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def nested(kind: str, form: str, depth: int) -> float:
    """The seconds that a nest takes, of the derivative or the value of 2 x at 1.5; a `RecursionError` is as it may be.

    Raises
    ------
    AssertionError
        The result is wrong, or the error leaves something behind.
    """
    function: Function = lambda x: x * 2.0  # noqa: E731 - the innermost of a nest
    most = AXES if kind == "vmap" else DOUBLING if (kind, form) == ("while_loop", "jit of grad") else depth
    levels = min(depth, most)
    for _ in range(levels):
        function = NESTS[kind](function)
    begin = time.process_time()
    try:
        found = FORMS[form](function)(1.5)
    finally:
        check_nothing_is_held()
    np.testing.assert_allclose(found, 2.0 if "grad" in form else 3.0, err_msg=f"{kind} {levels} times, {form}")
    return time.process_time() - begin


def long_program(equations: int, mathematics: bool = False) -> dict[str, float]:
    """The seconds that each stage takes for a program of so many equations in a row."""

    def function(x: Any) -> Any:
        for k in range(equations * 3 // 10 if mathematics else equations // 2):
            number = 0.9 + 1e-7 * k  # a kernel that another one equals would be compiled once
            x = (np.sin(x), np.exp(-x), np.tanh(x))[k % 3] * number + 0.1 if mathematics else x * 0.999 + (k % 7) * 0.1
        return np.sum(x)

    x, spent = np.linspace(0.0, 1.0, 50), {}

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        begin = time.process_time()
        result = work()
        spent[stage] = round(time.process_time() - begin, 2)
        return result

    program = timed("trace", lambda: fg.make_jaxpr(function)(x))
    timed("print", lambda: str(program))
    timed("grad", lambda: fg.make_jaxpr(fg.grad(function))(x))
    timed("vmap", lambda: fg.make_jaxpr(fg.vmap(function))(np.ones((3, 50))))
    timed("simplify", lambda: simplify(program))
    timed("lower", lambda: fg.jit(function).lower(x).plan)
    np.testing.assert_allclose(timed("compile and run", lambda: fg.jit(function)(x)), function(x), rtol=1e-9)
    return spent
