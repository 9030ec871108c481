"""Which loops of a kernel share their code?  Those of a few calls of one function, as `lower.lanes` makes them, when
there are several: a polynomial that is inlined in dozens of places takes seconds to compile and runs no faster.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from funcgrad.compile import vecmath
from funcgrad.compile.emitters import TYPES, literal
from funcgrad.lower.loops import Constant, Instruction, Kernel, Load, Loop, Op, Store, walk
from funcgrad.lower.scalar import MATHEMATICS

SEVERAL = 4  # loops that do the same
FEW = 32  # iterations, at most


class Calls(NamedTuple):
    """What a loop does: one function of `length` numbers in a row, or of numbers and constants.

    Attributes
    ----------
    name, dtype
        The function and the type of its operands, ``f4`` or ``f8``.
    operands
        For each operand a constant, or None where it is read from memory.
    length
        The number of iterations.
    """

    name: str
    dtype: str
    operands: tuple[Constant | None, ...]
    length: int


def calls_of(instruction: Instruction) -> Calls | None:
    """What a loop does if it is one of a few calls: loads of its operands, the call, the store of its result."""
    if not isinstance(instruction, Loop) or instruction.carries or len(instruction.body) < 3:
        return None
    *loads, op, store = instruction.body
    start, stop, index = instruction.start, instruction.stop, instruction.index
    if not (isinstance(start, Constant) and isinstance(stop, Constant) and start.value == 0 and stop.value <= FEW):
        return None
    if not (isinstance(op, Op) and op.name in MATHEMATICS and isinstance(store, Store) and store.index == index):
        return None
    read = [i.result for i in loads if isinstance(i, Load) and i.index == index]
    if len(read) < len(loads) or store.value != op.result or read != [x for x in op.operands if x in read]:
        return None
    if not all(x in read or isinstance(x, Constant) for x in op.operands) or op.result.dtype not in ("f4", "f8"):
        return None
    if any(isinstance(i, Load) and i.buffer == store.buffer for i in loads):
        return None
    operands = tuple(x if isinstance(x, Constant) else None for x in op.operands)
    return Calls(op.name, op.result.dtype, operands, int(stop.value))


def shared(kernel: Kernel) -> dict[Calls, str]:
    """The symbols of the functions that loops of a kernel call in place of their bodies."""
    if kernel.aliased:
        return {}
    counts = Counter(calls for calls in map(calls_of, walk(kernel.body)) if calls is not None)
    common = [calls for calls, count in counts.items() if count >= SEVERAL]
    return {calls: f"@calls{k}" for k, calls in enumerate(common)}


def call(symbol: str, loop: Loop) -> str:
    """The call that stands for the loop."""
    buffers = [i.buffer for i in loop.body if isinstance(i, Load | Store)]
    return f"call void {symbol}({', '.join(f'ptr %b{buffer}' for buffer in buffers)})"


def definition(symbol: str, calls: Calls, manner: str) -> str:
    """The function with the loop, which LLVM makes into vector code once; `manner` follows the call in it."""
    kind = TYPES[calls.dtype]
    lines, values, places = [], [], []
    for k, operand in enumerate(calls.operands):
        if operand is not None:
            values.append(literal(operand.value, operand.dtype))
            continue
        lines += [f"%p{k} = getelementptr inbounds {kind}, ptr %a{k}, i64 %i", f"%v{k} = load {kind}, ptr %p{k}"]
        values.append(f"%v{k}")
        places.append(f"%a{k}")
    lines += [
        f"%r = call {kind} {vecmath.symbol(calls.name, calls.dtype)}({_typed(kind, values)}){manner}",
        f"%p = getelementptr inbounds {kind}, ptr %a, i64 %i",
        f"store {kind} %r, ptr %p",
        "%next = add nuw nsw i64 %i, 1",
        f"%again = icmp slt i64 %next, {calls.length}",
        "br i1 %again, label %loop, label %exit",
    ]
    parameters = _typed("ptr noalias nocapture", [*places, "%a"])
    return "\n".join(
        [
            f"define internal void {symbol}({parameters}) noinline nounwind willreturn {{",
            "entry:\n  br label %loop\nloop:\n  %i = phi i64 [0, %entry], [%next, %loop]",
            *(f"  {line}" for line in lines),
            "exit:\n  ret void\n}",
        ]
    )


def _typed(kind: str, names: Sequence[str]) -> str:
    return ", ".join(f"{kind} {name}" for name in names)
