"""What sorts where there is no NumPy?  Heapsort (Williams 1964), in place and without memory of its own.

Unsigned integers are sorted digit by digit where the caller has memory for as many of them: in the third argument,
which NumPy's functions do not look at.
"""

from __future__ import annotations

import ctypes
import functools

from funcgrad.compile.compiler import native_library
from funcgrad.compile.native.text import Function, Module, Value
from funcgrad.compile.passes import Effort

_FLOATS = {2: "half", 4: "float", 8: "double"}
_WIDTH = 8  # bits of a digit


@functools.cache
def own_sort_address(name: str) -> int:
    """The address of the function of this name (see `define`) in this process."""
    module = Module(Effort.ALL)
    define(module, name)
    library = native_library(name, str(module))
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
    return library.address(name)


def define(module: Module, name: str) -> None:
    """Define ``name(first, count, spare)``, where the name ends in a dtype's kind and size, as in ``fg_sort_f8``."""
    kind, size = name.removeprefix("fg_sort_")[0], int(name[-1])
    element = _FLOATS[size] if kind == "f" else f"i{8 * size}"
    sift = f"{name}_sift"
    with module.function(sift, "void", first="ptr", root="i64", count="i64") as f:
        place = f.variable("i64", f.root)
        x = f.load(f.first + f.root * size, 0, element)
        with f.loop():
            child = f.variable("i64", place.get() * 2 + 1)
            with f.if_(child.get() >= f.count):
                f.break_()
            left = f.load(f.first + child.get() * size, 0, element)
            with f.if_(child.get() + 1 < f.count):
                right = f.load(f.first + (child.get() + 1) * size, 0, element)
                with f.if_(_less(f, kind, left, right)):
                    child.set(child.get() + 1)
            larger = f.load(f.first + child.get() * size, 0, element)
            with f.if_(_less(f, kind, x, larger).is_(0)):
                f.break_()
            f.store(larger, f.first + place.get() * size)
            place.set(child.get())
        f.store(x, f.first + place.get() * size)
        f.ret()
    with module.function(name, "i32", first="ptr", count="i64", spare="ptr") as f:
        if kind == "u" and size > 1:
            with f.if_(f.spare.is_not(0)):
                _by_digits(f, size)
                f.ret(0)
        half = f.count // 2
        with f.range(half) as k:
            f.call(sift, f.first, half - 1 - k, f.count, returns="void")
        with f.range(f.count - 1) as k:
            last = f.count - 1 - k
            end = f.first + last * size
            smallest, largest = f.load(end, 0, element), f.load(f.first, 0, element)
            f.store(largest, end)
            f.store(smallest, f.first)
            f.call(sift, f.first, f.constant("i64", 0), last, returns="void")
        f.ret(0)


def _by_digits(f: Function, size: int) -> None:
    """Sort unsigned integers from the lowest digit to the highest, to and fro between `first` and `spare`."""
    element = f"i{8 * size}"
    counts = f.variable("i32", count=1 << _WIDTH).place
    for digit in range(8 * size // _WIDTH):
        source, target = (f.first, f.spare) if digit % 2 == 0 else (f.spare, f.first)
        f.call("llvm.memset.p0.i64", counts, f.constant("i8", 0), 4 << _WIDTH, f.constant("i1", 0), returns="void")
        with f.range(f.count) as i:
            place = _counted(f, counts, f.load(source + i * size, 0, element), digit)
            f.store(f.load(place, 0, "i32") + 1, place)
        before = f.variable("i32", 0)
        with f.range(f.constant("i64", 1 << _WIDTH)) as i:
            here = f.load(counts, i * 4, "i32")
            f.store(before.get(), counts + i * 4)
            before.set(before.get() + here)
        with f.range(f.count) as i:
            x = f.load(source + i * size, 0, element)
            place = _counted(f, counts, x, digit)
            where = f.load(place, 0, "i32")
            f.store(where + 1, place)
            f.store(x, target + f.convert("zext", where, "i64") * size)


def _counted(f: Function, counts: Value, x: Value, digit: int) -> Value:
    """Where the count of an element's digit is."""
    found = (x >> (digit * _WIDTH)) & ((1 << _WIDTH) - 1)
    return counts + (found if found.type == "i64" else f.convert("zext", found, "i64")) * 4


def _less(f: Function, kind: str, x: Value, y: Value) -> Value:
    """Whether x comes before y; NaN comes last."""
    if kind != "f":
        return f.emit("i1", f"icmp {'slt' if kind == 'i' else 'ult'} {x}, {y.name}")
    number = f.emit("i1", f"fcmp ord {x}, {x.name}")
    return f.emit("i1", f"fcmp ult {x}, {y.name}") & number
