"""What do factorisations of one large matrix have in common?  Their integers, and code for strips, rows and turns."""

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
WIDTH = 64  # columns of a panel, rows of a strip
BEHIND = 64  # rows that a panel has room for besides
BLOCK = 8  # rows of a strip that are solved together
LETTERS = {"f4": "s", "f8": "d"}


def define(module: Module, dtype: str) -> None:
    """Define what most time is spent in, but for products."""
    parts = Parts(module, dtype)
    parts.define_strip()
    parts.define_turn()
    for into in (True, False):
        parts.define_move(into)
    parts.define_exchange()


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
