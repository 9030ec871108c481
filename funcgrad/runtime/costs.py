"""What does a step of a program cost?  Its arithmetic, and the bytes that it reads and writes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from funcgrad.lower.attention import Attention
from funcgrad.lower.calls import Call
from funcgrad.lower.chains import Chain, apart
from funcgrad.lower.convolution import Convolution
from funcgrad.lower.loops import Branch, Constant, Instruction, Loop, Op, Operand, Value, While, walk
from funcgrad.lower.plan import Step, buffers_of
from funcgrad.lower.products import Product
from funcgrad.lower.schedule import KernelStep
from funcgrad.lower.structured import Structured
from funcgrad.lower.writer import EXPENSIVE


class Cost(NamedTuple):
    """Floating-point instructions, those among them that are expensive, and bytes (each buffer once)."""

    flops: int
    transcendentals: int
    bytes: int


def cost_of(step: Step) -> Cost:
    """What one run of a step costs; of loops and branches only the bytes are known."""
    if isinstance(step, Chain):
        parts = [cost_of(part) for part in apart([step])]
        return Cost(sum(p.flops for p in parts), sum(p.transcendentals for p in parts), _bytes(step))
    if isinstance(step, Product):
        each = 8 if step.dtype.startswith("c") else 2
        return Cost(each * step.batch * step.m * step.n * step.k, 0, _bytes(step))
    if isinstance(step, Call | Structured):
        return Cost(step.flops if isinstance(step, Attention | Convolution) else 0, 0, _bytes(step))
    return Cost(*_instructions(step), _bytes(step))


def _bytes(step: Step) -> int:
    return sum(v.type.nbytes for v in set(buffers_of(step)))


def _instructions(step: KernelStep) -> tuple[int, int]:
    """Arithmetic and expensive instructions of one call: each once per point of the group's domain (an upper bound),
    or as often as the loops around it run where there is no group.
    """
    if step.group is None:
        return _counted(step)
    points = math.prod(step.group.domain)
    names = [i.name for i in walk(step.kernel.body) if isinstance(i, Op) and i.result.dtype[0] == "f"]
    return points * len(names), points * sum(name in EXPENSIVE for name in names)


ARITHMETIC: dict[str, Callable[..., int]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "min": min,
    "max": max,
}  # of loops' bounds


def _counted(step: KernelStep) -> tuple[int, int]:
    """By the loops of the kernel; bodies of loops whose length nobody knows count once."""
    kernel = step.kernel
    known: dict[Any, Any] = dict(zip(kernel.sizes, step.sizes, strict=True))
    known |= {kernel.first: 0, kernel.last: step.total}

    def number(x: Operand) -> int | None:
        value = x.value if isinstance(x, Constant) else known.get(x)
        return value if isinstance(value, int) else None

    def count(body: Iterable[Instruction]) -> tuple[int, int]:
        flops = costly = 0
        for i in body:
            times, inside = 1, (0, 0)
            if isinstance(i, Op):
                inside = _operation(i, known, number)
            elif isinstance(i, Loop):
                start, stop = number(i.start), number(i.stop)
                times = 1 if start is None or stop is None else max(stop - start, 0)
                inside = count(i.body)
            elif isinstance(i, While | Branch):
                inside = count((*i.test, *i.body) if isinstance(i, While) else (*i.then, *i.orelse))
            flops, costly = flops + times * inside[0], costly + times * inside[1]
        return flops, costly

    return count(kernel.body)


def _operation(op: Op, known: dict[Value, Any], number: Callable[[Operand], int | None]) -> tuple[int, int]:
    """One instruction; what it computes is noted if it is an index that is known."""
    if op.result.dtype[0] == "f":
        return 1, int(op.name in EXPENSIVE)
    operands = [number(x) for x in op.operands]
    if op.name in ARITHMETIC and None not in operands:
        known[op.result] = ARITHMETIC[op.name](*operands)
    return 0, 0
