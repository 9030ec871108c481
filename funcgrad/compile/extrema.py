"""How is a maximum of floats folded in lanes?  As that of integers in the same order, where vectors have one.

LLVM's maximum of floats is six instructions on x86 (of zeros the one without sign, of NaN and a number NaN), each of
which waits for the one before: 20 cycles for a vector, while a maximum of integers waits for one instruction. The bits
of a float are such an integer, but that those of negative ones count downwards, and that NaN has two signs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from funcgrad.compile import cpus
from funcgrad.compile.emitters import size_of
from funcgrad.lower.loops import Carry, Constant, Instruction, Loop, Op, Operand, Value, operands, walk

EXTREMA = ("max", "min")
FEW = 4  # iterations


class Folded(NamedTuple):
    """What stands before such a loop, the loop, and what stands behind it."""

    before: tuple[Instruction, ...]
    loop: Loop
    behind: tuple[Instruction, ...]


def sizes() -> frozenset[int]:
    """The bytes of the integers whose maximum is one instruction on vectors: none where that of floats is, too."""
    if cpus.platform().split("-")[0] != "x86_64":
        return frozenset()
    return frozenset({4, 8} if cpus.vector_widths()[-1] == 64 else {4})


def as_integers(loop: Loop, numbers: Iterator[int]) -> Folded | None:
    """A loop that folds extrema of integers in the place of floats; None where it has none that can be replaced.

    `numbers` tell new values apart.
    """
    chosen = [carry for carry in loop.carries if _is_replaceable(carry, loop)]
    if not chosen or _is_short(loop):
        return None
    before, behind, body = _Writer(numbers), _Writer(numbers), _Writer(numbers)
    carries = {carry: carry for carry in loop.carries}
    folds = {carry.next: carry for carry in chosen}
    for i in loop.body:
        carry = folds.get(i.result) if isinstance(i, Op) else None
        if carry is None:
            body.written.append(i)
            continue
        assert isinstance(i, Op)
        assert carry.reduction is not None
        inner, result = (body.fresh(_integer(carry), x) for x in (carry.inner, carry.result))
        element = i.operands[1 - i.operands.index(carry.inner)]
        after = body.op(carry.reduction, inner, body.key(element, carry.reduction))
        initial = before.key(carry.initial, carry.reduction)
        carries[carry] = Carry(inner, initial, after, result, carry.reduction)
        behind.number(result, carry.result)
    changed = loop._replace(body=tuple(body.written), carries=tuple(carries.values()))
    return Folded(tuple(before.written), changed, tuple(behind.written))


def _integer(carry: Carry) -> str:
    return f"i{size_of(carry.inner.dtype)}"


def _is_short(loop: Loop) -> bool:
    """Whether a loop has so few iterations that their order costs more than the chain: 1.4 times as long for three."""
    start, stop = loop.start, loop.stop
    return isinstance(start, Constant) and isinstance(stop, Constant) and stop.value - start.value < FEW


def _is_replaceable(carry: Carry, loop: Loop) -> bool:
    """Whether a carry is an extremum of floats of which nothing but its last value is seen."""
    if (
        carry.reduction not in EXTREMA
        or carry.inner.dtype not in ("f4", "f8")
        or size_of(carry.inner.dtype) not in sizes()
    ):
        return False
    reads = [x for i in walk(loop.body) for x in operands(i)] + [c.next for c in loop.carries]
    made = any(isinstance(i, Op) and i.result == carry.next and i.name == carry.reduction for i in loop.body)
    return made and reads.count(carry.inner) == 1 and reads.count(carry.next) == 1


class _Writer:
    """Collects instructions."""

    def __init__(self, numbers: Iterator[int]) -> None:
        self.numbers = numbers
        self.written: list[Instruction] = []

    def fresh(self, dtype: str, like: Value) -> Value:
        return Value(next(self.numbers), dtype, like.depth)

    def op(self, name: str, *xs: Operand, dtype: str | None = None, result: Value | None = None) -> Value:
        result = result or Value(next(self.numbers), dtype or xs[-1].dtype)
        self.written.append(Op(result, name, xs))
        return result

    def key(self, x: Operand, fold: str) -> Value:
        """An integer that is in the order of the floats, NaN behind or before all."""
        kind = f"i{size_of(x.dtype)}"
        most = (1 << (8 * size_of(x.dtype) - 1)) - 1
        found = self._turned(self.op("bitcast", x, dtype=kind))
        nothing = Constant(most if fold == "max" else -most - 1, kind)
        return self.op("select", self.op("ne", x, x, dtype="b1"), nothing, found)

    def number(self, key: Value, result: Value) -> None:
        """The float that an integer stands for."""
        self.op("bitcast", self._turned(key), result=result)

    def _turned(self, x: Value) -> Value:
        """Bits whose negative numbers count in the other direction."""
        bits = 8 * size_of(x.dtype) - 1
        sign = self.op("shr", x, Constant(bits, x.dtype))
        return self.op("xor", x, self.op("and", sign, Constant((1 << bits) - 1, x.dtype)))
