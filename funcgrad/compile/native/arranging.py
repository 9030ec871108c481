"""How are positions put in the order of random bits?  A kernel that sorts the buckets that the highest digit has left.

A word of a bucket has a key above and a place below. NumPy's sorts, vectors throughout, take words of 32 bits in half
the time of 64: so what fits above a word's number in its bucket of the key (19 bits of 24 left in a bucket of 8,000) is
sorted with that number, which says where the rest is, and the few pairs whose keys differ further down change places
afterwards. Large buckets are sorted by the whole key above the number. Either way equal keys keep their order. Where
NumPy has no vectors, or is not there, `own_sort` takes its place, with the lower half of the result as its memory.

Both kinds of sorted words lie in the bucket's part of the result, until places take theirs: 32-bit ones in its upper
half, so that none is written over before it is read.

The integers of ``fg_arrange`` are those of `Parameter`; its range is that of buckets, and `BEFORE` the place of the
first one's end among the ends.
"""

from __future__ import annotations

import ctypes
import functools
from enum import IntEnum

from funcgrad.compile.compiler import native_library
from funcgrad.compile.native.text import Function, Module, Value
from funcgrad.compile.passes import Effort

Parameter = IntEnum("Parameter", "SLOT_WORDS SLOT_ENDS SLOT_OUT BEFORE SORT_4 SORT_8", start=0)

NARROW = 1 << 15  # words of a bucket of which 17 bits of the key tell nearly all apart
_DIGIT = 8  # bits of the key that are equal in a bucket
_LOW = (1 << 32) - 1


@functools.cache
def arrange_address() -> int:
    """The address of the kernel."""
    module = Module(Effort.ALL)
    define(module)
    library = native_library("arranging", str(module))
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
    return library.address("fg_arrange")


def define(module: Module) -> None:
    """Define ``fg_arrange``."""
    parts = {"words": "ptr", "out": "ptr", "count": "i64", "sort": "ptr"}
    with module.function("fg_arrange_narrow", "void", **parts) as f:
        _narrow(f)
    with module.function("fg_arrange_wide", "void", **parts) as f:
        _wide(f)
    with module.function("fg_arrange", "void", bufs="ptr", ints="ptr", first="i64", last="i64") as f:
        word = {p: f.load(f.ints, 8 * p) for p in Parameter}
        words, ends, out = (f.load(f.bufs, word[p] * 8, "ptr") for p in list(Parameter)[:3])
        with f.range(f.last - f.first) as step:
            bucket = f.first + step
            start = f.variable("i64", 0)
            with f.if_(bucket > 0):
                start.set(_end(f, ends, word[Parameter.BEFORE] + bucket - 1))
            count = _end(f, ends, word[Parameter.BEFORE] + bucket) - start.get()
            place = words + start.get() * 8, out + start.get() * 8
            f.choose(
                count <= NARROW,
                lambda: f.call("fg_arrange_narrow", *place, count, f.pointer(word[Parameter.SORT_4]), returns="void"),
                lambda: f.call("fg_arrange_wide", *place, count, f.pointer(word[Parameter.SORT_8]), returns="void"),
            )
        f.ret()


def _end(f: Function, ends: Value, number: Value) -> Value:
    return f.convert("zext", f.load(ends, number * 4, "i32"), "i64")


def _narrow(f: Function) -> None:
    """Words of 32 bits: the upper ones of the rest of the key, and the number of the word in the bucket."""
    short = f.out + f.count * 4
    most = f.call("llvm.umax.i64", f.count - 1, 1)
    bits = f.constant("i64", 64) - f.call("llvm.ctlz.i64", most, f.constant("i1", 1))
    number = f.emit("i64", f"shl i64 1, {bits.name}") - 1
    with f.range(f.count) as i:
        key = f.load(f.words, i * 8) >> (32 - _DIGIT)
        f.store(f.cast_int(key - (key & number) + i, "i32"), short + i * 4)
    f.call(f.sort, short, f.count, f.out, returns="i32")
    with f.range(f.count - 1) as i:
        place = short + i * 4
        left, right = f.load(place, 0, "i32"), f.load(place, 4, "i32")
        with f.if_(f.convert("zext", f.emit("i32", f"xor {left}, {right.name}"), "i64") <= number):
            _order(f, short, i + 1, number)
    with f.range(f.count) as i:
        found = f.convert("zext", f.load(short, i * 4, "i32"), "i64") & number
        f.store(f.load(f.words, found * 8) & _LOW, f.out + i * 8)
    f.ret()


def _order(f: Function, short: Value, last: Value, number: Value) -> None:
    """Put a short word before those that are alike as far as they go but have larger keys."""
    word = f.load(short, last * 4, "i32")
    key = _key(f, word, number)
    place = f.variable("i64", last)
    with f.while_(lambda: place.get() > 0):
        left = f.load(short, place.get() * 4 - 4, "i32")
        with f.if_(_key(f, left, number) <= key):
            f.break_()
        f.store(left, short + place.get() * 4)
        place.set(place.get() - 1)
    f.store(word, short + place.get() * 4)


def _key(f: Function, short: Value, number: Value) -> Value:
    return f.load(f.words, (f.convert("zext", short, "i64") & number) * 8) >> 32


def _wide(f: Function) -> None:
    """Words of 64 bits: the key, and the number of the word in the bucket."""
    with f.range(f.count) as i:
        word = f.load(f.words, i * 8)
        f.store(word - (word & _LOW) + i, f.out + i * 8)
    f.call(f.sort, f.out, f.count, f.constant("ptr", 0), returns="i32")
    with f.range(f.count) as i:
        found = f.load(f.out, i * 8) & _LOW
        f.store(f.load(f.words, found * 8) & _LOW, f.out + i * 8)
    f.ret()
