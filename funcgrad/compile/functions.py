"""Which functions of mathematics does a kernel call, and which of the calls become copies?

A copy in the loop is fastest: what functions of one argument have in common is computed once, and constants stay in
registers.  But LLVM's passes take longer than in proportion to the code they see, so that a kernel of a hundred sines
took ten seconds.  Functions of which there would be too much code stay apart: the kernel has one function for as many
numbers as a vector has, and LLVM's vectoriser calls it (``vector-function-abi-variant``).  A call costs 2 ns for a
vector, less than the long functions gain by being small.  Those that skip what few numbers need are always called.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from funcgrad.compile import cpus, shared, vecmath
from funcgrad.compile.emitters import size_of
from funcgrad.lower.loops import Branch, Constant, Instruction, Kernel, Load, Loop, Op, Store, Value, While, walk
from funcgrad.lower.scalar import MATHEMATICS

SINCOS = ("sin", "cos")
LONG, FEW = 200, 2  # instructions of a function of which so many copies are made at most
MANY = 10  # copies of any function: sixteen exponentials took half of the time to compile their loops
MOST = 2000  # instructions of all copies together
MUCH = 24  # operations of a loop that does more than to move numbers
MASKED = 400  # instructions of a body to which masks add next to nothing

CIPHER = 20  # exclusive ors that show that a loop enciphers: the words of `ops.random`
WORD = 4  # bytes

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


def of_ciphers(loop: Loop) -> bool:
    """Whether a loop enciphers and is sure to become vector code: LLVM prints a remark where it cannot do as told."""
    long = loop.independent and not loop.carries and not isinstance(loop.stop, Constant)
    plain = long and all(isinstance(i, (Op, Load, Store)) for i in loop.body)
    return plain and sum(isinstance(i, Op) and i.name == "xor" for i in loop.body) >= CIPHER


def words_at_a_time() -> int:
    """How many words of a cipher the longest vector holds."""
    return cpus.vector_widths()[-1] // WORD


def ends_under_a_mask(loop: Loop) -> bool:
    """Whether the numbers that fill no vector are one under a mask, not iterations of a loop of their own.

    That one would be a second copy of the body, for LLVM to compile (half of the time to emit a chain of 40 functions)
    and for short arrays to wait for. Masks cost a short body up to a quarter; CPUs before AVX-512 have slow ones.
    """
    plain = in_lanes(loop) and all(isinstance(i, (Op, Load, Store)) for i in loop.body)
    if not (plain and cpus.wide_vectors_pay()):
        return False
    return len(loop.body) + sum(vecmath.length(*function) for function in _called(loop.body, True)) >= MASKED


def preference(kernel: Kernel) -> list[str]:
    """The attribute by which a kernel that computes much for each number takes the longest vectors of the CPU.

    LLVM takes halves of AVX-512's, which suits CPUs that lower their clock for whole ones. What mostly moves numbers
    gains nothing by them: places are seldom multiples of 64 bytes, and more is left over at the end of a line.
    """
    loops = (i for i in walk(kernel.body) if isinstance(i, Loop) and in_lanes(i))
    pays = cpus.wide_vectors_pay() and (
        any(True for _ in _called(kernel.body, False))
        or any(sum(isinstance(i, Op) and i.result.dtype[0] == "f" for i in loop.body) >= MUCH for loop in loops)
    )
    return [f'"prefer-vector-width"="{8 * cpus.vector_widths()[-1]}"'] if pays else []


def apart(kernel: Kernel) -> list[Function]:
    """The functions that a kernel's vector code calls where they stand."""
    counts = Counter(_called(kernel.body, False))
    length = {function: vecmath.length(*function) for function in counts}
    found = [f for f, n in counts.items() if vecmath.branches(*f) or n > (FEW if length[f] >= LONG else MANY)]
    copied = {function: n * length[function] for function, n in counts.items() if function not in found}
    while sum(copied.values()) > MOST:
        found.append(max(copied, key=lambda function: copied[function]))
        del copied[found[-1]]
    return found


def variants(kernel: Kernel, function: Function) -> list[vecmath.Variant]:
    """A function for as many numbers at a time as loops of a kernel may take: its own vectors, those of the widest
    elements that it reads or writes, or a cipher's.
    """
    sizes = {size_of(function[1]), *(8 for buffer in kernel.buffers if size_of(buffer.dtype) == 8)}
    lanes = {width // size for width in cpus.vector_widths() for size in sizes}
    if any(isinstance(i, Loop) and of_ciphers(i) for i in walk(kernel.body)):
        lanes.add(words_at_a_time())
    return [vecmath.Variant(*function, n) for n in sorted(lanes)]


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
        elif isinstance(i, Loop):
            calls = shared.calls_of(i)
            if calls is None:
                yield from _called(i.body, in_lanes(i))
            elif vecmath.branches(calls.name, calls.dtype):
                yield calls.name, calls.dtype
        elif isinstance(i, While):
            yield from _called((*i.test, *i.body), False)
        elif isinstance(i, Branch):
            yield from _called(i.then, lanes)
            yield from _called(i.orelse, lanes)
