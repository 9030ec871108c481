"""Where are NumPy's warnings off?  In a block that Ctrl-C cannot leave them off behind.

A signal's handler may raise at the first instruction of any Python function, of `__exit__` too: behind it
`np.errstate` would never be undone, and the session would see no warning of NumPy's again.  `undo` finds such a block
in the traceback; every public function calls it on the way out (`tracebacks.shorten`).
"""

from __future__ import annotations

import contextvars
from types import TracebackType
from typing import Any

import numpy as np


class _Functions:
    """What NumPy does about floating-point errors, by its public functions: slower, and under any version's hood."""

    get = staticmethod(np.geterr)
    off = dict.fromkeys(np.geterr(), "ignore")

    @staticmethod
    def set(state: dict[Any, Any]) -> None:
        np.seterr(**state)


def _found() -> tuple[Any, Any]:
    """Where NumPy keeps what it does about floating-point errors, and what is there when it does nothing."""
    np.seterr(all="ignore")
    context = contextvars.copy_context()
    for variable in context:
        if variable.name == "numpy.ufunc.extobj":
            return variable, context[variable]
    return _Functions, _Functions.off


_STATE, _OFF = contextvars.Context().run(_found)


class quiet:
    """A block in which NumPy warns of no overflow, division by zero or invalid operation.

    Examples
    --------
    >>> with quiet():
    ...     np.log(np.zeros(1))
    array([-inf])
    """

    __slots__ = ("_before",)

    def __init__(self) -> None:
        self._before = _STATE.get()

    def __enter__(self) -> None:
        _STATE.set(_OFF)

    def __exit__(self, *error: object) -> None:
        _STATE.set(self._before)


_CODES = (quiet.__enter__.__code__, quiet.__exit__.__code__)


def undo(tb: TracebackType | None) -> None:
    """Undo the block that an exception came at the border of; blocks around it have done so themselves."""
    while tb is not None:
        frame = tb.tb_frame
        if frame.f_code in _CODES and (before := frame.f_locals["self"]._before) != _OFF:
            _STATE.set(before)
        tb = tb.tb_next
