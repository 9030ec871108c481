"""Which errors can a user meet?  Every exception and warning of its own that funcgrad raises, and the user's line.

Where Python or NumPy has an exception for a mistake (`TypeError`, `ValueError`, `IndexError`, ...) that one is
raised; the classes here are for mistakes that only a tracing library knows.  Their names are JAX's.  ``docs/errors.md``
has a section for each of them, which `section` names, and which a note behind the message points to.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import threading
from types import CodeType
from typing import Any, ClassVar, NamedTuple

import numpy

# Whose lines are not the user's: funcgrad's, and NumPy's and optree's, which lead from np.sum(x) back to funcgrad, and
# contextlib's, whose decorators stand between.
_files = (__file__, numpy.__file__, getattr(importlib.util.find_spec("optree"), "origin", ""))
PACKAGES = (*(os.path.dirname(os.path.abspath(path)) + os.sep for path in _files), contextlib.__file__)
ROOT = PACKAGES[0]  # funcgrad's own
_internal: dict[str, bool] = {}


class Scopes(threading.local):
    """The names of `named_scope` that this thread is in, joined by slashes."""

    path = ""


scopes = Scopes()


class SourceLocation(NamedTuple):
    """A line of the user's program: the function's code object, the line number, the `named_scope` around it, and
    whether the operation belongs to the backward pass of what stands there.
    """

    code: CodeType
    line: int
    scope: str = ""
    backward: bool = False

    def reversed(self) -> SourceLocation:
        """The line, for an operation of its backward pass."""
        return self if self.backward else SourceLocation(self.code, self.line, self.scope, True)

    def __str__(self) -> str:
        scope = f" [{self.scope}]" if self.scope else ""
        return f"{self.code.co_filename}:{self.line} (in {self.code.co_qualname}){scope}"


def is_internal(filename: str) -> bool:
    """Whether a file is funcgrad's own, or of a library that funcgrad is called through."""
    internal = _internal.get(filename)
    if internal is None:
        internal = os.path.abspath(filename).startswith(PACKAGES) or filename.endswith(".pyx")
        _internal[filename] = internal
    return internal


def pass_over(filename: str) -> None:
    """Have messages name no line of a file: its code calls ours for others.

    >>> pass_over("/a/library/that/calls/functions.py")
    """
    _internal[filename] = True


def user_location() -> SourceLocation | None:
    """The innermost line on the call stack that is neither funcgrad's nor NumPy's (None at the end of the stack)."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        internal = _internal.get(name)  # looked up here, without a call: this is asked for each frame of each operation
        if not (is_internal(name) if internal is None else internal):
            return SourceLocation(frame.f_code, frame.f_lineno, scopes.path)
        frame = frame.f_back  # type: ignore[assignment]
    return None


LINE = "\n  at "  # how `at_line` begins


def at_line(location: SourceLocation | None = None) -> str:
    """The phrase that ends a message: where the user's code was."""
    location = location or user_location()
    return f"{LINE}{location}" if location else ""


PAGE = "docs/errors.md"


class Documented:
    """An exception with a section in the page on errors, which a note behind its message points to.

    Attributes
    ----------
    section
        Where in the page it stands.
    """

    section: ClassVar[str] = ""

    def __init_subclass__(cls, section: str = "", **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.section = section or cls.__name__.lower()

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.add_note(f"See {PAGE}#{self.section}")  # type: ignore[attr-defined]


class TracerError(Documented, TypeError):
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


class LeakedTracerError(UnexpectedTracerError):
    """A traced value is still referred to after its trace has ended; found by `checking_leaks`."""


class NonConcreteBooleanIndexError(Documented, IndexError):
    """A traced boolean mask was used as an index: the size of the result would depend on its values."""


class DonatedBufferError(Documented, ValueError):
    """An array was used after it had been given away through ``donate_argnums``."""


class NonFiniteError(Documented, FloatingPointError):
    """An operation gave NaN or infinity under `debug_nans` or `debug_infs`."""


class MemoryCheckError(Documented, RuntimeError):
    """Compiled code left its buffers, found by `check_memory`: a mistake in funcgrad, not in the user's code."""


class CheckError(Documented, ValueError):
    """A check of `experimental.checkify` failed."""


class SettingError(Documented, ValueError):
    """A variable of the environment, ``FUNCGRAD_...``, has a value that it cannot have."""


class CheckpointError(Documented, ValueError):
    """A file is no checkpoint, a damaged one, or one of another tree than was expected; nothing was loaded."""


class ProgramError(Documented, AssertionError):
    """A program breaks a rule of the IR: a mistake in funcgrad, not in the user's code."""


class LostDerivativeWarning(Documented, UserWarning):
    """``float(x)`` took the number of a value that is being differentiated: what comes of it counts as a constant."""


class CacheWarning(Documented, UserWarning):
    """The disk cache cannot be used; programs are compiled anew in each process."""


class CompilationWarning(Documented, UserWarning):
    """A program cannot be compiled in the background; NumPy computes it, equation by equation."""
