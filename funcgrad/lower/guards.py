"""How is a kernel kept to its buffers?  `guarded`: each load and store behind a comparison of its place with the length
of its buffer, in the kernel's own instructions.

What lies outside is not touched: a load gives 0, and the call fails with a status that says which access it was.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from funcgrad.lower.loops import (
    INDEX,
    Branch,
    Check,
    Constant,
    Instruction,
    Kernel,
    Load,
    Loop,
    Op,
    Operand,
    Store,
    Value,
    While,
)
from funcgrad.lower.schedule import KernelStep

ACCESSES = 2  # codes for each buffer: of loads, and of stores
CODE_BITS = 20  # of a status; above them is the place, counted from ...
FARTHEST = 1 << 41  # ... this far before the buffer; places farther out are cut off


def guarded(step: KernelStep, first_code: int) -> KernelStep:
    """The step with its checks, whose failures are counted from a code on: `ACCESSES` for each buffer."""
    kinds = zip(step.buffers, step.kernel.buffers, strict=True)
    lengths = [v.type.nbytes // np.dtype(buffer.dtype).itemsize for v, buffer in kinds]
    return replace(step, kernel=guarded_kernel(step.kernel), sizes=(*step.sizes, *lengths, first_code))


def guarded_kernel(kernel: Kernel) -> Kernel:
    """The kernel with its checks, whose sizes end with the length of each buffer, and its first code."""
    numbers = itertools.count(-1, -1)  # no kernel has such
    lengths = [Value(next(numbers), INDEX) for _ in kernel.buffers]
    code = Value(next(numbers), INDEX)
    body = tuple(_Guard(kernel, numbers, lengths, code).block(kernel.body))
    return kernel._replace(sizes=(*kernel.sizes, *lengths, code), body=body, streamed=())


def failed_access(status: int) -> tuple[int, int]:
    """The code and the place of an access that failed."""
    return status & ((1 << CODE_BITS) - 1), (status >> CODE_BITS) - FARTHEST


class _Guard:
    """Copies the instructions of a kernel."""

    def __init__(self, kernel: Kernel, numbers: Iterable[int], lengths: list[Value], code: Value) -> None:
        self.kernel, self.numbers, self.lengths, self.code = kernel, iter(numbers), lengths, code

    def block(self, body: Iterable[Instruction]) -> list[Instruction]:
        """Instructions in order."""
        return [new for i in body for new in GUARDS.get(type(i), _same)(self, i)]

    def op(self, out: list[Instruction], name: str, *operands: Operand, dtype: str = INDEX) -> Value:
        out.append(Op(Value(next(self.numbers), dtype), name, operands))
        return out[-1].result  # type: ignore[union-attr]

    def load(self, load: Load) -> list[Instruction]:
        inside, dtype = Value(next(self.numbers), load.result.dtype), load.result.dtype
        merge = (load.result, inside, Constant(False if dtype == "b1" else 0, dtype))
        return self.access(load._replace(result=inside), (merge,))

    def store(self, store: Store) -> list[Instruction]:
        return self.access(store)

    def access(self, access: Load | Store, merges: Any = ()) -> list[Instruction]:
        """The access if its place is in the buffer, else the report that it is not."""
        out: list[Instruction] = []
        begins = self.op(out, "ge", access.index, Constant(0, INDEX), dtype="b1")
        ends = self.op(out, "lt", access.index, self.lengths[access.buffer], dtype="b1")
        within = self.op(out, "and", begins, ends, dtype="b1")
        return [*out, Branch(within, (access,), tuple(self.report(access)), merges)]

    def report(self, access: Load | Store) -> list[Instruction]:
        out: list[Instruction] = []
        place = self.op(out, "max", access.index, Constant(-FARTHEST, INDEX))
        place = self.op(out, "min", place, Constant(FARTHEST - 1, INDEX))
        place = self.op(out, "add", place, Constant(FARTHEST, INDEX))
        place = self.op(out, "mul", place, Constant(1 << CODE_BITS, INDEX))
        number = ACCESSES * access.buffer + isinstance(access, Store)
        code = self.op(out, "add", place, self.op(out, "add", self.code, Constant(number, INDEX)))
        return [*out, Check(Constant(False, "b1"), code)]

    def loop(self, loop: Loop) -> list[Instruction]:
        return [loop._replace(body=tuple(self.block(loop.body)))]

    def branch(self, branch: Branch) -> list[Instruction]:
        return [branch._replace(then=tuple(self.block(branch.then)), orelse=tuple(self.block(branch.orelse)))]

    def while_(self, loop: While) -> list[Instruction]:
        return [loop._replace(test=tuple(self.block(loop.test)), body=tuple(self.block(loop.body)))]


def _same(guard: _Guard, instruction: Instruction) -> list[Instruction]:
    return [instruction]


GUARDS: dict[type, Callable[[_Guard, Any], list[Instruction]]] = {
    Load: _Guard.load,
    Store: _Guard.store,
    Loop: _Guard.loop,
    Branch: _Guard.branch,
    While: _Guard.while_,
}
