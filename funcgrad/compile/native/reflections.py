"""How does one large matrix become a basis and a triangle?  By LAPACK's reflections, applied by products in tiles.

LAPACK's ``geqrf`` and ``orgqr`` do the same with OpenBLAS's products and its triangular ones, of which the latter are
slow (see `factors`), and copy what they multiply.  Here a panel's reflections I - V T V' (Schreiber & Van Loan 1989)
are written out with their zeros and ones, so that all products are plain ones, which threads share by columns.

All kernels take the integers of `factors.Parameter`.  Ranges are those of rows for ``begin``, of columns for ``apply``
and ``build``; ``reflect`` runs once.  Where a range is cut changes no bit.
"""

from __future__ import annotations

from funcgrad.compile.native.parts import LETTERS, Parameter, Parts, Words, call_library
from funcgrad.compile.native.text import Function, Module, Value

KERNELS = ("copy", "begin", "reflect", "apply", "build")
WIDTH = 32  # columns of a panel: LAPACK reflects them one by one
ROUTINES = tuple(f"{letter}{routine}" for letter in LETTERS.values() for routine in ("geqrf", "larft"))


def define(module: Module, dtype: str) -> None:
    """Define ``fg_factor_begin_f4`` and its like."""
    Reflections(module, dtype).define_kernels(KERNELS)


class Reflections(Parts):
    """The kernels, for ``"f4"`` or ``"f8"``."""

    most = WIDTH

    def begin(self, f: Function, w: Words) -> None:
        """Rows of an identity in the place of Q, of zeros in the place of R."""
        rows, columns = w[Parameter.ROWS], w[Parameter.COLUMNS]
        size = self.least(f, rows, columns)
        q, r = w.buffer(Parameter.SLOT_OUT), w.buffer(Parameter.SLOT_R)
        with f.range(f.last - f.first) as step:
            row = f.first + step
            f.call("memset", self.element(f, q, row * size), f.constant("i32", 0), size * self.size, returns="ptr")
            with f.if_(row < size):
                f.store(f.constant(self.real, "1.0"), self.element(f, q, row * (size + 1)))
                line = self.element(f, r, row * columns)
                f.call("memset", line, f.constant("i32", 0), columns * self.size, returns="ptr")

    def reflect(self, f: Function, w: Words) -> None:
        """The panel's reflections V, from the diagonal down, their triangle T, and the block of R on the diagonal."""
        ld, at, width, all_rows = (
            w[which] for which in (Parameter.COLUMNS, Parameter.AT, Parameter.WIDTH, Parameter.ROWS)
        )
        rows = all_rows - at
        v, t = self._panel(f, w)
        mine = self.element(f, w.buffer(Parameter.SLOT_FACTORS), at * (ld + 1))
        f.call(self.name("turn"), mine, ld, v, all_rows, width, rows, returns="void")
        taus = f.variable(self.real, count=WIDTH).place
        work, info = f.variable(self.real, count=WIDTH * WIDTH).place, f.variable("i64", 0).place
        length = f.constant("i64", WIDTH * WIDTH)
        call_library(f, self.dtype, "geqrf", rows, width, v, all_rows, taus, work, length, info)
        corner = self.element(f, w.buffer(Parameter.SLOT_R), at * (ld + 1))
        with f.range(width) as column:
            line = self.element(f, v, column * all_rows)
            with f.range(column + 1) as row:
                f.store(f.load(self.element(f, line, row), 0, self.real), self.element(f, corner, row * ld + column))
        self._written_out(f, (rows, width), (v, all_rows), taus, t)

    def _written_out(
        self, f: Function, sizes: tuple[Value, Value], v: tuple[Value, Value], taus: Value, t: Value
    ) -> None:
        """Zeros and ones into so many rows and columns of V (an address, and how far apart columns are); T of them."""
        (rows, width), (first, apart) = sizes, v
        with f.range(width) as column:
            line = self.element(f, first, column * apart)
            f.call("memset", line, f.constant("i32", 0), column * self.size, returns="ptr")
            f.store(f.constant(self.real, "1.0"), self.element(f, line, column))
        f.call("memset", t, f.constant("i32", 0), f.constant("i64", self.most**2 * self.size), returns="ptr")
        leading = f.constant("i64", self.most)
        call_library(f, self.dtype, "larft", "F", "C", rows, width, first, apart, taus, t, leading)

    def _panel(self, f: Function, w: Words, below: Value | int = 0) -> tuple[Value, Value]:
        """The addresses of V, column after column from so many rows below the diagonal, and of T."""
        at = w[Parameter.AT]
        v = self.element(f, w.buffer(Parameter.SLOT_PANEL), at * (w[Parameter.ROWS] + 1) + below)
        return v, self.element(f, w.buffer(Parameter.SLOT_TRIANGLES), at * self.most)

    def apply(self, f: Function, w: Words) -> None:
        """What the panel's reflections make of columns behind it; their first rows are R's."""
        ld, at, width = w[Parameter.COLUMNS], w[Parameter.AT], w[Parameter.WIDTH]
        matrix, behind = w.buffer(Parameter.SLOT_FACTORS), at + width
        first = f.select(f.first < behind, behind, f.first)
        with f.if_(first < f.last):
            self._reflected(f, w, (self.element(f, matrix, at * ld + first), ld), (first, f.last), transposed=True)
            with f.range(width) as row:
                place = (at + row) * ld + first
                out, x = (
                    self.element(f, w.buffer(which), place) for which in (Parameter.SLOT_R, Parameter.SLOT_FACTORS)
                )
                f.call("memcpy", out, x, (f.last - first) * self.size, returns="ptr")

    def build(self, f: Function, w: Words) -> None:
        """What the panel's reflections make of the columns of Q that they change."""
        at, ld = w[Parameter.AT], self.least(f, w[Parameter.ROWS], w[Parameter.COLUMNS])
        first = f.select(f.first < at, at, f.first)
        with f.if_(first < f.last):
            q = self.element(f, w.buffer(Parameter.SLOT_OUT), at * ld + first)
            self._reflected(f, w, (q, ld), (first, f.last), transposed=False)

    def _reflected(
        self,
        f: Function,
        w: Words,
        matrix: tuple[Value, Value],
        columns: tuple[Value, Value],
        transposed: bool,
        below: Value | int = 0,
    ) -> None:
        """C - V T V' C, or with T', for columns of a matrix (an address, and how far apart rows are)."""
        width, all_rows, ld = w[Parameter.WIDTH], w[Parameter.ROWS], w[Parameter.COLUMNS]
        rows, (first, last) = all_rows - w[Parameter.AT] - below, columns
        v, t = self._panel(f, w, below)
        inner = self.element(f, w.buffer(Parameter.SLOT_ROOM), first)
        scaled = self.element(f, inner, ld * self.most)
        one, leading, count = f.constant("i64", 1), f.constant("i64", self.most), last - first
        turned = (leading, one) if transposed else (one, leading)
        self.product(f, (width, count, rows), (v, all_rows, one), matrix, (inner, ld), ("1.0", "0.0"))
        self.product(f, (width, count, width), (t, *turned), (inner, ld), (scaled, ld), ("1.0", "0.0"))
        self.product(f, (rows, count, width), (v, one, all_rows), (scaled, ld), matrix, ("-1.0", "1.0"))
