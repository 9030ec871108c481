"""How does a program convolve?  Kernels that keep a tile of the result in registers and read what the windows see.

A *band* is some rows of places of one example. What its windows see is first copied into the piece's scratch memory,
densely, with padding and holes as zeros, so that the inner loops know nothing of layouts and borders. There a window
is a few *segments* of consecutive numbers: where neighbouring places along the last axis see neighbouring elements, its
rows; else its elements' features. Four kinds of steps:

==========================  ==================================================================================
``fg_conv_weights``         copies the kernel into panels of one or two vectors of outputs, zeros behind the last
``fg_conv_forward``         bands of the result: for each panel and each tile of places, sums in registers
``fg_conv_backward``        the same sums the other way round, for a result with few places and a large window (a
                            gradient by the kernel): each piece adds up its bands
``fg_conv_total``           adds these sums up, in the order of the pieces
==========================  ==================================================================================

What fills AVX-512's registers goes another way there, without copies: see `taps`.

The integers of a step are those of `Parameter`, then the segments' offsets.  Products are summed place by place in a
fixed order, which no number of threads changes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import IntEnum

from funcgrad.compile.native.text import Function, Module, Value
from funcgrad.compile.native.vectors import VECTORS, Vectors, lanes
from funcgrad.compile.passes import Effort

Parameter = IntEnum(
    "Parameter",
    "SLOT_X SLOT_W SLOT_OUT SLOT_BAND SLOT_PANELS SLOT_PARTS "
    "GROUPS BATCH FEATURES OUTS IN_D IN_H IN_W OUT_D OUT_H OUT_W WIN_D WIN_H WIN_W "
    "STEP_D STEP_H STEP_W HOLE_D HOLE_H HOLE_W OPEN_D OPEN_H OPEN_W LOW_D LOW_H LOW_W "
    "X_OFFSET X_GROUP X_BATCH X_D X_H X_W X_FEATURE "
    "W_OFFSET W_GROUP W_D W_H W_W W_FEATURE W_OUT "
    "O_OFFSET O_GROUP O_BATCH O_D O_H O_W O_OUT "
    "ROWS BANDS SEEN_ROWS SEEN_W BAND_SIZE PANEL_SIZE PARTS_SIZE CHUNK LENGTH SEGMENTS",
    start=0,
)
"""In elements.  X: what windows move over; W: the kernel; O: the result. In ``fg_conv_backward`` and ``fg_conv_total``
W is the gradient of the result and O that of the kernel."""

_KERNEL = {"bufs": "ptr", "ints": "ptr", "first": "i64", "last": "i64"}


def panel(dtype: str) -> int:
    """How many outputs are computed together."""
    return VECTORS * lanes(dtype)


def widths(dtype: str, outs: int) -> tuple[int, ...]:
    """How many vectors tiles of so many outputs have: as many as panels, and one where the last has no more."""
    rest = outs % panel(dtype)
    if outs <= lanes(dtype):
        return (1,)
    return (1, VECTORS) if 0 < rest <= lanes(dtype) else (VECTORS,)


def define(module: Module, dtype: str, backward: bool, widths: tuple[int, ...], heights: tuple[int, ...]) -> None:
    """Define the kernels for ``"f4"`` or ``"f8"``: weights and forward, or backward and total; with tiles of so many
    vectors and rows.
    """
    code = _Code(module, dtype, widths, heights)
    code.define_pack()
    for rows in code.heights:
        for vectors in widths:
            (code.define_outer if backward else code.define_tile)(rows, vectors)
    if backward:
        code.define_backward()
        code.define_total()
    else:
        code.define_weights()
        code.define_write()
        code.define_forward()


@dataclass
class _Step:
    """A function whose first parameters are those of a kernel."""

    f: Function

    def __getitem__(self, which: int) -> Value:
        return self.f.load(self.f.ints, 8 * which)


class _Code(Vectors):
    """The kernels of one dtype, for tiles of such widths and heights."""

    def __init__(self, module: Module, dtype: str, widths: tuple[int, ...], heights: tuple[int, ...]) -> None:
        super().__init__(module, dtype)
        self.widths, self.heights = widths, heights

    def function(self, name: str, **parameters: str) -> AbstractContextManager[Function]:
        return self.module.function(f"fg_conv_{name}_{self.dtype}", "void", **parameters)

    def call(self, f: Function, name: str, *arguments: Value | int) -> None:
        f.call(f"fg_conv_{name}_{self.dtype}", *arguments, returns="void")

    def buffer(self, f: Function, slot: int, element: Value | int = 0) -> Value:
        """The address of an element of a buffer."""
        address = f.load(f.bufs, f.load(f.ints, 8 * slot) * 8, "ptr")
        return address + f.cast_int(element, "i64") * self.size

    def copy(self, f: Function, source: Value, target: Value) -> None:
        f.store(f.load(source, 0, self.real), target)

    # What the windows of a band see ----------------------------------------------------------------------------------

    def define_pack(self) -> None:
        """``pack(bufs, ints, group, batch, depth, row, band)``: into `band`, as depth, row, column, feature."""
        p = Parameter
        with self.function(
            "pack", bufs="ptr", ints="ptr", group="i64", batch="i64", depth="i64", row="i64", band="ptr"
        ) as f:
            s = _Step(f)
            features, seen_w, row_size = s[p.FEATURES], s[p.SEEN_W], s[p.SEEN_W] * s[p.FEATURES]
            base = s[p.X_OFFSET] + f.group * s[p.X_GROUP] + f.batch * s[p.X_BATCH]
            with f.range(s[p.WIN_D]) as d, f.range(s[p.SEEN_ROWS]) as r:
                target = self.element(f, f.band, (d * s[p.SEEN_ROWS] + r) * row_size)
                f.call("memset", target, f.constant("i32", 0), row_size * self.size, returns="ptr")
                depth = f.depth * s[p.STEP_D] + d * s[p.HOLE_D] - s[p.LOW_D]
                row = f.row * s[p.STEP_H] + r - s[p.LOW_H]
                plane, line = _source(f, depth, s[p.OPEN_D], s[p.IN_D]), _source(f, row, s[p.OPEN_H], s[p.IN_H])
                with f.if_((plane >= 0) & (line >= 0)):
                    start = base + plane * s[p.X_D] + line * s[p.X_H]
                    # columns stand at low + step * column, of which 0 ... seen_w - 1 are seen
                    low, step = s[p.LOW_W], s[p.OPEN_W]
                    first = f.select(low < 0, (f.constant("i64", 0) - low + step - 1) // step, f.constant("i64", 0))
                    behind = seen_w - low - 1
                    last = f.select(behind < 0, behind, behind // step + 1)
                    count = _least(f, last, s[p.IN_W]) - first
                    with f.if_(count > 0):
                        source = self.buffer(f, p.SLOT_X, start + first * s[p.X_W])
                        put = self.element(f, target, (first * step + low) * features)
                        self.copy_line(f, s, source, put, count)
            f.ret()

    def copy_line(self, f: Function, s: _Step, source: Value, put: Value, count: Value) -> None:
        """`count` columns of all features."""
        p = Parameter
        features, column, feature = s[p.FEATURES], s[p.X_W], s[p.X_FEATURE]
        apart = s[p.OPEN_W] * features
        dense = (feature.is_(1) | features.is_(1)) & (column.is_(features)) & s[p.OPEN_W].is_(1)

        def at_once() -> None:
            f.call("memcpy", put, source, count * features * self.size, returns="ptr")

        def by_columns() -> None:
            with f.range(features) as k, f.range(count) as w:
                self.copy(f, self.element(f, source, k * feature + w * column), self.element(f, put, k + w * apart))

        f.choose(dense, at_once, by_columns)

    # Tiles -----------------------------------------------------------------------------------------------------------

    def define_tile(self, rows: int, vectors: int) -> None:
        """``tile(ints, band, places, panel, target)``: sums for `rows` places, whose offsets stand in `places`."""
        p = Parameter
        with self.function(
            f"tile{rows}x{vectors}", ints="ptr", band="ptr", places="ptr", panel="ptr", target="ptr"
        ) as f:
            s = _Step(f)
            starts = [self.element(f, f.band, f.load(f.places, 8 * k)) for k in range(rows)]
            sums = [[f.variable(self.vector, self.zero(f)) for _ in range(vectors)] for _ in range(rows)]
            length, weights = s[p.LENGTH], f.variable("ptr", f.panel)
            with f.range(s[p.SEGMENTS]) as segment:
                offset = f.load(f.ints + segment * 8, 8 * len(Parameter))
                seen = [self.element(f, start, offset) for start in starts]
                panel = weights.get()
                with f.range(length) as k:
                    row = self.element(f, panel, k * (VECTORS * self.lanes))
                    ws = [self.load(f, row + v * self.lanes * self.size) for v in range(vectors)]
                    for start, line in zip(seen, sums, strict=True):
                        x = self.broadcast(f, f.load(self.element(f, start, k), 0, self.real))
                        for w, total in zip(ws, line, strict=True):
                            total.set(self.fma(f, x, w, total.get()))
                weights.set(self.element(f, panel, length * (VECTORS * self.lanes)))
            for place, line in enumerate(sums):
                for v, total in enumerate(line):
                    self.store(f, total.get(), f.target + (place * VECTORS + v) * self.lanes * self.size)
            f.ret()

    def define_outer(self, rows: int, vectors: int) -> None:
        """``outer(ints, band, panel, target, lines)``: sums over places, of `rows` elements of the window."""
        p = Parameter
        with self.function(
            f"outer{rows}x{vectors}", ints="ptr", band="ptr", panel="ptr", target="ptr", lines="i64"
        ) as f:
            s = _Step(f)
            places = [
                [f.target + (k * VECTORS + v) * self.lanes * self.size for v in range(vectors)] for k in range(rows)
            ]
            sums = [[f.variable(self.vector, self.load(f, place)) for place in line] for line in places]
            width, column = s[p.OUT_W], s[p.STEP_W] * s[p.FEATURES]
            row_size = s[p.STEP_H] * s[p.SEEN_W] * s[p.FEATURES]
            with f.range(f.lines) as r:
                seen = self.element(f, f.band, r * row_size)
                panel = self.element(f, f.panel, r * width * (VECTORS * self.lanes))
                with f.range(width) as w:
                    row = self.element(f, panel, w * (VECTORS * self.lanes))
                    ws = [self.load(f, row + v * self.lanes * self.size) for v in range(vectors)]
                    here = self.element(f, seen, w * column)
                    for k, line in enumerate(sums):
                        x = self.broadcast(f, f.load(here + k * self.size, 0, self.real))
                        for weight, total in zip(ws, line, strict=True):
                            total.set(self.fma(f, x, weight, total.get()))
            for line, target in zip(sums, places, strict=True):
                for total, place in zip(line, target, strict=True):
                    self.store(f, total.get(), place)
            f.ret()

    def in_tiles(
        self, f: Function, name: str, count: Value, narrow: Value, run: Callable[[Value, int, Value], None]
    ) -> None:
        """``run(first, rows, function)`` for tiles that make up `count`, the largest ones first."""
        first = f.variable("i64", 0)
        for rows in self.heights:
            # chosen as an address: for a branch LLVM would write every loop twice, and again inside of it
            one, *more = (
                self.module.reference(f, f"fg_conv_{name}{rows}x{vectors}_{self.dtype}") for vectors in self.widths
            )
            function = f.select(narrow, one, more[0]) if more else one
            with f.while_(lambda rows=rows: first.get() + rows <= count):  # type: ignore[misc]
                run(first.get(), rows, function)
                first.set(first.get() + rows)

    # Steps -----------------------------------------------------------------------------------------------------------

    def define_weights(self) -> None:
        """Over panels of all groups: ``group, panel, element of the window, feature`` and the panel's outputs."""
        p, wide = Parameter, VECTORS * self.lanes
        with self.function("weights", **_KERNEL) as f:
            s = _Step(f)
            panels = (s[p.OUTS] + (wide - 1)) // wide
            with f.range(f.last - f.first) as step:
                number = f.first + step
                group = number // panels
                out = (number - group * panels) * wide
                put = f.variable("ptr", self.buffer(f, p.SLOT_PANELS, number * s[p.PANEL_SIZE]))
                base = s[p.W_OFFSET] + group * s[p.W_GROUP] + out * s[p.W_OUT]
                count = _least(f, s[p.OUTS] - out, f.constant("i64", wide))
                with f.range(s[p.WIN_D]) as d, f.range(s[p.WIN_H]) as h, f.range(s[p.WIN_W]) as w:
                    element = base + d * s[p.W_D] + h * s[p.W_H] + w * s[p.W_W]
                    with f.range(s[p.FEATURES]) as k:
                        source = self.buffer(f, p.SLOT_W, element + k * s[p.W_FEATURE])
                        self.copy_panel(f, source, s[p.W_OUT], put.get(), count)
                        put.set(self.element(f, put.get(), wide))
            f.ret()

    def copy_panel(self, f: Function, source: Value, apart: Value, target: Value, count: Value) -> None:
        """`count` outputs, `apart` from each other, and zeros behind them."""
        wide = VECTORS * self.lanes

        def vectors() -> None:
            for v in range(VECTORS):
                self.store(f, self.load(f, source + v * self.lanes * self.size), target + v * self.lanes * self.size)

        def one_by_one() -> None:
            for v in range(VECTORS):
                self.store(f, self.zero(f), target + v * self.lanes * self.size)
            with f.range(count) as k:
                self.copy(f, self.element(f, source, k * apart), self.element(f, target, k))

        f.choose(apart.is_(1) & count.is_(wide), vectors, one_by_one)

    def bands(self, f: Function, s: _Step, body: Callable[..., None]) -> None:
        """``body(group, batch, depth, row, lines)`` for the bands ``first ... last``."""
        p = Parameter
        with f.range(f.last - f.first) as step:
            number = f.first + step
            rest = number // s[p.BANDS]
            row = (number - rest * s[p.BANDS]) * s[p.ROWS]
            example = rest // s[p.OUT_D]
            depth = rest - example * s[p.OUT_D]
            group = example // s[p.BATCH]
            batch = example - group * s[p.BATCH]
            body(group, batch, depth, row, _least(f, s[p.ROWS], s[p.OUT_H] - row))

    def define_forward(self) -> None:
        """Over bands of all depths of all examples of all groups."""
        p, wide = Parameter, VECTORS * self.lanes
        with self.function("forward", **_KERNEL) as f:
            f.effort = Effort.LEAST
            s = _Step(f)
            piece = f.first // s[p.CHUNK]
            table = self.buffer(f, p.SLOT_BAND, piece * s[p.BAND_SIZE])  # of places, as i64
            band = table + s[p.ROWS] * s[p.OUT_W] * 8
            self.fill_table(f, s, table)
            result = f.variable(self.vector, count=self.heights[0] * VECTORS).place
            panels = (s[p.OUTS] + (wide - 1)) // wide

            def body(group: Value, batch: Value, depth: Value, row: Value, lines: Value) -> None:
                self.call(f, "pack", f.bufs, f.ints, group, batch, depth, row, band)
                places = lines * s[p.OUT_W]
                base = s[p.O_OFFSET] + group * s[p.O_GROUP] + batch * s[p.O_BATCH] + depth * s[p.O_D] + row * s[p.O_H]
                with f.range(panels) as number:
                    panel = self.buffer(f, p.SLOT_PANELS, (group * panels + number) * s[p.PANEL_SIZE])
                    outs = _least(f, s[p.OUTS] - number * wide, f.constant("i64", wide))
                    start = base + number * wide * s[p.O_OUT]

                    def run(first: Value, rows: int, tile: Value) -> None:
                        f.call(tile, f.ints, band, table + first * 8, panel, result, returns="void")
                        self.call(f, "write", f.bufs, f.ints, result, start, first, rows, outs)

                    self.in_tiles(f, "tile", places, outs <= self.lanes, run)

            self.bands(f, s, body)
            f.ret()

    def fill_table(self, f: Function, s: _Step, table: Value) -> None:
        """The offset of each place of a band in what was packed."""
        p = Parameter
        with f.range(s[p.ROWS]) as h, f.range(s[p.OUT_W]) as w:
            seen = (h * s[p.STEP_H] * s[p.SEEN_W] + w * s[p.STEP_W]) * s[p.FEATURES]
            f.store(seen, table, (h * s[p.OUT_W] + w) * 8)

    def define_write(self) -> None:
        """``write(bufs, ints, result, start, first, count, outs)``: sums of places, where they belong."""
        parameters = {"result": "ptr", "start": "i64", "first": "i64", "count": "i64", "outs": "i64"}
        with self.function("write", bufs="ptr", ints="ptr", **parameters) as f:
            self.write_tile(f, _Step(f), f.result, f.start, f.first, f.count, f.outs)
            f.ret()

    def write_tile(
        self, f: Function, s: _Step, result: Value, start: Value, first: Value, count: Value, outs: Value
    ) -> None:
        """The sums of `count` places from `first` on (of the band), where the result has them."""
        p, wide = Parameter, VECTORS * self.lanes
        dense = s[p.O_OUT].is_(1) & outs.is_(wide)
        with f.range(count) as k:
            number = first + k
            row = number // s[p.OUT_W]
            column = number - row * s[p.OUT_W]
            place = self.buffer(f, p.SLOT_OUT, start + row * s[p.O_H] + column * s[p.O_W])
            sums = self.element(f, result, k * wide)

            def vectors() -> None:
                for v in range(VECTORS):
                    at = v * self.lanes * self.size
                    self.store(f, self.load(f, sums + at), place + at)

            def one_by_one() -> None:
                with f.range(outs) as o:
                    self.copy(f, self.element(f, sums, o), self.element(f, place, o * s[p.O_OUT]))

            f.choose(dense, vectors, one_by_one)

    def define_backward(self) -> None:
        """Over bands: for each piece ``panel, segment, element`` and the panel's outputs."""
        p, wide = Parameter, VECTORS * self.lanes
        with self.function("backward", **_KERNEL) as f:
            s = _Step(f)
            piece = f.first // s[p.CHUNK]
            scratch = self.buffer(f, p.SLOT_BAND, piece * s[p.BAND_SIZE])
            panels = (s[p.OUTS] + (wide - 1)) // wide
            band = self.element(f, scratch, s[p.PANEL_SIZE])
            parts = self.buffer(f, p.SLOT_PARTS, piece * s[p.PARTS_SIZE])
            f.call("memset", parts, f.constant("i32", 0), s[p.PARTS_SIZE] * self.size, returns="ptr")
            length = s[p.LENGTH]

            def body(group: Value, batch: Value, depth: Value, row: Value, lines: Value) -> None:
                self.call(f, "pack", f.bufs, f.ints, group, batch, depth, row, band)
                with f.range(panels) as number:
                    outs = _least(f, s[p.OUTS] - number * wide, f.constant("i64", wide))
                    self.pack_gradient(f, s, scratch, (group, batch, depth, row, lines), number * wide, outs)
                    into = self.element(f, parts, number * s[p.SEGMENTS] * length * wide)
                    with f.range(s[p.SEGMENTS]) as segment:
                        offset = f.load(f.ints + segment * 8, 8 * len(Parameter))

                        def run(first: Value, rows: int, outer: Value) -> None:
                            seen = self.element(f, band, offset + first)
                            target = self.element(f, into, (segment * length + first) * wide)
                            f.call(outer, f.ints, seen, scratch, target, lines, returns="void")

                        self.in_tiles(f, "outer", length, outs <= self.lanes, run)

            self.bands(f, s, body)
            f.ret()

    def pack_gradient(
        self, f: Function, s: _Step, target: Value, at: tuple[Value, ...], out: Value, outs: Value
    ) -> None:
        """One panel of outputs of the gradient of a band, place by place."""
        p, wide = Parameter, VECTORS * self.lanes
        group, batch, depth, row, lines = at
        base = s[p.W_OFFSET] + group * s[p.W_GROUP] + batch * s[p.W_FEATURE] + depth * s[p.W_D] + row * s[p.W_H]
        with f.range(lines) as h, f.range(s[p.OUT_W]) as w:
            element = base + out * s[p.W_OUT] + h * s[p.W_H] + w * s[p.W_W]
            put = self.element(f, target, (h * s[p.OUT_W] + w) * wide)
            self.copy_panel(f, self.buffer(f, p.SLOT_W, element), s[p.W_OUT], put, outs)

    def define_total(self) -> None:
        """Over groups: the pieces of a group are added up and put where the result has them."""
        p, wide = Parameter, VECTORS * self.lanes
        with self.function("total", **_KERNEL) as f:
            s = _Step(f)
            pieces = s[p.CHUNK]  # of one group
            with f.range(f.last - f.first) as step:
                group = f.first + step
                parts = self.buffer(f, p.SLOT_PARTS, group * pieces * s[p.PARTS_SIZE])
                row = f.variable("i64", 0)
                base = s[p.O_OFFSET] + group * s[p.O_GROUP]
                with f.range(s[p.WIN_D]) as d, f.range(s[p.WIN_H]) as h, f.range(s[p.WIN_W]) as w:
                    element = base + d * s[p.O_D] + h * s[p.O_H] + w * s[p.O_W]
                    with f.range(s[p.FEATURES]) as k, f.range(s[p.OUTS]) as o:
                        panel = o // wide
                        within = o - panel * wide
                        line = panel * s[p.SEGMENTS] * s[p.LENGTH] + row.get() + k
                        source = self.element(f, parts, line * wide + within)
                        total = f.variable(self.real, f.constant(self.real, "0.0"))
                        with f.range(pieces) as number:
                            part = self.element(f, source, number * s[p.PARTS_SIZE])
                            total.set(f.emit(self.real, f"fadd {total.get()}, {f.load(part, 0, self.real).name}"))
                        put = self.buffer(f, p.SLOT_OUT, element + k * s[p.O_BATCH] + o * s[p.O_OUT])
                        f.store(total.get(), put)
                    row.set(row.get() + s[p.FEATURES])
            f.ret()


def _least(f: Function, a: Value, b: Value) -> Value:
    return f.select(a < b, a, b)


def _source(f: Function, position: Value, step: Value, extent: Value) -> Value:
    """The element at a position of an axis with holes; negative where there is none."""
    index = position // step  # of a negative position a large number, which the choice below leaves out
    inside = (position >= 0) & (index * step).is_(position) & (index < extent)
    return f.select(inside, index, f.constant("i64", -1))
