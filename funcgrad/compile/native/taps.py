"""How does a program convolve where nothing need be copied?  By lists of addresses, tap by tap, in AVX-512's tiles.

A *tap* is an element of the window, a *place* one of the result. For a block of places and each tap there is a list of
where the features lie that the tap sees there: in the operand itself, or in a row of zeros where it sees the border. A
tile of the result (see `tiles`) takes its rows from such a list. What else it reads, a panel of one tap's weights or of
the gradient of the result, is copied to one place before, for all tiles that read it.

=====================  =======================================================================================
``fg_taps_forward``    (`taps_forward`) tiles of places, whose sums run over the features of the taps of a group;
                       where every tap is a group of its own, places where it sees the border are left out
``fg_taps_backward``   (`taps_backward`) a gradient by the kernel: tiles of features, whose sums run over a list
``fg_taps_total``      adds up what pieces of it found, where each had some of the places
=====================  =======================================================================================

The integers of a step are those of `Parameter`, then for each tap where it is: depth, row and column from a place's
own, and its offset in the kernel. A step's range is that of blocks and panels. Each sum is made in one order, which no
number of threads changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

from funcgrad.compile.native.text import Function, Module, Value, Variable
from funcgrad.compile.native.tiles import Tiles
from funcgrad.compile.native.vectors import VECTORS
from funcgrad.compile.passes import Effort

Parameter = IntEnum(
    "Parameter",
    "SLOT_X SLOT_PLACES SLOT_TAPS SLOT_ROOM SLOT_SUMS FEATURES OUTS "
    "IN_D IN_H IN_W OUT_D OUT_H OUT_W STEP_D STEP_H STEP_W "
    "X_OFFSET X_GROUP X_BATCH X_D X_H X_W "
    "P_OFFSET P_GROUP P_BATCH P_D P_H P_W "
    "T_OFFSET T_GROUP T_FEATURE T_OUT "
    "LINES ALL_LINES BLOCKS PANELS TOGETHER TAPS "
    "ROOM_SIZE LISTS LIST_SIZE CHUNK PIECES SOME TILES_14 TILES_8 TILES_4 TILES_1",
    start=0,
)
"""In elements.  X: what windows move over; P: the result or its gradient; T: the kernel or its gradient. A block is so
many `LINES` (rows of places) of `ALL_LINES`, of which a gradient by the kernel takes `SOME` at once. A piece's room of
`ROOM_SIZE` elements holds zeros (forward), a panel, and `LISTS` elements from its begin the lists, of `LIST_SIZE`
addresses each. `PIECES` is how many pieces are added up, or 0 where each has panels of its own. ``TILES_14`` says how
many tiles of 14 features there are."""

TAP = 4  # integers of a tap
KERNEL = {"bufs": "ptr", "ints": "ptr", "first": "i64", "last": "i64"}
AT_ONCE = 8  # addresses that are written: more than that are never written, or read, behind a list
HEIGHTS = (14, 8, 4, 1)  # of tiles: others took their time to compile, and gained nothing


class Taps(Tiles):
    """What both directions have in common."""

    forward: bool

    def __init__(self, module: Module, dtype: str, heights: tuple[int, ...], also: bool) -> None:
        super().__init__(module, dtype)
        self.heights, self.also = heights, also

    def name(self, part: str) -> str:
        return f"fg_taps_{part}_{self.dtype}"

    def call(self, f: Function, name: str, *arguments: Value | int, returns: str = "void") -> Value:
        return f.call(self.name(name), *arguments, returns=returns)

    def word(self, f: Function, which: int) -> Value:
        return f.load(f.ints, 8 * which)

    def words(self, f: Function, first: int, count: int = 3) -> list[Value]:
        return [self.word(f, first + k) for k in range(count)]

    def tap(self, f: Function, number: Value) -> Value:
        """The address of a tap's integers."""
        return f.ints + number * (8 * TAP) + 8 * len(Parameter)

    def buffer(self, f: Function, slot: int, element: Value | int = 0) -> Value:
        return self.element(f, f.load(f.bufs, self.word(f, slot) * 8, "ptr"), element)

    def ask(self, f: Function, row: Value, count: Value) -> None:
        """Have so many vectors brought to the second cache."""
        with f.range(count) as k:
            place = row + k * (self.lanes * self.size)
            f.call("llvm.prefetch.p0", place, *(f.constant("i32", flag) for flag in (0, 2, 1)), returns="void")

    def store_tile(self, f: Function, rows: list[Value], sums: list[list[Variable]]) -> None:
        """Sums, added to what is there if there is `more`, of so many `columns`."""
        masks = self.masks(f, f.columns)
        places = [[row + v * self.lanes * self.size for v in range(VECTORS)] for row in rows]
        with f.if_(f.more.is_not(0)):
            for line, totals in zip(places, sums, strict=True):
                for place, total, mask in zip(line, totals, masks, strict=True):
                    before = self.load_some(f, place, mask)
                    total.set(f.emit(self.vector, f"fadd {before}, {total.get().name}"))
        for line, totals in zip(places, sums, strict=True):
            for place, total, mask in zip(line, totals, masks, strict=True):
                self.store_some(f, total.get(), place, mask)

    def zeros(self, f: Function, rows: int) -> list[list[Variable]]:
        return [[f.variable(self.vector, self.zero(f)) for _ in range(VECTORS)] for _ in range(rows)]

    def add_products(self, f: Function, panel: Value, numbers: list[Value], sums: list[list[Variable]]) -> None:
        """The products of a row of a panel with the number at each address."""
        ys = [self.load(f, panel + v * self.lanes * self.size) for v in range(VECTORS)]
        for number, totals in zip(numbers, sums, strict=True):
            x = self.broadcast(f, f.load(number, 0, self.real))
            for y, total in zip(ys, totals, strict=True):
                total.set(self.fma(f, x, y, total.get()))

    def next_tile(self, f: Function, left: Value) -> tuple[Value, Value]:
        """The rows of the next tile, and its function."""
        *taller, lowest = self.heights
        height, tile = f.constant("i64", lowest), self.module.reference(f, self.name(f"tile{lowest}"))
        for rows in reversed(taller):
            fits = left >= rows
            height = f.select(fits, f.constant("i64", rows), height)
            tile = f.select(fits, self.module.reference(f, self.name(f"tile{rows}")), tile)
        return height, tile

    # Lists ------------------------------------------------------------------------------------------------------------

    def all_(self, f: Function, value: Value) -> Value:
        """A vector of one address."""
        return f.repeated(value, AT_ONCE)

    @contextmanager
    def each_line(self, f: Function, out_d: Value, out_h: Value) -> Iterator[tuple[Value, Value, Value, Value]]:
        """For each of `lines` lines from `first` on: its number, and which example, depth and row it is."""
        rest = f.first // out_h
        whole = rest // out_d
        example, d, h = (f.variable("i64", k) for k in (whole, rest - whole * out_d, f.first - rest * out_h))
        with f.range(f.lines) as number:
            yield number, example.get(), d.get(), h.get()
            h.set(h.get() + 1)
            with f.if_(h.get().is_(out_h)):
                h.set(0)
                d.set(d.get() + 1)
                with f.if_(d.get().is_(out_d)):
                    d.set(0)
                    example.set(example.get() + 1)

    def define_series(self) -> None:
        """``series(at, address, step, count)``: addresses, some more than `count`."""
        kind = f"<{AT_ONCE} x i64>"
        numbers = ", ".join(f"i64 {k}" for k in range(AT_ONCE))

        with self.module.function(self.name("series"), "void", at="ptr", address="i64", step="i64", count="i64") as f:
            apart = f.emit(kind, f"mul {self.all_(f, f.step)}, <{numbers}>")
            values = f.variable(kind, f.emit(kind, f"add {self.all_(f, f.address)}, {apart.name}"))
            further = self.all_(f, f.step * AT_ONCE)
            with f.range((f.count + (AT_ONCE - 1)) // AT_ONCE) as k:
                f.emit("void", f"store {values.get()}, {f.at + k * (8 * AT_ONCE)}, align 8")
                values.set(f.emit(kind, f"add {values.get()}, {further.name}"))
            f.ret()

    def define_list(self) -> None:
        """``list(ints, tap, x, first, lines, whole, zeros, others, seen)``: what a tap sees from some places.

        Writes to `seen` where the features lie, in X from `x` on or, where there are none, at `zeros`; and to `others`,
        if that is not null, how many bytes further the place itself lies, in P or in a panel of these lines. Returns
        how many places there are: all if `whole`, else those from which the tap sees something.
        """
        p = Parameter
        kinds = {"tap": "ptr", "x": "ptr", "first": "i64", "lines": "i64", "whole": "i64", "zeros": "ptr"}
        with self.module.function(self.name("list"), "i64", ints="ptr", **kinds, others="ptr", seen="ptr") as f:
            f.effort = Effort.LEAST
            depth, row, column = (f.load(f.tap, 8 * k) for k in range(3))
            (out_d, out_h, width), (in_d, in_h, in_w) = self.words(f, p.OUT_D), self.words(f, p.IN_D)
            step_d, step_h, step_w = self.words(f, p.STEP_D)
            batch_x, x_d, x_h, x_w = self.words(f, p.X_BATCH, 4)
            batch_p, p_d, p_h, p_w = self.words(f, p.P_BATCH, 4)
            zero, all_, zeros = f.constant("i64", 0), f.whole.is_not(0), f.cast_int(f.zeros, "i64")
            behind = in_w - 1 - column
            end = self.least(f, f.select(behind < 0, zero, behind // step_w + 1), width)
            begin = self.least(f, f.select(column < 0, (zero - column + step_w - 1) // step_w, zero), end)
            base = f.cast_int(f.x, "i64") + column * x_w * self.size
            at = f.variable("i64", 0)

            def series(out: Value, address: Value, step: Value | int, count: Value) -> None:
                with f.if_(count > 0):
                    self.call(f, "series", out, address, step, count)

            with self.each_line(f, out_d, out_h) as (number, example, d, h):
                plane, seen_row = d * step_d + depth, h * step_h + row
                inside = (plane >= 0) & (plane < in_d) & (seen_row >= 0) & (seen_row < in_h)
                with f.if_(inside | all_):
                    first, last = f.select(inside, begin, zero), f.select(inside, end, zero)
                    start, stop = f.select(all_, zero, first), f.select(all_, width, last)
                    put = f.seen + at.get() * 8
                    series(put, zeros, 0, first - start)
                    where = example * batch_x + plane * x_d + seen_row * x_h + first * step_w * x_w
                    series(put + (first - start) * 8, base + where * self.size, step_w * x_w * self.size, last - first)
                    series(put + (last - start) * 8, zeros, 0, stop - last)
                    with f.if_(f.others.is_not(0)):
                        place, apart = (number * width + start) * self.width, f.constant("i64", self.width)
                        if self.forward:
                            place, apart = example * batch_p + d * p_d + h * p_h + start * p_w, p_w
                        series(f.others + at.get() * 8, place * self.size, apart * self.size, stop - start)
                    at.set(at.get() + (stop - start))
            f.ret(at.get())
