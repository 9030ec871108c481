"""How is a product computed whose columns do not fill tiles?  In tiles that read and store no more than there is.

Points times a small matrix, or sums over many points: BLAS packs operands that are read once, and calls for them what
is made for wide matrices. A tile here is a few rows of C and up to `VECTORS` vectors of columns, and its sums run over
up to `DEPTH` terms in order, as those of `tiles` do; B is read where it lies, again for each tile, with masks for what
stands behind its last column. A transposed B is written down in rows before.
"""

from __future__ import annotations

from collections.abc import Iterable

from funcgrad.compile.native.text import Function, Module, Value
from funcgrad.compile.native.tiles import DEPTH, Tiles
from funcgrad.compile.native.vectors import VECTORS

_OPERANDS = {"a": "ptr", "a_row": "i64", "a_k": "i64", "b": "ptr", "b_k": "i64"}


def define(module: Module, dtypes: Iterable[str]) -> None:
    """Define ``fg_narrow_product_f4``, ``fg_narrow_product_f8`` or both."""
    for dtype in dtypes:
        Narrow(module, dtype).define()


class Narrow(Tiles):
    """Functions of a module that multiply matrices where C has few columns."""

    def name(self, part: str) -> str:
        return f"fg_narrow_{part}_{self.dtype}"

    def define(self) -> None:
        for rows in self.heights:
            for vectors in range(1, VECTORS + 1):
                self._define_rows(rows, vectors)
        self._define_product()

    def _define_rows(self, rows: int, vectors: int) -> None:
        """``rows(k, a, a_row, a_k, b, b_k, columns, alpha, beta, c, ldc)``: C = alpha A B + beta C."""
        kinds = {"k": "i64", **_OPERANDS, "columns": "i64", "alpha": self.real, "beta": self.real}
        with self.module.function(self.name(f"{rows}x{vectors}"), "void", **kinds, c="ptr", ldc="i64") as f:
            inside = self.masks(f, f.columns)[vectors - 1]
            sums = [[f.variable(self.vector, self.zero(f)) for _ in range(vectors)] for _ in range(rows)]
            a, b = f.variable("ptr", f.a), f.variable("ptr", f.b)
            row, down, along = f.a_row * self.size, f.b_k * self.size, f.a_k * self.size
            with f.range(f.k):
                ys = [self._read(f, b.get(), v, vectors, inside) for v in range(vectors)]
                for i, totals in enumerate(sums):
                    x = self.broadcast(f, f.load(a.get() + row * i, 0, self.real))
                    for y, total in zip(ys, totals, strict=True):
                        total.set(self.fma(f, x, y, total.get()))
                b.set(b.get() + down)
                a.set(a.get() + along)
            new = f.emit("i1", f"fcmp oeq {f.beta}, 0.0")
            alpha, beta = self.broadcast(f, f.alpha), self.broadcast(f, f.beta)

            def finish(adds: bool) -> None:
                for i, totals in enumerate(sums):
                    line = f.c + f.ldc * (i * self.size)
                    for v, total in enumerate(totals):
                        x = f.emit(self.vector, f"fmul {total.get()}, {alpha.name}")
                        if adds:
                            x = self.fma(f, beta, self._read(f, line, v, vectors, inside), x)
                        self._write(f, x, line, v, vectors, inside)

            f.choose(new, lambda: finish(False), lambda: finish(True))
            f.ret()

    def _read(self, f: Function, line: Value, v: int, vectors: int, inside: Value) -> Value:
        place = line + v * self.lanes * self.size
        if v + 1 < vectors:
            return self.load(f, place)
        return self.load_some(f, place, inside)

    def _write(self, f: Function, value: Value, line: Value, v: int, vectors: int, inside: Value) -> None:
        place = line + v * self.lanes * self.size
        if v + 1 < vectors:
            self.store(f, value, place)
        else:
            self.store_some(f, value, place, inside)

    # The product ------------------------------------------------------------------------------------------------

    def _define_product(self) -> None:
        """``product(m, n, k, a, a_row, a_k, b, b_k, b_column, alpha, beta, c, ldc)``: C = alpha A B + beta C."""
        kinds = {**dict.fromkeys("mnk", "i64"), **_OPERANDS, "b_column": "i64", "alpha": self.real, "beta": self.real}
        with self.module.function(self.name("product"), "void", **kinds, c="ptr", ldc="i64") as f:
            panel = f.variable(self.vector, count=DEPTH * VECTORS).place
            along = f.b_column.is_(1)
            parts, panels = f.in_parts(f.k, f.constant("i64", DEPTH)), f.in_parts(f.n, f.constant("i64", self.width))
            with parts as (k, terms), panels as (first, columns):
                beta = f.select(k.is_(0), f.beta, f.constant(self.real, "1.0"))
                b = f.b + (k * f.b_k + first * f.b_column) * self.size
                with f.if_(along.is_(0)), f.range(columns) as column, f.range(terms) as term:
                    x = f.load(b + (column * f.b_column + term * f.b_k) * self.size, 0, self.real)
                    f.store(x, panel + (term * self.width + column) * self.size)
                where = f.select(along, b, panel), f.select(along, f.b_k, f.constant("i64", self.width))
                done = f.variable("i64", 0)
                with f.while_(lambda: done.get() < f.m):
                    height = self._height(f, f.m - done.get())
                    a = f.a + (done.get() * f.a_row + k * f.a_k) * self.size
                    c = f.c + (done.get() * f.ldc + first) * self.size
                    tile = self._chosen(f, height, columns > self.lanes)
                    f.call(tile, terms, a, f.a_row, f.a_k, *where, columns, f.alpha, beta, c, f.ldc, returns="void")
                    done.set(done.get() + height)
            f.ret()

    def _chosen(self, f: Function, height: Value, wide: Value) -> Value:
        """The address of the function for so many rows."""
        chosen: Value | None = None
        for rows in self.heights:
            one, two = (self.module.reference(f, self.name(f"{rows}x{v}")) for v in (1, VECTORS))
            tile = f.select(wide, two, one)
            chosen = tile if chosen is None else f.select(height.is_(rows), tile, chosen)
        assert chosen is not None
        return chosen
