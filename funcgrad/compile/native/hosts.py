"""How does a native step call Python and lose nothing?  ``fg_host``: a kernel that calls a ctypes callback.

Python may raise before the callback's first line (a signal's handler does, when somebody presses Ctrl-C); ctypes tells
so on standard error and goes on.  So the callback is given a word to set when it is done, in the place of integers, and
a call that does not set it has failed.  Signals that are pending already are looked at before.
"""

from __future__ import annotations

import ctypes
import functools

from funcgrad.compile import native
from funcgrad.compile.compiler import native_library
from funcgrad.compile.engine import Library
from funcgrad.compile.native.loops import POLL
from funcgrad.compile.native.text import Module


def host_integers(callback: int, status: int) -> list[int]:
    """The integers of ``fg_host``: the callback's address, and the status of a call that failed."""
    return [callback, status]


def define(module: Module) -> None:
    """Define ``fg_host``."""
    with module.function("fg_host", "void", bufs="ptr", ints="ptr", first="i64", last="i64") as f:
        status, failed = f.load(f.bufs, 0, "ptr"), f.load(f.ints, 8)
        f.call(POLL, status, failed, returns="void")
        with f.if_(f.load(status).is_(0)):
            done = f.variable("i64", 0).place
            f.call(f.load(f.ints, 0, "ptr"), f.bufs, done, f.first, f.last, returns="void")
            with f.if_(f.load(done).is_(0)):
                f.store(failed, status)
        f.ret()


@functools.cache
def _library() -> Library:
    module = Module()
    define(module)
    library = native_library("hosts", str(module), {POLL: native.loop_address(POLL)})
    # Two threads may both come here; programs use the code of either as long as they live.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
    return library


def host_address() -> int:
    """The address of ``fg_host``."""
    return _library().address("fg_host")
