"""Which choices between two numbers are better jumps?

A choice waits for its condition, a jump that is foreseen does not: where each iteration of a loop waits for the number
chosen in the last one, that is a third of Collatz's time, and more than half of a walk's that a wall turns round. One
that is not foreseen costs 5 ns. Of ``where(x == 3, y, x)``, with an `x` computed just before, it is foreseen that `x`
is another number, unless it is made to be one of few; a coin that decides each time costs three times as much so.
"""

from __future__ import annotations

from collections.abc import Iterable

from funcgrad.lower.loops import Constant, Instruction, Op, Operand, Value

SPREAD = frozenset("add sub mul div fma quotient neg sqrt shl select".split())  # whose results are seldom one of few
WEIGHTS = '!{!"branch_weights", i32 1, i32 2000}'  # how often the condition holds, and does not


def foreseen(body: Iterable[Instruction]) -> set[Value]:
    """The choices of a block that replace a number where it equals a constant."""
    made: dict[Operand, Op] = {i.result: i for i in body if isinstance(i, Op)}
    found = set()
    for i in made.values():
        if i.name != "select" or i.result.dtype in ("b1", "f2"):
            continue
        condition, other = made.get(i.operands[0]), i.operands[2]
        if condition is None or condition.name != "eq" or other not in condition.operands:
            continue
        source = made.get(other)
        if source is not None and source.name in SPREAD and any(isinstance(x, Constant) for x in condition.operands):
            found.add(i.result)
    return found
