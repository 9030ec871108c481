"""Did a traced value outlive its trace?  `checking_leaks` finds it and says what keeps it.

While the switch is on, every tracer is noted (by a weak reference) with the line that made it. When a jitted function
returns, when the next transformation begins, and at the end of the ``with`` block, those whose trace has ended must be
gone.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from types import CellType, FrameType, FunctionType, GeneratorType, MethodType, ModuleType
from typing import Any

from funcgrad import config
from funcgrad.errors import LeakedTracerError, SourceLocation, at_line, is_internal, user_location
from funcgrad.runtime.switches import watch_calls
from funcgrad.trace.frame import Frame, running
from funcgrad.trace.tracer import Tracer
from funcgrad.tracebacks import boundary
from funcgrad.transform.vjp import Tape

DEPTH = 4  # containers within containers that are looked through
CONTAINERS: tuple[type, ...] = (
    *(list, tuple, set, frozenset, collections.deque, CellType, MethodType, GeneratorType, functools.partial),
    *(type(iter([])), type(iter(())), type(iter({}))),
)
OTHERS = ("funcgrad", "builtins", "_thread", "weakref")  # packages whose objects are not the user's
FUNCTION, CLASS = "the function", "the class"


class _Noted(threading.local):
    """The tracers that this thread made, with their lines."""

    def __init__(self) -> None:
        self.made: list[tuple[weakref.ref[Tracer], SourceLocation | None]] = []


_noted = _Noted()
_init, _enter = Tracer.__init__, Frame.__enter__


def _noting_init(self: Tracer, frame: Frame, type: Any, payload: Any) -> None:
    _init(self, frame, type, payload)
    if config.check_tracer_leaks.value:
        _noted.made.append((weakref.ref(self), running.source or user_location()))


def _checking_enter(self: Frame) -> Any:
    if not running.level and config.check_tracer_leaks.value:
        settle()
    return _enter(self)


def _watch_call(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    result = call(*args, **kwargs)
    if not running.level:
        settle()
    return result


def settle() -> None:
    """Raise for a tracer that is still there although its trace has ended.

    Raises
    ------
    LeakedTracerError
        It names the tracer's type and line, and what keeps it.
    """
    ended = [(ref, line) for ref, line in _noted.made if _over(ref())]
    _noted.made = [(ref, line) for ref, line in _noted.made if ref() is not None and not _over(ref())]
    if not ended:
        return
    gc.collect()
    for ref, line in ended:
        tracer = ref()
        if tracer is None:
            continue
        holder = _holder(tracer, 0, {id(ended), id(sys._getframe())})
        if holder:
            raise LeakedTracerError(
                f"checking_leaks: a traced value of type {tracer.type} outlived its trace: it is kept by {holder}. "
                f"Return it from the traced function instead. It was made{at_line(line)}"
            )


def _over(tracer: Tracer | None) -> bool:
    """Whether a tracer is there, its trace has ended, and no pullback may still want it."""
    if tracer is None or tracer.frame.active:
        return False
    return not (isinstance(tracer.frame, Tape) and tracer.frame.notes)


def _holder(thing: Any, depth: int, seen: set[int]) -> str:
    """What of the user's refers to a thing, in words; empty if nothing does."""
    seen.add(id(thing))
    referrers = [r for r in gc.get_referrers(thing) if id(r) not in seen]
    seen.add(id(referrers))
    for r in referrers:
        words = _described(r, thing, depth, seen)
        if words:
            return words
    return ""


def _described(r: Any, thing: Any, depth: int, seen: set[int]) -> str:
    """One referrer, in words."""
    if isinstance(r, FrameType):
        names = [name for name, value in r.f_locals.items() if value is thing]
        mine = is_internal(r.f_code.co_filename) or not names
        return "" if mine else f"the local variable {names[0]!r} of {r.f_code.co_qualname}"
    if isinstance(r, FunctionType):
        if is_internal(r.__code__.co_filename):
            return ""
        return f"{FUNCTION} {r.__qualname__} (a closure or default of it)"
    if isinstance(r, type):
        return "" if r.__module__.partition(".")[0] in OTHERS else f"{CLASS} {r.__qualname__}"
    if isinstance(r, ModuleType) or depth > DEPTH:
        return ""
    if isinstance(r, dict):
        key = next((k for k, value in r.items() if value is thing), None)
        if "__name__" in r and "__spec__" in r:
            return f"the global variable {key!r} of module {r['__name__']!r}"
        outer = _holder(r, depth + 1, seen)
        what = "the attribute" if outer.startswith(CLASS) else "key"
        return f"{what} {key!r} of {outer}" if outer else ""
    if isinstance(r, CONTAINERS):
        outer = _holder(r, depth + 1, seen)
        if outer:
            return outer if isinstance(r, CellType) or _is_part(r, outer) else f"a {type(r).__name__} in {outer}"
    if type(r).__module__.partition(".")[0] in OTHERS:
        return ""
    name = next((k for k in _attributes(r) if getattr(r, k, None) is thing), None)
    return f"the attribute {name!r} of a {type(r).__qualname__}" if name else f"a {type(r).__qualname__}"


def _is_part(r: Any, outer: str) -> bool:
    """Whether a tuple is what a function has for its closure or its defaults."""
    return isinstance(r, tuple) and outer.startswith(FUNCTION)


def _attributes(r: Any) -> list[str]:
    """Names of an object's attributes, in its dictionary and in slots."""
    slots = [getattr(kind, "__slots__", ()) for kind in type(r).__mro__]
    return [*getattr(r, "__dict__", ()), *(name for s in slots for name in ((s,) if isinstance(s, str) else s))]


@contextlib.contextmanager
def check_tracer_leaks(new_val: bool = True) -> Iterator[None]:
    """Within this context, and this thread, a traced value that outlives its trace is an error.

    See `checking_leaks`.

    Returns
    -------
    context manager
        For a ``with`` block.
    """
    with config.check_tracer_leaks(new_val):
        yield
        if new_val:
            _settle()


_settle = boundary(settle)


def checking_leaks() -> contextlib.AbstractContextManager[None]:
    """Within this context, and this thread, a traced value that outlives its trace is an error.

    Such values are kept in a global, an attribute or a closure while a function is traced, and used too late. It takes
    time: a garbage collection per call where something is left.

    Returns
    -------
    context manager
        For a ``with`` block.

    Raises
    ------
    LeakedTracerError
        When a jitted function returns, when the next transformation begins, or at the end of the block.

    Examples
    --------
    >>> import funcgrad as fg
    >>> kept = []
    >>> with fg.checking_leaks():
    ...     try:
    ...         fg.jit(lambda x: kept.append(x) or x)(2.0)
    ...     except fg.errors.LeakedTracerError as error:
    ...         print(str(error).partition(" in ")[0])
    checking_leaks: a traced value of type f64[]* outlived its trace: it is kept by a list
    """
    return check_tracer_leaks(True)


def install() -> None:
    """Connect the switch, and take the environment's word."""
    calls = watch_calls(config.check_tracer_leaks, _watch_call)

    def changed(active: bool) -> None:
        calls(active)
        Tracer.__init__ = _noting_init if active else _init  # type: ignore[method-assign]
        Frame.__enter__ = _checking_enter if active else _enter  # type: ignore[method-assign]

    config.check_tracer_leaks.changed = changed
    config.check_tracer_leaks.start()
