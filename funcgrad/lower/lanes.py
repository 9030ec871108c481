"""How does mathematics on many single numbers run in lanes?  Calls of one function that do not wait for each other are
put together: operands into an array, a short loop over it, results out of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from funcgrad.lower.loops import (
    INDEX,
    Branch,
    Constant,
    Instruction,
    Load,
    Loop,
    Op,
    Operand,
    Store,
    Value,
    While,
    operands,
)
from funcgrad.lower.scalar import MATHEMATICS

FEWEST = 3  # calls that are worth it
VECTOR = 32  # bytes: the number of calls is rounded up to whole vectors

Fresh = Callable[[str], Value]
Scratch = Callable[[int, str], int]


def in_lanes(body: Sequence[Instruction], fresh: Fresh, scratch: Scratch) -> list[Instruction]:
    """A block and the blocks in it; `scratch` gives the number of a new buffer, for its length and dtype."""
    block = [_inner(i, fresh, scratch) for i in body]
    calls = [i for i in block if isinstance(i, Op) and i.name in MATHEMATICS]
    if len(calls) < FEWEST:
        return block
    out: list[Instruction] = []
    placed: dict[tuple[Operand, ...], int] = {}  # sine and cosine of the same numbers read the same array
    for level in _levels(block):
        out += [i for i in level if not _is_call(i)]
        groups: dict[tuple[str, str], list[Op]] = {}
        for i in level:
            if isinstance(i, Op) and _is_call(i):
                groups.setdefault((i.name, i.result.dtype), []).append(i)
        for group in groups.values():
            out += _together(group, fresh, scratch, placed) if len(group) >= FEWEST else group
    return out


def _inner(i: Instruction, fresh: Fresh, scratch: Scratch) -> Instruction:
    if isinstance(i, Loop) and not i.independent:  # others run in lanes themselves
        return i._replace(body=tuple(in_lanes(i.body, fresh, scratch)))
    if isinstance(i, While):
        test, body = (tuple(in_lanes(part, fresh, scratch)) for part in (i.test, i.body))
        return i._replace(test=test, body=body)
    if isinstance(i, Branch):
        then, orelse = (tuple(in_lanes(part, fresh, scratch)) for part in (i.then, i.orelse))
        return i._replace(then=then, orelse=orelse)
    return i


def _is_call(i: Instruction) -> bool:
    return isinstance(i, Op) and i.name in MATHEMATICS and i.result.dtype in ("f4", "f8")


def _levels(block: Sequence[Instruction]) -> list[list[Instruction]]:
    """The instructions by the number of calls that must come before; in order within a level, calls at its end."""
    order = _Order()
    levels: list[list[Instruction]] = []
    for i in block:
        level = order.level(i)
        while len(levels) <= level:
            levels.append([])
        levels[level].append(i)
    return levels


class _Order:
    """What an instruction has to wait for: operands, and what touches the same memory."""

    def __init__(self) -> None:
        self.of_value: dict[Operand, int] = {}
        self.of_loads: dict[int, int] = {}
        self.of_stores: dict[int, int] = {}
        self.least = 0

    def level(self, i: Instruction) -> int:
        level = max([self.least, *(self.of_value.get(x, 0) for x in operands(i))])
        if isinstance(i, Op):
            self.of_value[i.result] = level + _is_call(i)
        elif isinstance(i, Load):
            level = max(level, self.of_stores.get(i.buffer, 0))
            self.of_value[i.result] = level
            self.of_loads[i.buffer] = max(level, self.of_loads.get(i.buffer, 0))
        elif isinstance(i, Store):
            level = max(level, self.of_stores.get(i.buffer, 0), self.of_loads.get(i.buffer, 0))
            self.of_stores[i.buffer] = level
        else:
            level = max([level, *self.of_value.values(), *self.of_loads.values(), *self.of_stores.values()])
            self.least = level
        return level


def _together(
    group: Sequence[Op], fresh: Fresh, scratch: Scratch, placed: dict[tuple[Operand, ...], int]
) -> list[Instruction]:
    """The calls as one loop over whole vectors; what is behind the last of them computes the first one again. `placed`
    are the arrays of operands that there are.
    """
    dtype = group[0].result.dtype
    width = VECTOR // int(dtype[1])
    count = -(-len(group) // width) * width
    rows = list(zip(*(op.operands for op in group), strict=True))
    out: list[Instruction] = []
    index, result, results = fresh(INDEX), fresh(dtype), scratch(count, dtype)
    body: list[Instruction] = []
    operands: list[Operand] = []
    for row in rows:
        if all(x == row[0] for x in row) and isinstance(row[0], Constant):
            operands.append(row[0])
            continue
        padded, value = (*row, *(row[0],) * (count - len(row))), fresh(dtype)
        if padded not in placed:
            placed[padded] = scratch(count, dtype)
            out += [Store(placed[padded], Constant(k, INDEX), x) for k, x in enumerate(padded)]
        body.append(Load(value, placed[padded], index))
        operands.append(value)
    body += [Op(result, group[0].name, tuple(operands)), Store(results, index, result)]
    out.append(Loop(index, Constant(0, INDEX), Constant(count, INDEX), tuple(body)))
    return out + [Load(op.result, results, Constant(k, INDEX)) for k, op in enumerate(group)]
