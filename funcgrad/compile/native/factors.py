"""How is one large matrix factorized?  In panels by LAPACK, between them by products in tiles that threads share.

OpenBLAS's factorisations wait for its triangular solves, which on CPUs with AVX-512 reach a tenth to a fifth of what
tiles do (64 x 64 with 500 right sides in float64: 11 GFLOP/s, tiles 63), and its threads wait for each other by
spinning.  So ``getrf`` and ``potrf`` get `WIDTH` columns or a block of the diagonal at a time, on one thread, and what
they leave is multiplied by `tiles` (the right-looking algorithms of Dongarra, Duff, Sorensen & van der Vorst 1998).
Right sides of a triangle are solved in `strips`: so many columns as a tile has, `WIDTH` rows, in the first-level cache.

Every matrix is in C order, as programs have them.  LU exchanges rows, which lie together here; LAPACK gets a copy of
the panel in its own order.  Cholesky's rows are turned into strips, and a copy of them is the update's other operand.

All kernels take the integers of `Parameter`.  Ranges are those of rows for ``copy``, ``below``, ``remove`` and
``clear``, of columns for ``update``, of right sides for ``solve``, ``triangle`` and ``across`` (which are rows there);
others run once.  Where a range is cut changes no bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum

from funcgrad.compile.native.text import Function, Module, Value
from funcgrad.compile.native.transpose import PANEL, panel
from funcgrad.compile.native.vectors import VECTORS, Vectors

Parameter = IntEnum(
    "Parameter",
    "SLOT_X SLOT_OUT SLOT_FACTORS SLOT_PIVOTS SLOT_ORDER SLOT_PANEL SLOT_R SLOT_TRIANGLES SLOT_ROOM "
    "SLOT_VALUES SLOT_OTHER "
    "ROWS COLUMNS AT WIDTH SIDES BELOW LINE LOWER TRANSPOSED UNIT STATUS",
    start=0,
)
KERNELS = {
    "eliminate": ("copy", "panel", "update", "order", "solve", "triangle", "across"),
    "cholesky": ("copy", "block", "below", "remove", "clear"),
}
"""By module: kernels that one program needs do not wait for LLVM to compile those of another."""

WIDTH = 64  # columns of a panel, rows of a strip
BLOCK = 8  # rows of a strip that are solved together
LETTERS = {"f4": "s", "f8": "d"}
ROUTINES = tuple(f"{letter}{routine}" for letter in LETTERS.values() for routine in ("getrf", "potrf", "trsv"))
"""What LAPACK must have; the external symbols are ``fg_sgetrf``, ..."""


def define_parts(module: Module, dtype: str) -> None:
    """Define what most time is spent in, but for products."""
    parts = Parts(module, dtype)
    parts.define_strip()
    parts.define_turn()
    for into in (True, False):
        parts.define_move(into)
    parts.define_exchange()


def define(module: Module, family: str, dtype: str, index_bits: int) -> None:
    """Define ``fg_factor_copy_f4`` and its like, for a LAPACK whose integers have so many bits."""
    factors = Factors(module, dtype, index_bits)
    factors.define_left()
    factors.define_kernels(KERNELS[family])


class Words:
    """What the integers of a kernel say."""

    def __init__(self, f: Function) -> None:
        self._f = f

    def __getitem__(self, which: int) -> Value:
        return self._f.load(self._f.ints, 8 * which)

    def buffer(self, slot: int) -> Value:
        """The address of a buffer."""
        return self._f.load(self._f.bufs, self[slot] * 8, "ptr")


def call_library(f: Function, dtype: str, routine: str, *arguments: Value | str, returns: str = "void") -> Value:
    """Call a routine on one thread; numbers are handed over as addresses of words, letters too."""
    places = [f.variable("i64", ord(a)).place if isinstance(a, str) else a for a in arguments]
    places = [a if a.type == "ptr" else f.variable("i64", a).place for a in places]
    f.call("fg_blas_enter", returns="void")
    result = f.call(f"fg_{LETTERS[dtype]}{routine}", *places, returns=returns)
    f.call("fg_blas_leave", returns="void")
    return result


class Parts(Vectors):
    """Functions of a module for strips and rows of ``"f4"`` or ``"f8"``; distances are in elements."""

    def __init__(self, module: Module, dtype: str) -> None:
        super().__init__(module, dtype)
        self.width = VECTORS * self.lanes

    def name(self, part: str) -> str:
        """What a function is called."""
        return f"fg_factor_{part}_{self.dtype}"

    def define_kernels(self, names: Iterable[str]) -> None:
        """Define the kernels that methods of these names write."""
        parameters = {"bufs": "ptr", "ints": "ptr", "first": "i64", "last": "i64"}
        for name in names:
            with self.module.function(self.name(name), "void", **parameters) as f:
                getattr(self, name)(f, Words(f))
                f.ret()

    def product(
        self,
        f: Function,
        sizes: tuple[Value, Value, Value],
        a: tuple[Value, Value, Value],
        b: tuple[Value, Value],
        c: tuple[Value, Value],
        scalars: tuple[str, str],
    ) -> None:
        """C = alpha A B + beta C, for (m, n, k), and addresses with strides in elements."""
        numbers = [f.constant(self.real, scalar) for scalar in scalars]
        arguments = *sizes, *a, *b, f.constant("i64", 1), *numbers, *c
        f.call(f"fg_tiles_product_{self.dtype}", *arguments, returns="void")

    def copy(self, f: Function, w: Words) -> None:
        """Rows of X into the factors."""
        row = w[Parameter.COLUMNS] * self.size
        out, x = (w.buffer(slot) + f.first * row for slot in (Parameter.SLOT_FACTORS, Parameter.SLOT_X))
        f.call("memcpy", out, x, (f.last - f.first) * row, returns="ptr")

    def define_turn(self) -> None:
        """``turn(x, x_row, out, out_row, rows, columns)``: a transposition, of so many rows of the result."""
        kinds = {"x": "ptr", "x_row": "i64", "out": "ptr", "out_row": "i64", "rows": "i64", "columns": "i64"}
        with self.module.function(self.name("turn"), "void", **kinds) as f:
            strides = f.x_row * self.size, f.out_row * self.size
            with f.in_parts(f.rows, f.constant("i64", PANEL)) as (row, rows):
                panel(f, self.size, f.x + row * self.size, f.out + strides[1] * row, rows, f.columns, strides)
            f.ret()

    def define_move(self, into: bool) -> None:
        """``fetch(rows, columns, x, x_row, strip)``: columns of a matrix into a strip; ``leave`` writes them back."""
        kinds = {"rows": "i64", "columns": "i64", "x": "ptr", "x_row": "i64", "strip": "ptr"}
        with self.module.function(self.name("fetch" if into else "leave"), "void", **kinds) as f:
            for v, mask in enumerate(self.masks(f, f.columns)):
                with f.range(f.rows) as k:
                    outside = f.x + (f.x_row * k + v * self.lanes) * self.size
                    inside = f.strip + (k * self.width + v * self.lanes) * self.size
                    if into:
                        self.store(f, self.load_some(f, outside, mask), inside)
                    else:
                        self.store_some(f, self.load(f, inside), outside, mask)
            f.ret()

    def define_exchange(self) -> None:
        """``exchange(matrix, row, pivots, start, count, first, last)``: LAPACK's exchanges of rows, so many from one
        on, in a range of columns.
        """
        kinds = {"matrix": "ptr", "row": "i64", "pivots": "ptr", "start": "i64", "count": "i64"}
        with self.module.function(self.name("exchange"), "void", **kinds, first="i64", last="i64") as f:
            columns = f.last - f.first
            with f.range(f.select(columns > 0, f.count, f.constant("i64", 0))) as k:
                row = f.start + k
                pivot = f.cast_int(f.load(f.pivots, row * 4, "i32"), "i64")
                with f.if_(pivot.is_not(row)):
                    x, y = (self.element(f, f.matrix, r * f.row + f.first) for r in (row, pivot))
                    whole = columns // self.lanes
                    with f.range(whole) as step:
                        at = step * (self.lanes * self.size)
                        self._swap(f, self.vector, x + at, y + at)
                    with f.range(columns - whole * self.lanes) as more:
                        at = (whole * self.lanes + more) * self.size
                        self._swap(f, self.real, x + at, y + at)
            f.ret()

    def _swap(self, f: Function, kind: str, x: Value, y: Value) -> None:
        values = [f.emit(kind, f"load {kind}, {place}, align {min(self.size, 4)}") for place in (x, y)]
        for value, place in zip(values, (y, x), strict=True):
            f.emit("void", f"store {value}, {place}, align {min(self.size, 4)}")

    def define_strip(self) -> None:
        """``strip(n, unit, l, l_row, l_column, strip)``: L X = B for the columns of a strip, where they lie.  L is a
        lower triangle (of ones on the diagonal if `unit`) with any strides, in elements.
        """
        kinds = {"n": "i64", "unit": "i1", "l": "ptr", "l_row": "i64", "l_column": "i64", "strip": "ptr"}
        with self.module.function(self.name("strip"), "void", **kinds) as f:
            done = f.variable("i64", 0)
            for count in (BLOCK, 1):
                with f.range((f.n - done.get()) // count):
                    self._solve_rows(f, done.get(), count)
                    done.set(done.get() + count)
            f.ret()

    def _solve_rows(self, f: Function, first: Value, count: int) -> None:
        """Rows of a strip whose sums stay in registers: less the rows before, then one after the other."""
        row, column = f.l_row * self.size, f.l_column * self.size
        triangle = f.l + row * first
        mine = f.strip + first * (self.width * self.size)
        places = [[mine + (i * self.width + v * self.lanes) * self.size for v in range(VECTORS)] for i in range(count)]
        state = [triangle, f.strip, *(self.load(f, place) for line in places for place in line)]
        with f.folding(first, state):
            numbers, line = state[:2]
            xs = [self._minus(f, self.load(f, line + v * self.lanes * self.size)) for v in range(VECTORS)]
            state[:2] = numbers + column, line + self.width * self.size
            for i in range(count):
                sums = slice(2 + i * VECTORS, 2 + (i + 1) * VECTORS)
                state[sums] = self._added(f, state[sums], numbers, xs)
                numbers = f.opaque(numbers + row)
        found: list[list[Value]] = []  # the rows before, with the other sign
        here = state[0]
        for i, places_of_row in enumerate(places):
            totals, number = state[2 + i * VECTORS : 2 + (i + 1) * VECTORS], here
            for earlier in found:
                totals = self._added(f, totals, number, earlier)
                number = f.opaque(number + column)
            inverse = f.emit(self.real, f"fdiv {self.real} 1.0, {f.load(number, 0, self.real).name}")
            factor = self.broadcast(f, f.select(f.unit, f.constant(self.real, "1.0"), inverse))
            totals = [f.emit(self.vector, f"fmul {total}, {factor.name}") for total in totals]
            for total, place in zip(totals, places_of_row, strict=True):
                self.store(f, total, place)
            found.append([self._minus(f, total) for total in totals])
            here = f.opaque(here + row)

    def _minus(self, f: Function, x: Value) -> Value:
        return f.emit(self.vector, f"fneg {x}")

    def _added(self, f: Function, totals: Sequence[Value], number: Value, xs: Sequence[Value]) -> list[Value]:
        """Sums, and the products of the number there with what belongs to each."""
        factor = self.broadcast(f, f.load(number, 0, self.real))
        return [self.fma(f, factor, x, total) for total, x in zip(totals, xs, strict=True)]


class Factors(Parts):
    """The kernels, which call those parts."""

    def __init__(self, module: Module, dtype: str, index_bits: int) -> None:
        super().__init__(module, dtype)
        self.index = f"i{index_bits}"

    def define_left(self) -> None:
        """``left(n, sides, unit, l, l_row, l_column, x, x_row)``: L X = B where the right sides lie."""
        kinds = {"n": "i64", "sides": "i64", "unit": "i1", "l": "ptr", "l_row": "i64", "l_column": "i64"}
        with self.module.function(self.name("left"), "void", **kinds, x="ptr", x_row="i64") as f:
            strip = self._room(f)
            with f.in_parts(f.n, f.constant("i64", WIDTH)) as (row, rows):
                triangle, x = self._at(f.l, f.l_row + f.l_column, row), self._at(f.x, f.x_row, row)
                with f.in_parts(f.sides, f.constant("i64", self.width)) as (column, columns):
                    moved = rows, columns, self.element(f, x, column), f.x_row, strip
                    f.call(self.name("fetch"), *moved, returns="void")
                    f.call(self.name("strip"), rows, f.unit, triangle, f.l_row, f.l_column, strip, returns="void")
                    f.call(self.name("leave"), *moved, returns="void")
                below = row + rows
                with f.if_(below < f.n):
                    under = self.element(f, f.l, below * f.l_row + row * f.l_column), f.l_row, f.l_column
                    sizes = f.n - below, f.sides, rows
                    self._subtract(f, sizes, under, (x, f.x_row), (self._at(f.x, f.x_row, below), f.x_row))
            f.ret()

    def _room(self, f: Function) -> Value:
        """The address of a strip of zeros, at the begin of a cache line."""
        size = WIDTH * self.width * self.size
        place = f.pointer((f.cast_int(f.variable(self.vector, count=WIDTH * VECTORS + 1).place, "i64") + 63) & -64)
        f.call("memset", place, f.constant("i32", 0), f.constant("i64", size), returns="ptr")
        return place

    def _at(self, base: Value, row: Value, index: Value) -> Value:
        return base + row * index * self.size

    def _subtract(
        self,
        f: Function,
        sizes: tuple[Value, Value, Value],
        a: tuple[Value, Value, Value],
        b: tuple[Value, Value],
        c: tuple[Value, Value],
    ) -> None:
        """C -= A B."""
        with f.if_((sizes[0] > 0) & (sizes[1] > 0)):
            self.product(f, sizes, a, b, c, ("-1.0", "1.0"))

    # LU ---------------------------------------------------------------------------------------------------------

    def panel(self, f: Function, w: Words) -> None:
        """LAPACK's factors of the panel's columns, from the diagonal down, and its exchanges of rows, from 0."""
        ld, at, width = w[Parameter.COLUMNS], w[Parameter.AT], w[Parameter.WIDTH]
        rows = w[Parameter.ROWS] - at
        mine = self.element(f, w.buffer(Parameter.SLOT_FACTORS), at * ld + at)
        turned = w.buffer(Parameter.SLOT_PANEL)
        f.call(self.name("turn"), mine, ld, turned, rows, width, rows, returns="void")
        found = f.variable(self.index, count=WIDTH).place
        info = f.variable("i64", 0).place
        call_library(f, self.dtype, "getrf", rows, width, turned, rows, found, info)
        f.call(self.name("turn"), turned, rows, mine, ld, rows, width, returns="void")
        pivots = w.buffer(Parameter.SLOT_PIVOTS) + at * 4
        with f.range(self._count(f, rows, width)) as k:
            pivot = f.load(found, k * (int(self.index[1:]) // 8), self.index)
            f.store(f.cast_int(f.cast_int(pivot, "i64") - 1 + at, "i32"), pivots + k * 4)

    def _count(self, f: Function, rows: Value, width: Value) -> Value:
        """How many pivots a panel has."""
        return f.select(rows < width, rows, width)

    def update(self, f: Function, w: Words) -> None:
        """Exchange rows outside of the panel, solve for rows of U, subtract what they and the panel explain."""
        ld, at = w[Parameter.COLUMNS], w[Parameter.AT]
        behind = at + w[Parameter.WIDTH]
        count = self._count(f, w[Parameter.ROWS] - at, w[Parameter.WIDTH])
        matrix = w.buffer(Parameter.SLOT_FACTORS)
        self._exchange(f, w, (matrix, ld), at, count, f.first, f.select(f.last < at, f.last, at))
        first = f.select(f.first < behind, behind, f.first)
        self._exchange(f, w, (matrix, ld), at, count, first, f.last)
        sides, one = f.last - first, f.constant("i64", 1)
        with f.if_(sides > 0):
            yes = f.constant("i1", "true")
            upper, below = self.element(f, matrix, at * ld + first), (at + count) * ld
            triangle = self.element(f, matrix, at * ld + at)
            f.call(self.name("left"), count, sides, yes, triangle, ld, one, upper, ld, returns="void")
            left = self.element(f, matrix, below + at), ld, one
            sizes = w[Parameter.ROWS] - at - count, sides, count
            self._subtract(f, sizes, left, (upper, ld), (self.element(f, matrix, below + first), ld))

    def _exchange(self, f: Function, w: Words, matrix: tuple[Value, Value], *bounds: Value) -> None:
        """Exchanges of rows of a matrix (an address, and how far apart rows are)."""
        f.call(self.name("exchange"), *matrix, w.buffer(Parameter.SLOT_PIVOTS), *bounds, returns="void")

    def order(self, f: Function, w: Words) -> None:
        """The permutation that all exchanges make."""
        order, pivots = w.buffer(Parameter.SLOT_ORDER), w.buffer(Parameter.SLOT_PIVOTS)
        with f.range(w[Parameter.ROWS]) as k:
            f.store(f.cast_int(k, "i32"), order + k * 4)
        with f.range(self._count(f, w[Parameter.ROWS], w[Parameter.COLUMNS])) as k:
            self._swap(f, "i32", order + k * 4, order + f.cast_int(f.load(pivots, k * 4, "i32"), "i64") * 4)

    # Solves -----------------------------------------------------------------------------------------------------

    def solve(self, f: Function, w: Words) -> None:
        """By the factors of a square matrix; a pivot of zero is a failure."""
        n, factors = w[Parameter.ROWS], w.buffer(Parameter.SLOT_FACTORS)
        with f.range(n) as k:
            pivot = f.load(self.element(f, factors, k * (n + 1)), 0, self.real)
            with f.if_(f.emit("i1", f"fcmp oeq {pivot}, 0.0")):
                f.store(w[Parameter.STATUS], f.load(f.bufs, 0, "ptr"))
        sides = w[Parameter.SIDES]
        x, start = self._sides(f, w)
        self._exchange(f, w, (x, sides), f.constant("i64", 0), n, f.first, f.last)
        for lower in (True, False):
            self._triangle(f, w, start, [f.constant("i64", int(flag)) for flag in (lower, False, lower)])

    def triangle(self, f: Function, w: Words) -> None:
        """op(A) X = B for a triangle, as flags say."""
        _, start = self._sides(f, w)
        self._triangle(f, w, start, [w[which] for which in (Parameter.LOWER, Parameter.TRANSPOSED, Parameter.UNIT)])

    def across(self, f: Function, w: Words) -> None:
        """X op(A) = B: its transpose, of rows that are turned, and back."""
        n, sides, count = w[Parameter.ROWS], w[Parameter.SIDES], f.last - f.first
        b, x = (self.element(f, w.buffer(which), f.first * n) for which in (Parameter.SLOT_X, Parameter.SLOT_OUT))
        turned = self.element(f, w.buffer(Parameter.SLOT_ROOM), f.first)
        f.call(self.name("turn"), b, n, turned, sides, n, count, returns="void")
        flags = w[Parameter.LOWER], f.constant("i64", 1) - w[Parameter.TRANSPOSED], w[Parameter.UNIT]
        self._triangle(f, w, turned, flags)
        f.call(self.name("turn"), turned, sides, x, n, count, n, returns="void")

    def _sides(self, f: Function, w: Words) -> tuple[Value, Value]:
        """Copy the right sides; the solutions' address, and that of the first of them that is meant."""
        x, b, sides = w.buffer(Parameter.SLOT_OUT), w.buffer(Parameter.SLOT_X), w[Parameter.SIDES]
        with f.range(w[Parameter.ROWS]) as k:
            at = (k * sides + f.first) * self.size
            f.call("memcpy", x + at, b + at, (f.last - f.first) * self.size, returns="ptr")
        return x, self.element(f, x, f.first)

    def _triangle(self, f: Function, w: Words, x: Value, flags: Sequence[Value]) -> None:
        """Solve from where rows depend on none: the order of an upper triangle is the other way round."""
        n, sides, factors = w[Parameter.ROWS], w[Parameter.SIDES], w.buffer(Parameter.SLOT_FACTORS)
        lower, transposed, unit = (flag.is_not(0) for flag in flags)
        one = f.constant("i64", 1)

        def vector() -> None:  # LAPACK sees the transpose, so its other triangle
            names = [(lower, "U", "L"), (transposed, "N", "T"), (unit, "U", "N")]
            letters = [f.select(flag, *(f.constant("i64", ord(c)) for c in pair)) for flag, *pair in names]
            call_library(f, self.dtype, "trsv", *letters, n, factors, n, x, one)

        def matrix() -> None:
            row, column = f.select(transposed, one, n), f.select(transposed, n, one)
            forward = f.emit("i1", f"xor {lower}, {transposed.name}")
            sign, skip = f.select(forward, one, f.constant("i64", -1)), f.select(forward, f.constant("i64", 0), n - 1)
            start = self._at(factors, row + column, skip), row * sign, column * sign
            where = self._at(x, sides, skip), sides * sign
            f.call(self.name("left"), n, f.last - f.first, unit, *start, *where, returns="void")

        f.choose(sides.is_(1), vector, matrix)

    # Cholesky ---------------------------------------------------------------------------------------------------

    def block(self, f: Function, w: Words) -> None:
        """LAPACK's factor of a block of the diagonal, whose transpose it sees."""
        n, at = w[Parameter.ROWS], w[Parameter.AT]
        info = f.variable("i64", 0).place
        mine = self.element(f, w.buffer(Parameter.SLOT_FACTORS), at * (n + 1))
        call_library(f, self.dtype, "potrf", "U", w[Parameter.WIDTH], mine, n, info)
        with f.if_(f.load(info, 0, "i32").is_not(0)):
            f.store(w[Parameter.STATUS], f.load(f.bufs, 0, "ptr"))

    def below(self, f: Function, w: Words) -> None:
        """Rows below the block: solved in strips, and written down turned, for the product that follows."""
        n, at, width = w[Parameter.ROWS], w[Parameter.AT], w[Parameter.WIDTH]
        matrix, turned = w.buffer(Parameter.SLOT_FACTORS), w.buffer(Parameter.SLOT_PANEL)
        triangle = self.element(f, matrix, at * (n + 1))
        strip, one, no = self._room(f), f.constant("i64", 1), f.constant("i1", "false")
        across = f.constant("i64", self.width)
        with f.in_parts(f.last - f.first, f.constant("i64", self.width)) as (part, rows):
            row = at + width + f.first + part
            mine = self.element(f, matrix, row * n + at)
            f.call(self.name("turn"), mine, n, strip, across, width, rows, returns="void")
            f.call(self.name("strip"), width, no, triangle, n, one, strip, returns="void")
            f.call(self.name("turn"), strip, across, mine, n, rows, width, returns="void")
            f.call(self.name("leave"), width, rows, self.element(f, turned, row), n, strip, returns="void")

    def remove(self, f: Function, w: Words) -> None:
        """Subtract what the panel explains, from blocks of rows up to where they meet the diagonal."""
        n, at, width = w[Parameter.ROWS], w[Parameter.AT], w[Parameter.WIDTH]
        matrix, turned, one = w.buffer(Parameter.SLOT_FACTORS), w.buffer(Parameter.SLOT_PANEL), f.constant("i64", 1)
        start = at + width
        with f.in_parts(f.last - f.first, f.constant("i64", WIDTH)) as (part, rows):
            row = start + f.first + part
            left, mine = (self.element(f, matrix, row * n + column) for column in (at, start))
            sizes = rows, row + rows - start, width
            self._subtract(f, sizes, (left, n, one), (self.element(f, turned, start), n), (mine, n))

    def clear(self, f: Function, w: Words) -> None:
        """Zeros above the diagonal."""
        n, matrix = w[Parameter.ROWS], w.buffer(Parameter.SLOT_FACTORS)
        with f.range(f.last - f.first) as step:
            row = f.first + step
            start = self.element(f, matrix, row * (n + 1) + 1)
            f.call("memset", start, f.constant("i32", 0), (n - row - 1) * self.size, returns="ptr")
