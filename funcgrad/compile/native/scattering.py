"""How are numbers added at many places of a large array?  By pieces that own places: each takes the numbers that are
its own, in order.

A piece goes over all indices, a block at a time. Those of its places, and the numbers that belong to them, are
compressed into memory that the first cache holds (AVX-512), and added one after the other from there, in a part of the
array that stays in the second cache. So the sums are those of one loop in order, whatever the number of pieces, and
nobody's sums have to be cleared, or added up.

The integers of ``fg_add_at_...`` are those of `Parameter`; its range is that of the pieces. Negative indices count from
the end. What is out of bounds is left out, and told by `STATUS`, if that is not 0.
"""

from __future__ import annotations

import ctypes
import functools
from enum import IntEnum
from typing import NamedTuple

from funcgrad.compile.compiler import native_library
from funcgrad.compile.emitters import TYPES, size_of
from funcgrad.compile.native.text import Function, Module, Value
from funcgrad.compile.passes import Effort

Parameter = IntEnum("Parameter", "SLOT_TARGET SLOT_UPDATES SLOT_INDEX COUNT SIZE PIECES STATUS", start=0)

BLOCK = 512  # indices whose places and numbers lie in memory
VECTOR = 64  # bytes


class Add(NamedTuple):
    """What a kernel does.

    Attributes
    ----------
    dtype
        Of the numbers.
    indices
        Of the indices.
    wide
        Whether places need 64 bits.
    one
        Whether the same number is added everywhere.
    compresses
        Whether the CPU has the instructions. Without them, which is for object files, pieces look at one index after
        the other.
    """

    dtype: str
    indices: str
    wide: bool
    one: bool
    compresses: bool

    @property
    def name(self) -> str:
        """What the kernel is called."""
        kind = "".join(f"_{name}" for name in ("wide", "one", "compresses") if getattr(self, name))
        return f"fg_add_at_{self.dtype}_{self.indices}{kind}"


@functools.cache
def add_address(add: Add) -> int:
    """The address of the kernel."""
    module = Module(Effort.REGISTERS)
    define(module, add)
    library = native_library(add.name, str(module))
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
    return library.address(add.name)


def define(module: Module, add: Add) -> None:
    """Define the kernel."""
    with module.function(add.name, "void", bufs="ptr", ints="ptr", first="i64", last="i64") as f:
        adder = _Adder(f, add)
        with f.folding(f.last - f.first, []) as k:
            adder.piece(f.first + k)
        f.ret()


class _Adder:
    """Writes the kernel."""

    def __init__(self, f: Function, add: Add) -> None:
        self.f, self.add = f, add
        self.number, self.place = TYPES[add.dtype], "i64" if add.wide else "i32"
        self.extend = "zext" if add.indices[0] == "u" else "sext"
        self.number_size, self.place_size = size_of(add.dtype), 8 if add.wide else 4
        self.word = {p: f.load(f.ints, 8 * p) for p in Parameter}
        slots = Parameter.SLOT_TARGET, Parameter.SLOT_UPDATES, Parameter.SLOT_INDEX
        self.target, self.updates, self.index = (f.load(f.bufs, self.word[p] * 8, "ptr") for p in slots)
        self.every = f.load(self.updates, 0, self.number) if add.one else None
        if not add.compresses:
            return
        self.lanes = VECTOR // max(self.number_size, self.place_size)
        room = BLOCK + self.lanes
        self.places = f.variable(self.place, count=room).place
        self.numbers = f.variable(self.number, count=room).place
        self.counts = self._constant("i32", ", ".join(f"i32 {k}" for k in range(self.lanes)))
        self.zero = self._constant(self.place, None)
        self.extent = f.repeated(f.cast_int(self.word[Parameter.SIZE], self.place), self.lanes)

    def piece(self, number: Value) -> None:
        """Add what belongs to the places of a piece."""
        f, size, pieces = self.f, self.word[Parameter.SIZE], self.word[Parameter.PIECES]
        first, last = ((n * size) // pieces for n in (number, number + 1))
        wrong = self._in_blocks(first, last) if self.add.compresses else self._one_by_one(first, last)
        with f.if_(wrong & self.word[Parameter.STATUS].is_not(0)):
            f.store(self.word[Parameter.STATUS], f.load(f.bufs, 0, "ptr"))

    def _one_by_one(self, first: Value, last: Value) -> Value:
        """Add what is a piece's; whether something was out of bounds."""
        f, size, state = self.f, self.word[Parameter.SIZE], [self.f.constant("i1", 0)]
        kind, bytes_ = TYPES[self.add.indices], size_of(self.add.indices)
        with f.folding(self.word[Parameter.COUNT], state) as k:
            given = f.load(self.index, k * bytes_, kind)
            wide = given if kind == "i64" else f.convert(self.extend, given, "i64")
            place = f.select(wide < 0, wide + size, wide)
            with f.if_((place >= first) & (place < last)):
                self._add(place, k, self.updates)
            state[0] = state[0] | (place < 0) | (place >= size)
        return state[0]

    def _in_blocks(self, first: Value, last: Value) -> Value:
        """The same, compressed."""
        f, count = self.f, self.word[Parameter.COUNT]
        low, extent = (f.repeated(f.cast_int(n, self.place), self.lanes) for n in (first, last - first))
        state = [f.constant(f"<{self.lanes} x i1>", "zeroinitializer")]  # which lanes have seen what is out of bounds
        with f.folding((count + (BLOCK - 1)) // BLOCK, state) as block:
            begin = block * BLOCK
            rest = count - begin
            length = f.select(rest < BLOCK, rest, f.constant("i64", BLOCK))
            inner = [f.constant("i64", 0), state[0]]
            with f.folding((length + (self.lanes - 1)) // self.lanes, inner) as group:
                inner[:] = self._taken(begin, length, group * self.lanes, inner, low, extent)
            state[0] = inner[1]
            with f.folding(inner[0], []) as k:
                place = f.load(self.places, k * self.place_size, self.place)
                self._add(f.cast_int(place, "i64"), k, self.numbers)
        return f.convert("bitcast", state[0], f"i{self.lanes}").is_not(0)

    def _taken(
        self, begin: Value, length: Value, start: Value, state: list[Value], low: Value, extent: Value
    ) -> list[Value]:
        """Take from a group what belongs to the piece: how many of the block there are then, and what was wrong."""
        f, (taken, wrong) = self.f, state
        left = f.repeated(f.cast_int(length - start, "i32"), self.lanes)
        there = self._compared("slt", self.counts, left)
        k = self._extended(
            self._loaded(self.index, begin + start, TYPES[self.add.indices], size_of(self.add.indices), there)
        )
        k = f.select(self._compared("slt", k, self.zero), k + self.extent, k)
        wrong = wrong | (there & self._compared("uge", k, self.extent))
        mine = there & self._compared("ult", k - low, extent)
        self._kept(self.places, taken, k, self.place_size, mine)
        if not self.add.one:
            numbers = self._loaded(self.updates, begin + start, self.number, self.number_size, there)
            self._kept(self.numbers, taken, numbers, self.number_size, mine)
        bits = f.convert("bitcast", mine, f"i{self.lanes}")
        count = f.emit(bits.type, f"call {bits.type} @llvm.ctpop.{bits.type}({bits})")
        return [taken + f.convert("zext", count, "i64"), wrong]

    def _add(self, place: Value, k: Value, numbers: Value) -> None:
        """Add one of the numbers to what is at a place."""
        f = self.f
        at = self.target + place * self.number_size
        new = self.every or f.load(numbers, k * self.number_size, self.number)
        old = f.load(at, 0, self.number)
        operation = "fadd" if self.add.dtype[0] == "f" else "add"
        f.store(f.emit(self.number, f"{operation} {old}, {new.name}"), at)

    def _constant(self, kind: str, elements: str | None) -> Value:
        text = "zeroinitializer" if elements is None else f"<{elements}>"
        return self.f.constant(f"<{self.lanes} x {kind}>", text)

    def _compared(self, predicate: str, a: Value, b: Value) -> Value:
        return self.f.emit(f"<{self.lanes} x i1>", f"icmp {predicate} {a}, {b.name}")

    def _loaded(self, array: Value, first: Value, kind: str, size: int, there: Value) -> Value:
        """The elements of a group that are there."""
        vector = f"<{self.lanes} x {kind}>"
        name = f"llvm.masked.load.v{self.lanes}{kind.replace('float', 'f32').replace('double', 'f64')}.p0"
        place = array + first * size
        return self.f.emit(vector, f"call {vector} @{name}({place}, i32 {size}, {there}, {vector} zeroinitializer)")

    def _extended(self, k: Value) -> Value:
        kind = f"<{self.lanes} x {self.place}>"
        if k.type == kind:
            return k
        return self.f.convert(self.extend, k, kind)

    def _kept(self, room: Value, taken: Value, v: Value, size: int, mine: Value) -> None:
        """Write the chosen lanes behind those that were taken before, and anything behind them."""
        kind = f"<{self.lanes} x i{8 * size}>"
        bits = v if v.type == kind else self.f.convert("bitcast", v, kind)
        name = f"llvm.x86.avx512.mask.compress.v{self.lanes}i{8 * size}"
        chosen = self.f.emit(kind, f"call {kind} @{name}({bits}, {kind} zeroinitializer, {mine})")
        self.f.emit("void", f"store {chosen}, {room + taken * size}, align {size}")
