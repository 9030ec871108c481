"""How is a product of real matrices computed without a library?  By tiles of the result that stay in registers.

A tile has `VECTORS` vectors along the rows of C, and as many rows as registers allow, or fewer where that cuts the rows
evenly. Its sums run over up to `DEPTH` terms, in order: neither where tiles begin nor how many threads there are
changes a bit. `TILES` tiles read the same panel of B. The first of them reads it where it lies, asks for what comes
next, and writes it down for the others while it multiplies, so that copying B costs nothing (Goto & van de Geijn 2008
copy it before). A transposed B is turned in registers.

A is read where it lies. While tiles multiply they ask for memory ahead: for the rows of C that they will write and,
where no tile has read these rows of A yet, for those of the tile after them. A transposed A, of which each term lies
in another cache line, is written down by the tiles of the first panel for those of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from funcgrad.compile.native.text import Function, Module, Value
from funcgrad.compile.native.transpose import block
from funcgrad.compile.native.vectors import VECTORS, Vectors, tiles
from funcgrad.compile.passes import Effort

DEPTH = 400  # terms of a sum before it is added to C: so many rows of a panel stay in the first-level cache
STEP = 16  # of which the number of terms is a multiple, but for the last ones
TILES = 20  # of the tallest that read a panel before it is written, or turned, anew: two thirds of a second-level cache
AHEAD = 16  # terms later is what the first of them asks for
SLOT = 16  # elements of A, as many as the tallest tile has rows and more, that are written down for a term
MANY = 2  # panels: more of them are worth writing a transposed A down
LINE = 64  # bytes of a line of the cache
_OPERANDS = {"a": "ptr", "a_row": "i64", "a_k": "i64", "b": "ptr", "b_k": "i64", "b_column": "i64"}


def define(module: Module, dtypes: Iterable[str]) -> None:
    """Define ``fg_tiles_product_f4``, ``fg_tiles_product_f8`` or both, but for what `define_turns` does."""
    for dtype in dtypes:
        Tiles(module, dtype).define()


def define_turns(module: Module, dtypes: Iterable[str]) -> None:
    """Define what turns panels of a transposed B."""
    for dtype in dtypes:
        Tiles(module, dtype).define_turn()


class Tiles(Vectors):
    """Functions of a module that multiply matrices of ``"f4"`` or ``"f8"``; strides are in elements."""

    def __init__(self, module: Module, dtype: str) -> None:
        super().__init__(module, dtype)
        self.width = VECTORS * self.lanes
        self.heights = heights()

    def name(self, part: str) -> str:
        """What a function is called."""
        return f"fg_tiles_{part}_{self.dtype}"

    def define(self) -> None:
        """Define ``fg_tiles_product`` and what it calls."""
        tallest, *lower = self.heights
        self._define_tiles("tile", (tallest,), copies=False)
        self._define_tiles("copy", (tallest,), copies=True)
        self._define_tiles("low", lower, copies=True)
        self._define_edge()
        self._define_add()
        self._define_product()

    # Tiles ------------------------------------------------------------------------------------------------------

    def _define_tiles(self, name: str, heights: Sequence[int], copies: bool) -> None:
        """``tile(rows, k, a, a_row, a_k, b, b_k, panel, c, ldc, ...)``: C = A B of one of these heights; with `copies`
        it writes B into the panel, which may be B. Only the tallest tile, which does most of the work, is compiled
        without this as well; the low ones are one function, for LLVM takes as long for a function as for ten rows of a
        tile.  ``..., fresh, kept, into, into_row``: whether these are the first tiles to read A, where they write it
        down, if that is not null, and which memory the caller will write.
        """
        kinds = {"rows": "i64", "k": "i64", **_OPERANDS, "panel": "ptr", "c": "ptr", "ldc": "i64"}
        kinds |= {"fresh": "i64", "kept": "ptr", "into": "ptr", "into_row": "i64"}
        del kinds["b_column"]
        with self.module.function(self.name(name), "void", **kinds) as f:
            for rows in heights[:-1]:
                with f.if_(f.rows.is_(rows)):
                    self._multiply(f, rows, copies)
            self._multiply(f, heights[-1], copies)

    def _multiply(self, f: Function, rows: int, copies: bool) -> None:
        row, down, along = f.a_row * self.size, f.b_k * self.size, f.a_k * self.size
        state = [f.a, f.b, f.panel, *[self.zero(f)] * (rows * VECTORS)]
        place = self._following(f, rows)
        with f.folding(f.k, state) as term:
            a, b, panel, *sums = state
            with f.if_(f.fresh.is_not(0)):
                self._ask(f, place(term))
                with f.if_(f.kept.is_not(0)):
                    self._write_down(f, rows, a, f.kept + term * (SLOT * self.size))
            with f.if_(term < 2 * SLOT):
                self._ask(f, f.into + (term & (SLOT - 1)) * (f.into_row * self.size) + term // SLOT * LINE, write=True)
            ys = [self.load(f, b + v * self.lanes * self.size) for v in range(VECTORS)]
            if copies:
                for v, y in enumerate(ys):
                    self.store(f, y, panel + v * self.lanes * self.size)
                self._prefetch(f, b + down * AHEAD)
                state[2] = panel + self.width * self.size
            x = a
            for i in range(rows):
                number = self.broadcast(f, f.load(x, 0, self.real))
                for k, y in enumerate(ys, i * VECTORS):
                    state[3 + k] = self.fma(f, number, y, sums[k])
                x = f.opaque(x + row)
            state[:2] = a + along, b + down
        line, below = f.c, f.ldc * self.size
        for i in range(rows):
            for v, total in enumerate(state[3:][i * VECTORS : (i + 1) * VECTORS]):
                self.store(f, total, line + v * self.lanes * self.size)
            line = f.opaque(line + below)
        f.ret()

    def _following(self, f: Function, rows: int) -> Callable[[Value], Value]:
        """Which line of the next tile's rows of A each term asks for: of rows in turn, or of the term's own column."""
        row, along, one = f.a_row * self.size, f.a_k * self.size, f.constant("i64", 1)
        lies = f.a_k.is_(1)
        turns = f.select(lies, f.constant("i64", SLOT - 1), f.constant("i64", -1))
        apart, further = f.select(lies, row, along), f.select(lies, one * LINE, one * 0)
        first = f.a + row * f.select(lies, one * rows, one * (2 * rows - 1))
        return lambda term: first + (term & turns) * apart + term // SLOT * further

    def _write_down(self, f: Function, rows: int, a: Value, place: Value) -> None:
        """A term's numbers of a transposed A."""
        for v, mask in enumerate(self.masks(f, f.constant("i64", rows))[: -(-rows // self.lanes)]):
            self.store(f, self.load_some(f, a + v * self.lanes * self.size, mask), place + v * self.lanes * self.size)

    def _prefetch(self, f: Function, row: Value, write: bool = False) -> None:
        """Ask for a row of a tile."""
        for v in range(VECTORS):
            self._ask(f, row + v * self.lanes * self.size, write)

    def _ask(self, f: Function, place: Value, write: bool = False) -> None:
        """Ask for a line, in the first level of the cache."""
        flags = [f.constant("i32", flag) for flag in (int(write), 3, 1)]
        f.call("llvm.prefetch.p0", place, *flags, returns="void")

    def _define_add(self) -> None:
        """``add(rows, columns, tile, alpha, beta, c, ldc)``: C = alpha tile + beta C, of what C has room for."""
        kinds = {"rows": "i64", "columns": "i64", "tile": "ptr", "alpha": self.real, "beta": self.real}
        with self.module.function(self.name("add"), "void", **kinds, c="ptr", ldc="i64") as f:
            nothing = f.emit("i1", f"fcmp oeq {f.beta}, 0.0")
            alpha, beta = self.broadcast(f, f.alpha), self.broadcast(f, f.beta)
            whole = f.columns // self.lanes
            with f.range(f.rows) as row:
                tile, c = f.tile + row * (self.width * self.size), f.c + row * f.ldc * self.size
                with f.range(whole) as v:
                    at = v * (self.lanes * self.size)
                    x = f.emit(self.vector, f"fmul {self.load(f, tile + at)}, {alpha.name}")
                    both = self.fma(f, beta, self.load(f, c + at), x)
                    self.store(f, f.select(nothing, x, both), c + at)
                with f.range(f.columns - whole * self.lanes) as more:
                    at = (whole * self.lanes + more) * self.size
                    x = f.emit(self.real, f"fmul {f.load(tile + at, 0, self.real)}, {f.alpha.name}")
                    before = f.load(c + at, 0, self.real)
                    both = f.call(f"llvm.fmuladd.{self.suffix}", f.beta, before, x, returns=self.real)
                    f.store(f.select(nothing, x, both), c + at)
            f.ret()

    # Panels -----------------------------------------------------------------------------------------------------

    def define_turn(self) -> None:
        """``turn(k, b, b_column, panel)``: a panel of a B that lies along k."""
        with self.module.function(self.name("turn"), "void", k="i64", b="ptr", b_column="i64", panel="ptr") as f:
            size, lanes = self.size, min(self.lanes, 8)  # 16: 0.93 of the time, and three times LLVM's
            strides = f.b_column * size, f.constant("i64", self.width * size)
            whole = f.k & -lanes
            with f.range(f.constant("i64", self.width // lanes)) as v, f.range(whole // lanes) as step:
                source = f.b + (f.b_column * v + step) * (lanes * size)
                block(f, size, source, f.panel + (step * self.width + v) * (lanes * size), strides, lanes)
            with f.range(f.k - whole) as more, f.range(f.constant("i64", self.width)) as column:
                k = whole + more
                x = f.load(f.b + (column * f.b_column + k) * size, 0, self.real)
                f.store(x, f.panel + (k * self.width + column) * size)
            f.ret()

    def _define_edge(self) -> None:
        """``edge(k, columns, b, b_k, b_column, panel)``: the last panel, with zeros behind the last column."""
        kinds = {"k": "i64", "columns": "i64", "b": "ptr", "b_k": "i64", "b_column": "i64", "panel": "ptr"}
        with self.module.function(self.name("edge"), "void", **kinds) as f:
            f.call("memset", f.panel, f.constant("i32", 0), f.k * (self.width * self.size), returns="ptr")
            with f.range(f.k) as k, f.range(f.columns) as column:
                x = f.load(f.b + (k * f.b_k + column * f.b_column) * self.size, 0, self.real)
                f.store(x, f.panel + (k * self.width + column) * self.size)
            f.ret()

    # The product ------------------------------------------------------------------------------------------------

    def _define_product(self) -> None:
        """``product(m, n, k, a, a_row, a_k, b, b_k, b_column, alpha, beta, c, ldc)``: C = alpha A B + beta C."""
        kinds = {**dict.fromkeys("mnk", "i64"), **_OPERANDS, "alpha": self.real, "beta": self.real}
        with self.module.function(self.name("product"), "void", **kinds, c="ptr", ldc="i64") as f:
            f.effort = Effort.LEAST
            room = f.variable(self.vector, count=(DEPTH + STEP) * VECTORS + 1).place
            panel = f.pointer((f.cast_int(room, "i64") + 63) & -64)
            aside = f.variable(self.vector, count=self.heights[0] * VECTORS).place
            plain = f.emit("i1", f"fcmp oeq {f.alpha}, 1.0")
            depth = _rounded(_even(f.k, DEPTH), STEP)
            band = _rounded(_even(f.m, TILES * self.heights[0]), self.heights[0])
            kept = self._room(f, band, depth)
            written = kept.is_not(0)
            with f.in_parts(f.k, depth) as (k, terms), f.in_parts(f.m, band) as (first, rows):
                beta = f.select(k.is_(0), f.beta, f.constant(self.real, "1.0"))
                new = f.emit("i1", f"and {f.emit('i1', f'fcmp oeq {beta}, 0.0')}, {plain.name}")
                with f.in_parts(f.n, f.constant("i64", self.width)) as (column, columns):
                    b = f.b + (k * f.b_k + column * f.b_column) * self.size
                    whole, lies = columns.is_(self.width), f.b_column.is_(1)
                    self._panel(f, (whole, lies), terms, columns, b, panel)
                    direct = f.emit("i1", f"and {whole}, {lies.name}")
                    stores = f.emit("i1", f"and {new}, {whole.name}")
                    done, slots = f.variable("i64", 0), f.variable("ptr", kept)
                    fresh = column.is_(0)
                    again, first_time = written & (column > 0), written & fresh
                    with f.while_(lambda: done.get() < rows):
                        row = first + done.get()
                        height = self._height(f, rows - done.get())
                        there = f.emit("i1", f"and {direct}, {done.get().is_(0).name}")
                        tile = self._chosen(f, height, there)
                        a = f.a + (row * f.a_row + k * f.a_k) * self.size
                        c = f.c + (row * f.ldc + column) * self.size
                        where = f.select(there, b, panel), f.select(there, f.b_k, f.constant("i64", self.width))
                        out = f.select(stores, c, aside), f.select(stores, f.ldc, f.constant("i64", self.width))
                        by = f.select(again, f.constant("i64", SLOT), f.a_k)
                        source = f.select(again, slots.get(), a), f.a_row, by
                        down = f.select(first_time, slots.get(), f.constant("ptr", 0))
                        ahead = f.cast_int(fresh, "i64"), down, c, f.ldc
                        f.call(tile, height, terms, *source, *where, panel, *out, *ahead, returns="void")
                        slots.set(slots.get() + terms * (SLOT * self.size))
                        with f.if_(stores.is_(0)):
                            f.call(self.name("add"), height, columns, aside, f.alpha, beta, c, f.ldc, returns="void")
                        done.set(done.get() + height)
            f.call("free", kept, returns="void")
            f.ret()

    def _room(self, f: Function, band: Value, depth: Value) -> Value:
        """Memory for a part of a transposed A, if that is worth it and there is any; or null."""
        kept = f.variable("ptr", f.constant("ptr", 0))
        with f.if_(f.a_row.is_(1) & f.a_k.is_not(1) & (f.n > MANY * self.width)):
            tiles = band // self.heights[0] + len(self.heights)
            kept.set(f.call("malloc", tiles * depth * (SLOT * self.size), returns="ptr"))
        return kept.get()

    def _panel(
        self, f: Function, kind: tuple[Value, Value], terms: Value, columns: Value, b: Value, panel: Value
    ) -> None:
        """Fill the panel, unless the first tile does."""
        whole, lies = kind

        def turn() -> None:
            with f.if_(lies.is_(0)):
                f.call(self.name("turn"), terms, b, f.b_column, panel, returns="void")

        def edge() -> None:
            f.call(self.name("edge"), terms, columns, b, f.b_k, f.b_column, panel, returns="void")

        f.choose(whole, turn, edge)

    def _height(self, f: Function, left: Value) -> Value:
        """The rows of the next tile: the tallest, or less, so that no rows are left that only low tiles fit."""
        most = 2 * self.heights[0]
        table = sum(next_height(left, self.heights) // 2 << 2 * left for left in range(0, most + 1, 2))
        entry = (f.constant("i64", table) >> ((f.select(left < most, left, f.constant("i64", most)) & -2) * 2)) & 15
        return f.select(left.is_(1), f.constant("i64", 1), entry * 2)

    def _chosen(self, f: Function, height: Value, copies: Value) -> Value:
        """The address of the function for a tile of so many rows."""
        tile, copy, low = (self.module.reference(f, self.name(name)) for name in ("tile", "copy", "low"))
        return f.select(height.is_(self.heights[0]), f.select(copies, copy, tile), low)


def heights() -> tuple[int, ...]:
    """How many rows tiles have: those of convolutions, and one that cuts most numbers of rows evenly."""
    tallest, *others = tiles()
    return (tallest, 12, *others) if tallest > 12 else (tallest, *others)


def next_height(left: int, heights: tuple[int, ...]) -> int:
    """The rows of the tile that begins a cut of an even number of rows, up to twice the tallest, into fewest tiles, the
    lowest of which is as tall as can be.
    """
    cuts: list[tuple[int, ...]] = [(h,) for h in heights if h == left]
    cuts += [(h, other) for h in heights for other in heights if h + other == left and h >= other]
    best = max(cuts, key=lambda cut: (min(cut) >= 4, -len(cut), min(cut)), default=None)
    return best[0] if best else next((h for h in heights if h <= left), 0)


def _rounded(count: Value, step: int) -> Value:
    return (count + (step - 1)) // step * step


def _even(count: Value, most: int) -> Value:
    """The size of the parts, as few as can be, into which a whole is cut evenly."""
    parts = (count + (most - 1)) // most
    return (count + parts - 1) // parts
