"""Which programs run while something goes wrong?  New ones whenever asked, with NumPy's answer beside them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite.binding import ffi

import funcgrad as fg
from funcgrad import lax
from funcgrad.compile import aside, cache, compiler, engine, native
from funcgrad.runtime import dispatch, executable
from funcgrad.trace.frame import running

PATIENCE = 300.0  # seconds after which something hangs
Check = Callable[[], None]  # runs a program, and holds its result against NumPy's
X = np.linspace(0.1, 1.0, 7)
LARGE = np.linspace(0.0, 1.0, 200_000)


class Broken(AssertionError):
    """Something did not survive."""


STEPS: tuple[Callable[[Any, Any], Any], ...] = (
    lambda y, x: y + x,
    lambda y, x: y * x,
    lambda y, x: abs(y - x),
    lambda y, x: np.sqrt(y * y + x),
)


def formula(number: int, x: Any) -> Any:
    """Arithmetic of its own for each number."""
    y = x
    for digit in np.base_repr(number, len(STEPS)):
        y = STEPS[int(digit)](y, x)
    return y


def elementwise(number: int) -> Check:
    """A kernel that no other number has."""
    function = fg.jit(lambda x: formula(number, x))
    return lambda: np.testing.assert_allclose(function(X), formula(number, X))


def gradient(number: int) -> Check:
    """A value and its gradient, with a product of matrices."""
    moved = formula(number, 0.5)

    def loss(x: Any) -> Any:
        return np.sum((x @ x.T - moved) ** 2 + 0 * formula(number, x))

    function = fg.jit(fg.value_and_grad(loss))
    x = np.outer(X, X)

    def check() -> None:
        value, slope = function(x)
        rest = x @ x.T - moved
        np.testing.assert_allclose(value, np.sum(rest**2))
        np.testing.assert_allclose(slope, 2 * (rest + rest.T) @ x)

    return check


def loop(number: int) -> Check:
    """A loop that is one kernel."""
    function = fg.jit(lambda x: lax.scan(lambda c, a: (c * 0.5 + formula(number, a), c), 0.0, x)[0])

    def check() -> None:
        expected = 0.0
        for a in X:
            expected = expected * 0.5 + formula(number, a)
        np.testing.assert_allclose(function(X), expected)

    return check


def long_loop(number: int) -> Check:
    """A loop that runs for some milliseconds."""
    turns = 300_000
    step = formula(number, 0.5)
    function = fg.jit(lambda x: lax.fori_loop(0, turns, lambda k, c: c * 0.999 + formula(number, x), x)[()])
    return lambda: np.testing.assert_allclose(function(0.5), step / 0.001, rtol=1e-6)


def threads(number: int) -> Check:
    """A call that several threads share."""
    function = fg.jit(lambda x: np.sum(formula(number, x)))
    return lambda: np.testing.assert_allclose(function(LARGE), np.sum(formula(number, LARGE)))


def callbacks(number: int) -> Check:
    """A loop that calls Python."""
    kind = fg.ShapeDtypeStruct((), np.float64)

    def body(c: Any, a: Any) -> tuple[Any, None]:
        return c + fg.pure_callback(lambda v: v * number, kind, a) + 0 * formula(number, a), None

    function = fg.jit(lambda x: lax.scan(body, 0.0, x)[0])
    return lambda: np.testing.assert_allclose(function(X), X.sum() * number)


def eager(number: int) -> Check:
    """Derivatives and batches outside of `jit`."""
    slope = fg.grad(lambda x: np.sum(fg.vmap(lambda a: a**3 * number)(x)))
    return lambda: np.testing.assert_allclose(slope(X), 3 * X**2 * number)


def from_disk(number: int) -> Check:
    """A program that is forgotten and read again."""
    check = elementwise(number % 10)

    def again() -> None:
        fg.clear_caches()
        check()

    return again


PROGRAMS: dict[str, Callable[[int], Check]] = {
    made.__name__: made for made in (elementwise, gradient, loop, long_loop, threads, callbacks, eager, from_disk)
}


def check_everything(number: int) -> None:
    """New programs of every kind."""
    for make in PROGRAMS.values():
        make(number)()


_LOCKS: dict[str, Any] = {
    "llvmlite's": ffi.lib._lock._lock,
    "the linker's": engine._linker_lock,
    "the libraries'": engine._lock,
    "the disk cache's": cache._lock,
    "the kernels'": compiler._lock,
    "the runtime's": native._lock,
    "the executables'": executable._lock,
    "the jitted functions'": dispatch._lock,
}


def check_nothing_is_held() -> None:
    """No lock is held, and nothing is left in the state that transformations keep (what still compiles may end)."""
    end = time.monotonic() + PATIENCE
    while aside.working._inside and time.monotonic() < end:
        time.sleep(0.001)
    if aside.working._inside:
        raise Broken(f"threads are said to be compiling that are not: {aside.working._inside}")
    if running.builders or running.level or running.locals is not None:
        raise Broken("a program is said to be under construction, or a transformation to run")
    held: list[str] = []

    def look() -> None:  # on a thread of its own: those locks are no obstacle to their owner
        for name, lock in _LOCKS.items():
            if lock.acquire(timeout=PATIENCE):
                lock.release()
            else:
                held.append(name)

    looking = threading.Thread(target=look)
    looking.start()
    looking.join()
    if held:
        raise Broken(f"still held: {', '.join(held)}")
