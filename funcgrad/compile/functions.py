"""Which functions of mathematics does a kernel call, and which of the calls become copies?

A copy in the loop is fastest: what functions of one argument have in common is computed once, and constants stay in
registers.  But LLVM's passes take longer than in proportion to the code they see, so that a kernel of a hundred sines
took ten seconds.  Functions of which there would be too much code stay apart: the kernel has one function for as many
numbers as a vector has, and LLVM's vectoriser calls it (``vector-function-abi-variant``).  A call costs 2 ns for a
vector, less than the long functions gain by being small.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from funcgrad.compile import engine, shared, vecmath
from funcgrad.compile.emitters import size_of
from funcgrad.lower.loops import Branch, Instruction, Kernel, Loop, Op, Value, While
from funcgrad.lower.scalar import MATHEMATICS

SINCOS = ("sin", "cos")
LONG, FEW = 200, 2  # instructions of a function of which so many copies are made at most
MOST = 2000  # instructions of all copies together

Function = tuple[str, str]  # its name and the type of its operands


class Twin(NamedTuple):
    """Of a sine and a cosine of the same angle: both, in this order."""

    sine: Op
    cosine: Op


def twins(body: Sequence[Instruction]) -> dict[Value, Twin]:
    """The sines and cosines of a block that one function computes together."""
    angles: dict[object, dict[str, Op]] = {}
    for i in body:
        if isinstance(i, Op) and i.name in SINCOS and i.result.dtype != "f2":
            angles.setdefault(i.operands[0], {})[i.name] = i
    pairs = [Twin(*(both[name] for name in SINCOS)) for both in angles.values() if len(both) == len(SINCOS)]
    return {op.result: pair for pair in pairs for op in pair}


def in_lanes(loop: Loop) -> bool:
    """Whether a loop may become vector code."""
    return loop.independent or any(carry.reduction for carry in loop.carries)


def apart(kernel: Kernel) -> list[Function]:
    """The functions that a kernel's vector code calls where they stand."""
    counts = Counter(_called(kernel.body, False))
    length = {function: vecmath.length(*function) for function in counts}
    found = [function for function, n in counts.items() if n > FEW and length[function] >= LONG]
    copied = {function: n * length[function] for function, n in counts.items() if function not in found}
    while sum(copied.values()) > MOST:
        found.append(max(copied, key=lambda function: copied[function]))
        del copied[found[-1]]
    return found


def variants(kernel: Kernel, function: Function) -> list[vecmath.Variant]:
    """A function for as many numbers at a time as loops of a kernel may take: its own vectors, or those of the widest
    elements that it reads or writes.
    """
    sizes = {size_of(function[1]), *(8 for buffer in kernel.buffers if size_of(buffer.dtype) == 8)}
    lanes = sorted({width // size for width in engine.vector_widths() for size in sizes})
    return [vecmath.Variant(*function, n) for n in lanes]


def _called(body: Sequence[Instruction], lanes: bool) -> Iterator[Function]:
    """The functions that are called in lanes, as often as they are."""
    pairs = twins(body)
    for i in body:
        if isinstance(i, Op) and lanes and i.name in MATHEMATICS:
            dtype = "f4" if i.result.dtype == "f2" else i.result.dtype
            if i.result not in pairs:
                yield i.name, dtype
            elif i is pairs[i.result].sine:
                yield "sincos", dtype
        elif isinstance(i, Loop) and shared.calls_of(i) is None:
            yield from _called(i.body, in_lanes(i))
        elif isinstance(i, While):
            yield from _called((*i.test, *i.body), False)
        elif isinstance(i, Branch):
            yield from _called(i.then, lanes)
            yield from _called(i.orelse, lanes)
