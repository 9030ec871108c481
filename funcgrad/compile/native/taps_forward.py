"""How are convolutions computed tap by tap?  Tiles of places, which take their rows from lists: see `taps`."""

from __future__ import annotations

from funcgrad.compile.native.taps import AT_ONCE, HEIGHTS, KERNEL, Parameter, Taps
from funcgrad.compile.native.text import Function, Module, Value
from funcgrad.compile.native.tiles import LINE, SLOT
from funcgrad.compile.native.vectors import VECTORS
from funcgrad.compile.passes import Effort


def define(module: Module, dtype: str, heights: tuple[int, ...] = HEIGHTS, turns: bool = True) -> None:
    """Define ``fg_taps_forward`` for ``"f4"`` or ``"f8"``, with tiles of so many rows; `turns`: also for weights whose
    features stand together, not their outputs.
    """
    _Forward(module, dtype, heights, turns).define()


class _Forward(Taps):
    """Tiles of places."""

    forward = True

    def define(self) -> None:
        self.define_series()
        self.define_list()
        self.define_lists()
        if self.also:
            self.define_turn()
            self._define_edge()
        self.define_pack()
        for rows in self.heights:
            self.define_tile(rows)
        self.define_tiles()
        self.define_forward()

    def define_tile(self, rows: int) -> None:
        """``tile(ints, taps, seen, others, zeros, p, panel, columns, more)``: sums for `rows` places of the lists."""
        kinds = {"taps": "i64", **dict.fromkeys(("seen", "others", "zeros", "p", "panel"), "ptr")}
        end = {"columns": "i64", "more": "i64"}
        with self.module.function(self.name(f"tile{rows}"), "void", ints="ptr", **kinds, **end) as f:
            sums = self.zeros(f, rows)
            features, size = self.word(f, Parameter.FEATURES), self.word(f, Parameter.LIST_SIZE) * 8
            seen, panel = f.variable("ptr", f.seen), f.variable("ptr", f.panel)
            last, fresh = f.seen + (f.taps - 1) * size + 8 * rows, f.variable("i64", 1)
            with f.range(f.taps):
                with f.if_(self.sees(f, seen.get(), rows)):
                    starts = [f.load(seen.get(), 8 * k, "ptr") for k in range(rows)]
                    weights = f.variable("ptr", panel.get())
                    with f.range(features) as k:
                        if rows == HEIGHTS[0]:
                            with f.if_(fresh.get().is_not(0)):
                                self._look_ahead(f, k, last)
                        self.add_products(f, weights.get(), [self.element(f, start, k) for start in starts], sums)
                        weights.set(weights.get() + self.width * self.size)
                    fresh.set(0)
                panel.set(panel.get() + features * (self.width * self.size))
                seen.set(seen.get() + size)
            self.store_tile(f, [f.p + f.load(f.others, 8 * k) for k in range(rows)], sums)
            f.ret()

    def _look_ahead(self, f: Function, k: Value, last: Value) -> None:
        """While products are added: ask for a line of what this tile will write, and of what the next one sees that
        this one does not.
        """
        row = (k & (SLOT - 1)) * 8
        with f.if_(k < 2 * SLOT):
            self._ask(f, f.p + f.load(f.others + row) + k // SLOT * LINE, write=True)
        self._ask(f, f.load(last + row, 0, "ptr") + k // SLOT * LINE)

    def sees(self, f: Function, seen: Value, rows: int) -> Value:
        """Whether a tap sees anything but the border from some of so many places."""
        kind, outside = f"<{AT_ONCE} x i64>", f.constant("i1", "true")
        zeros = self.all_(f, f.cast_int(f.zeros, "i64"))
        for first in range(0, rows, AT_ONCE):
            here = f.emit(kind, f"load {kind}, {seen + first * 8}, align 8")
            mask = f.emit(f"<{AT_ONCE} x i1>", f"icmp ne {here}, {zeros.name}")
            bits = f.emit("i8", f"bitcast {mask} to i8") & ((1 << min(rows - first, AT_ONCE)) - 1)
            outside = outside & bits.is_(0)
        return outside.is_(0)

    def define_pack(self) -> None:
        """``pack(k, columns, b, b_k, b_column, panel)``: the weights of a tap."""
        kinds = {"k": "i64", "columns": "i64", "b": "ptr", "b_k": "i64", "b_column": "i64", "panel": "ptr"}
        with self.module.function(self.name("pack"), "void", **kinds) as f:
            if not self.also:
                self._copy_weights(f)
                return
            with f.if_(f.b_column.is_(1)):
                self._copy_weights(f)
            with f.if_(f.b_k.is_(1) & f.columns.is_(self.width)):
                self.call(f, "turn", f.k, f.b, f.b_column, f.panel)
                f.ret()
            self.call(f, "edge", f.k, f.columns, f.b, f.b_k, f.b_column, f.panel)
            f.ret()

    def _copy_weights(self, f: Function) -> None:
        masks = self.masks(f, f.columns)
        with f.range(f.k) as k:
            for v, mask in enumerate(masks):
                part = self.load_some(f, self.element(f, f.b, k * f.b_k + v * self.lanes), mask)
                self.store(f, part, self.element(f, f.panel, k * self.width + v * self.lanes))
        f.ret()

    def define_lists(self) -> None:
        """``lists(ints, x, first, lines, zeros, lists)``: a block's, for each group of taps; their lengths first."""
        p = Parameter
        kinds = {"x": "ptr", "first": "i64", "lines": "i64", "zeros": "ptr", "lists": "ptr"}
        with self.module.function(self.name("lists"), "void", ints="ptr", **kinds) as f:
            f.effort = Effort.LEAST
            taps, together, size = self.word(f, p.TAPS), self.word(f, p.TOGETHER), self.word(f, p.LIST_SIZE) * 8
            others = f.variable("ptr", f.lists + taps * 8)
            with f.in_parts(taps, together) as (tap, count):
                whole = tap.is_(0) | together.is_not(1)
                with f.range(count) as k:
                    out = f.select(k.is_(0), others.get(), f.constant("ptr", 0))
                    seen = others.get() + size * (k + 1)
                    where = f.first, f.lines, f.cast_int(whole, "i64"), f.zeros
                    length = self.call(f, "list", f.ints, self.tap(f, tap + k), f.x, *where, out, seen, returns="i64")
                    f.store(length, f.lists, tap * 8)
                others.set(others.get() + size * (count + 1))
            f.ret()

    def define_tiles(self) -> None:
        """``tiles(ints, length, taps, others, zeros, p, panel, next, columns, more)``: all places of a list.

        Meanwhile memory is asked for what the `next` panel will be made of.
        """
        p = Parameter
        kinds = {"length": "i64", "taps": "i64", **dict.fromkeys(("others", "zeros", "p", "panel", "next"), "ptr")}
        with self.module.function(self.name("tiles"), "void", ints="ptr", **kinds, columns="i64", more="i64") as f:
            seen = f.others + self.word(f, p.LIST_SIZE) * 8
            features, lies = self.word(f, p.FEATURES), self.word(f, p.T_OUT).is_(1)
            parts = (features + (self.lanes - 1)) // self.lanes
            far = f.select(lies, self.word(f, p.T_FEATURE), self.word(f, p.T_OUT)) * self.size
            wide = f.select(lies, f.constant("i64", VECTORS), parts)
            rows = f.select(lies, features, f.constant("i64", self.width))
            quota = rows * HEIGHTS[0] // f.length + 1
            done, ahead = f.variable("i64", 0), f.variable("ptr", f.next)
            with f.while_(lambda: done.get() < f.length):
                here = done.get()
                with f.range(quota):
                    self.ask(f, ahead.get(), wide)
                    ahead.set(ahead.get() + far)
                height, tile = self.next_tile(f, f.length - here)
                lists = seen + here * 8, f.others + here * 8
                f.call(tile, f.ints, f.taps, *lists, f.zeros, f.p, f.panel, f.columns, f.more, returns="void")
                done.set(here + height)
            f.ret()

    def define_forward(self) -> None:
        """Over blocks of all groups, and the panels of each."""
        p = Parameter
        with self.module.function(self.name("forward"), "void", **KERNEL) as f:
            f.effort = Effort.LEAST
            room = self.buffer(f, p.SLOT_ROOM, f.first // self.word(f, p.CHUNK) * self.word(f, p.ROOM_SIZE))
            features, taps, together = (self.word(f, k) for k in (p.FEATURES, p.TAPS, p.TOGETHER))
            lists, size = self.element(f, room, self.word(f, p.LISTS)), self.word(f, p.LIST_SIZE) * 8
            panel = self.element(f, room, (features + 15) & -16)
            along, apart = self.word(f, p.T_FEATURE), self.word(f, p.T_OUT)
            f.call("memset", room, f.constant("i32", 0), features * self.size, returns="ptr")
            with f.range(f.last - f.first) as step:
                number = f.first + step
                part = number // self.word(f, p.PANELS)
                out = (number - part * self.word(f, p.PANELS)) * self.width
                group = part // self.word(f, p.BLOCKS)
                line = (part - group * self.word(f, p.BLOCKS)) * self.word(f, p.LINES)
                columns = self.least(f, self.word(f, p.OUTS) - out, self.width)
                with f.if_(step.is_(0) | out.is_(0)):
                    lines = self.least(f, self.word(f, p.ALL_LINES) - line, self.word(f, p.LINES))
                    x = self.buffer(f, p.SLOT_X, self.word(f, p.X_OFFSET) + group * self.word(f, p.X_GROUP))
                    self.call(f, "lists", f.ints, x, line, lines, room, lists)
                base = self.word(f, p.T_OFFSET) + group * self.word(f, p.T_GROUP) + out * apart
                weights = self.buffer(f, p.SLOT_TAPS, base)
                into = self.word(f, p.P_OFFSET) + group * self.word(f, p.P_GROUP) + out
                target = self.buffer(f, p.SLOT_PLACES, into)
                others = f.variable("ptr", lists + taps * 8)
                with f.in_parts(taps, together) as (tap, count):
                    with f.range(count) as k:
                        source = self.element(f, weights, f.load(self.tap(f, tap + k), 24))
                        put = self.element(f, panel, k * features * self.width)
                        self.call(f, "pack", features, columns, source, along, apart, put)
                    following = tap + count
                    ends = following.is_(taps)
                    beyond = f.load(self.tap(f, f.select(ends, f.constant("i64", 0), following)), 24)
                    beyond = f.select(ends, beyond + apart * self.width, beyond)
                    ahead = self.element(f, weights, beyond)
                    length, more = f.load(lists, tap * 8), f.cast_int(tap.is_not(0), "i64")
                    places = f.ints, length, count, others.get(), room, target, panel
                    with f.if_(length > 0):
                        self.call(f, "tiles", *places, ahead, columns, more)
                    others.set(others.get() + size * (count + 1))
            f.ret()
