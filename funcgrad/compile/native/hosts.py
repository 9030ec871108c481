"""How does native code call Python?  ``fg_host``, a kernel that calls a ctypes callback, and looks at pending signals.

Python may raise before the callback's first line (a signal's handler does, when somebody presses Ctrl-C); ctypes tells
so on standard error and goes on.  So the callback is given a word to set when it is done, in the place of integers, and
a call that does not set it has failed.  Signals that are pending already are looked at before.
"""

from __future__ import annotations

import ctypes
import functools
import threading

from funcgrad import forks
from funcgrad.compile.compiler import native_library
from funcgrad.compile.engine import Library
from funcgrad.compile.native.text import Function, Module, Value

POLL, NO_POLL = "fg_poll", "fg_poll_never"
POLLS = (POLL, NO_POLL, "fg_poll_raise")
_PYTHON = ("PyGILState_Ensure", "PyErr_CheckSignals", "PyErr_Fetch", "PyErr_Restore", "PyGILState_Release")
"""What ``fg_poll`` calls; ``fg_poll_setup`` takes their addresses in this order."""

_lock = forks.held(threading.Lock())


def host_integers(callback: int, status: int) -> list[int]:
    """The integers of ``fg_host``: the callback's address, and the status of a call that failed."""
    return [callback, status]


def host_address() -> int:
    """The address of ``fg_host``."""
    return host_library().address("fg_host")


def host_library() -> Library:
    """``fg_host`` and `POLLS`; compiled (or read) when the first program needs one of them."""
    with _lock:  # two copies would have two places for what a handler raises
        return _library()


@functools.cache
def _library() -> Library:
    module = Module()
    define_polls(module)
    _define_host(module)
    library = native_library("hosts", str(module))
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
    addresses = [ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value for name in _PYTHON]
    ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * len(addresses))(library.address("fg_poll_setup"))(*addresses)
    return library


def define_polls(module: Module, python: bool = True) -> None:
    """``fg_poll(status, code)``: look at pending signals, since a loop may never end; a handler that raises ends it.
    What it raised waits for ``fg_poll_raise``. Without `python` nothing is looked at.
    """
    for name in (NO_POLL,) if python else (NO_POLL, POLL):  # for programs that may not take the GIL
        with module.function(name, "void", status="ptr", code="i64") as f:
            f.ret()
    if not python:
        return
    names = ("ensure", "check", "fetch", "restore", "release")
    waiting = range(8 * len(names), 8 * len(names) + 24, 8)  # type, value and traceback
    with module.function("fg_poll_setup", "void", **dict.fromkeys(names, "i64")) as f:
        for k, name in enumerate(names):
            f.store(getattr(f, name), _poll_words(f), 8 * k)
        f.ret()
    with module.function(POLL, "void", status="ptr", code="i64") as f:
        ensure, check, fetch, _, release = (f.load(_poll_words(f), 8 * k, "ptr") for k in range(len(names)))
        state = f.call(ensure, returns="i32")
        with f.if_(f.call(check, returns="i32").is_not(0)):
            f.call(fetch, *(_poll_words(f) + at for at in waiting), returns="void")
            f.store(f.code, f.status)
        f.call(release, state, returns="void")
        f.ret()
    with module.function("fg_poll_raise", "void") as f:
        raised = [f.load(_poll_words(f), at, "ptr") for at in waiting]
        for at in waiting:
            f.store(0, _poll_words(f), at)
        f.call(f.load(_poll_words(f), 8 * names.index("restore"), "ptr"), *raised, returns="void")
        f.ret()


def _poll_words(f: Function) -> Value:
    return f.module.zeros(f, "fg_poll_words", 64)


def _define_host(module: Module) -> None:
    with module.function("fg_host", "void", bufs="ptr", ints="ptr", first="i64", last="i64") as f:
        status, failed = f.load(f.bufs, 0, "ptr"), f.load(f.ints, 8)
        f.call(POLL, status, failed, returns="void")
        with f.if_(f.load(status).is_(0)):
            done = f.variable("i64", 0).place
            f.call(f.load(f.ints, 0, "ptr"), f.bufs, done, f.first, f.last, returns="void")
            with f.if_(f.load(done).is_(0)):
                f.store(failed, status)
        f.ret()
