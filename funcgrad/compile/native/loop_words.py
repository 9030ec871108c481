"""What do the kernels of loops and branches read?  Integers that hold tables of steps: `scan_integers` and its like.

A body's buffers are slots of the same frame as everybody's. Slots of arguments and results are moved from iteration to
iteration: a slice of a stacked array is the next address, and the two buffers of a carry change places, so that no
array is copied between iterations.

==============  ====================================================================================================
region          address of steps, their number
pairs           number, then (source slot, slot): the slot gets the source's address before the loop
carry           number, then (initial slot, result slot, second buffer's slot, input slot, output slot, bytes)
slices          number, then (stacked slot, slot, bytes of a slice)
==============  ====================================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

NEVER = 1 << 62  # iterations between two looks at pending signals where nobody may look

Region = tuple[int, int]
Pairs = Sequence[tuple[int, int]]
Carry = Sequence[tuple[int, int, int, int, int, int]]
Slices = Sequence[tuple[int, int, int]]


def table(rows: Sequence[Sequence[int]]) -> list[int]:
    """A number of rows, and the rows."""
    return [len(rows), *(word for row in rows for word in row)]


class Full(NamedTuple):
    """When a tape is full: with room for so many iterations (or sections) `most`, or when there is no memory; `code` is
    the status of that.
    """

    most: int
    code: int


class Poll(NamedTuple):
    """How often a loop looks at pending signals: after `every` iterations (a power of two); `code` is the status of an
    interruption.
    """

    every: int
    code: int


def scan_integers(
    region: Region, poll: Poll, length: int, reverse: bool, pairs: Pairs, carry: Carry, slices: Slices
) -> list[int]:
    """The integers of ``fg_scan``."""
    return [*region, *poll, length, int(reverse), *table(pairs), *table(carry), *table(slices)]


def apart_integers(
    kernel: int, integers: int, code: int, size: int, slots: int, rows: Sequence[tuple[int, int]]
) -> list[int]:
    """The integers of ``fg_apart``: a kernel, the address of its integers, the status where there is no memory, the
    bytes of that (a multiple of its alignment), how many slots there are, and where buffers lie in it.
    """
    return [kernel, integers, code, size, slots, *table(rows)]


def while_integers(cond: Region, body: Region, poll: Poll, test: int, pairs: Pairs, carry: Carry) -> list[int]:
    """The integers of ``fg_while``; `test` is the slot of the condition's value.

    `pairs` are made anew at every iteration: the condition reads the carry in slots of its own.
    """
    return [*cond, *body, *poll, test, *table(pairs), *table(carry)]


def pull_integers(
    loop: Sequence[int], full: Full, back: Region, pairs: Pairs, tape: Sequence[tuple[int, int, int]], carry: Carry
) -> list[int]:
    """The integers of ``fg_while_pull``: those of the loop, the step back, and what the tape keeps.

    A row of `tape` is the slot in which the loop has a part of the carry before an iteration, the slot in which the
    step back reads it, and its bytes; `carry` is that of the loop back.
    """
    return [len(loop), *loop, *full, *back, *table(pairs), *table(tape), *table(carry)]


def tape_integers(
    ahead: Region,
    back: Region,
    poll: Poll,
    full: Full,
    slots: tuple[int, int],
    length: int,
    rows: tuple[Slices, Slices, Slices],
) -> list[int]:
    """The integers of ``fg_while_tape``: kernels that run the loop along a section of the tape, and back.

    `slots` are those of the iterations in a section and of the condition, `length` is the most iterations of one;
    `rows` are what is copied first (from, to, bytes), what is copied before the way back, and the parts of a section
    (slot, 0, bytes).
    """
    return [*ahead, *back, *poll, *full, *slots, length, *(word for part in rows for word in table(part))]


def cond_integers(index: int, branches: Sequence[tuple[Region, Pairs]]) -> list[int]:
    """The integers of ``fg_cond``: the slot of the branch's number, where each branch's words begin, and these."""
    words: list[int] = []
    starts = []
    for region, pairs in branches:
        starts.append(1 + len(branches) + len(words))
        words += [*region, *table(pairs)]
    return [index, *starts, *words]
