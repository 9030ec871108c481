"""Which frames does a traceback show?  The user's, unless the setting ``traceback`` is ``"full"``.

An exception on its way out of a public function passes through `shorten`, which takes the frames of funcgrad, and of
NumPy and optree, which call it, out of the traceback: what is left ends at the user's line. In Python 3.11 and later a
``try`` that nothing is raised in costs nothing, and a bare ``raise`` does not add the frame that it stands in again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType, TracebackType
from typing import Any, TypeVar

from funcgrad import config
from funcgrad.errors import LINE, ROOT, is_internal
from funcgrad.quiet import undo

F = TypeVar("F", bound=Callable[..., Any])
DEEP = (
    "A function that calls itself without end, or transformations, jitted functions and loops nested deeper than "
    "Python's limit allows: each takes 3 to 30 frames of sys.getrecursionlimit(). sys.setrecursionlimit(20_000) makes "
    "room for some hundreds."
)
HIDDEN = "Frames of funcgrad are hidden: FUNCGRAD_TRACEBACK=full shows them."


def shorten(error: BaseException) -> None:
    """Take frames that are not the user's out of the tracebacks of an exception and of those behind it.

    Call it in an ``except`` block that ends with a bare ``raise``. Where the message does not name the user's line,
    a note tells how to see the whole.
    """
    if not isinstance(error, Exception):
        undo(error.__traceback__)
    if config.traceback.value == "full":
        return
    plain = isinstance(error, Exception) and type(error).__module__ != "bdb"  # not what ends a debugger or a program
    named = any(isinstance(part, str) and LINE in part for part in error.args)  # `str` may be the user's, and raise
    named = named or isinstance(error, SyntaxError)  # which shows a line of the text that was read
    notes = getattr(error, "__notes__", ())
    if isinstance(error, RecursionError):
        if DEEP not in notes:
            error.add_note(DEEP)
    elif plain and not named and HIDDEN not in notes and _raised_inside(error.__traceback__):
        error.add_note(HIDDEN)
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            one.__traceback__ = users_frames(one.__traceback__)
            waiting += (one.__cause__, one.__context__, *getattr(one, "exceptions", ()))


def _raised_inside(tb: TracebackType | None) -> bool:
    """Whether the innermost frame is funcgrad's own."""
    if tb is None:
        return False
    while tb.tb_next is not None:
        tb = tb.tb_next
    return tb.tb_frame.f_code.co_filename.startswith(ROOT)


def users_frames(tb: TracebackType | None) -> TracebackType | None:
    """The traceback without frames of libraries."""
    kept = []
    while tb is not None:
        if not is_internal(tb.tb_frame.f_code.co_filename):
            kept.append(tb)
        tb = tb.tb_next
    found = None
    for entry in reversed(kept):
        found = TracebackType(found, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return found


def boundary(function: F) -> F:
    """A public function whose exceptions are shortened; for those that are not called a million times a second."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            shorten(error)
            raise

    return call  # type: ignore[return-value]


def bounded(namespace: dict[str, Any]) -> None:
    """Have the functions that a package, or a module, exports shorten what they raise; call it with its globals."""
    package = namespace["__name__"]
    for name, function in list(namespace.items()):
        mine = type(function) is FunctionType and f"{function.__module__}.".startswith(f"{package}.")
        if mine and not name.startswith("_"):
            namespace[name] = boundary(function)
            namespace[name].__module__ = package  # where it is found again, for pickles


config.update = boundary(config.update)  # here, because this file reads a switch and so stands behind that one
config.read = boundary(config.read)
