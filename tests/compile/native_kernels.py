"""Small kernels with the ABI of compiled ones, for the tests of what runs them."""

from __future__ import annotations

import functools
import threading

from funcgrad.compile.compiler import native_library
from funcgrad.compile.native.text import Function, Module

_lock = threading.Lock()
_PARAMETERS = {"bufs": "ptr", "ints": "ptr", "first": "i64", "last": "i64"}


@functools.cache
def _library():
    module = Module()
    for name, body in _BODIES.items():
        with module.function(name, "void", **_PARAMETERS) as f:
            body(f)
            f.ret()
    return native_library("test kernels", str(module))


def address(name: str) -> int:
    """The address of one of the kernels below."""
    with _lock:
        return _library().address(name)


def _buffer(f: Function, index: int):
    return f.load(f.bufs, f.load(f.ints, 8 * index) * 8, "ptr")


def _add_one(f: Function) -> None:
    """``out[i] = in[i] + 1`` on int64."""
    source, target = _buffer(f, 0), _buffer(f, 1)
    with f.range(f.last - f.first) as step:
        offset = (f.first + step) * 8
        f.store(f.load(source, offset) + 1, target, offset)


def _mark(f: Function) -> None:
    """``out[first / chunk] = first * 2**32 + last``: which pieces there were."""
    piece = f.first // f.load(f.ints, 8)
    f.store((f.first << 32) | f.last, _buffer(f, 0), piece * 8)


def _count(f: Function) -> None:
    """``out[0] += 1``, atomically."""
    f.atomic("add", _buffer(f, 0), 0, 1)


def _fail(f: Function) -> None:
    """Report the status that the integers name."""
    f.store(f.load(f.ints), f.load(f.bufs, 0, "ptr"))


def _copy(f: Function) -> None:
    """``out = in``, `ints[2]` bytes."""
    size, volatile = f.load(f.ints, 16), f.constant("i1", 0)
    f.call("llvm.memcpy.p0.p0.i64", _buffer(f, 1), _buffer(f, 0), size, volatile, returns="void")


def _nothing(f: Function) -> None:
    """Do nothing."""


def _slow(f: Function) -> None:
    """Spend `ints[0]` rounds of a few nanoseconds on each index."""
    with f.range((f.last - f.first) * f.load(f.ints)):
        pass


_BODIES = {
    "add_one": _add_one,
    "mark": _mark,
    "count": _count,
    "fail": _fail,
    "copy": _copy,
    "nothing": _nothing,
    "slow": _slow,
}
