"""Which decisions does a function take by symbolic sizes?  They are noted, and asked again when the sizes are known.

While a function is traced for export, shapes that the user's code reads hold `watched.Watched` numbers instead of
integers. A comparison of them becomes a guard: a call with sizes for which it would have come out otherwise is refused.

funcgrad's own code, and NumPy's below it, see integers: what it does with sizes is told from programs traced at several
of them (`funcgrad.export.template`).
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import operator
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from funcgrad.arguments import owned
from funcgrad.array import Array, as_array
from funcgrad.export.changes import changed
from funcgrad.export.watched import Watched, Watcher, from_user, is_users
from funcgrad.lax._collectives import axis_size
from funcgrad.numpy import _common, _creation
from funcgrad.trace.function import ShapeDtypeStruct
from funcgrad.trace.tracer import Tracer
from funcgrad.tracebacks import boundary
from funcgrad.transform.vmap import Batch

# Functions that tell extents: who calls them reads the shape.
_TELLING = {function.__wrapped__.__code__ for function in (_creation.shape, _creation.size)} | {axis_size.__code__}  # type: ignore[union-attr]
_BETWEEN = {_creation.shape.__code__, Tracer.__array_function__.__code__, boundary(axis_size).__code__}


def _read_by_user() -> bool:
    """Whether the code that reads the property two frames up is the user's."""
    frame: Any = sys._getframe(2)
    if frame.f_code in _TELLING:
        frame = frame.f_back
        while frame.f_code in _BETWEEN:
            frame = frame.f_back
    return is_users(frame)


def _plain_shape(x: Any) -> tuple[int, ...]:
    if type(x) is Tracer:
        return x.type.shape
    if type(x) is Batch:
        return (_OWN[Batch].__get__(x),)
    return _own(x).__get__(x)  # type: ignore[no-any-return]


def _own(x: Any) -> Any:
    """The attribute's own descriptor."""
    return next(descriptor for owner, descriptor in _OWN.items() if isinstance(x, owner))


_OWN: dict[type, Any] = {
    ShapeDtypeStruct: ShapeDtypeStruct.__dict__["shape"],
    Batch: Batch.__dict__["size"],
    np.ndarray: np.ndarray.__dict__["shape"],
}


@contextlib.contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Meanwhile the user's code sees watched numbers in shapes (in this thread)."""
    thread = threading.get_ident()
    with changed(itertools.chain(_shown(watcher, thread), _handing_out(watcher, thread))):
        yield


def _handing_out(watcher: Watcher, thread: int) -> Iterator[tuple[Any, str, Any]]:
    """Functions by which the library hands known arrays out to the user, which stage them."""

    def staging(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            found = function(*args, **kwargs)
            if threading.get_ident() != thread:
                return found
            return list(map(watcher.staged, found)) if type(found) is list else watcher.staged(found)

        return call

    replaced = {f: staging(f) for f in (_common.wrap, as_array, owned)}
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("funcgrad."):
            for function, by in replaced.items():
                if vars(module).get(function.__name__) is function:
                    yield module, function.__name__, by


def _shown(watcher: Watcher, thread: int) -> Iterator[tuple[Any, str, Any]]:
    """The attributes by which the user's code reads extents."""

    def seen(of_extents: Callable[[Any, Any], Any]) -> property:
        def get(x: Any) -> Any:
            watched = threading.get_ident() == thread and _read_by_user()
            return of_extents(x, watcher.extents(_plain_shape(x)) if watched else _plain_shape(x))

        def put(x: Any, shape: Any) -> None:
            _own(x).__set__(x, shape)

        return property(get, put)

    def length(x: Any) -> int:
        first = watcher.extents(_plain_shape(x))[:1]
        if first and isinstance(first[0], Watched) and threading.get_ident() == thread and from_user():
            first[0]._lost("len(x) (x.shape[0] is a size)")
        return own_length(x)

    own_length: Callable[[Any], int] = Tracer.__len__

    def product(x: Any, extents: Any) -> Any:
        return functools.reduce(operator.mul, extents, 1)

    for owner in (Tracer, Array, ShapeDtypeStruct):
        yield owner, "shape", seen(lambda x, extents: extents)
    for owner in (Tracer, Array):
        yield owner, "size", seen(product)
    yield Tracer, "nbytes", seen(lambda x, extents: product(x, extents) * x.itemsize)
    yield Tracer, "__len__", length
    yield Batch, "size", seen(lambda x, extents: extents[0])
