"""How are gradients of convolutions by the kernel computed tap by tap?  Tiles of features, over lists: see `taps`."""

from __future__ import annotations

from funcgrad.compile.native.taps import HEIGHTS, KERNEL, Parameter, Taps
from funcgrad.compile.native.text import Function, Module, Value
from funcgrad.compile.passes import Effort


def define(module: Module, dtype: str, heights: tuple[int, ...] = HEIGHTS, adds: bool = True) -> None:
    """Define ``fg_taps_backward`` for ``"f4"`` or ``"f8"``, with tiles of so many rows; `adds`: also the other."""
    _Backward(module, dtype, heights, adds).define()


class _Backward(Taps):
    """Tiles of features."""

    forward = False

    def define(self) -> None:
        self.define_series()
        self.define_list()
        self.define_pack()
        for rows in self.heights:
            self.define_tile(rows)
        self.define_lists()
        self.define_taps()
        self.define_backward()
        if self.also:
            self.define_total()

    def define_tile(self, rows: int) -> None:
        """``tile(count, seen, along, others, panel, t, t_feature, columns, more)``: `rows` features, over places."""
        kinds = {"count": "i64", "seen": "ptr", "along": "i64", "others": "ptr", "panel": "ptr", "t": "ptr"}
        end = dict.fromkeys(("t_feature", "columns", "more"), "i64")
        with self.module.function(self.name(f"tile{rows}"), "void", **kinds, **end) as f:
            sums = self.zeros(f, rows)
            with f.range(f.count) as k:
                start = f.load(f.seen, k * 8, "ptr") + f.along
                line = f.panel + f.load(f.others, k * 8)
                self.add_products(f, line, [start + r * self.size for r in range(rows)], sums)
            self.store_tile(f, [self.element(f, f.t, f.t_feature * r) for r in range(rows)], sums)
            f.ret()

    def define_pack(self) -> None:
        """``pack(ints, p, first, lines, columns, panel)``: the gradient of the result, in a block of lines."""
        p = Parameter
        kinds = {"p": "ptr", "first": "i64", "lines": "i64", "columns": "i64", "panel": "ptr"}
        with self.module.function(self.name("pack"), "void", ints="ptr", **kinds) as f:
            out_d, out_h, width = self.words(f, p.OUT_D)
            batch_p, p_d, p_h, p_w = self.words(f, p.P_BATCH, 4)
            masks, put = self.masks(f, f.columns), f.variable("ptr", f.panel)
            with self.each_line(f, out_d, out_h) as (_, example, d, h):
                start = self.element(f, f.p, example * batch_p + d * p_d + h * p_h)
                with f.range(width) as w:
                    place = self.element(f, start, w * p_w)
                    for v, mask in enumerate(masks):
                        at = v * self.lanes * self.size
                        self.store(f, self.load_some(f, place + at, mask), put.get() + at)
                    put.set(put.get() + self.width * self.size)
            f.ret()

    def lists(self, f: Function, lists: Value, number: Value) -> tuple[Value, Value]:
        """Where a list's length stands, and the list: so many for some lines of a block, then for the next ones."""
        p = Parameter
        lines, some = self.word(f, p.LINES), self.word(f, p.SOME)
        lengths = (lines + some - 1) // some * self.word(f, p.TAPS)
        return lists + number * 8, lists + (lengths + number * 2 * self.word(f, p.LIST_SIZE)) * 8

    def define_lists(self) -> None:
        """``lists(ints, x, first, lines, lists)``: a block's, some lines after the other."""
        p = Parameter
        kinds = {"x": "ptr", "first": "i64", "lines": "i64", "lists": "ptr"}
        with self.module.function(self.name("lists"), "void", ints="ptr", **kinds) as f:
            f.effort = Effort.LEAST
            taps, count = self.word(f, p.TAPS), f.variable("i64", 0)
            with f.in_parts(f.lines, self.word(f, p.SOME)) as (first, lines), f.range(taps) as tap:
                length, others = self.lists(f, f.lists, count.get())
                seen = others + self.word(f, p.LIST_SIZE) * 8
                where = self.tap(f, tap), f.x, f.first + first, lines, 0, f.constant("ptr", 0)
                f.store(self.call(f, "list", f.ints, *where, others, seen, returns="i64"), length)
                count.set(count.get() + 1)
            f.ret()

    def define_taps(self) -> None:
        """``taps(ints, tile, rows, lines, lists, along, panel, t, t_feature, columns, more)``: a tile's features.

        Some lines of a block stay in the first cache for all taps, and so does the result for all lines.
        """
        p = Parameter
        kinds = {"tile": "ptr", "rows": "i64", "lines": "i64", "lists": "ptr", "along": "i64", "panel": "ptr"}
        end = {"t": "ptr", **dict.fromkeys(("t_feature", "columns", "more"), "i64")}
        with self.module.function(self.name("taps"), "void", ints="ptr", **kinds, **end) as f:
            taps, count = self.word(f, p.TAPS), f.variable("i64", 0)
            adds, apart = self.word(f, p.PIECES).is_not(0), self.word(f, p.FEATURES) * f.t_feature
            with f.in_parts(f.lines, self.word(f, p.SOME)) as (first, _), f.range(taps) as tap:
                length, others = self.lists(f, f.lists, count.get())
                seen = others + self.word(f, p.LIST_SIZE) * 8
                into = self.element(f, f.t, f.select(adds, tap * apart, f.load(self.tap(f, tap), 24)))
                panel = self.element(f, f.panel, first * self.word(f, p.OUT_W) * self.width)
                more = f.more | f.cast_int(first.is_not(0), "i64")
                with f.range(f.rows) as row:
                    self._prefetch(f, self.element(f, into, row * f.t_feature), write=True)
                where = f.load(length), seen, f.along, others, panel
                f.call(f.tile, *where, into, f.t_feature, f.columns, more, returns="void")
                count.set(count.get() + 1)
            f.ret()

    def define_backward(self) -> None:
        """Over blocks, and the panels of each; or over panels of all groups, and the blocks of each."""
        p = Parameter
        with self.module.function(self.name("backward"), "void", **KERNEL) as f:
            f.effort = Effort.LEAST
            piece = f.first // self.word(f, p.CHUNK)
            panel = self.buffer(f, p.SLOT_ROOM, piece * self.word(f, p.ROOM_SIZE))
            lists = self.element(f, panel, self.word(f, p.LISTS))
            blocks, panels = self.word(f, p.BLOCKS), self.word(f, p.PANELS)
            adds, wide = self.word(f, p.PIECES).is_not(0), panels * self.width
            size = self.word(f, p.TAPS) * self.word(f, p.FEATURES) * wide
            feature = f.select(adds, wide, self.word(f, p.T_FEATURE))
            behind = f.variable("i64", -1)  # the block of the lists
            with f.range(f.last - f.first) as step:
                number = f.first + step
                inner = f.select(adds, panels, blocks)
                major = number // inner
                minor = number - major * inner
                group = f.select(adds, f.constant("i64", 0), major // panels)
                out = f.select(adds, minor, major - group * panels) * self.width
                block = f.select(adds, major, minor)
                more = f.cast_int(block.is_not(f.select(adds, f.first // panels, f.constant("i64", 0))), "i64")
                columns = self.least(f, self.word(f, p.OUTS) - out, self.width)
                line = block * self.word(f, p.LINES)
                lines = self.least(f, self.word(f, p.ALL_LINES) - line, self.word(f, p.LINES))
                place = self.word(f, p.P_OFFSET) + group * self.word(f, p.P_GROUP) + out
                self.call(f, "pack", f.ints, self.buffer(f, p.SLOT_PLACES, place), line, lines, columns, panel)
                with f.if_((group * blocks + block).is_not(behind.get())):
                    x = self.buffer(f, p.SLOT_X, self.word(f, p.X_OFFSET) + group * self.word(f, p.X_GROUP))
                    self.call(f, "lists", f.ints, x, line, lines, lists)
                    behind.set(group * blocks + block)
                direct = self.word(f, p.T_OFFSET) + group * self.word(f, p.T_GROUP) + out
                sums = self.buffer(f, p.SLOT_SUMS, piece * size + out)
                target = f.select(adds, sums, self.buffer(f, p.SLOT_TAPS, direct))
                columns = f.select(adds, f.constant("i64", self.width), columns)
                done = f.variable("i64", 0)
                for rows in self.heights:
                    with f.range(self.word(f, p[f"TILES_{rows}"])):
                        tile = self.module.reference(f, self.name(f"tile{rows}"))
                        into = self.element(f, target, done.get() * feature)
                        along = done.get() * self.size
                        where = f.ints, tile, rows, lines, lists, along, panel, into
                        self.call(f, "taps", *where, feature, columns, more)
                        done.set(done.get() + rows)
            f.ret()

    def define_total(self) -> None:
        """Over taps and features: the sums of all pieces, in their order."""
        p = Parameter
        with self.module.function(self.name("total"), "void", **KERNEL) as f:
            features, outs = self.word(f, p.FEATURES), self.word(f, p.OUTS)
            wide = self.word(f, p.PANELS) * self.width
            size = self.word(f, p.TAPS) * features * wide
            with f.range(f.last - f.first) as step:
                row = f.first + step
                tap = row // features
                place = f.load(self.tap(f, tap), 24) + (row - tap * features) * self.word(f, p.T_FEATURE)
                target = self.buffer(f, p.SLOT_TAPS, self.word(f, p.T_OFFSET) + place)
                source = self.buffer(f, p.SLOT_SUMS, row * wide)
                with f.in_parts(outs, f.constant("i64", self.lanes)) as (out, count):
                    total = f.variable(self.vector, self.zero(f))
                    with f.range(self.word(f, p.PIECES)) as piece:
                        part = self.load(f, self.element(f, source, piece * size + out))
                        total.set(f.emit(self.vector, f"fadd {total.get()}, {part.name}"))
                    self.store_some(f, total.get(), self.element(f, target, out), self.masks(f, count)[0])
            f.ret()
