"""Which instructions of straight-line code do the same?  They become one instruction on vectors.

Loops of small arrays are written out (`lower.unrolled`), and what was one instruction of theirs is many. All that were
made alike, from operands that were made alike, stand in one group: an operand's making is part of its own, so that none
waits for another of its group, and no two groups wait for each other. `compile.packing` cuts groups into packs as long
as a vector; places next to each other are read and written together. LLVM has a pass for this (SLP), which knows
nothing of where the code comes from: it takes most of the time to compile such code, and finds pairs where there are
eights.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import NamedTuple

from funcgrad.lower.loops import (
    INDEX,
    Constant,
    Instruction,
    Kernel,
    Load,
    Op,
    Operand,
    Store,
    Value,
    operands,
    walk,
)

Plain = Op | Load | Store
Place = tuple[Operand | None, int]  # an index, and how far behind it

PACKED = frozenset(
    "add sub mul div fma neg abs max min sqrt floor ceil rint trunc copysign eq ne lt le gt ge select".split()
)
FLOATS = ("f4", "f8")
SLOW = frozenset({"div", "sqrt"})
FAR = 1 << 62  # beyond any offset


class Pack(NamedTuple):
    """Instructions that run as one: `Op`, `Load` or `Store`, one for each lane; lanes may be left over."""

    members: tuple[Plain, ...]

    @property
    def width(self) -> int:
        """The lanes of its vectors, a power of two."""
        return 1 << (len(self.members) - 1).bit_length()


class Memory:
    """What lies where in buffers that are only read, and may be read once more: in other vectors.

    Attributes
    ----------
    loads
        The instructions that read each value.
    places
        Numbers of the places, in the order of memory.
    """

    def __init__(self, run: Sequence[Plain], only_read: Container[int]) -> None:
        behind = places_of(run)
        reads = (i for i in run if isinstance(i, Load) and i.buffer in only_read)
        self.loads: dict[Operand, Load] = {i.result: i for i in reads if i.result.dtype in FLOATS}
        self.places: dict[Operand, int] = {}
        lines: dict[tuple[int, Operand | None], int] = {}
        for x, load in self.loads.items():
            base, offset = place(load.index, behind)
            self.places[x] = lines.setdefault((load.buffer, base), len(lines)) * FAR + offset

    def together(self, numbers: Sequence[Operand]) -> Load | None:
        """The load of the first one of numbers that lie next to each other."""
        first = self.places.get(numbers[0])
        if first is None or any(self.places.get(x) != first + k for k, x in enumerate(numbers)):
            return None
        return self.loads[numbers[0]]


def runs(body: Iterable[Instruction], aliased: bool) -> Iterator[list[Plain] | Instruction]:
    """The instructions of a block: runs of plain ones, in which no place is read after it may have been written, and
    others.
    """
    run: list[Plain] = []
    written: set[int] = set()
    for i in body:
        if not isinstance(i, (Op, Load, Store)):
            if run:
                yield run
            run, written = [], set()
            yield i
            continue
        if isinstance(i, Load) and (i.buffer in written or (aliased and written)):
            yield run
            run, written = [], set()
        run.append(i)
        if isinstance(i, Store):
            written.add(i.buffer)
    if run:
        yield run


def without_overwritten(run: Sequence[Plain]) -> list[Plain]:
    """A run without stores to places that it stores to again."""
    places = places_of(run)
    last = {(i.buffer, place(i.index, places)): k for k, i in enumerate(run) if isinstance(i, Store)}
    return [i for k, i in enumerate(run) if not isinstance(i, Store) or last[i.buffer, place(i.index, places)] == k]


def groups_of(run: Sequence[Plain], kept: Container[Value]) -> list[list[int]]:
    """The operations that are made alike and end up in the same buffers, by their numbers in the run and in this order;
    not those whose results are `kept` as they are.
    """
    ends, places = _ends(run), places_of(run)
    numbers: dict[object, int] = {}
    made: dict[Operand, int] = {}
    groups: dict[int, list[int]] = defaultdict(list)
    for k, i in enumerate(run):
        if isinstance(i, Load):
            base, _ = place(i.index, places)  # it may be made of what others have loaded
            key = ("load", i.buffer, made.get(base, "outside") if isinstance(base, Value) else None)
            made[i.result] = numbers.setdefault(key, len(numbers))
        elif isinstance(i, Op):
            making = [("constant" if isinstance(x, Constant) else made.get(x, "outside"), x.dtype) for x in i.operands]
            kind = (i.name, i.result.dtype, ends.get(i.result), *making)
            number = made[i.result] = numbers.setdefault(kind, len(numbers))
            if i.name in PACKED and i.operands[-1].dtype in FLOATS and i.result not in kept:
                groups[number].append(k)
    return [group for group in groups.values() if len(group) > 1]


def _ends(run: Sequence[Plain]) -> dict[Operand, int]:
    """The buffers that what each value is used for is stored in, as bits."""
    ends: dict[Operand, int] = defaultdict(int)
    for i in reversed(run):
        if isinstance(i, Store):
            ends[i.value] |= 1 << i.buffer
        elif isinstance(i, Op):
            for x in i.operands:
                ends[x] |= ends[i.result]
    return ends


def neighbours(run: Sequence[Plain]) -> Iterator[list[int]]:
    """Loads and stores of places next to each other, by their numbers in a run that stores to each place once."""
    places = places_of(run)
    found: dict[tuple[type, int], dict[Place, int]] = defaultdict(dict)
    unsure = set()  # who knows which one is behind another
    for number, i in enumerate(run):
        if isinstance(i, (Load, Store)):
            here, where = found[type(i), i.buffer], place(i.index, places)
            if isinstance(i, Store) and here and where[0] != next(iter(here))[0]:
                unsure.add((type(i), i.buffer))
            here[where] = number
    for key, members in found.items():
        if key in unsure:
            continue
        line: list[int] = []
        before: Place | None = None
        for base, offset in sorted(members, key=lambda at: (at[0] or Constant(0, INDEX), at[1])):
            if before is not None and before != (base, offset - 1):
                yield line
                line = []
            line.append(members[base, offset])
            before = base, offset
        yield line


def places_of(run: Sequence[Plain]) -> dict[Operand, Place]:
    """The indices that are a number behind another one."""
    places: dict[Operand, Place] = {}
    for i in run:
        if isinstance(i, Op) and i.name == "add" and i.result.dtype == INDEX:
            a, b = i.operands if isinstance(i.operands[1], Constant) else i.operands[::-1]
            if isinstance(b, Constant):
                base, offset = place(a, places)
                places[i.result] = base, offset + int(b.value)
    return places


def place(index: Operand, places: dict[Operand, Place]) -> Place:
    """Where an index points."""
    return (None, int(index.value)) if isinstance(index, Constant) else places.get(index, (index, 0))


def uses_of(kernel: Kernel) -> Counter[Operand]:
    """How often each value of a kernel is used."""
    return Counter(x for i in walk(kernel.body) for x in operands(i))
