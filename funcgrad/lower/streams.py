"""Which results are written past the caches?  Those of large updates: much more than caches hold, each element once.

A store fetches its line first, so that of a result that nothing reads before it has left the cache again half of the
traffic is for nothing. An optimiser's step that is not given its parameters is bound by that traffic: on a Xeon with
AVX-512 one of Adam's takes 0.60 of the CPU time, one of SGD's 0.71, with momentum 0.52. What reads a single array is
left as it is: the CPU sees ahead what it writes (0.9 of the time of stores past the caches).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Collection

from funcgrad.dtypes import code
from funcgrad.ir.program import Var
from funcgrad.lower.loops import Kernel, Load, Loop, Op, Store, walk
from funcgrad.lower.plan import Plan, buffers_of
from funcgrad.lower.schedule import KernelStep

MUCH = 1 << 26  # bytes of all results of a program, which no cache keeps for the next one
LARGE = 1 << 20  # bytes of one of them: smaller ones lie in blocks that are used again soon
READS = 2  # arrays that a kernel walks through
MOST = 8  # results of a kernel, of which blocks fit the first cache
STREAMED = frozenset({"f4", "f8", "i4", "u4", "i8", "u8"})


def past_caches(plan: Plan) -> Plan:
    """The plan, in which some kernels are told which buffers to write past the caches."""
    uses = Counter(itertools.chain.from_iterable(map(buffers_of, plan.steps)))
    given = {*plan.program.inputs, *plan.program.constants}
    fresh = {v for v in plan.outputs if v not in given}
    if sum(v.type.nbytes for v in fresh) < MUCH:
        return plan
    once = {v for v in fresh if uses[v] == 1 and v.type.nbytes >= LARGE and code(v.type.dtype) in STREAMED}
    steps = [_streamed(step, once) if isinstance(step, KernelStep) else step for step in plan.steps]
    return dataclasses.replace(plan, steps=steps)


def _streamed(step: KernelStep, results: Collection[Var]) -> KernelStep:
    kernel = step.kernel
    found = tuple(number for number in _written_in_order(kernel) if step.buffers[number] in results)
    return dataclasses.replace(step, kernel=kernel._replace(streamed=found)) if 0 < len(found) <= MOST else step


def streamed_loop(kernel: Kernel) -> Loop | None:
    """The loop of a kernel that is nothing else: over its whole range, each iteration for itself, without branches."""
    rest = [i for i in kernel.body if not isinstance(i, Op | Load)]
    loop = rest[0] if len(rest) == 1 else None
    if kernel.aliased or not isinstance(loop, Loop):
        return None
    whole = (loop.start, loop.stop) == (kernel.first, kernel.last)
    plain = loop.independent and not loop.carries and all(isinstance(i, Op | Load | Store) for i in loop.body)
    return loop if whole and plain else None


def _written_in_order(kernel: Kernel) -> list[int]:
    """The buffers that such a loop writes element after element, if it reads several so."""
    loop = streamed_loop(kernel)
    if loop is None:
        return []
    loads = [i for i in walk(kernel.body) if isinstance(i, Load)]
    if len({i.buffer for i in loads if i.index == loop.index}) < READS:
        return []
    stores = Counter(i.buffer for i in loop.body if isinstance(i, Store))
    read = {i.buffer for i in loads}
    in_order = (i.buffer for i in loop.body if isinstance(i, Store) and i.index == loop.index)
    return [buffer for buffer in in_order if stores[buffer] == 1 and buffer not in read]
