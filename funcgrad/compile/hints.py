"""What do LLVM's loop passes have to know of a loop?"""

from __future__ import annotations

from collections.abc import Iterator

from funcgrad.compile import functions
from funcgrad.lower.loops import Constant, Loop, Op, walk
from funcgrad.lower.scalar import MATHEMATICS

SHORT = 4  # iterations: constant loops up to here unroll ...
ODD, UNROLLED = 15, 256  # ... and up to here those that fill no vectors, if they come to no more instructions
LIGHT = 8  # instructions: reductions up to here are bound by the latency of one of them


def hints(loop: Loop) -> Iterator[str]:
    """The metadata about a loop.

    Interleaving and run-time unrolling double the time to compile and gain nothing in a loop that maps, or that
    computes little; a short reduction waits for its own last result, and a short constant loop should vanish. Two
    functions or more are a fifth faster when the constants of their polynomials serve two vectors at a time;
    ciphers, one long chain of operations each (`ops.random`), by 30 % with two and 45 % with four at a time, and
    nearly twice as fast where vectors are full of their words although other numbers are longer.
    """
    if any(isinstance(i, Loop) for i in loop.body):  # if these unroll: strided lanes cost more than they give
        yield '!{!"llvm.loop.vectorize.enable", i1 false}'
        yield '!{!"llvm.loop.unroll.disable"}'
    elif not _is_short(loop):
        yield '!{!"llvm.loop.unroll.disable"}'
        if not _is_light_reduction(loop):
            yield f'!{{!"llvm.loop.interleave.count", i32 {_vectors_at_a_time(loop)}}}'
            if functions.of_ciphers(loop):
                yield f'!{{!"llvm.loop.vectorize.width", i32 {functions.words_at_a_time()}}}'
            elif functions.ends_under_a_mask(loop):
                yield '!{!"llvm.loop.vectorize.predicate.enable", i1 true}'


def _is_short(loop: Loop) -> bool:
    """Whether a loop is one of few iterations, without mathematics (whose code is long enough as it is).

    One that fills no vectors would take masks for its last ones: stores under a mask cost ten times others on AMD.
    """
    if not (isinstance(loop.start, Constant) and isinstance(loop.stop, Constant)):
        return False
    count = int(loop.stop.value - loop.start.value)
    body = list(walk(loop.body))
    if any(isinstance(i, Op) and i.name in MATHEMATICS for i in body):
        return False
    odd = count <= ODD and count.bit_count() > 1
    return count <= SHORT or (odd and count * len(body) <= UNROLLED)


def _vectors_at_a_time(loop: Loop) -> int:
    names = [i.name for i in loop.body if isinstance(i, Op)]
    mathematics = sum(name in MATHEMATICS for name in names)
    if names.count("xor") >= functions.CIPHER:
        return 2 if mathematics or names.count("xor") >= 2 * functions.CIPHER else 4
    return 2 if mathematics >= 2 else 1


def _is_light_reduction(loop: Loop) -> bool:
    work = [instruction for instruction in walk(loop.body) if isinstance(instruction, Op)]
    return (
        any(carry.reduction for carry in loop.carries)
        and len(work) <= LIGHT
        and not any(op.name in MATHEMATICS for op in work)
    )
