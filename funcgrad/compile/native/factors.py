"""How is one large matrix factorized?  In panels, between them by products in tiles that threads share.

OpenBLAS's factorisations wait for its triangular solves, which on CPUs with AVX-512 reach a tenth to a fifth of what
tiles do (64 x 64 with 500 right sides in float64: 11 GFLOP/s, tiles 63), and its threads wait for each other by
spinning.  So `WIDTH` columns, or a block of the diagonal, are factorized at a time, on one thread, and what they leave
is multiplied by `tiles` (the right-looking algorithms of Dongarra, Duff, Sorensen & van der Vorst 1998).
Right sides of a triangle are solved in `strips`: so many columns as a tile has, `WIDTH` rows, in the first-level cache.

Every matrix is in C order, as programs have them.  LU exchanges rows, which lie together here; its panels are turned
(`panels`).  One thread factorizes the next panel while others are at the columns behind it, and right sides are columns
like others.  Blocks of Cholesky are LAPACK's (``potrf``); rows are turned into strips, and a copy of them is the
update's other operand.

All kernels take the integers of `Parameter`.  Ranges are those of rows for ``begin``, ``copy``, ``below``, ``remove``
and ``clear``, of columns for ``update``, of right sides for ``solve``, ``triangle`` and ``across`` (which are rows
there); others run once.  Where a range is cut changes no bit.
"""

from __future__ import annotations

from collections.abc import Sequence

from funcgrad.compile.native.parts import BEHIND, LETTERS, WIDTH, Parameter, Parts, Words, call_library
from funcgrad.compile.native.text import Function, Module, Value
from funcgrad.compile.native.vectors import VECTORS

KERNELS = {
    "eliminate": ("begin", "update", "order", "solve", "triangle", "across"),
    "cholesky": ("copy", "block", "below", "remove", "clear"),
}
"""By module: kernels that one program needs do not wait for LLVM to compile those of another."""

ROUTINES = tuple(f"{letter}{routine}" for letter in LETTERS.values() for routine in ("potrf", "trsv"))
"""What LAPACK must have; the external symbols are ``fg_spotrf``, ..."""


def define(module: Module, family: str, dtype: str, index_bits: int) -> None:
    """Define ``fg_factor_copy_f4`` and its like, for a LAPACK whose integers have so many bits."""
    factors = Factors(module, dtype, index_bits)
    factors.define_left()
    factors.define_kernels(KERNELS[family])


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

    def begin(self, f: Function, w: Words) -> None:
        """Copies of rows of the matrix and of right sides; the factors of the first panel."""
        with f.if_(f.first.is_(0)):
            self._panel(f, w, w.buffer(Parameter.SLOT_X), f.constant("i64", 0), w[Parameter.WIDTH])
        self.copy(f, w)
        row = w[Parameter.SIDES] * self.size
        with f.if_(row > 0):
            out, x = (w.buffer(slot) + f.first * row for slot in (Parameter.SLOT_OUT, Parameter.SLOT_OTHER))
            f.call("memcpy", out, x, (f.last - f.first) * row, returns="ptr")

    def _columns(self, f: Function, w: Words, behind: Value) -> list[tuple[Value, Value, Value, Value]]:
        """Of the matrix behind a column, and of right sides, which stand behind the matrix: where they lie, how far
        apart rows are, and what of the range is theirs.
        """
        ld, zero = w[Parameter.COLUMNS], f.constant("i64", 0)
        mine = self._most(f, f.first, behind), self.least(f, f.last, ld)
        others = self._most(f, f.first - ld, zero), f.last - ld
        return [
            (w.buffer(Parameter.SLOT_FACTORS), ld, *mine),
            (w.buffer(Parameter.SLOT_OUT), w[Parameter.SIDES], *others),
        ]

    def _most(self, f: Function, a: Value, b: Value) -> Value:
        return f.select(a < b, b, a)

    def _panel(self, f: Function, w: Words, matrix: Value, at: Value, width: Value) -> None:
        """The factors of a panel's columns, from the diagonal down, and its exchanges of rows.

        After a number of blocks of columns, as many are brought up to date as the number has powers of two: half of
        what products read and write.
        """
        ld, rows = w[Parameter.COLUMNS], w[Parameter.ROWS] - at
        mine = self.element(f, matrix, at * ld + at)
        turned = w.buffer(Parameter.SLOT_PANEL)
        vectors = (rows + (self.lanes - 1)) // self.lanes + VECTORS
        line = (vectors | 1) * self.lanes
        f.call(self.name("turn"), mine, ld, turned, line, width, rows, returns="void")
        pivots = w.buffer(Parameter.SLOT_PIVOTS) + at * 4
        with f.in_parts(width, f.constant("i64", self.lanes)) as (first, count):
            behind = first + count
            f.call(self.name("pivot"), rows, width, first, behind, turned, line, pivots, at, returns="void")
            with f.if_(behind < width):
                self._explain(f, (rows, width), behind, (turned, line))
        f.call(
            self.name("turn"), turned, line, self._left(w, at), f.constant("i64", WIDTH), rows, width, returns="void"
        )

    def _left(self, w: Words, at: Value) -> Value:
        """Where the panel that begins in a column lies by itself: no core fetches what lies beside it."""
        rows = w[Parameter.ROWS]
        odd = (at // WIDTH) & 1
        return w.buffer(Parameter.SLOT_PANEL) + (rows + BEHIND + rows * odd) * (WIDTH * self.size)

    def _explain(self, f: Function, sizes: tuple[Value, Value], behind: Value, x: tuple[Value, Value]) -> None:
        """What the last columns of a panel explain of the next ones: of a turned one, of so many rows and columns."""
        (rows, width), (base, line) = sizes, x
        most = behind & (f.constant("i64", 0) - behind)
        first, columns = behind - most, self.least(f, width - behind, most)
        place = self._at(base, line, behind)

        def subtract(row: Value, depth: Value, end: Value) -> None:
            """From rows behind a block of columns that begins with the same number as its rows of U."""
            below = row + depth
            left, mine = (self.element(f, place, at) for at in (row, below))
            above = self.element(f, self._at(base, line, row), below), line
            self._subtract(f, (columns, end - below, depth), (left, line, f.constant("i64", 1)), above, (mine, line))

        with f.range(most // self.lanes) as k:
            row = first + k * self.lanes
            f.call(self.name("above"), columns, row, base, line, place, returns="void")
            subtract(row, f.constant("i64", self.lanes), behind)
        subtract(first, most, rows)

    def update(self, f: Function, w: Words) -> None:
        """Exchange rows outside of the panel, solve for rows of U, subtract what they and the panel explain.  Who has
        the columns of the next panel factorizes it, while others have the columns behind it.
        """
        ld, at = w[Parameter.COLUMNS], w[Parameter.AT]
        width = w[Parameter.WIDTH]
        behind = at + width
        matrix, panel = w.buffer(Parameter.SLOT_FACTORS), self._left(w, at)
        keeps = w[Parameter.SIDES].is_(0)  # L, which nobody wants where right sides are
        with f.if_(keeps):
            self._exchange(f, w, (matrix, ld), at, width, f.first, self.least(f, f.last, at))
        rows = f.select(keeps, w[Parameter.ROWS] - at, width)
        with f.if_((f.first <= at) & (at < f.last)), f.range(rows) as k:
            target, source = self.element(f, matrix, (at + k) * ld + at), self.element(f, panel, k * WIDTH)
            f.call("memcpy", target, source, width * self.size, returns="ptr")
        for target, row, first, last in self._columns(f, w, behind):
            with f.if_(last > first):
                self._exchange(f, w, (target, row), at, width, first, last)
                self._explained(f, w, panel, (target, row), first, last - first)
        rest = self.least(f, w[Parameter.ROWS], ld) - behind
        with f.if_((rest > 0) & (f.first <= behind) & (behind < f.last)):
            self._panel(f, w, matrix, behind, self.least(f, rest, WIDTH))

    def _explained(
        self, f: Function, w: Words, panel: Value, x: tuple[Value, Value], first: Value, count: Value
    ) -> None:
        """What a panel makes of columns: rows of U, and what it leaves of the rows below."""
        at, width = w[Parameter.AT], w[Parameter.WIDTH]
        one, line, yes = f.constant("i64", 1), f.constant("i64", WIDTH), f.constant("i1", "true")
        upper, below = (self.element(f, self._at(*x, row), first) for row in (at, at + width))
        f.call(self.name("left"), width, count, yes, panel, line, one, upper, x[1], returns="void")
        sizes = w[Parameter.ROWS] - at - width, count, width
        left = self.element(f, panel, width * WIDTH), line, one
        self._subtract(f, sizes, left, (upper, x[1]), (below, x[1]))

    def _exchange(self, f: Function, w: Words, matrix: tuple[Value, Value], *bounds: Value) -> None:
        """Exchanges of rows of a matrix (an address, and how far apart rows are)."""
        f.call(self.name("exchange"), *matrix, w.buffer(Parameter.SLOT_PIVOTS), *bounds, returns="void")

    def order(self, f: Function, w: Words) -> None:
        """The permutation that all exchanges make."""
        order, pivots = w.buffer(Parameter.SLOT_ORDER), w.buffer(Parameter.SLOT_PIVOTS)
        with f.range(w[Parameter.ROWS]) as k:
            f.store(f.cast_int(k, "i32"), order + k * 4)
        with f.range(self.least(f, w[Parameter.ROWS], w[Parameter.COLUMNS])) as k:
            self._swap(f, "i32", order + k * 4, order + f.cast_int(f.load(pivots, k * 4, "i32"), "i64") * 4)

    # Solves -----------------------------------------------------------------------------------------------------

    def solve(self, f: Function, w: Words) -> None:
        """By the upper factor of a square matrix; a pivot of zero is a failure."""
        n, factors = w[Parameter.ROWS], w.buffer(Parameter.SLOT_FACTORS)
        with f.range(n) as k:
            pivot = f.load(self.element(f, factors, k * (n + 1)), 0, self.real)
            with f.if_(f.emit("i1", f"fcmp oeq {pivot}, 0.0")):
                f.store(w[Parameter.STATUS], f.load(f.bufs, 0, "ptr"))
        start = self.element(f, w.buffer(Parameter.SLOT_OUT), f.first)
        self._triangle(f, w, start, [f.constant("i64", 0)] * 3)

    def triangle(self, f: Function, w: Words) -> None:
        """op(A) X = B for a triangle, as flags say."""
        self._triangle(
            f, w, self._sides(f, w), [w[which] for which in (Parameter.LOWER, Parameter.TRANSPOSED, Parameter.UNIT)]
        )

    def across(self, f: Function, w: Words) -> None:
        """X op(A) = B: its transpose, of rows that are turned, and back."""
        n, sides, count = w[Parameter.ROWS], w[Parameter.SIDES], f.last - f.first
        b, x = (self.element(f, w.buffer(which), f.first * n) for which in (Parameter.SLOT_X, Parameter.SLOT_OUT))
        turned = self.element(f, w.buffer(Parameter.SLOT_ROOM), f.first)
        f.call(self.name("turn"), b, n, turned, sides, n, count, returns="void")
        flags = w[Parameter.LOWER], f.constant("i64", 1) - w[Parameter.TRANSPOSED], w[Parameter.UNIT]
        self._triangle(f, w, turned, flags)
        f.call(self.name("turn"), turned, sides, x, n, count, n, returns="void")

    def _sides(self, f: Function, w: Words) -> Value:
        """Copy the right sides that are meant; the address of the solutions."""
        x, b, sides = w.buffer(Parameter.SLOT_OUT), w.buffer(Parameter.SLOT_X), w[Parameter.SIDES]
        with f.range(w[Parameter.ROWS]) as k:
            at = (k * sides + f.first) * self.size
            f.call("memcpy", x + at, b + at, (f.last - f.first) * self.size, returns="ptr")
        return self.element(f, x, f.first)

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
