"""How does an error of a function of ours get through Numba's code?  It waits in its thread until Python makes it.

On threads of Numba's own, as under `prange`, it would be lost: there it is counted (see `numba_regions`).
"""

from __future__ import annotations

import ctypes
import sys
import threading
from typing import Any

import numpy as np

FIND_FAILURES = (__name__, "find_failures_1")
"""Where native code finds the counter of errors on Numba's threads."""
FAILED, TAKE, ACTIVE = 0, 1, 2  # its words: how many there were, whom to call then, how many loops are watched now


class _Waiting(threading.local):
    """What was raised in a thread of Python's."""

    error: BaseException | None = None
    seen = False


_waiting = _Waiting()
_elsewhere: dict[int, BaseException] = {}  # of Numba's, which forget what is local to them from one call to the next


class _AnyError(type):
    """Of what Python takes any exception for an instance of, so that it believes the instance."""

    def __subclasscheck__(cls, other: type) -> bool:
        return True


class Failure(Exception, metaclass=_AnyError):
    """What native code says that it raises: as Python meets it, it is the exception that waits in this thread.

    Numba knows what can be raised when it compiles; so `try` in its code works, as for its own errors. It makes the
    exception twice when it raises one; behind that nobody keeps it, and the frames that it has seen.
    """

    def __new__(cls) -> Any:
        if _is_numbas(1):  # whose code drops the exception as soon as it is made
            return _lost.add(_elsewhere.get(threading.get_ident()))
        error = _waiting.error or RuntimeError("a function of funcgrad's failed, and nobody knows why")
        if _waiting.seen:
            _waiting.error = None
        _waiting.seen = True
        return error


def _is_numbas(depth: int) -> bool:
    """Whether this is a thread of Numba's: native code called the Python code `depth` frames up, and nobody that."""
    return sys._getframe(depth).f_back is None


class Noting:
    """A context that keeps what is raised in it for `Failure`."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if error is None:
            return False
        if _is_numbas(2):
            _elsewhere[threading.get_ident()] = error
        else:
            _waiting.error, _waiting.seen = error, False
        return True


class _Lost:
    """The latest error on a thread of Numba's: the loops that are watched raise it (`numba_regions`). If there is
    none, as under ``@vectorize(target="parallel")``, it is told as what ends a thread is.
    """

    error: BaseException | None = None
    told = True

    def add(self, error: BaseException | None) -> BaseException:
        """Note an error, and have the main thread look for it after what it is in the middle of."""
        self.error = error or RuntimeError("a function of funcgrad's failed on a thread of Numba's")
        self.told = False
        _counter[FAILED] += 1
        ctypes.pythonapi.Py_AddPendingCall(_tell_later, None)
        return self.error

    def take(self) -> BaseException:
        """The error, for one who raises it."""
        self.told = True
        return self.error or RuntimeError("nothing was raised")

    def tell(self, unused: int | None) -> int:
        """Tell of an error that nobody raises."""
        if not self.told and not _counter[ACTIVE]:
            error = self.take()
            threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, None)))
        return 0


_lost = _Lost()
_tell_later = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(_lost.tell)


def find_failures_1() -> int:
    """The address of the counter."""
    return int(_counter.ctypes.data)


def _take_lost(kind: int | None, value: int | None) -> None:
    """Have this thread's error wait, or else that of a thread of Numba's."""
    with Noting():
        elsewhere = _lost.take()
        raise error_of(kind, value) or elsewhere


def error_of(kind: int | None, value: int | None) -> BaseException | None:
    """The exception behind the addresses of its type and value; what making it raises, if it cannot be made."""
    if not kind:
        return None
    found = ctypes.cast(value, ctypes.py_object).value if value else ()
    if isinstance(found, BaseException):
        return found
    try:
        made = ctypes.cast(kind, ctypes.py_object).value(*(found if isinstance(found, tuple) else (found,)))
    except Exception as error:
        return error
    return made if isinstance(made, BaseException) else None


_on_failure = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(_take_lost)
_counter = np.array([0, ctypes.cast(_on_failure, ctypes.c_void_p).value, 0], np.int64)
