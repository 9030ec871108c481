"""Is a loop over examples shared out over threads?  A scan without a carry, as `vmap` and `map` make them, is when all
its iterations together are worth it.

They know nothing of each other but where their temporaries lie: each piece has memory of its own for these
(``fg_apart``). How many iterations a loop within takes nobody knows: pieces are many, and who is done takes the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from funcgrad import config
from funcgrad.ir.program import Equation
from funcgrad.lower.chains import apart
from funcgrad.lower.loops import Branch, Constant, Instruction, Loop, Op, Operand, Value, While
from funcgrad.lower.products import Product
from funcgrad.lower.schedule import MOST_PIECES, PIECE_NS, PIECE_NS_INSIDE, KernelStep
from funcgrad.lower.structured import Structured
from funcgrad.lower.writer import EXPENSIVE

ROUNDS = 32  # iterations that a loop of unknown length is taken to have
INSTRUCTION_NS, EXPENSIVE_NS, STEP_NS = 0.3, 4.0, 20.0
MULTIPLICATIONS_PER_NS = 10.0
LARGEST_PRODUCT = 1 << 22  # multiplications of one that threads would not share
MOST_BYTES = 1 << 24  # of temporaries for each thread


def is_over_examples(equation: Equation) -> bool:
    """Whether no iteration of a loop reads what another one gives."""
    return equation.primitive.name == "scan" and not equation.params["carry"]


def chunk(length: int, nanoseconds: float, inside: bool) -> int:
    """How many of so many iterations are a piece, if all take so long, in a loop or not; 0 where there is but one."""
    if config.check_memory.value:
        return 0
    pieces = min(int(nanoseconds / (PIECE_NS_INSIDE if inside else PIECE_NS)), MOST_PIECES, length)
    return -(-length // pieces) if pieces > 1 else 0


def region_chunk(region: Structured, inside: bool) -> int:
    """Likewise of a loop that is a table of steps, unless these are shared out themselves."""
    if not is_over_examples(region.equation) or region.plans[0].arena_bytes > MOST_BYTES or not _is_small(region):
        return 0
    return chunk(region.equation.params["length"], _of_steps([region]), inside)


def _is_small(region: Structured) -> bool:
    """Whether threads have no part in the steps of a loop: none is shared, nor calls what may know threads itself."""
    return all(
        _is_small(step)
        if isinstance(step, Structured)
        else step.batch * step.m * step.n * step.k <= LARGEST_PRODUCT
        if isinstance(step, Product)
        else isinstance(step, KernelStep) and not step.chunk
        for plan in region.plans
        for step in apart(plan.steps)
    )


def _of_steps(steps: Iterable[Any]) -> float:
    """About how many nanoseconds steps of small loops take."""
    total = 0.0
    for step in apart(list(steps)):
        if isinstance(step, KernelStep):
            known: dict[Any, Any] = dict(zip(step.kernel.sizes, step.sizes, strict=True))
            known |= {step.kernel.first: 0, step.kernel.last: step.total}
            total += STEP_NS + of_instructions(step.kernel.body, known)
        elif isinstance(step, Product):
            total += STEP_NS + step.batch * step.m * step.n * step.k / MULTIPLICATIONS_PER_NS
        else:
            each = [_of_steps(plan.steps) for plan in step.plans]
            rounds = step.equation.params.get("length", ROUNDS)
            total += max(each) if step.equation.primitive.name == "cond" else rounds * sum(each)
    return total


def of_instructions(body: Iterable[Instruction], known: Mapping[Value, Any]) -> float:
    """About how many nanoseconds instructions take, of which some `known` integers are the bounds of loops."""

    def number(x: Operand, otherwise: int) -> int:
        return int(x.value) if isinstance(x, Constant) else known.get(x, otherwise)

    total = 0.0
    for i in body:
        if isinstance(i, Loop):
            start = number(i.start, 0)
            total += max(number(i.stop, start + ROUNDS) - start, 0) * of_instructions(i.body, known)
        elif isinstance(i, While):
            total += ROUNDS * of_instructions((*i.test, *i.body), known)
        elif isinstance(i, Branch):
            total += max(of_instructions(i.then, known), of_instructions(i.orelse, known))
        else:
            total += EXPENSIVE_NS if isinstance(i, Op) and i.name in EXPENSIVE else INSTRUCTION_NS
    return total
