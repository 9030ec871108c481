"""Does a process that calls for ever stay as small as it is?  Millions of calls of several kinds, and many programs."""

from __future__ import annotations

import ctypes
import gc
import itertools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad import lax
from tests.faults.programs import PROGRAMS, elementwise

SCALAR = fg.ShapeDtypeStruct((), np.float64)
MIB = 1 << 20


class Grown(AssertionError):
    """Memory was not flat."""


def scalars() -> Callable[[], Any]:
    """Numbers in, a number out."""
    function = fg.jit(lambda x, y: x * y + 1.0)
    return lambda: function(2.0, 3.0)


def arrays() -> Callable[[], Any]:
    """Small arrays in, an array out."""
    function, x = fg.jit(lambda x, y: x * y + 1.0), np.ones((3, 5))
    return lambda: function(x, x)


def pytrees() -> Callable[[], Any]:
    """Dictionaries of arrays, in and out."""
    function = fg.jit(lambda p: {"w": p["w"] * 2, "b": (p["b"], p["b"] + 1)})
    p = {"w": np.ones((4, 4)), "b": np.ones(4)}
    return lambda: function(p)


def large() -> Callable[[], Any]:
    """Results of a megabyte."""
    function, x = fg.jit(lambda x: x + 1), np.ones(1 << 17)
    return lambda: function(x)


def loops() -> Callable[[], Any]:
    """A loop of a few steps."""
    function = fg.jit(lambda x: lax.scan(lambda c, a: (c + a, c), 0.0, x))
    return lambda: function(np.ones(10))


def callbacks() -> Callable[[], Any]:
    """A call that calls Python."""
    function = fg.jit(lambda x: fg.pure_callback(np.sin, SCALAR, x))
    return lambda: function(1.0)


def refusals() -> Callable[[], Any]:
    """A call that raises."""
    function = fg.jit(lambda x, k: np.take(x, k))

    def call() -> None:
        try:
            function(np.ones(3), 7)
        except IndexError:
            return
        raise AssertionError("no IndexError")

    return call


def slow() -> Callable[[], Any]:
    """Arguments that must be copied first."""
    function, x = fg.jit(lambda x: np.sum(x)), np.ones((8, 8))[::2, ::2]
    return lambda: function(x)


def eager_gradients() -> Callable[[], Any]:
    """Derivatives outside of `jit`."""
    function, x = fg.grad(lambda x: np.sum(np.tanh(x) ** 2)), np.ones(5)
    return lambda: function(x)


def eager_batches() -> Callable[[], Any]:
    """Batches outside of `jit`."""
    function, x = fg.vmap(lambda x: np.sum(x * x)), np.ones((3, 4))
    return lambda: function(x)


def traces() -> Callable[[], Any]:
    """A function that is traced each time."""
    return lambda: fg.make_jaxpr(lambda x: np.sin(x) * 2)(1.0)


CALLS: dict[str, Callable[[], Callable[[], Any]]] = {
    made.__name__: made
    for made in (
        *(scalars, arrays, pytrees, large, loops, callbacks, refusals, slow, eager_gradients, eager_batches, traces),
    )
}
COSTLY = {  # how many times fewer calls of these are made
    **dict.fromkeys(("eager_gradients", "eager_batches", "traces"), 50),
    **dict.fromkeys(("refusals", "callbacks", "slow", "large"), 20),
}


def resident() -> int:
    """Bytes of memory that this process has."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def flat(name: str, calls: int) -> int:
    """The growth in bytes over so many calls, after a tenth as many.

    Raises
    ------
    Grown
        It is more than 2 MiB.
    """
    call = CALLS[name]()
    for _ in range(max(calls // 10, 100)):
        call()
    gc.collect()
    before = resident()
    for _ in range(calls):
        call()
    gc.collect()
    grown = resident() - before
    if grown > 2 * MIB:
        raise Grown(f"{calls} calls of {name!r} took {grown} bytes")
    return grown


def distinct(programs: int, first: int) -> dict[str, float]:
    """Compile so many distinct programs, and forget them: memory and mappings that each takes, and keeps."""
    for number in range(first - 40, first):  # what LLVM takes once
        elementwise(number)()
    _give_back()
    kept, before, mappings = [], resident(), _mappings()
    for number in range(first, first + programs):
        check = elementwise(number)
        check()
        kept.append(check)
    found = {"KiB each": round((resident() - before) / 1024 / programs, 1)}
    found["mappings each"] = round((_mappings() - mappings) / programs, 2)
    kept.clear()
    _give_back()
    found["KiB each, after clear_caches"] = round((resident() - before) / 1024 / programs, 1)
    found["mappings each, after clear_caches"] = round((_mappings() - mappings) / programs, 2)
    return found


def notebook(times: int) -> dict[str, float]:
    """Define the same functions anew so many times, as a notebook does: MiB after a half, after all, and cleared."""
    _give_back()
    before, found = resident(), {}
    for turn in range(times):
        loss = eval(f"lambda x: np.sum(np.tanh(x) * {turn % 20} + x)", {"np": np})
        fg.jit(fg.value_and_grad(loss))(np.ones(7))
        if turn == times // 2:
            found["MiB after a half"] = round((resident() - before) / MIB, 1)
    found["MiB after all"] = round((resident() - before) / MIB, 1)
    _give_back()
    found["MiB after clear_caches"] = round((resident() - before) / MIB, 1)
    return found


def at_once(threads: int, first: int) -> int:
    """First calls of the same functions, then of different ones, by so many threads at once; how many calls."""
    barrier, made = threading.Barrier(threads), itertools.count()
    same = [make(first) for make in PROGRAMS.values()]

    def work(number: int) -> None:
        barrier.wait()
        for check in same:
            check()
            next(made)
        for make in PROGRAMS.values():
            make(first + 1 + number)()
            next(made)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
    return next(made)


def _mappings() -> int:
    with open("/proc/self/maps") as file:
        return sum(1 for _ in file)


def _give_back() -> None:
    gc.collect()
    fg.clear_caches()
    gc.collect()
    fg.clear_caches()  # what that has dropped
    ctypes.CDLL(None).malloc_trim(0)
