"""How long does a step take?  ``fg_timed``: a kernel that runs steps by ``fg_run`` and adds up their time.

Its integers are the address of the steps, their number, and the address of two words: nanoseconds, and runs.  As it is
a kernel like any other, it can stand for the steps of a loop's body too.
"""

from __future__ import annotations

import ctypes
import functools
import time
from collections.abc import Sequence

from funcgrad.compile.compiler import native_library
from funcgrad.compile.engine import Library
from funcgrad.compile.native.text import Module

CLOCK = "clock_gettime"
SECOND = 10**9  # in nanoseconds


def timed_integers(steps: int, count: int, counter: int) -> Sequence[int]:
    """The integers of ``fg_timed``."""
    return (steps, count, counter)


def define(module: Module, clock: int | None) -> None:
    """Define ``fg_timed``, and ``fg_now`` on the system's clock of this number (if any: else it is a symbol)."""
    with module.function("fg_timed", "void", bufs="ptr", ints="ptr", first="i64", last="i64") as f:
        start = f.call("fg_now")
        f.call("fg_run", f.load(f.ints, 0, "ptr"), f.load(f.ints, 8), f.bufs)
        spent = f.call("fg_now") - start
        counter = f.load(f.ints, 16, "ptr")
        f.store(f.load(counter) + spent, counter)
        f.store(f.load(counter, 8) + 1, counter, 8)
        f.ret()
    if clock is not None:
        with module.function("fg_now", "i64") as f:
            moment = f.variable("i64", count=2).place
            f.call(CLOCK, f.constant("i32", clock), moment, returns="i32")
            f.ret(f.load(moment) * SECOND + f.load(moment, 8))


@functools.cache
def timer(run_address: int) -> tuple[int, Library]:
    """The address of ``fg_timed`` on a driver, and what must live as long as it is used."""
    module = Module()
    clock = getattr(time, "CLOCK_MONOTONIC", None)
    symbols = {"fg_run": run_address}
    if clock is None:  # no such clock here: Python's, at a microsecond a look
        symbols["fg_now"] = ctypes.cast(_python_clock, ctypes.c_void_p).value or 0
    else:
        symbols[CLOCK] = ctypes.cast(getattr(ctypes.CDLL(None), CLOCK), ctypes.c_void_p).value or 0
    define(module, clock)
    library = native_library("timing", str(module), symbols)
    return library.address("fg_timed"), library


_python_clock = ctypes.CFUNCTYPE(ctypes.c_int64)(time.perf_counter_ns)
