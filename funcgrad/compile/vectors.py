"""How do packs of instructions (`compile.packs`) read in LLVM IR?  As instructions on vectors, and shuffles between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from funcgrad.compile import packing
from funcgrad.compile.emitters import EMITTERS, TYPES, literal, vector_of
from funcgrad.compile.packing import Plan
from funcgrad.compile.packs import Memory, Pack, Plain
from funcgrad.lower.loops import Constant, Load, Op, Operand, Store, Value

if TYPE_CHECKING:
    from funcgrad.compile.llvm import _Printer

Order = list[int | None]  # which lane goes where; None where it does not matter


class Source(NamedTuple):
    """A vector, and how long it is."""

    name: str
    width: int


def print_plan(printer: _Printer, plan: Plan, single: Callable[[Plain], None]) -> None:
    """Print a run of instructions; `single` prints those that stay what they are."""
    writer, needed = _Writer(printer, plan.memory), packing.single(plan, printer.uses)
    for step in plan.steps:
        if isinstance(step, Pack):
            writer.pack(step)
            writer.apart([i.result for i in step.members if not isinstance(i, Store) and i.result in needed])
        else:
            single(step)


def straight(order: Order) -> bool:
    """Whether every lane that matters stays where it is."""
    return all(lane in (None, k) for k, lane in enumerate(order))


class _Writer:
    """The vectors of one run.

    Attributes
    ----------
    lanes
        Where each packed value lies.
    known
        The vectors that were put together.
    """

    def __init__(self, printer: _Printer, memory: Memory) -> None:
        self.printer, self.memory = printer, memory
        self.lanes: dict[Operand, tuple[Source, int]] = {}
        self.known: dict[tuple[int, tuple[Operand, ...]], str] = {}

    def pack(self, pack: Pack) -> None:
        """Print a pack."""
        first, width, count = pack.members[0], pack.width, len(pack.members)
        if isinstance(first, Store):
            value = self.vector([i.value for i in pack.members if isinstance(i, Store)], width)
            value = self.shuffled(first.value.dtype, Source(value, width), list(range(count)))
            memory, address, suffix = self.printer.address(first.buffer, first.index)
            self.printer.line(f"store <{count} x {memory}> {value}, ptr {address}{suffix}")
            return
        if isinstance(first, Load):
            name = self.loaded(first, count, width)
        else:
            columns = zip(*(i.operands for i in pack.members if isinstance(i, Op)), strict=True)
            operands = [self.vector(column, width) for column in columns]
            dtypes = [vector_of(x.dtype, width) for x in first.operands]
            name = EMITTERS[first.name](self.printer, vector_of(first.result.dtype, width), dtypes, operands, "")
        for lane, i in enumerate(pack.members):
            assert not isinstance(i, Store)
            self.lanes[i.result] = Source(name, width), lane

    def apart(self, values: Sequence[Value]) -> None:
        """Take values out of their vector."""
        for x in values:
            source, lane = self.lanes[x]
            kind = TYPES[vector_of(x.dtype, source.width)]
            self.printer.names[x] = self.printer.emit(f"extractelement {kind} {source.name}, i64 {lane}")

    def loaded(self, first: Load, count: int, width: int) -> str:
        """Neighbours in memory; spare lanes hold the first one."""
        memory, address, suffix = self.printer.address(first.buffer, first.index)
        name = self.printer.emit(f"load <{count} x {memory}>, ptr {address}{suffix}")
        return self.shuffled(first.result.dtype, Source(name, count), [*range(count), *(0,) * (width - count)])

    def vector(self, numbers: Sequence[Operand], width: int) -> str:
        """The name of a vector of these numbers; there may be fewer than lanes."""
        key = width, tuple(numbers)
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = self.assembled(numbers, width)
        return found

    def assembled(self, numbers: Sequence[Operand], width: int) -> str:
        """Shuffled from other vectors, with constants and single numbers between them."""
        dtype, spare = numbers[0].dtype, width - len(numbers)
        places = [self.lanes.get(x) for x in numbers]
        sources = list(dict.fromkeys(place[0] for place in places if place is not None))
        if len(sources) != 1 and (load := self.memory.together(numbers)) is not None:
            return self.loaded(load, len(numbers), width)
        result, have = "poison", [False] * width
        while sources:
            some = sources[: 2 if len(sources) > 1 and sources[0].width == sources[1].width else 1]
            del sources[: len(some)]
            order: Order = [
                place[1] + place[0].width * some.index(place[0]) if place is not None and place[0] in some else None
                for place in places
            ]
            if straight(order) and width == some[0].width:
                moved = some[0].name
            else:
                safe = next(lane for lane in order if lane is not None)  # what is in a register might be slow to add
                moved = self.shuffled(dtype, some[0], [*order, *(safe,) * spare], *some[1:])
            here = [lane is not None for lane in order] + [True] * spare
            result = self.blended(dtype, result, have, moved, here) if any(have) else moved
            have = [a or b for a, b in zip(have, here, strict=True)]
        known = [isinstance(x, Constant) for x in numbers] + [
            not any(have) and isinstance(numbers[0], Constant)
        ] * spare
        if any(known):
            text = self.constants([x if isinstance(x, Constant) else Constant(0, dtype) for x in numbers], width)
            result = self.blended(dtype, result, have, text, known) if any(have) else text
        return self.inserted(numbers, width, result, [p is None and not k for p, k in zip(places, known, strict=False)])

    def inserted(self, numbers: Sequence[Operand], width: int, result: str, loose: list[bool]) -> str:
        """A vector with single numbers put into it."""
        dtype, kind = numbers[0].dtype, TYPES[vector_of(numbers[0].dtype, width)]
        every = all(loose)
        for k, x in enumerate(numbers):
            if loose[k] and not (every and k and x == numbers[0]):
                result = self.printer.emit(
                    f"insertelement {kind} {result}, {TYPES[dtype]} {self.printer.operand(x)}, i64 {k}"
                )
        if not every:
            return result
        order: Order = [0 if x == numbers[0] else k for k, x in enumerate(numbers)]
        return self.shuffled(dtype, Source(result, width), [*order, *(0,) * (width - len(numbers))])

    def constants(self, numbers: Sequence[Constant], width: int) -> str:
        filled = [*numbers, *(numbers[0],) * (width - len(numbers))]
        return f"<{', '.join(f'{TYPES[x.dtype]} {literal(x.value, x.dtype)}' for x in filled)}>"

    def shuffled(self, dtype: str, a: Source, order: Order, b: Source | None = None) -> str:
        """The lanes of one vector, or of two as long as each other, in another order."""
        if len(order) == a.width and straight(order):
            return a.name
        kind = TYPES[vector_of(dtype, a.width)]
        mask = ", ".join("i32 poison" if lane is None else f"i32 {lane}" for lane in order)
        other = "poison" if b is None else b.name
        return self.printer.emit(f"shufflevector {kind} {a.name}, {kind} {other}, <{len(order)} x i32> <{mask}>")

    def blended(self, dtype: str, a: str, in_a: list[bool], b: str, in_b: list[bool]) -> str:
        """Some lanes of one vector, and others of another one."""
        width = len(in_a)
        order: Order = [k if x else width + k if y else None for k, (x, y) in enumerate(zip(in_a, in_b, strict=True))]
        return self.shuffled(dtype, Source(a, width), order, Source(b, width))
