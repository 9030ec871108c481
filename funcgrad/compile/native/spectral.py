"""How are eigenvectors and singular vectors of one large matrix found?  By LAPACK, but for products of reflections.

LAPACK's ``syevd`` makes a symmetric matrix tridiagonal (``sytrd``), finds the vectors of that (``stedc``), and turns
them back by reflections (``ormtr``), which took a quarter of its time with OpenBLAS: here they are products in tiles,
as those of `reflections`.  ``gesdd`` does the same for a square matrix with two diagonals (``gebrd``, ``bdsdc``) and
reflections from both sides.  What is LAPACK's runs on one thread.

The kernels take the integers of `factors.Parameter`.  Ranges are those of rows for ``mirror`` and ``vectors``, of
columns for ``back``, of panels for ``blocks``; others run once.  Where a range is cut changes no bit.
"""

from __future__ import annotations

from funcgrad.compile.native.parts import LETTERS, WIDTH, Parameter, Words, call_library
from funcgrad.compile.native.reflections import Reflections
from funcgrad.compile.native.text import Function, Module, Value

KERNELS = {
    "eigh": ("mirror", "tridiagonal", "blocks", "vectors", "back"),
    "svd": ("copy", "mirror", "bidiagonal", "blocks", "vectors", "back"),
}
_NAMES = "lange lansy lascl sytrd stedc gebrd bdsdc".split()
ROUTINES = tuple(f"{letter}{name}" for letter in LETTERS.values() for name in _NAMES)
INFINITY = "0x7FF0000000000000"
LEAST, MOST = "0x2000000000000000", "0x5FE0000000000000"
"""Numbers that no square of which is lost, or overflows: 2**-511 and 2**511."""


def define(module: Module, family: str, dtype: str) -> None:
    """Define ``fg_factor_mirror_f8`` and its like."""
    Spectral(module, dtype).define_kernels(KERNELS[family])


class Spectral(Reflections):
    """The kernels, for ``"f8"``."""

    most = WIDTH

    def mirror(self, f: Function, w: Words) -> None:
        """Rows of the transposed matrix: LAPACK, which sees columns, finds the lower triangle below its diagonal."""
        self._transposed(f, w, Parameter.SLOT_X, Parameter.SLOT_PANEL)

    def tridiagonal(self, f: Function, w: Words) -> None:
        """The tridiagonal form, its values in order, and its vectors, one after the other."""
        n, matrix, values = w[Parameter.ROWS], w.buffer(Parameter.SLOT_PANEL), w.buffer(Parameter.SLOT_VALUES)
        beside = w.buffer(Parameter.SLOT_R)
        taus = self.element(f, beside, n)
        work, length = w.buffer(Parameter.SLOT_ROOM), n * n + n * 4 + 1
        info = f.variable("i64", 0).place
        largest = call_library(f, self.dtype, "lansy", "M", "L", n, matrix, n, work, returns=self.real)
        scale = f.variable(self.real, self._scale(f, largest)).place
        one = f.variable(self.real, f.constant(self.real, "1.0")).place
        scaled = f.emit("i1", f"fcmp one {f.load(scale, 0, self.real)}, 1.0")
        zero = f.constant("i64", 0)
        with f.if_(scaled):
            call_library(f, self.dtype, "lascl", "L", zero, zero, one, scale, n, n, matrix, n, info)
        call_library(f, self.dtype, "sytrd", "L", n, matrix, n, values, beside, taus, work, length, info)
        numbers, count = w.buffer(Parameter.SLOT_ORDER), n * 5 + 3
        vectors = w.buffer(Parameter.SLOT_FACTORS)
        call_library(f, self.dtype, "stedc", "I", n, values, beside, vectors, n, work, length, numbers, count, info)
        with f.if_(f.load(info, 0, "i32").is_not(0)):
            f.store(w[Parameter.STATUS], f.load(f.bufs, 0, "ptr"))
        with f.if_(scaled):
            call_library(f, self.dtype, "lascl", "G", zero, zero, scale, one, n, f.constant("i64", 1), values, n, info)

    def _scale(self, f: Function, largest: Value) -> Value:
        """By what to multiply numbers, so that no square of the largest is lost or overflows."""
        wanted = f.variable(self.real, largest)
        for bound, beyond in ((LEAST, "olt"), (MOST, "ogt")):
            with f.if_(f.emit("i1", f"fcmp {beyond} {largest}, {bound}")):
                wanted.set(f.constant(self.real, bound))
        some = f.emit("i1", f"fcmp ogt {largest}, 0.0") & f.emit("i1", f"fcmp one {largest}, {INFINITY}")
        ratio = f.emit(self.real, f"fdiv {wanted.get()}, {largest.name}")
        return f.select(some, ratio, f.constant(self.real, "1.0"))

    def bidiagonal(self, f: Function, w: Words) -> None:
        """The form with two diagonals, its singular values in order, and its vectors from both sides.

        LAPACK sees the transposed matrix, and so the left vectors where the right ones are.
        """
        n, matrix, values = w[Parameter.ROWS], w.buffer(Parameter.SLOT_FACTORS), w.buffer(Parameter.SLOT_VALUES)
        lines = [self.element(f, w.buffer(Parameter.SLOT_R), n * k) for k in range(3)]
        work, length = w.buffer(Parameter.SLOT_ROOM), n * n * 3
        info = f.variable("i64", 0).place
        zero, single = f.constant("i64", 0), f.constant("i64", 1)
        largest = call_library(f, self.dtype, "lange", "M", n, n, matrix, n, work, returns=self.real)
        finite = f.emit("i1", f"fcmp olt {largest}, {INFINITY}")
        with f.if_(f.emit("i1", f"xor {finite}, true")):
            f.store(w[Parameter.STATUS], f.load(f.bufs, 0, "ptr"))
            f.ret()
        scale = f.variable(self.real, self._scale(f, largest)).place
        one = f.variable(self.real, f.constant(self.real, "1.0")).place
        scaled = f.emit("i1", f"fcmp one {f.load(scale, 0, self.real)}, 1.0")
        with f.if_(scaled):
            call_library(f, self.dtype, "lascl", "G", zero, zero, one, scale, n, n, matrix, n, info)
        call_library(f, self.dtype, "gebrd", n, n, matrix, n, values, *lines, work, length, info)
        sides = w.buffer(Parameter.SLOT_OTHER), w.buffer(Parameter.SLOT_OUT)
        unused = f.variable("i64", 0).place
        numbers = w.buffer(Parameter.SLOT_ORDER)
        known = n, values, lines[0], sides[0], n, sides[1], n, unused, unused, work, numbers, info
        call_library(f, self.dtype, "bdsdc", "U", "I", *known)
        with f.if_(f.load(info, 0, "i32").is_not(0)):
            f.store(w[Parameter.STATUS], f.load(f.bufs, 0, "ptr"))
        with f.if_(scaled):
            call_library(f, self.dtype, "lascl", "G", zero, zero, scale, one, n, single, values, n, info)

    def blocks(self, f: Function, w: Words) -> None:
        """For each panel the reflections V, with their zeros and ones, and their triangle T."""
        n, below = w[Parameter.ROWS], w[Parameter.BELOW]
        matrix, triangles = w.buffer(Parameter.SLOT_PANEL), w.buffer(Parameter.SLOT_TRIANGLES)
        taus = self.element(f, w.buffer(Parameter.SLOT_R), n * w[Parameter.LINE])
        with f.range(f.last - f.first) as step:
            at = (f.first + step) * WIDTH
            left = n - below - at
            width = f.select(left < WIDTH, left, f.constant("i64", WIDTH))
            v, t = self.element(f, matrix, at * (n + 1) + below), self.element(f, triangles, at * WIDTH)
            self._written_out(f, (left, width), (v, n), self.element(f, taus, at), t)

    def vectors(self, f: Function, w: Words) -> None:
        """Rows of the matrix whose columns are the vectors."""
        self._transposed(f, w, Parameter.SLOT_FACTORS, Parameter.SLOT_OUT)

    def _transposed(self, f: Function, w: Words, source: int, target: int) -> None:
        n, x, out = w[Parameter.ROWS], w.buffer(source), w.buffer(target)
        start = self.element(f, x, f.first), n, self.element(f, out, f.first * n), n
        f.call(self.name("turn"), *start, f.last - f.first, n, returns="void")

    def back(self, f: Function, w: Words) -> None:
        """What the panel's reflections make of columns, but for their rows up to the panel's first."""
        n, below = w[Parameter.ROWS], w[Parameter.BELOW]
        place = self.element(f, w.buffer(Parameter.SLOT_OUT), (w[Parameter.AT] + below) * n + f.first)
        self._reflected(f, w, (place, n), (f.first, f.last), transposed=False, below=below)
