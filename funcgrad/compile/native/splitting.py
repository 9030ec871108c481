"""How is a long line sorted where the CPU stores the lanes of a vector that a mask names side by side?  In parts.

Some of the numbers, in order, give `PARTS` - 1 limits (W. D. Frazer & A. C. McKellar's samplesort, 1970). Pieces of the
line are compared with them twice, in whole vectors: to count how many numbers belong to each part, and to put them
there. NumPy's function sorts each part where it lies, without the first partitions that it would make: one thread takes
1.02 to 1.07 times as long as NumPy for 10⁶ float32 (runs that are merged: 1.54), and threads share nearly all of it.

Each kernel takes the integers of `Parameter`. Ranges are those of lines for ``sample`` and ``places``, of pieces of
lines for ``count`` and ``move``, of parts of lines for ``sort``.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from enum import IntEnum

import numpy as np

from funcgrad.compile import cpus
from funcgrad.compile.compiler import native_library
from funcgrad.compile.native.text import Function, Module, Value
from funcgrad.compile.passes import Effort

Parameter = IntEnum("Parameter", "SLOT_X SLOT_OUT SLOT_SAMPLES SLOT_COUNTS FUNCTION N PIECES LENGTH STATUS", start=0)
KERNELS = ("sample", "count", "places", "move", "sort")

PARTS = 8
SAMPLES = 1024  # of a line
_TYPES = {"f4": "float", "f8": "double", "i4": "i32", "u4": "i32", "i8": "i64", "u8": "i64"}
_BEHIND = {"f": "fcmp ugt", "i": "icmp sgt", "u": "icmp ugt"}  # NaN is behind all

Use = Callable[[Value, list[Value]], None]


def splits() -> bool:
    """Whether the CPU has the instructions; emulated, they take longer than the merging that they save."""
    return "+avx512f" in cpus.features()


def is_split(dtype: np.dtype) -> bool:
    """Whether there are kernels for a dtype."""
    return dtype.str[1:] in _TYPES


@functools.cache
def addresses(dtype: str) -> dict[str, int]:
    """The addresses of the kernels for ``"f4"``, ...."""
    module = Module(Effort.REGISTERS)
    define(module, dtype)
    library = native_library(f"splitting_{dtype}", str(module))
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
    return {name: library.address(f"fg_split_{name}_{dtype}") for name in KERNELS}


def define(module: Module, dtype: str) -> None:
    """Define ``fg_split_sample_<dtype>`` and its like."""
    for name in KERNELS:
        parameters = {"bufs": "ptr", "ints": "ptr", "first": "i64", "last": "i64"}
        with module.function(f"fg_split_{name}_{dtype}", "void", **parameters) as f:
            splitter = _Splitter(f, dtype)
            with f.range(f.last - f.first) as step:
                getattr(splitter, name)(f.first + step)
            f.ret()


class _Splitter:
    """Writes the kernels of one dtype."""

    def __init__(self, f: Function, dtype: str) -> None:
        self.f, self.size = f, int(dtype[1:])
        self.number, self.behind = _TYPES[dtype], _BEHIND[dtype[0]]
        self.lanes = 64 // self.size
        self.vector, self.mask = f"<{self.lanes} x {self.number}>", f"<{self.lanes} x i1>"
        self.suffix = f"v{self.lanes}{'f' if dtype[0] == 'f' else 'i'}{8 * self.size}"
        self.word = {p: f.load(f.ints, 8 * p) for p in Parameter}
        slots = Parameter.SLOT_X, Parameter.SLOT_OUT, Parameter.SLOT_SAMPLES, Parameter.SLOT_COUNTS
        self.x, self.out, self.samples, self.counts = (f.load(f.bufs, self.word[p] * 8, "ptr") for p in slots)
        self.n = self.word[Parameter.N]

    def sample(self, line: Value) -> None:
        """Numbers from equal stretches of a line, each from another place there, in order."""
        f = self.f
        stretch = self.n // SAMPLES
        samples = self.samples + line * (SAMPLES * self.size)
        with f.range(f.constant("i64", SAMPLES)) as k:
            mixed = (k * 0x9E3779B97F4A7C15) >> 32
            place = line * self.n + k * stretch + (mixed - mixed // stretch * stretch)
            f.store(f.load(self.x + place * self.size, 0, self.number), samples + k * self.size)
        self._sorted(samples, f.constant("i64", SAMPLES))

    def count(self, piece: Value) -> None:
        """How many numbers of a piece belong to each part."""
        f = self.f
        limits, behind = self._limits(piece), [f.variable("i64", 0) for _ in range(PARTS - 1)]

        def add(x: Value, masks: list[Value]) -> None:
            for sum_, mask in zip(behind, masks[1:], strict=True):
                sum_.set(sum_.get() + self._lanes_of(mask))

        length = self._over(piece, limits, add)
        bounds = [length, *(b.get() for b in behind), f.constant("i64", 0)]
        for part in range(PARTS):
            f.store(bounds[part] - bounds[part + 1], self._count(piece, part))

    def places(self, line: Value) -> None:
        """The counts of a line as the places where they begin: part after part, and within it piece after piece."""
        f, pieces = self.f, self.word[Parameter.PIECES]
        place = f.variable("i64", 0)
        for part in range(PARTS):
            with f.range(pieces) as k:
                where = self._count(line * pieces + k, part)
                here = f.load(where)
                f.store(place.get(), where)
                place.set(place.get() + here)

    def move(self, piece: Value) -> None:
        """Put the numbers of a piece where their parts are; the places are those behind them then."""
        f = self.f
        out = self.out + (piece // self.word[Parameter.PIECES]) * self.n * self.size
        limits = self._limits(piece)
        places = [f.variable("i64", f.load(self._count(piece, part))) for part in range(PARTS)]

        def put(x: Value, masks: list[Value]) -> None:
            for part, place in enumerate(places):
                mask = masks[part]
                if part + 1 < PARTS:
                    mask = mask & f.emit(self.mask, f"xor {masks[part + 1]}, splat (i1 true)")
                target = out + place.get() * self.size
                f.call(f"llvm.masked.compressstore.{self.suffix}", x, target, mask, returns="void")
                place.set(place.get() + self._lanes_of(mask))

        self._over(piece, limits, put)
        for part, place in enumerate(places):
            f.store(place.get(), self._count(piece, part))

    def sort(self, number: Value) -> None:
        """Sort a part."""
        f, pieces = self.f, self.word[Parameter.PIECES]
        line = number // PARTS
        part = number - line * PARTS
        last = self._count(line * pieces + pieces - 1, 0) + part * 8
        start = f.variable("i64", 0)
        with f.if_(part > 0):
            start.set(f.load(last + (-8)))
        self._sorted(self.out + (line * self.n + start.get()) * self.size, f.load(last) - start.get())

    # What these are made of -------------------------------------------------------------------------------------------

    def _sorted(self, first: Value, count: Value) -> None:
        f = self.f
        function = f.pointer(self.word[Parameter.FUNCTION])
        failed = f.call(function, first, count, f.constant("ptr", 0), returns="i32").is_not(0)
        with f.if_(failed):
            f.store(self.word[Parameter.STATUS], f.load(f.bufs, 0, "ptr"))

    def _count(self, piece: Value, part: int) -> Value:
        return self.counts + piece * (8 * PARTS) + 8 * part

    def _limits(self, piece: Value) -> list[Value]:
        """The limits of a piece's line, each in all lanes."""
        f = self.f
        samples = self.samples + (piece // self.word[Parameter.PIECES]) * (SAMPLES * self.size)
        limits = []
        for part in range(1, PARTS):
            limit = f.load(samples + part * (SAMPLES // PARTS) * self.size, 0, self.number)
            limits.append(f.repeated(limit, self.lanes))
        return limits

    def _over(self, piece: Value, limits: list[Value], use: Use) -> Value:
        """``use(vector, masks)`` for each vector of a piece: the lanes that are behind each limit, the first of them
        being all that there are; its length.
        """
        f, pieces = self.f, self.word[Parameter.PIECES]
        line = piece // pieces
        start = (piece - line * pieces) * self.word[Parameter.LENGTH]
        rest = self.n - start
        length = f.select(rest < self.word[Parameter.LENGTH], rest, self.word[Parameter.LENGTH])
        x = self.x + (line * self.n + start) * self.size
        whole = length // self.lanes
        with f.range(whole) as k:
            place = x + k * (self.lanes * self.size)
            vector = f.emit(self.vector, f"load {self.vector}, {place}, align {self.size}")
            self._masked(vector, f.constant(self.mask, "splat (i1 true)"), limits, use)
        left = length - whole * self.lanes
        with f.if_(left > 0):
            there = f.call(
                f"llvm.get.active.lane.mask.v{self.lanes}i1.i64", f.constant("i64", 0), left, returns=self.mask
            )
            last = x + whole * (self.lanes * self.size)
            nothing = f.constant(self.vector, "zeroinitializer")
            align = f.constant("i32", self.size)
            vector = f.call(f"llvm.masked.load.{self.suffix}.p0", last, align, there, nothing, returns=self.vector)
            self._masked(vector, there, limits, use)
        return length

    def _masked(self, vector: Value, there: Value, limits: list[Value], use: Use) -> None:
        masks = [there]
        for limit in limits:  # among those behind the one before: where limits are NaN, so is all behind them
            masks.append(self.f.emit(self.mask, f"{self.behind} {vector}, {limit.name}") & masks[-1])
        use(vector, masks)

    def _lanes_of(self, mask: Value) -> Value:
        f, bits = self.f, f"i{self.lanes}"
        word = f.emit(bits, f"bitcast {mask} to {bits}")
        return f.convert("zext", f.call(f"llvm.ctpop.{bits}", word, returns=bits), "i64")
