"""Does generated code keep to its buffers?  Every argument, constant, temporary and result stands between red zones.

No two temporaries share a place, so that a zone is never in use. What lies in zones, in temporaries before they are
written and in results is a pattern: whoever reads it gets numbers that are nowhere near right ones.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from funcgrad.compile import native
from funcgrad.compile.native import slowcall
from funcgrad.ir.program import Var
from funcgrad.lower import plan as lowered
from funcgrad.lower.plan import Plan
from funcgrad.runtime.executable import Executable
from funcgrad.runtime.structured import regions

ZONE, PATTERN = 256, 0xFB  # bytes; -2.6e36 in float32


class OutOfBounds(AssertionError):
    """A red zone, an argument or a constant has changed."""


def apart(lives: Mapping[Var, tuple[int, int]]) -> tuple[dict[Var, int], int]:
    """Places for temporaries, none of which serves twice, with a red zone before and behind each of them."""
    offsets, end = {}, ZONE
    for v in lives:
        offsets[v] = end
        end += -(-v.type.nbytes // ZONE) * ZONE + ZONE
    return offsets, end


@contextlib.contextmanager
def red_zones() -> Iterator[None]:
    """Programs are lowered with red zones meanwhile."""
    before = lowered._arena
    lowered._arena = apart
    try:
        yield
    finally:
        lowered._arena = before


class _Block:
    """A copy of an array between red zones."""

    def __init__(self, like: np.ndarray, fill: bool) -> None:
        self.memory = np.full(like.nbytes + 2 * ZONE + 64, PATTERN, np.uint8)
        self.first = ZONE + -(self.memory.ctypes.data + ZONE) % 64
        self.last = self.first + like.nbytes
        inside = self.memory[self.first : self.last]
        if fill:
            inside[:] = np.ascontiguousarray(like).reshape(-1).view(np.uint8)
        self.address = self.memory.ctypes.data + self.first
        self.value = inside.view(like.dtype).reshape(like.shape)
        self.before = inside.copy() if fill else None

    def check(self, what: str) -> None:
        """Raise unless everything is as it should be."""
        zones = self.memory[: self.first], self.memory[self.last :]
        for zone, side in zip(zones, ("before", "behind"), strict=True):
            if (zone != PATTERN).any():
                raise OutOfBounds(f"something was written {side} {what}")
        if self.before is not None and (self.before != self.memory[self.first : self.last]).any():
            raise OutOfBounds(f"{what} has changed")


def run(executable: Executable, leaves: Sequence[Any]) -> list[np.ndarray]:
    """The results of a program that was lowered with red zones, all of which are intact.

    Raises
    ------
    OutOfBounds
        Something else was written than buffers that are there to be written.
    """
    _, descriptor = executable.entry_for(leaves)
    ready = slowcall.prepare(descriptor, leaves)
    blocks: dict[str, _Block] = {}
    arguments: Any = ready.keep[1]
    for k, (v, x) in enumerate(zip(executable.plan.program.inputs, arguments, strict=True)):
        blocks[f"argument {k}"] = _placed(ready.table, executable._slots[v], x, fill=True)
    for slot, value in enumerate(executable._template):
        if isinstance(value, np.ndarray):
            blocks[f"constant {slot}"] = _placed(ready.table, slot, value, fill=True)
    results = [
        _placed(ready.table, executable._slots[v], r, fill=False)
        for v, r in zip(executable.plan.outputs, ready.results, strict=True)
    ]
    blocks |= {f"result {k}": block for k, block in enumerate(results)}
    arena = _arena(executable, ready)
    arena[:] = PATTERN
    native.runtime().start_pool()
    status = native.runtime().run(ready.steps, ready.length, ready.frame)
    if status:
        executable.fail(status)
    for what, block in blocks.items():
        block.check(what)
    zone = np.ones(arena.size, bool)
    for first, last in _places(executable.plan, 0):
        zone[first:last] = False
    if (arena[zone] != PATTERN).any():
        raise OutOfBounds(f"something was written between temporaries, at byte {np.argmax(zone & (arena != PATTERN))}")
    return [block.value.copy() for block in results]


def _placed(table: np.ndarray, slot: int, like: Any, fill: bool) -> _Block:
    block = _Block(np.asarray(like), fill)
    table[slot] = block.address
    return block


def _arena(executable: Executable, ready: Any) -> np.ndarray:
    """The memory of all temporaries."""
    memory = ready.keep[0]
    for v, offset in executable.plan.offsets.items():
        first = int(ready.table[executable._slots[v]]) - offset - memory.ctypes.data
        return np.asarray(memory[first : first + executable.plan.arena_bytes])
    return np.empty(0, np.uint8)


def _places(plan: Plan, base: int) -> Iterator[tuple[int, int]]:
    """First byte and end of every temporary, those of bodies too."""
    inside = {arena for region in regions(plan) for arena in region.arenas}
    for v, offset in plan.offsets.items():
        if v not in inside:
            yield base + offset, base + offset + v.type.nbytes
    for region in regions(plan):
        for k, (inner, arena) in enumerate(zip(region.plans, region.arenas, strict=True)):
            start = base + plan.offsets[arena]
            if not k and region.equation.primitive.name.startswith("while"):
                yield start, start + 1  # the answer of the condition
            yield from _places(inner, start)
