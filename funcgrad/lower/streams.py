"""Which results are written past the caches?  Those of a program that gives much more than caches keep for the next.

A store fetches its line first, so that of a result that nothing reads before it has left the cache again a part of the
traffic is for nothing. On a Xeon with AVX-512 an optimiser's step that is not given its parameters takes 0.5 to 0.7 of
the CPU time, a number added to 40 MB 0.5 to 0.7, a sum of two arrays of 40 MB 0.65. Who reads the result at once waits
longer for it: together the two take as long with 8 to 16 MB, and from there on less.

A kernel is either one loop over everything, or has loops over rows, or over blocks of what it folds. Routines are told
by their calls.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Collection, Mapping

from funcgrad.dtypes import code
from funcgrad.ir.program import Var
from funcgrad.lower.calls import Call
from funcgrad.lower.loops import INDEX, Constant, Kernel, Load, Loop, Op, Operand, Store, Value, While, walk
from funcgrad.lower.plan import Plan, Step, buffers_of
from funcgrad.lower.scalar import MATHEMATICS
from funcgrad.lower.schedule import KernelStep

MUCH = 1 << 25  # bytes of all results of a program, which no cache keeps for the next one
LARGE = 1 << 20  # bytes of one of them: smaller ones lie in blocks that are used again soon
MOST = 8  # results of a kernel, of which blocks fit the first cache
ROW, ROWS = 1 << 14, 2  # bytes of a row that is kept until it is complete, and how many results have such
HEAVY = 2  # functions of mathematics for each element
SHORT = 1 << 10  # bytes of a row whose ends, which are no whole lines, take longer than fetching it would
STREAMED = frozenset({"f4", "f8", "i4", "u4", "i8", "u8"})


def past_caches(plan: Plan) -> Plan:
    """The plan, in which some kernels are told which buffers to write past the caches."""
    uses = Counter(itertools.chain.from_iterable(map(buffers_of, plan.steps)))
    given = {*plan.program.inputs, *plan.program.constants}
    fresh = {v for v in plan.outputs if v not in given}
    if sum(v.type.nbytes for v in fresh) < MUCH:
        return plan
    large = (v for v in fresh if uses[v] == 1 and v.type.nbytes >= LARGE)
    once = frozenset(v for v in large if code(v.type.dtype) in STREAMED)
    return dataclasses.replace(plan, steps=[_told(step, once) for step in plan.steps])


def _told(step: Step, results: frozenset[Var]) -> Step:
    if isinstance(step, Call):
        return dataclasses.replace(step, streamed=results.issuperset(step.equation.outputs))
    return _streamed(step, results) if isinstance(step, KernelStep) else step


def _streamed(step: KernelStep, results: Collection[Var]) -> KernelStep:
    kernel = step.kernel
    plain = streamed_loop(kernel)
    places = _written_in_order(kernel, plain) if plain is not None else _written_in_rows(step)
    found = tuple(number for number in places if step.buffers[number] in results)
    most = ROWS if plain is None else MOST
    return dataclasses.replace(step, kernel=kernel._replace(streamed=found)) if 0 < len(found) <= most else step


def streamed_loop(kernel: Kernel) -> Loop | None:
    """The loop of a kernel that is nothing else: over its whole range, each iteration for itself, without branches."""
    rest = [i for i in kernel.body if not isinstance(i, Op | Load)]
    loop = rest[0] if len(rest) == 1 else None
    if kernel.aliased or not isinstance(loop, Loop):
        return None
    whole = (loop.start, loop.stop) == (kernel.first, kernel.last)
    plain = loop.independent and not loop.carries and all(isinstance(i, Op | Load | Store) for i in loop.body)
    return loop if whole and plain else None


def row_stores(loop: Loop) -> dict[int, Operand | None]:
    """The buffers that a loop writes in order, and what is added to its index for that."""
    if not (loop.independent and all(isinstance(i, Op | Load | Store) for i in loop.body)):
        return {}
    inside = {i.result: i for i in loop.body if isinstance(i, Op | Load)}
    found: dict[int, Operand | None] = {}
    for i in (i for i in loop.body if isinstance(i, Store)):
        place = inside.get(i.index) if isinstance(i.index, Value) else None
        if i.index == loop.index:
            found[i.buffer] = None
        elif isinstance(place, Op) and place.name == "add" and loop.index in place.operands:
            base = place.operands[1 - place.operands.index(loop.index)]
            if base not in inside and base != loop.index:
                found[i.buffer] = base
    return found


def _written_in_order(kernel: Kernel, loop: Loop) -> list[int]:
    """The buffers that the only loop writes element after element, if it reads an array so."""
    loads = [i for i in walk(kernel.body) if isinstance(i, Load)]
    if not any(i.index == loop.index for i in loads) or _is_heavy(loop):
        return []
    in_order = [i.buffer for i in loop.body if isinstance(i, Store) and i.index == loop.index]
    return _only_written(kernel, in_order)


def _written_in_rows(step: KernelStep) -> list[int]:
    """The buffers that loops over rows, or blocks of them, write: neither short ones nor more than the first cache has
    room for.
    """
    kernel = step.kernel
    inside = list(walk(kernel.body))
    if kernel.aliased or any(isinstance(i, While) for i in inside):
        return []
    made = {i.result: i for i in inside if isinstance(i, Op)}
    lengths = dict(zip(kernel.sizes, step.sizes, strict=True))
    found: list[int] = []
    for loop in (i for i in inside if isinstance(i, Loop)):
        length = _length(loop, made, lengths)
        rows = row_stores(loop) if length and not _is_heavy(loop) else {}
        found += [b for b in rows if SHORT <= length * int(kernel.buffers[b].dtype[1:]) <= ROW]
    return _only_written(kernel, found)


def _length(loop: Loop, made: Mapping[Value, Op], lengths: Mapping[Value, float | str]) -> int:
    """The most elements that a loop goes over, where that is known; else 0."""
    if not isinstance(loop.stop, Value):
        return 0
    first, op = loop.start == Constant(0, INDEX), made.get(loop.stop)
    length = lengths.get(loop.stop) if first else 0
    for end in op.operands if op is not None and op.name == "min" else ():
        if isinstance(end, Value) and end in made and made[end].name == "add":
            origin, end = made[end].operands
            length = end.value if origin == loop.start and isinstance(end, Constant) else length
        elif first and isinstance(end, Constant):
            length = end.value
    return length if isinstance(length, int) else 0


def _is_heavy(loop: Loop) -> bool:
    """Whether a loop waits for its mathematics, not for memory: with such stores it takes up to 1.05 of the time."""
    return sum(isinstance(i, Op) and i.name in MATHEMATICS for i in loop.body) >= HEAVY


def _only_written(kernel: Kernel, buffers: list[int]) -> list[int]:
    """Those of some buffers that a kernel writes by one store and does not read."""
    stores = Counter(i.buffer for i in walk(kernel.body) if isinstance(i, Store))
    read = {i.buffer for i in walk(kernel.body) if isinstance(i, Load)}
    return [buffer for buffer in buffers if stores[buffer] == 1 and buffer not in read]
