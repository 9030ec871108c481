"""What does a program leave behind when Python code in the middle of it raises?  Every kind of callback, in every kind
of loop, with every kind of exception: it is raised as it is, nothing is held, and the next call gives the right result.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad import lax
from tests.faults.programs import Broken, X, check_nothing_is_held


class Own(BaseException):
    """An exception that no ``except Exception`` sees."""


class Odd(Exception):
    """One that cannot be printed, nor made of a text alone."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)

    def __str__(self) -> str:
        raise RuntimeError("this cannot be printed")


EXCEPTIONS: tuple[Callable[[], BaseException], ...] = (
    lambda: ValueError("a reason"),
    lambda: KeyboardInterrupt(),
    lambda: SystemExit(3),
    lambda: GeneratorExit(),
    lambda: StopIteration(1),
    lambda: MemoryError(),
    lambda: RecursionError("too deep"),
    lambda: Own("a reason"),
    lambda: Odd(1, "a reason"),
    lambda: OSError(28, "No space left on device", "a file"),
    lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    lambda: ExceptionGroup("several", [ValueError("one"), TypeError("two")]),
)


class Trap:
    """A function of numbers that raises from one of its calls on, while it is armed."""

    def __init__(self) -> None:
        self.armed: BaseException | None = None
        self.calls, self.at = 0, 0

    def __call__(self, x: Any) -> Any:
        self.calls += 1
        if self.armed is not None and self.calls >= self.at:
            raise self.armed
        return x * 2


SCALAR = fg.ShapeDtypeStruct((), np.float64)


def pure(trap: Trap, x: Any) -> Any:
    """x + 2 x."""
    return x + fg.pure_callback(trap, SCALAR, x, vmap_method="sequential")


def io(trap: Trap, x: Any) -> Any:
    """The same, with a call that has effects."""
    return x + fg.io_callback(trap, SCALAR, x)


def debug(trap: Trap, x: Any) -> Any:
    """The same, with a call that gives nothing."""
    fg.debug.callback(trap, x)
    return x * 3


def rule(trap: Trap, x: Any) -> Any:
    """The same as a derivative, whose rule calls Python."""

    @fg.custom_vjp
    def triple(x: Any) -> Any:
        return x * x * 1.5

    triple.defvjp(lambda x: (triple(x), x), lambda x, ct: (ct * (x + fg.pure_callback(trap, SCALAR, x)),))
    return fg.grad(triple)(x)


KINDS: dict[str, Callable[[Trap, Any], Any]] = {f.__name__: f for f in (pure, io, debug, rule)}
LOOPS: dict[str, Callable[[Callable[[Any], Any]], Callable[[Any], Any]]] = {
    "alone": lambda f: lambda x: f(x[3]),
    "scan": lambda f: lambda x: lax.scan(lambda c, a: (c + f(a), a), 0.0, x)[0],
    "while_loop": lambda f: (
        lambda x: lax.while_loop(lambda c: c[0] < 5, lambda c: (c[0] + 1, c[1] + f(x[1])), (0, 0.0))[1]
    ),
    "fori_loop": lambda f: lambda x: lax.fori_loop(0, 5, lambda k, c: c + f(fg.numpy.take(x, k)), 0.0),
    "cond": lambda f: (
        lambda x: lax.scan(lambda c, a: (lax.cond(a > 0.5, lambda: c + f(a), lambda: c - f(a)), None), 0.0, x)[0]
    ),
    "nested": lambda f: (
        lambda x: lax.scan(lambda c, a: (lax.fori_loop(0, 2, lambda k, d: d + f(a + k), c), None), 0.0, x)[0]
    ),
    "checkpoint": lambda f: lambda x: fg.checkpoint(f)(x[0]),
}
FORMS: dict[str, Callable[[Callable[[Any], Any]], Callable[[Any], Any]]] = {
    "jit": fg.jit,
    "eager": lambda f: f,
    "background": lambda f: fg.jit(f, compile="background"),
}


def campaign(every: int = 1) -> dict[str, int]:
    """Every `every`-th combination of callback, loop and form, with every exception; how many there were.

    Raises
    ------
    Broken
        Another exception was raised, or none, or something is held.
    """
    counts = {"programs": 0, "exceptions": 0}
    combinations = list(itertools.product(KINDS, LOOPS, FORMS))[::every]
    for number, (kind, loop, form) in enumerate(combinations):
        trap = Trap()
        function = FORMS[form](LOOPS[loop](lambda x, kind=kind, trap=trap: KINDS[kind](trap, x)))
        right = function(X)
        if not np.isfinite(right):
            raise Broken(f"{kind} in {loop} under {form} gives {right}")
        calls = -1
        while calls != trap.calls:  # a program that is compiled in the background may begin once more
            calls, trap.calls = trap.calls, 0
            function(X)
        counts["programs"] += 1
        for turn, make in enumerate(EXCEPTIONS):
            trap.armed, trap.calls, trap.at = make(), 0, 1 + (number + turn) % calls
            _call_and_fail(function, trap.armed, f"{kind} in {loop} under {form}")
            trap.armed = None
            counts["exceptions"] += 1
            check_nothing_is_held()
            np.testing.assert_array_equal(function(X), right)
    return counts


def _call_and_fail(function: Callable[[Any], Any], error: BaseException, where: str) -> None:
    try:
        function(X)
    except BaseException as raised:
        if raised is not error and type(raised) is not type(error):
            raise Broken(f"{where}: {type(error).__name__} became {type(raised).__name__}: {raised}") from raised
    else:
        raise Broken(f"{where}: {type(error).__name__} was lost")
