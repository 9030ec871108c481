"""How does a program attend?  Block by block of queries and keys, whose scores stay in the second-level cache.

A *unit* of the forward pass is some blocks of queries of one head: it goes over the keys that they see, and keeps for
each query the largest score so far, and the sums of exponentials and of weighted values, which shrink when a larger
score comes (Milakov and Gimelshein 2018; Dao et al. 2022). A unit of the backward pass is a run of keys of one group of
heads: it computes the scores again, block by block, and adds up the gradients of its keys and values, and what they
give the queries' (a part of that for each run).

Products are those of `tiles`; keys and values are turned once for each block. Neither how units are shared among
threads nor where blocks begin depends on anything but sizes, so that results do not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from functools import partial

from funcgrad.compile import cpus
from funcgrad.compile.native.text import Function, Module, Value
from funcgrad.compile.native.vectors import VECTORS, Vectors
from funcgrad.compile.passes import Effort
from funcgrad.compile.vecmath import exponential
from funcgrad.compile.vecmath.builder import FORMATS, Builder
from funcgrad.compile.vecmath.builder import Value as Number
from funcgrad.compile.vecmath.lanes import widened

Parameter = IntEnum(
    "Parameter",
    "SLOT_Q SLOT_K SLOT_V SLOT_TOP SLOT_TOTAL SLOT_OUT SLOT_ROOM SLOT_DELTA SLOT_CT SLOT_DQ SLOT_DK SLOT_DV "
    "GROUPS EACH QUERIES KEYS FEATURES VALUES LEFT RIGHT ROWS COLUMNS SPAN UNITS ROOM CHUNK",
    start=0,
)
"""Sizes are in elements. Query t sees keys t - LEFT, ..., t + RIGHT; EACH: heads of a group; ROWS, COLUMNS: queries and
keys of a block, at most; SPAN: queries of a unit of the forward pass; UNITS: of a head, or runs of keys of a group;
ROOM: of one piece; CHUNK: units of a piece."""

SLOTS = tuple(p for p in Parameter if p.name.startswith("SLOT_"))
LINE = 64  # bytes; parts of a room begin at multiples
STRIP, PAIR = 4, 2  # vectors of scores that are worked on at a time, where they are compared and where exponentials are
ANYWHERE = 1 << 40  # a bound that is none

_BLOCK = {**dict.fromkeys(("rows", "keys", "strips", "low", "high"), "i64"), "scores": "ptr", "apart": "i64"}
_KERNEL = {"bufs": "ptr", "ints": "ptr", "first": "i64", "last": "i64"}


def define(module: Module, dtype: str) -> None:
    """Define ``fg_attention_forward_f4`` and ``fg_attention_backward_f4``, or those for ``"f8"``."""
    code = _Code(module, dtype)
    code.define_panels()
    code.define_scores()
    code.define_hide()
    code.define_soften()
    code.define_forward()
    code.define_weigh()
    code.define_backward()


class _Step:
    """A function whose first parameters are those of a kernel."""

    def __init__(self, code: _Code, f: Function) -> None:
        self.code, self.f = code, f

    def __getitem__(self, which: int) -> Value:
        return self.f.load(self.f.ints, 8 * which)

    def buffer(self, slot: int, element: Value | int = 0) -> Value:
        """The address of an element of a buffer."""
        address = self.f.load(self.f.bufs, self[slot] * 8, "ptr")
        return self.code.element(self.f, address, element)


class _Code(Vectors):
    """The kernels of one dtype."""

    def __init__(self, module: Module, dtype: str) -> None:
        super().__init__(module, dtype)
        self.width = VECTORS * self.lanes
        self.line = LINE // self.size

    def name(self, part: str) -> str:
        return f"fg_attention_{part}_{self.dtype}"

    def number(self, f: Function, value: str) -> Value:
        return f.constant(self.real, value)

    def splat(self, f: Function, value: str) -> Value:
        return f.constant(self.vector, f"splat ({self.real} {value})")

    def arithmetic(self, f: Function, operation: str, a: Value, b: Value) -> Value:
        return f.emit(a.type, f"{operation} {a}, {b.name}")

    def larger(self, f: Function, a: Value, b: Value) -> Value:
        """The larger numbers; those of `b` where a number of `a` is none."""
        above = f.emit(f"<{self.lanes} x i1>", f"fcmp ogt {a}, {b.name}")
        return f.emit(self.vector, f"select {above}, {a}, {b}")

    def across(self, f: Function, x: Value, combine: Callable[[Value, Value], Value]) -> Value:
        """All numbers of a vector combined, in every lane."""
        step = self.lanes
        while step := step // 2:
            order = ", ".join(f"i32 {lane ^ step}" for lane in range(self.lanes))
            mask = f"<{self.lanes} x i32> <{order}>"
            x = combine(x, f.emit(self.vector, f"shufflevector {x}, {self.vector} poison, {mask}"))
        return x

    def exp(self, f: Function, x: Value) -> Value:
        """e**x for what is not above 0, or hardly: 0 where it would be subnormal."""
        builder = Builder(FORMATS[self.dtype], cpus.has_fma())
        result = exponential.exp_below(builder, Number(builder, self.real, "%x"))
        for line in builder.declarations:
            symbol = widened(line, self.lanes).split("@")[1].split("(")[0]
            self.module.declare(symbol, self.vector, [self.vector] * (line.count(",") + 1))
        names = {"%x": x.name}
        for line in builder.lines:
            name, _, instruction = widened(line, self.lanes).strip().partition(" = ")
            names[name] = f.emit(self.vector, re.sub(r"%\w+", lambda found: names[found[0]], instruction)).name
        return Value(f, self.vector, names[result.text])

    def product(self, f: Function, sizes: tuple[Value, Value, Value], a: tuple[Value, Value | int, Value | int],
                b: tuple[Value, Value | int], c: tuple[Value, Value | int], beta: str) -> None:  # fmt: skip
        """C = A B + beta C, of m x k and k x n numbers: an address and strides of rows (and columns) each."""
        one = self.number(f, "1.0")
        f.call(f"fg_tiles_product_{self.dtype}", *sizes, *a, *b, 1, one, self.number(f, beta), *c, returns="void")

    # Parts of a pass -------------------------------------------------------------------------------------------------

    def define_panels(self) -> None:
        """``panels(keys, features, source, target)``: rows of keys as panels for `tiles`, zeros behind the last."""
        with self.module.function(
            self.name("panels"), "void", keys="i64", features="i64", source="ptr", target="ptr"
        ) as f:
            with f.in_parts(f.keys, f.constant("i64", self.width)) as (first, count):
                source = self.element(f, f.source, first * f.features)
                target = self.element(f, f.target, first * f.features)

                def turn() -> None:
                    f.call(f"fg_tiles_turn_{self.dtype}", f.features, source, f.features, target, returns="void")

                def edge() -> None:
                    f.call(
                        f"fg_tiles_edge_{self.dtype}", f.features, count, source, 1, f.features, target, returns="void"
                    )

                f.choose(count.is_(self.width), turn, edge)
            f.ret()

    def define_scores(self) -> None:
        """``scores(rows, keys, features, x, panels, target, apart)``: the products of rows of x with keys in panels."""
        sizes = dict.fromkeys(("rows", "keys", "features"), "i64")
        with self.module.function(
            self.name("scores"), "void", **sizes, x="ptr", panels="ptr", target="ptr", apart="i64"
        ) as f:
            width = f.constant("i64", self.width)
            with f.in_parts(f.keys, width) as (first, _):
                panel = self.element(f, f.panels, first * f.features)
                c = self.element(f, f.target, first)
                self.product(f, (f.rows, width, f.features), (f.x, f.features, 1), (panel, width), (c, f.apart), "0.0")
            f.ret()

    def define_hide(self) -> None:
        """``hide(strips, row, low, high)``: -inf for scores of a row that are not low, ..., high - 1."""
        integers = f"<{self.lanes} x i64>"
        with self.module.function(self.name("hide"), "void", strips="i64", row="ptr", low="i64", high="i64") as f:
            counted = ", ".join(f"i64 {k}" for k in range(self.lanes))

            low, high = f.repeated(f.low, self.lanes), f.repeated(f.high, self.lanes)
            with f.range(f.strips * STRIP) as number:
                first = number * self.lanes
                here = f.emit(integers, f"add {f.repeated(first, self.lanes)}, <{counted}>")
                seen = f.emit(f"<{self.lanes} x i1>", f"icmp sge {here}, {low.name}")
                before = f.emit(f"<{self.lanes} x i1>", f"icmp slt {here}, {high.name}")
                both = f.emit(f"<{self.lanes} x i1>", f"and {seen}, {before.name}")
                place = self.element(f, f.row, first)
                minus = self.splat(f, "0xFFF0000000000000")
                self.store(f, f.emit(self.vector, f"select {both}, {self.load(f, place)}, {minus}"), place)
            f.ret()

    @contextmanager
    def rows(self, f: Function) -> Iterator[tuple[Value, Value]]:
        """For each of ``f.rows`` rows of scores, which keys it sees being hidden: its number and its place.

        Query 0 sees keys ``f.low``, ..., ``f.high - 1`` of the block's ``f.keys``, and every one a key later.
        """
        strips = f.strips
        whole = strips * (STRIP * self.lanes)
        with f.range(f.rows) as row:
            place = self.element(f, f.scores, row * f.apart)
            low, high = f.low + row, f.high + row
            high = f.select(high < f.keys, high, f.keys)
            with f.if_((low > 0) | (high < whole)):
                f.call(self.name("hide"), strips, place, low, high, returns="void")
            yield row, place

    def define_soften(self) -> None:
        """``soften(block, ..., tops, sums, out, values)``: scores become weights that fit the rows' largest scores so
        far; what was added up before shrinks likewise, and the sums of weights grow.
        """
        more = {"tops": "ptr", "sums": "ptr", "out": "ptr", "values": "i64"}
        with self.module.function(self.name("soften"), "void", **_BLOCK, **more) as f:
            bytes_ = self.lanes * self.size
            with self.rows(f) as (row, place):
                best = [f.variable(self.vector, self.splat(f, "0xFFF0000000000000")) for _ in range(STRIP)]
                with f.range(f.strips) as strip:
                    here = place + strip * (STRIP * bytes_)
                    for v, variable in enumerate(best):
                        variable.set(self.larger(f, self.load(f, here + v * bytes_), variable.get()))
                a, b, c, d = (variable.get() for variable in best)
                wide = self.larger(f, self.larger(f, a, b), self.larger(f, c, d))
                top_place, sum_place = (self.element(f, x, row * self.line) for x in (f.tops, f.sums))
                before = self.load(f, top_place)
                top = self.larger(f, self.across(f, wide, partial(self.larger, f)), before)
                self.store(f, top, top_place)
                nothing = f.emit(f"<{self.lanes} x i1>", f"fcmp oeq {top}, {self.splat(f, '0xFFF0000000000000').name}")
                top = f.emit(self.vector, f"select {nothing}, {self.zero(f)}, {top}")
                total = f.variable(self.vector, self.zero(f))
                with f.range(f.strips * (STRIP // PAIR)) as pair:
                    here = place + pair * (PAIR * bytes_)
                    for v in range(PAIR):
                        x = self.arithmetic(f, "fsub", self.load(f, here + v * bytes_), top)
                        weight = self.exp(f, x)
                        self.store(f, weight, here + v * bytes_)
                        total.set(self.arithmetic(f, "fadd", total.get(), weight))
                shrinks = self.exp(f, self.arithmetic(f, "fsub", before, top))
                self.store(f, self.fma(f, self.load(f, sum_place), shrinks, total.get()), sum_place)
                out = self.element(f, f.out, row * f.values)
                with f.range(f.values // self.lanes) as number:
                    here = out + number * bytes_
                    self.store(f, self.arithmetic(f, "fmul", self.load(f, here), shrinks), here)
            f.ret()

    def define_weigh(self) -> None:
        """``weigh(block, ..., more, tops, totals, deltas)``: scores become weights, and `more`, the products of the
        result's cotangent with values, cotangents of the scores.
        """
        more = {"more": "ptr", "tops": "ptr", "totals": "ptr", "deltas": "ptr"}
        with self.module.function(self.name("weigh"), "void", **_BLOCK, **more) as f:
            bytes_ = self.lanes * self.size
            with self.rows(f) as (row, place):
                top, delta = (
                    self.broadcast(f, f.load(self.element(f, x, row), 0, self.real)) for x in (f.tops, f.deltas)
                )
                total = f.load(self.element(f, f.totals, row), 0, self.real)
                inverse = self.broadcast(f, self.arithmetic(f, "fdiv", self.number(f, "1.0"), total))
                other = self.element(f, f.more, row * f.apart)
                with f.range(f.strips * (STRIP // PAIR)) as pair:
                    start = pair * (PAIR * bytes_)
                    for v in range(PAIR):
                        here, there = place + start + v * bytes_, other + start + v * bytes_
                        x = self.arithmetic(f, "fsub", self.load(f, here), top)
                        weight = self.arithmetic(f, "fmul", self.exp(f, x), inverse)
                        self.store(f, weight, here)
                        ct = self.arithmetic(f, "fsub", self.load(f, there), delta)
                        self.store(f, self.arithmetic(f, "fmul", weight, ct), there)
            f.ret()

    # Passes ----------------------------------------------------------------------------------------------------------

    def block(self, f: Function, s: _Step, query: Value, key: Value, rows: Value, keys: Value) -> tuple[Value, ...]:
        """What `rows` is told of a block that begins at a query and a key."""
        wide = STRIP * self.lanes
        behind = query - key
        return rows, keys, (keys + (wide - 1)) // wide, behind - s[Parameter.LEFT], behind + s[Parameter.RIGHT] + 1

    def seen(self, f: Function, s: _Step, query: Value, rows: Value, key: Value, keys: Value) -> tuple[Value, Value]:
        """Which keys of a part a block of queries sees: how many (of whole panels) come before, and how many follow."""
        skip = _most(f, query - s[Parameter.LEFT] - key, f.constant("i64", 0)) & -self.width
        return skip, _least(f, query + rows + s[Parameter.RIGHT] - key, keys) - skip

    def define_forward(self) -> None:
        """Over units of some blocks of queries of all heads."""
        p = Parameter
        with self.module.function(self.name("forward"), "void", **_KERNEL) as f:
            s = _Step(self, f)
            f.effort = Effort.LEAST  # what it calls takes the time
            piece = f.first // s[p.CHUNK]
            features, values, queries, keys = s[p.FEATURES], s[p.VALUES], s[p.QUERIES], s[p.KEYS]
            wide = (values + (self.line - 1)) & -self.line
            apart = s[p.COLUMNS] + self.line
            scores = s.buffer(p.SLOT_ROOM, piece * s[p.ROOM])
            panels = self.element(f, scores, s[p.ROWS] * apart)
            out = self.element(f, panels, s[p.COLUMNS] * features)
            tops = self.element(f, out, s[p.SPAN] * wide)
            sums = self.element(f, tops, s[p.SPAN] * self.line)
            with f.range(f.last - f.first) as step:
                unit = f.first + step
                head = unit // s[p.UNITS]
                group = head // s[p.EACH]
                start = (unit - head * s[p.UNITS]) * s[p.SPAN]
                all_rows = _least(f, s[p.SPAN], queries - start)
                k = s.buffer(p.SLOT_K, group * keys * features)
                v = s.buffer(p.SLOT_V, group * keys * values)
                f.call("memset", out, f.constant("i32", 0), all_rows * wide * self.size, returns="ptr")
                f.call("memset", sums, f.constant("i32", 0), all_rows * (self.line * self.size), returns="ptr")
                with f.range(all_rows) as row:
                    self.store(f, self.splat(f, "0xFFF0000000000000"), self.element(f, tops, row * self.line))
                low = _most(f, start - s[p.LEFT], f.constant("i64", 0))
                high = _least(f, start + all_rows + s[p.RIGHT], keys)
                with self.parts(f, low, high, s[p.COLUMNS]) as (key, count):
                    f.call(
                        self.name("panels"), count, features, self.element(f, k, key * features), panels, returns="void"
                    )
                    with f.in_parts(all_rows, s[p.ROWS]) as (first, rows):
                        query = start + first
                        skip, seen = self.seen(f, s, query, rows, key, count)
                        with f.if_(seen > 0):
                            q = s.buffer(p.SLOT_Q, (head * queries + query) * features)
                            these = self.element(f, panels, skip * features)
                            f.call(self.name("scores"), rows, seen, features, q, these, scores, apart, returns="void")
                            block = self.block(f, s, query, key + skip, rows, seen)
                            top, total = (self.element(f, x, first * self.line) for x in (tops, sums))
                            target = self.element(f, out, first * wide)
                            f.call(self.name("soften"), *block, scores, apart, top, total, target, wide, returns="void")
                            b = self.element(f, v, (key + skip) * values), values
                            self.product(f, (rows, values, seen), (scores, apart, 1), b, (target, wide), "1.0")
                self.finish(f, s, head * queries + start, all_rows, (out, tops, sums), wide)
            f.ret()

    def finish(
        self, f: Function, s: _Step, first: Value, rows: Value, found: tuple[Value, Value, Value], wide: Value
    ) -> None:
        """Write a unit's results: the rows' weighted means, largest scores and sums."""
        p = Parameter
        out, tops, sums = found
        with f.range(rows) as row:
            at = row * self.line
            vector = self.load(f, self.element(f, sums, at))
            whole = self.across(f, vector, partial(self.arithmetic, f, "fadd"))
            total = f.emit(self.real, f"extractelement {whole}, i64 0")
            f.store(total, s.buffer(p.SLOT_TOTAL, first + row))
            f.store(f.load(self.element(f, tops, at), 0, self.real), s.buffer(p.SLOT_TOP, first + row))
            inverse = self.arithmetic(f, "fdiv", self.number(f, "1.0"), total)
            source, target = self.element(f, out, row * wide), s.buffer(p.SLOT_OUT, (first + row) * s[p.VALUES])
            whole = s[p.VALUES] // self.lanes
            with f.range(whole) as v:
                x = self.load(f, source + v * (self.lanes * self.size))
                x = self.arithmetic(f, "fmul", x, self.broadcast(f, inverse))
                self.store(f, x, target + v * (self.lanes * self.size))
            with f.range(s[p.VALUES] - whole * self.lanes) as rest:
                at = whole * self.lanes + rest
                x = f.load(self.element(f, source, at), 0, self.real)
                f.store(self.arithmetic(f, "fmul", x, inverse), self.element(f, target, at))

    @contextmanager
    def parts(self, f: Function, low: Value, high: Value, most: Value) -> Iterator[tuple[Value, Value]]:
        """For each of the parts, of at most so many and as even as can be, where it begins, and its length."""
        count = high - low
        with f.if_(count > 0):
            number = (count + most - 1) // most
            size = (count + number - 1) // number
            with f.in_parts(count, (size + (self.width - 1)) & -self.width) as (first, length):
                yield low + first, length

    def define_backward(self) -> None:
        """Over runs of keys of all groups."""
        p = Parameter
        with self.module.function(self.name("backward"), "void", **_KERNEL) as f:
            s = _Step(self, f)
            f.effort = Effort.LEAST
            piece = f.first // s[p.CHUNK]
            features, values, queries, keys = s[p.FEATURES], s[p.VALUES], s[p.QUERIES], s[p.KEYS]
            apart = s[p.COLUMNS] + self.line
            scores = s.buffer(p.SLOT_ROOM, piece * s[p.ROOM])
            more = self.element(f, scores, s[p.ROWS] * apart)
            panels = self.element(f, more, s[p.ROWS] * apart)
            others = self.element(f, panels, s[p.COLUMNS] * features)
            run = (keys + s[p.UNITS] - 1) // s[p.UNITS]
            with f.range(f.last - f.first) as step:
                unit = f.first + step
                number = unit // s[p.GROUPS]
                group = unit - number * s[p.GROUPS]
                heads = s[p.EACH] * queries * features
                f.call(
                    "memset",
                    s.buffer(p.SLOT_DQ, unit * heads),
                    f.constant("i32", 0),
                    heads * self.size,
                    returns="ptr",
                )
                until = _least(f, number * run + run, keys)
                with self.parts(f, number * run, until, s[p.COLUMNS]) as (key, count):
                    at = group * keys + key
                    k_, dk_ = (s.buffer(slot, at * features) for slot in (p.SLOT_K, p.SLOT_DK))
                    v, dv_ = (s.buffer(slot, at * values) for slot in (p.SLOT_V, p.SLOT_DV))
                    for place, width in ((dk_, features), (dv_, values)):
                        f.call("memset", place, f.constant("i32", 0), count * width * self.size, returns="ptr")
                    f.call(self.name("panels"), count, features, k_, panels, returns="void")
                    f.call(self.name("panels"), count, values, v, others, returns="void")
                    low = _most(f, key - s[p.RIGHT], f.constant("i64", 0))
                    high = _least(f, key + count + s[p.LEFT], queries)
                    with f.range(s[p.EACH]) as each, self.parts(f, low, high, s[p.ROWS]) as (query, rows):
                        row = (group * s[p.EACH] + each) * queries + query
                        q, ct = s.buffer(p.SLOT_Q, row * features), s.buffer(p.SLOT_CT, row * values)
                        dq = s.buffer(p.SLOT_DQ, unit * heads + (each * queries + query) * features)
                        skip, seen = self.seen(f, s, query, rows, key, count)
                        for x, source, width, target in ((q, panels, features, scores), (ct, others, values, more)):
                            these = self.element(f, source, skip * width)
                            f.call(self.name("scores"), rows, seen, width, x, these, target, apart, returns="void")
                        numbers = (s.buffer(slot, row) for slot in (p.SLOT_TOP, p.SLOT_TOTAL, p.SLOT_DELTA))
                        block = self.block(f, s, query, key + skip, rows, seen)
                        f.call(self.name("weigh"), *block, scores, apart, more, *numbers, returns="void")
                        k, dk, dv = (
                            self.element(f, x, skip * width)
                            for x, width in ((k_, features), (dk_, features), (dv_, values))
                        )
                        self.product(f, (seen, values, rows), (scores, 1, apart), (ct, values), (dv, values), "1.0")
                        self.product(f, (seen, features, rows), (more, 1, apart), (q, features), (dk, features), "1.0")
                        self.product(f, (rows, features, seen), (more, apart, 1), (k, features), (dq, features), "1.0")
            f.ret()


def _least(f: Function, a: Value, b: Value) -> Value:
    return f.select(a < b, a, b)


def _most(f: Function, a: Value, b: Value) -> Value:
    return f.select(a < b, b, a)
