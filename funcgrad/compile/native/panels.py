"""How is a panel of columns factorized with exchanges of rows?  A few columns at a time, each of them in vectors.

The panel is turned, so that a column lies together (`line` elements for so many rows: an odd number of vectors, for
neighbours of one row to lie in different sets of a cache).  As many columns as a vector has numbers are eliminated one
after the other, while they are in the first-level cache; what they explain of the columns behind them is then a product
in tiles.

What lies behind the last row is computed with, too; before the largest number is looked for, zeros are.
"""

from __future__ import annotations

from collections.abc import Callable

from funcgrad.compile.native.parts import Parts
from funcgrad.compile.native.text import Function, Module, Value
from funcgrad.compile.native.vectors import VECTORS


def define(module: Module, dtype: str) -> None:
    """Define ``fg_factor_pivot_f4`` or ``fg_factor_pivot_f8``."""
    Panels(module, dtype).define()


class Panels(Parts):
    """Functions of a module for panels of ``"f4"`` or ``"f8"``."""

    def define(self) -> None:
        """Define both functions."""
        self.define_pivot()
        self.define_above()

    def define_pivot(self) -> None:
        """``pivot(rows, width, first, behind, x, line, pivots, at)``: the factors of columns from `first` to `behind`,
        where they lie, and their exchanges, of rows that are counted from `at` on. All columns exchange rows.
        """
        kinds = {"rows": "i64", "width": "i64", "first": "i64", "behind": "i64", "x": "ptr", "line": "i64"}
        with self.module.function(self.name("pivot"), "void", **kinds, pivots="ptr", at="i64") as f:
            with f.range(f.behind - f.first) as step:
                self._eliminate(f, f.first + step)
            f.ret()

    def define_above(self) -> None:
        """``above(columns, row, x, line, others)``: rows of U from `row` on, as many as a vector has numbers, by the
        columns of the same numbers; of other columns, in one register for each.
        """
        kinds = {"columns": "i64", "row": "i64", "x": "ptr", "line": "i64", "others": "ptr"}
        with self.module.function(self.name("above"), "void", **kinds) as f:
            lower = [self.load(f, self._place(f, f.row + k, f.row)) for k in range(self.lanes - 1)]
            with f.range(f.columns) as k:
                place = self.element(f, f.others, k * f.line + f.row)
                x = self.load(f, place)
                for lane, column in enumerate(lower):
                    mask = ", ".join(f"i1 {int(other > lane)}" for other in range(self.lanes))
                    order = ", ".join([f"i32 {lane}"] * self.lanes)
                    number = f.emit(self.vector, f"shufflevector {x}, {x}, <{self.lanes} x i32> <{order}>")
                    less = self.fma(f, self._minus(f, number), column, x)
                    x = f.select(f.constant(f"<{self.lanes} x i1>", f"<{mask}>"), less, x)
                self.store(f, x, place)
            f.ret()

    def _eliminate(self, f: Function, row: Value) -> None:
        """One column: exchange its largest number into `row`, divide by it, subtract from the columns that follow."""
        largest = self._largest(f, row)
        f.store(f.cast_int(largest + f.at, "i32"), f.pivots + row * 4)
        with f.if_(largest.is_not(row)), f.range(f.width) as k:
            self._swap(f, self.real, self._place(f, k, row), self._place(f, k, largest))
        pivot = f.load(self._place(f, row, row), 0, self.real)
        with f.if_(f.emit("i1", f"fcmp une {pivot}, 0.0")):
            inverse = f.emit(self.real, f"fdiv {self.real} 1.0, {pivot.name}")
            finite = f.emit("i1", f"fcmp olt {self._absolute(f, inverse)}, 0x7FF0000000000000")
            by, of = self.broadcast(f, inverse), self.broadcast(f, pivot)
            f.choose(
                finite,
                lambda: self._each(f, row, row, lambda x, _: f.emit(self.vector, f"fmul {x}, {by.name}")),
                lambda: self._each(f, row, row, lambda x, _: f.emit(self.vector, f"fdiv {x}, {of.name}")),
            )
        with f.range(f.behind - row - 1) as k:
            other = row + 1 + k
            factor = self.broadcast(f, f.load(self._place(f, other, row), 0, self.real))
            less = self._minus(f, factor)
            self._each(f, other, row, lambda x, column: self.fma(f, less, column, x))

    def _each(self, f: Function, column: Value, row: Value, change: Callable[[Value, Value], Value]) -> None:
        """Change what lies below a row, by what lies there in the column of the same number as the row."""
        state = [self._place(f, column, row + 1), self._place(f, row, row + 1)]
        with f.folding((f.rows - row + (self.lanes - 2)) // self.lanes, state):
            mine, other = state
            self.store(f, change(self.load(f, mine), self.load(f, other)), mine)
            state[:] = [place + self.lanes * self.size for place in state]

    def _largest(self, f: Function, row: Value) -> Value:
        """In which row from that one on the column of the same number has its largest number; ties: the first. The bits
        of absolute numbers are in their order, and NaN's are the largest.
        """
        bits = f"i{8 * self.size}"
        kind, mask = f"<{self.lanes} x {bits}>", f"<{self.lanes} x i1>"
        for v in range(VECTORS):
            self.store(f, self.zero(f), self._place(f, row, f.rows + v * self.lanes))
        index = f.cast_int(row, bits)
        rows = f.repeated(index, self.lanes)
        here = f.emit(kind, f"add {rows}, <{', '.join(f'{bits} {k}' for k in range(self.lanes))}>")
        none, step = (f.repeated(f.constant(bits, number), self.lanes) for number in (-1, self.lanes))
        state = [self._place(f, row, row), here, *[none] * VECTORS, *[rows] * VECTORS]
        with f.folding((f.rows - row + (VECTORS * self.lanes - 1)) // (VECTORS * self.lanes), state):
            place, here = state[:2]
            for v in range(VECTORS):
                best, at = 2 + v, 2 + VECTORS + v
                x = f.convert("bitcast", self._absolute(f, self.load(f, place + v * self.lanes * self.size)), kind)
                larger = f.emit(mask, f"icmp sgt {x}, {state[best].name}")
                state[best], state[at] = f.select(larger, x, state[best]), f.select(larger, here, state[at])
                here = f.emit(kind, f"add {here}, {step.name}")
            state[:2] = place + VECTORS * self.lanes * self.size, here
        first, second, *places = state[2:]
        top = self._reduced(f, "smax", f.select(f.emit(mask, f"icmp sgt {second}, {first.name}"), second, first))
        everywhere, behind = (f.repeated(number, self.lanes) for number in (top, f.constant(bits, 2**31 - 1)))
        found = [
            f.select(f.emit(mask, f"icmp eq {x}, {everywhere.name}"), at, behind)
            for x, at in zip((first, second), places, strict=True)
        ]
        earlier = f.emit(mask, f"icmp slt {found[0]}, {found[1].name}")
        return f.cast_int(self._reduced(f, "smin", f.select(earlier, *found)), "i64")

    def _reduced(self, f: Function, fold: str, x: Value) -> Value:
        bits = x.type.split()[-1][:-1]
        return f.call(f"llvm.vector.reduce.{fold}.v{self.lanes}{bits}", x, returns=bits)

    def _place(self, f: Function, column: Value, row: Value) -> Value:
        return self.element(f, f.x, column * f.line + row)

    def _absolute(self, f: Function, x: Value) -> Value:
        suffix = self.suffix if x.type == self.real else f"v{self.lanes}{self.suffix}"
        return f.call(f"llvm.fabs.{suffix}", x, returns=x.type)
