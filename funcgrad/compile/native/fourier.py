"""How are lines transformed whose lengths are powers of two?  Column by column in whole vectors, each lane a column.

A line of n = a * b numbers is a matrix of a rows and b columns (Bailey 1990, "FFTs in external or hierarchical
memory").  `ahead` transforms columns, so many at once as a vector has lanes, so that no step moves numbers between
lanes; they lie in blocks then, columns side by side.  `across` takes as many rows, turns them in registers (which makes
columns of them), multiplies by the roots between both parts, transforms, and writes numbers that lie together in the
result.  A block is read and written once in either part, and stays in the second-level cache; eighths of it, which
are transformed first, in the first-level cache.

A column is transformed in place (Cooley & Tukey 1965): numbers are read in the order in which digits run backwards, a
`first` step has no factors, the others, of radix 8, have one for each place in the columns.  Real and imaginary parts
are vectors of their own: point j of a block is at j * 2 vectors.

An inverse transform is the same with parts exchanged (when columns are read, and back when they are turned), and with
results in the order -k (when they are written).

The integers of kernels are those of `Parameter`.  Their ranges are: for ``ahead`` and ``across`` blocks of all lines,
for ``lines`` lines, for ``columns`` blocks of columns.  Where a range is cut changes no bit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum

from funcgrad.compile.native.text import Function, Module, Value
from funcgrad.compile.native.vectors import Vectors

Parameter = IntEnum(
    "Parameter",
    "SLOT_X SLOT_OUT SLOT_SCRATCH SLOT_ROOM ROWS COLUMNS ROW_PLAN COLUMN_PLAN COARSE FINE INVERSE SCALE CHUNK PIECE",
    start=0,
)
"""`ROWS` by `COLUMNS` is the matrix of a line, or of ``columns``; plans, of columns of `ROWS` and of `COLUMNS` numbers,
and roots are addresses; `SCALE` are the bits of a number, `PIECE` the bytes of a piece's room."""
Plan = IntEnum("Plan", "FIRST ORDER PLACES FACTORS LAST", start=0)
"""What an address of a plan points to: the radix of the first step, and addresses of the point that each place reads,
of the place that each point has, and of factors of the next steps, and of the last."""

RADIX, EIGHTH = 8, 3  # drivers, of which LLVM makes nothing better, shift instead of dividing
FIRST_CACHE = 1 << 15  # bytes of points that are transformed together
SHORT = 1 << 13  # bytes of a line, of which the next is fetched: no stream that CPUs would follow
QUARTER, LINE = 16, 64  # bytes of a quarter of a vector (or a half of one), and of a line of the cache
AHEAD = 8  # how many points before they are written lines of the result are fetched
FIRST = (8, 2, 4)  # radices of the first step, by the logarithm of a length, modulo 3
KERNELS = ("ahead", "across", "lines", "columns")
ALL = frozenset(KERNELS) | {f"first{radix}" for radix in FIRST}
ROOT = {"f4": "0x3FE6A09E60000000", "f8": "0x3FE6A09E667F3BCD"}  # of a half

Pair = tuple[Value, Value]


def define(module: Module, dtype: str, wanted: Collection[str], drivers: Module | None = None) -> None:
    """Define kernels, as ``fg_fourier_lines_f4``, and what they call: of `ALL` those that are wanted; what only calls
    others, in `drivers`, where those are apart.
    """
    fourier = Fourier(module, dtype)
    radices = [radix for radix in FIRST if f"first{radix}" in wanted]
    fourier.define_load()
    for radix in radices:
        fourier.define_first(radix)
    fourier.define_step()
    fourier.define_write()
    turns = not {"across", "lines"}.isdisjoint(wanted)
    if turns:
        fourier.define_turn()
    fourier = Fourier(drivers or module, dtype)
    fourier.define_inner(radices)
    if not {"ahead", "lines"}.isdisjoint(wanted):
        fourier.define_ahead()
    if turns:
        fourier.define_across()
    for name in KERNELS:
        if name in wanted:
            fourier.define_kernel(name)


class Fourier(Vectors):
    """The functions of a module, for complex numbers of two ``"f4"`` or ``"f8"``."""

    def __init__(self, module: Module, dtype: str) -> None:
        super().__init__(module, dtype)
        self.bytes = self.lanes * self.size  # of a vector
        self.point = 2 * self.bytes
        self.pair = 2 * self.size
        self.root = f"<{', '.join([f'{self.real} {ROOT[dtype]}'] * self.lanes)}>"

    def name(self, part: str) -> str:
        """What a function is called."""
        return f"fg_fourier_{part}_{self.dtype}"

    def do(self, f: Function, part: str, *arguments: Value | int) -> None:
        """Call one of these functions."""
        f.call(self.name(part), *arguments, returns="void")

    # Arithmetic on pairs ----------------------------------------------------------------------------------------------

    def op(self, f: Function, name: str, x: Value, y: Value) -> Value:
        return f.emit(self.vector, f"{name} {x}, {y.name}")

    def add(self, f: Function, x: Pair, y: Pair) -> Pair:
        return self.op(f, "fadd", x[0], y[0]), self.op(f, "fadd", x[1], y[1])

    def sub(self, f: Function, x: Pair, y: Pair) -> Pair:
        return self.op(f, "fsub", x[0], y[0]), self.op(f, "fsub", x[1], y[1])

    def add_turned(self, f: Function, x: Pair, y: Pair) -> tuple[Pair, Pair]:
        """x - i y and x + i y."""
        less = self.op(f, "fadd", x[0], y[1]), self.op(f, "fsub", x[1], y[0])
        more = self.op(f, "fsub", x[0], y[1]), self.op(f, "fadd", x[1], y[0])
        return less, more

    def times(self, f: Function, x: Pair, y: Pair) -> Pair:
        minus = f.emit(self.vector, f"fneg {x[1]}")
        real = self.fma(f, minus, y[1], self.op(f, "fmul", x[0], y[0]))
        return real, self.fma(f, x[1], y[0], self.op(f, "fmul", x[0], y[1]))

    def pair_at(self, f: Function, place: Value) -> Pair:
        return self.load(f, place), self.load(f, place + self.bytes)

    def store_pair(self, f: Function, x: Pair, place: Value) -> None:
        self.store(f, x[0], place)
        self.store(f, x[1], place + self.bytes)

    def number_at(self, f: Function, place: Value) -> Pair:
        """A complex number in every lane."""
        real, imaginary = (f.load(place, k * self.size, self.real) for k in (0, 1))
        return self.broadcast(f, real), self.broadcast(f, imaginary)

    def shuffled(self, f: Function, x: Value, y: Value, mask: list[int]) -> Value:
        elements = ", ".join(f"i32 {k}" for k in mask)
        return f.emit(self.vector, f"shufflevector {x}, {y}, <{len(mask)} x i32> <{elements}>")

    def taken_apart(self, f: Function, x: Pair) -> Pair:
        """Real and imaginary parts of complex numbers that lie together."""
        real, imaginary = (self.shuffled(f, *x, list(range(k, 2 * self.lanes, 2))) for k in (0, 1))
        return real, imaginary

    def interleave(self, f: Function, x: Pair, place: Value) -> None:
        """Store them again."""
        for half in (0, 1):
            first = half * self.lanes // 2
            mask = [k for j in range(first, first + self.lanes // 2) for k in (j, j + self.lanes)]
            self.store(f, self.shuffled(f, *x, mask), place + half * self.bytes)

    # Butterflies ------------------------------------------------------------------------------------------------------

    def butterfly(self, f: Function, x: list[Pair]) -> list[Pair]:
        """The transform of 2, 4 or 8 points."""
        if len(x) == 2:
            return [self.add(f, *x), self.sub(f, *x)]
        even, odd = self.butterfly(f, x[::2]), self.butterfly(f, x[1::2])
        if len(x) == 4:
            second, fourth = self.add_turned(f, even[1], odd[1])
            return [self.add(f, even[0], odd[0]), second, self.sub(f, even[0], odd[0]), fourth]
        found: list[Pair] = [even[0]] * 8
        found[0], found[4] = self.add(f, even[0], odd[0]), self.sub(f, even[0], odd[0])
        found[2], found[6] = self.add_turned(f, even[2], odd[2])
        root = f.constant(self.vector, self.root)
        minus = f.constant(self.vector, self.root.replace("0x3", "0xB"))
        for k, sign, other in ((1, root, minus), (3, minus, root)):
            total, rest = self.op(f, "fadd", *odd[k]), self.op(f, "fsub", *odd[k][::-1])
            a, b = (total, rest) if k == 1 else (rest, total)
            real, imaginary = even[k]
            found[k] = self.fma(f, a, root, real), self.fma(f, b, sign, imaginary)
            found[k + 4] = self.fma(f, a, minus, real), self.fma(f, b, other, imaginary)
        return found

    def define_first(self, radix: int) -> None:
        """``first8(buffer, count)``: so many butterflies of points that lie together."""
        with self.module.function(self.name(f"first{radix}"), "void", buffer="ptr", count="i64") as f:
            with f.range(f.count) as k:
                place = f.buffer + k * (radix * self.point)
                points = [self.pair_at(f, place + q * self.point) for q in range(radix)]
                for q, x in enumerate(self.butterfly(f, points)):
                    self.store_pair(f, x, place + q * self.point)
            f.ret()

    def define_step(self) -> None:
        """``step(buffer, distance, count, groups, factors)``: butterflies of points at a distance, so many of each of
        the groups.
        """
        kinds = {"buffer": "ptr", "distance": "i64", "count": "i64", "groups": "i64", "factors": "ptr"}
        with self.module.function(self.name("step"), "void", **kinds) as f:
            apart = [f.distance * (q * self.point) for q in range(RADIX)]
            with f.range(f.groups) as group:
                start = f.buffer + group * f.distance * (RADIX * self.point)
                with f.range(f.count) as k:
                    place, factor = start + k * self.point, f.factors + k * ((RADIX - 1) * self.pair)
                    points = [self.pair_at(f, place)]
                    for q in range(1, RADIX):
                        number = self.number_at(f, factor + (q - 1) * self.pair)
                        points.append(self.times(f, self.pair_at(f, place + apart[q]), number))
                    for q, x in enumerate(self.butterfly(f, points)):
                        self.store_pair(f, x, place + apart[q])
            f.ret()

    def define_write(self) -> None:
        """``write(buffer, first, count, mask, out, stride, sign, scale)``: points as complex numbers, so many bytes
        apart, in the order of k or -k.
        """
        kinds = {"buffer": "ptr", "first": "i64", "count": "i64", "mask": "i64", "out": "ptr", "stride": "i64"}
        with self.module.function(self.name("write"), "void", **kinds, sign="i64", scale="ptr") as f:
            scale = self.broadcast(f, f.load(f.scale, 0, self.real))
            with f.range(f.count) as k:
                index = f.first + k
                real, imaginary = (self.op(f, "fmul", x, scale) for x in self.pair_at(f, f.buffer + index * self.point))
                place = f.out + ((index * f.sign) & f.mask) * f.stride
                self.interleave(f, (real, imaginary), place)
                for half in (0, 1):
                    self.prefetch(f, place + half * self.bytes + f.stride * AHEAD * f.sign, 2)
            f.ret()

    def prefetch(self, f: Function, place: Value, level: int) -> None:
        """Have a line fetched into the cache of a level, counted from memory (2: the second, 3: the first)."""
        hints = (f.constant("i32", n) for n in (0, level, 1))
        f.call("llvm.prefetch.p0", place, *hints, returns="void")

    # Columns ----------------------------------------------------------------------------------------------------------

    def define_load(self) -> None:
        """``load(buffer, x, stride, order, count, inverse)``: so many points, each where the order says."""
        kinds = {"buffer": "ptr", "x": "ptr", "stride": "i64", "order": "ptr", "count": "i64", "inverse": "i64"}
        with self.module.function(self.name("load"), "void", **kinds) as f:
            swapped = f.inverse * self.bytes
            with f.range(f.count) as k:
                place = f.x + f.cast_int(f.load(f.order, k * 4, "i32"), "i64") * f.stride
                real, imaginary = self.taken_apart(f, self.pair_at(f, place))
                out = f.buffer + k * self.point
                self.store(f, real, out + swapped)
                self.store(f, imaginary, (out + self.bytes) + (f.constant("i64", 0) - swapped))
            f.ret()

    def define_inner(self, radices: Sequence[int]) -> None:
        """``inner(buffer, plan, count, eighth)``: all steps but the last, of so many whole eighths."""
        kinds = {"buffer": "ptr", "plan": "ptr", "count": "i64", "eighth": "i64"}
        with self.module.function(self.name("inner"), "void", **kinds) as f:
            radix = f.load(f.plan, 8 * Plan.FIRST)
            for first in radices:
                with f.if_(radix.is_(first)):
                    self.do(f, f"first{first}", f.buffer, f.count >> first.bit_length() - 1)
            distance, factors = f.variable("i64", radix), f.variable("ptr", f.load(f.plan, 8 * Plan.FACTORS, "ptr"))
            with f.while_(lambda: distance.get() < f.eighth):
                wide = distance.get() * RADIX
                self.do(f, "step", f.buffer, distance.get(), distance.get(), f.count // wide, factors.get())
                factors.set(factors.get() + distance.get() * ((RADIX - 1) * self.pair))
                distance.set(wide)
            f.ret()

    def loaded(
        self, f: Function, buffer: Value, plan: Value, size: Value, x: Value, stride: Value, inverse: Value
    ) -> None:
        """Points of columns, transformed by all steps but the last, eighth by eighth."""
        eighth = size >> EIGHTH
        order = f.load(plan, 8 * Plan.ORDER, "ptr")
        with self.at_once(f, size) as (start, count):
            part = buffer + start * self.point
            self.do(f, "load", part, x, stride, order + start * 4, count, inverse)
            self.do(f, "inner", part, plan, count, eighth)

    @contextmanager
    def at_once(self, f: Function, size: Value) -> Iterator[tuple[Value, Value]]:
        """Points of a column that are transformed together: all, or an eighth."""
        many = size > FIRST_CACHE // self.point
        count = f.select(many, size >> EIGHTH, size)
        with f.range(f.select(many, f.constant("i64", RADIX), f.constant("i64", 1))) as q:
            yield q * count, count

    def define_ahead(self) -> None:
        """``ahead_block(ints, x, block)``: columns of a line, transformed."""
        kinds = {"ints": "ptr", "x": "ptr", "block": "ptr"}
        with self.module.function(self.name("ahead_block"), "void", **kinds) as f:
            rows, plan = f.load(f.ints, 8 * Parameter.ROWS), f.load(f.ints, 8 * Parameter.ROW_PLAN, "ptr")
            stride = f.load(f.ints, 8 * Parameter.COLUMNS) * self.pair
            self.loaded(f, f.block, plan, rows, f.x, stride, f.load(f.ints, 8 * Parameter.INVERSE))
            eighth = rows >> EIGHTH
            self.do(f, "step", f.block, eighth, eighth, 1, f.load(plan, 8 * Plan.LAST, "ptr"))
            f.ret()

    def define_turn(self) -> None:
        """``turn(ints, blocks, buffer, number)``: of all blocks of columns the rows of one number, as columns times
        roots, each point where the next steps want it.
        """
        kinds = {"ints": "ptr", "blocks": "ptr", "buffer": "ptr", "number": "i64"}
        with self.module.function(self.name("turn"), "void", **kinds) as f:
            rows, columns = self._word(f, Parameter.ROWS), self._word(f, Parameter.COLUMNS)
            tables = Parameter.FINE, Parameter.COARSE, Parameter.COLUMN_PLAN
            fine, coarse, plan = (f.load(f.ints, 8 * p, "ptr") for p in tables)
            order = f.load(plan, 8 * Plan.PLACES, "ptr")
            coarse = coarse + f.number * columns * self.pair
            swapped = self._word(f, Parameter.INVERSE) * self.bytes
            mine = f.blocks + f.number * (self.lanes * self.point)
            few = QUARTER // self.size
            with f.range(columns // few) as number:
                block = number // (self.lanes // few)
                source = mine + block * rows * self.point
                group = number - block * (self.lanes // few)
                both = [self._turned(f, source + group * QUARTER + part * self.bytes) for part in (0, 1)]
                following = source + rows * self.point + group * (self.point * few)
                for k in range(0, self.point * few, LINE):
                    self.prefetch(f, following + k, 3)
                for i, x in enumerate(zip(*both, strict=True)):
                    point = number * few + i
                    out = f.buffer + f.cast_int(f.load(order, point * 4, "i32"), "i64") * self.point
                    roots = self.pair_at(f, fine + point * self.point), self.number_at(f, coarse + point * self.pair)
                    real, imaginary = self.times(f, x, self.times(f, *roots))
                    self.store(f, real, out + swapped)
                    self.store(f, imaginary, (out + self.bytes) + (f.constant("i64", 0) - swapped))
            f.ret()

    def _turned(self, f: Function, x: Value) -> list[Value]:
        """The numbers of a quarter of a vector, of as many points as a vector has lanes, as vectors: what is far apart
        comes together as it is read, and quarters are turned by themselves.
        """
        few = QUARTER // self.size

        def turned(rows: list[Value]) -> list[Value]:
            half = len(rows) // 2
            if not half:
                return rows
            pairs = zip(turned(rows[:half]), turned(rows[half:]), strict=True)
            return [self.shuffled(f, *pair, mask) for pair in pairs for mask in (self._mask(half, k) for k in (0, 1))]

        return turned([self._together(f, x + k * self.point, few) for k in range(few)])

    def _mask(self, unit: int, which: int) -> list[int]:
        """So many neighbours of one vector, and of another, in turns: those of the first or second half of quarters."""
        half = QUARTER // self.size // 2
        places = [q + which * half + k for q in range(0, self.lanes, 2 * half) for k in range(0, half, unit)]
        return [k + other + e for k in places for other in (0, self.lanes) for e in range(unit)]

    def _together(self, f: Function, x: Value, few: int) -> Value:
        """Every few points a quarter of a vector."""
        kind, places = f"<{few} x {self.real}>", (x + k * self.point for k in range(0, self.lanes, few))
        parts = [f.emit(kind, f"load {kind}, {place}, align {self.size}") for place in places]
        while len(parts) > 1:
            few *= 2
            kind, mask = f"<{few} x {self.real}>", ", ".join(f"i32 {k}" for k in range(few))
            pairs = zip(parts[::2], parts[1::2], strict=True)
            parts = [f.emit(kind, f"shufflevector {a}, {b}, <{few} x i32> <{mask}>") for a, b in pairs]
        return parts[0]

    def define_across(self) -> None:
        """``across_block(ints, blocks, buffer, out, number)``: rows of a line, transformed."""
        kinds = {"ints": "ptr", "blocks": "ptr", "buffer": "ptr", "out": "ptr", "number": "i64"}
        with self.module.function(self.name("across_block"), "void", **kinds) as f:
            columns, plan = f.load(f.ints, 8 * Parameter.COLUMNS), f.load(f.ints, 8 * Parameter.COLUMN_PLAN, "ptr")
            eighth = columns >> EIGHTH
            self.do(f, "turn", f.ints, f.blocks, f.buffer, f.number)
            with self.at_once(f, columns) as (start, count):
                self.do(f, "inner", f.buffer + start * self.point, plan, count, eighth)
            out = f.out + f.number * self.point
            self.written(f, f.buffer, plan, columns, out, f.load(f.ints, 8 * Parameter.ROWS) * self.pair)
            f.ret()

    def written(self, f: Function, buffer: Value, plan: Value, size: Value, out: Value, stride: Value) -> None:
        """The last step, and the result, so many points at once as the first-level cache keeps."""
        factors, inverse = f.load(plan, 8 * Plan.LAST, "ptr"), f.load(f.ints, 8 * Parameter.INVERSE)
        eighth, sign = size >> EIGHTH, f.select(inverse.is_not(0), f.constant("i64", -1), f.constant("i64", 1))
        together = FIRST_CACHE // self.point // RADIX
        with f.range((eighth + (together - 1)) >> together.bit_length() - 1) as part:
            first = part * together
            count = self.least(f, eighth - first, together)
            mine = factors + first * ((RADIX - 1) * self.pair)
            self.do(f, "step", buffer + first * self.point, eighth, count, 1, mine)
            whole = count.is_(eighth)
            times, most = f.select(whole, f.constant("i64", 1), f.constant("i64", RADIX)), f.select(whole, size, count)
            with f.range(times) as q:
                at = first + q * eighth
                self.do(f, "write", buffer, at, most, size - 1, out, stride, sign, f.ints + 8 * Parameter.SCALE)

    # Kernels ----------------------------------------------------------------------------------------------------------

    def define_kernel(self, name: str) -> None:
        kinds = {"bufs": "ptr", "ints": "ptr", "first": "i64", "last": "i64"}
        with self.module.function(self.name(name), "void", **kinds) as f:
            number = f.first // self._word(f, Parameter.CHUNK)
            room = self._buffer(f, Parameter.SLOT_ROOM) + number * self._word(f, Parameter.PIECE)  # of this piece
            with f.range(f.last - f.first) as step:
                getattr(self, name)(f, f.first + step, room)
            f.ret()

    def _word(self, f: Function, which: Parameter) -> Value:
        return f.load(f.ints, 8 * which)

    def _buffer(self, f: Function, which: Parameter) -> Value:
        return f.load(f.bufs, self._word(f, which) * 8, "ptr")

    def _numbers(self, f: Function, which: Parameter, line: Value) -> Value:
        """Where a line begins."""
        size = self._word(f, Parameter.ROWS) * self._word(f, Parameter.COLUMNS) * self.pair
        return self._buffer(f, which) + line * size

    def _split(self, number: Value, by: Value) -> tuple[Value, Value]:
        line = number // by
        return line, number - line * by

    def ahead(self, f: Function, block: Value, room: Value) -> None:
        """Columns of all lines."""
        line, number = self._split(block, self._word(f, Parameter.COLUMNS) // self.lanes)
        x = self._numbers(f, Parameter.SLOT_X, line) + number * self.point
        out = self._buffer(f, Parameter.SLOT_SCRATCH) + block * self._word(f, Parameter.ROWS) * self.point
        self.do(f, "ahead_block", f.ints, x, out)

    def across(self, f: Function, block: Value, room: Value) -> None:
        """Rows of all lines."""
        line, number = self._split(block, self._word(f, Parameter.ROWS) // self.lanes)
        blocks, out = (self._numbers(f, p, line) for p in (Parameter.SLOT_SCRATCH, Parameter.SLOT_OUT))
        self.do(f, "across_block", f.ints, blocks, room, out, number)

    def lines(self, f: Function, line: Value, blocks: Value) -> None:
        """A line, both parts."""
        rows, columns = self._word(f, Parameter.ROWS), self._word(f, Parameter.COLUMNS)
        x, out = (self._numbers(f, p, line) for p in (Parameter.SLOT_X, Parameter.SLOT_OUT))
        size = rows * columns * self.pair
        with f.range(columns // self.lanes) as number:
            self.do(f, "ahead_block", f.ints, x + number * self.point, blocks + number * rows * self.point)
        with f.if_(size <= SHORT), f.range(size >> 6) as k:
            self.prefetch(f, x + size + k * 64, 3)
        buffer = blocks + size
        with f.range(rows // self.lanes) as number:
            self.do(f, "across_block", f.ints, blocks, buffer, out, number)

    def columns(self, f: Function, block: Value, room: Value) -> None:
        """Columns of matrices, where they lie."""
        matrix, number = self._split(block, self._word(f, Parameter.COLUMNS) // self.lanes)
        x, out = (self._numbers(f, p, matrix) + number * self.point for p in (Parameter.SLOT_X, Parameter.SLOT_OUT))
        size, stride = self._word(f, Parameter.ROWS), self._word(f, Parameter.COLUMNS) * self.pair
        plan = f.load(f.ints, 8 * Parameter.ROW_PLAN, "ptr")
        self.loaded(f, room, plan, size, x, stride, f.constant("i64", 0))
        self.written(f, room, plan, size, out, stride)
