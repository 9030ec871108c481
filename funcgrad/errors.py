"""Which errors can a user meet?  Every exception and warning of its own that funcgrad raises, and the user's line.

Where Python or NumPy has an exception for a mistake (`TypeError`, `ValueError`, `IndexError`, ...) that one is
raised; the classes here are for mistakes that only a tracing library knows.  Their names are JAX's.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from types import CodeType
from typing import NamedTuple

import numpy

# Whose lines are not the user's: funcgrad's, and NumPy's and optree's, which lead from np.sum(x) back to funcgrad.
_files = (__file__, numpy.__file__, getattr(importlib.util.find_spec("optree"), "origin", ""))
PACKAGES = tuple(os.path.dirname(os.path.abspath(path)) + os.sep for path in _files)
_internal: dict[str, bool] = {}


class Scopes(threading.local):
    """The names of `named_scope` that this thread is in, joined by slashes."""

    path = ""


scopes = Scopes()


class SourceLocation(NamedTuple):
    """A line of the user's program: the function's code object, the line number, and the `named_scope` around it."""

    code: CodeType
    line: int
    scope: str = ""

    def __str__(self) -> str:
        scope = f" [{self.scope}]" if self.scope else ""
        return f"{self.code.co_filename}:{self.line} (in {self.code.co_qualname}){scope}"


def user_location() -> SourceLocation | None:
    """The innermost line on the call stack that is neither funcgrad's nor NumPy's (None at the end of the stack)."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        internal = _internal.get(name)
        if internal is None:
            internal = _internal[name] = os.path.abspath(name).startswith(PACKAGES)
        if not internal:
            return SourceLocation(frame.f_code, frame.f_lineno, scopes.path)
        frame = frame.f_back  # type: ignore[assignment]
    return None


def at_line(location: SourceLocation | None = None) -> str:
    """The phrase that ends a message: where the user's code was."""
    location = location or user_location()
    return f"\n  at {location}" if location else ""


class TracerError(TypeError):
    """A traced value was used where a known value is needed."""


class ConcretizationTypeError(TracerError):
    """A traced value was used where its number is needed
    (``float(x)``, ``int(x)``, ``range(x)``, ``x.item()``, ``print``-like formatting).
    """


class TracerBoolConversionError(ConcretizationTypeError):
    """A traced value was used as a condition: ``if x > 0``, ``while x``, ``x and y``, ``not x``."""


class TracerIntegerConversionError(ConcretizationTypeError):
    """A traced value was used as a Python index or as a size: ``list[x]``, ``range(x)``, ``zeros(x)``."""


class TracerArrayConversionError(TracerError):
    """A traced value was handed to a function that needs a real NumPy array."""


class UnexpectedTracerError(TracerError):
    """A traced value was used after its trace had ended (it was kept in a global, an attribute or a closure)."""


class NonConcreteBooleanIndexError(IndexError):
    """A traced boolean mask was used as an index: the size of the result would depend on its values."""


class DonatedBufferError(ValueError):
    """An array was used after it had been given away through ``donate_argnums``."""


class ProgramError(AssertionError):
    """A program breaks a rule of the IR: a mistake in funcgrad, not in the user's code."""


class CacheWarning(UserWarning):
    """The disk cache cannot be used; programs are compiled anew in each process."""


class CompilationWarning(UserWarning):
    """A program cannot be compiled in the background; NumPy computes it, equation by equation."""
