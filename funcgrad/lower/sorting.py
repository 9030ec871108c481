"""How are lines put in order?  argsort of unsigned keys: by rank, by digits, or by digits in shared pieces; in buckets.

What argsort gets here are unsigned keys (`ops.sorting` has made them). Short lines count for each element those that
come before it. Longer ones are put in order of the lowest digit of their keys, then stably of the next one (H. H.
Seward's radix sort, 1954): counting how often each digit occurs says where its elements begin. Long lines are cut into
pieces, as sizes say and never as threads do, and each piece has its own counts.

Keys that are random bits (`arrange`) need one digit: it leaves buckets of about equal length, of which the caches hold
one, and a native routine puts each of them in order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from funcgrad.dtypes import code
from funcgrad.ir.program import Var
from funcgrad.ir.types import ArrayType
from funcgrad.lower.calls import WRITERS, Call
from funcgrad.lower.lines import LONG, Lines, kernel_step, load_here, number
from funcgrad.lower.loops import INDEX, Carry, Constant, Operand
from funcgrad.lower.schedule import KernelStep
from funcgrad.lower.writer import Writer

RANKED = 40  # elements of a line that is sorted by rank
PIECES = 8
FEW = 8  # lines that are not enough to share out
TASKS = 16  # pieces of work, each with its own scratch memory, that many lines are shared out in
WIDTH = 8  # bits of a digit; with 11, three passes in the place of four, too much memory is written to at a time
BUCKETS = 1 << WIDTH
SPREAD = 1 << 15  # elements of a line that the first cache does not hold
COUNT = "u4"
WORD = "u8"

Streams = list[Operand]
Read = Callable[[Operand], Streams]
Write = Callable[[Operand, Streams], None]


# argsort --------------------------------------------------------------------------------------------------------------


def argsort_kernels(call: Call) -> list[KernelStep] | None:
    """The kernels of an argsort of unsigned keys; none for an empty one."""
    kind, params = call.equation.inputs[0].type, call.equation.params  # the buffer may be another array, reshaped
    if not isinstance(call.inputs[0], Var) or 0 in kind.shape or kind.dtype.kind != "u" or params["descending"]:
        return None
    lines = Lines.along(kind.shape, params["dimension"])
    if lines.length >= 1 << 32:
        return None
    sorter = Sorter(call, lines)
    if lines.length <= RANKED:
        return [sorter.by_rank()]
    if lines.length < LONG or lines.count >= FEW:
        return [sorter.by_digits()]
    return sorter.in_pieces()


class Sorter:
    """Writes the kernels of one argsort.

    A key of up to four bytes is moved about in one word with the place that it comes from below it, a key of eight
    bytes in two.
    """

    def __init__(self, call: Call, lines: Lines) -> None:
        self.lines, self.call = lines, call
        self.x, *self.places = call.inputs
        (self.out,) = call.equation.outputs
        self.dtype = code(call.equation.inputs[0].type.dtype)
        self.packed = self.dtype != WORD
        bits = 8 * int(self.dtype[1:])
        self.digits = range(0, bits, WIDTH)
        self.fetch = lines.length >= SPREAD
        self.w = Writer()

    # Common parts -----------------------------------------------------------------------------------------------------

    def _written(self, var: Var) -> int:
        return self.w.buffer(var, code(var.type.dtype), written=True)

    def _keys(self, origin: Operand) -> Read:
        """Reads the operand."""
        w = self.w
        x, *places = w.buffer(self.x, self.dtype), *(w.buffer(p, INDEX) for p in self.places)

        def read(i: Operand) -> Streams:
            address = self.lines.place(w, origin, i)
            key = w.load(x, address)
            if not self.packed:
                return [key, w.cast(i, COUNT)]
            low = w.load(places[0], address) if places else i
            return [w.op("or", w.op("shl", w.cast(key, WORD), Constant(32, WORD)), w.cast(low, WORD))]

        return read

    def _into_result(self, origin: Operand) -> Write:
        w, out = self.w, self._written(self.out)

        def write(place: Operand, streams: Streams) -> None:
            low = w.op("and", streams[0], Constant((1 << 32) - 1, WORD)) if self.packed else streams[1]
            w.store(out, self.lines.place(w, origin, place), w.cast(low, INDEX), follows=self.fetch)

        return write

    def _from_scratch(self, scratch: Sequence[Var], base: Operand) -> Read:
        buffers = [self._written(v) for v in scratch]
        return lambda i: [load_here(self.w, b, self.w.op("add", base, i)) for b in buffers]

    def _into_scratch(self, scratch: Sequence[Var], base: Operand) -> Write:
        buffers = [self._written(v) for v in scratch]

        def write(place: Operand, streams: Streams) -> None:
            for b, value in zip(buffers, streams, strict=True):
                self.w.store(b, self.w.op("add", base, place), value, follows=self.fetch)

        return write

    def _scratch(self, size: int) -> list[Var]:
        dtypes = (WORD,) if self.packed else (WORD, COUNT)
        return [Var(ArrayType((size,), np.dtype(dtype))) for dtype in dtypes]

    def _digit(self, streams: Streams, which: int) -> Operand:
        w, low = self.w, self.digits[which]
        low += 32 if self.packed else 0
        shared = low < 56  # digits share kernels, but the highest one is what LLVM finds by itself in a key
        shift = w.cast(w.size(low, kind="shift"), WORD) if shared else Constant(low, WORD)
        return w.cast(w.op("and", w.op("shr", streams[0], shift), Constant(BUCKETS - 1, WORD)), INDEX)

    def _clear(self, counts: int, base: Operand, size: int) -> None:
        w = self.w
        i = w.open()
        w.store(counts, w.op("add", base, i), Constant(0, COUNT))
        w.close(i, number(0), number(size), [])

    def _take(self, counts: int, place: Operand) -> Operand:
        """The count at a place, which is then one more."""
        w = self.w
        before = load_here(w, counts, place)
        w.store(counts, place, w.op("add", before, Constant(1, COUNT)))
        return before

    def _count(self, counts: int, bases: dict[int, Operand], read: Read, start: Operand, stop: Operand) -> None:
        """Add up how often each digit occurs, `bases` being where the counts of which digit are."""
        w = self.w
        i = w.open()
        streams = read(i)
        for which, base in bases.items():
            self._take(counts, w.op("add", base, self._digit(streams, which)))
        w.close(i, start, stop, [], independent=False)

    def _scatter(
        self, counts: int, base: Operand, which: int, read: Read, write: Write, start: Operand, stop: Operand
    ) -> None:
        """Put every element where its digit's next one belongs."""
        w = self.w
        i = w.open()
        streams = read(i)
        place = self._take(counts, w.op("add", base, self._digit(streams, which)))
        write(w.cast(place, INDEX), streams)
        w.close(i, start, stop, [], independent=False)

    def _begin(self, counts: int, base: Operand, pieces: int) -> None:
        """Counts of the digits, piece after piece, as the places where they begin."""
        w = self.w
        b = w.open()
        outer = w.carried(COUNT)
        p = w.open()
        inner = w.carried(COUNT)
        place = w.op("add", w.op("add", base, w.op("mul", p, number(BUCKETS))), b)
        here = load_here(w, counts, place)
        w.store(counts, place, inner)
        carry = Carry(inner, outer, w.op("add", inner, here), w.result(COUNT))
        w.close(p, number(0), w.size(pieces), [carry], independent=False)
        around = Carry(outer, Constant(0, COUNT), carry.result, w.result(COUNT))
        w.close(b, number(0), number(BUCKETS), [around], independent=False)

    def _step(self, total: int, chunk: int) -> KernelStep:
        """The kernel written so far; the next one begins."""
        step = kernel_step(self.w, total, chunk)
        self.w = Writer()
        return step

    def _task(self) -> tuple[int, Operand]:
        """How many lines are one piece of work, and the number of the piece at hand."""
        chunk = self.lines.chunk(TASKS) or self.lines.count
        return chunk, self.w.op("quotient", self.w.first, self.w.size(chunk, kind="chunk"))

    # Short lines ------------------------------------------------------------------------------------------------------

    def by_rank(self) -> KernelStep:
        """Every element goes where the number of those that come before it says."""
        w, size = self.w, self.w.size(self.lines.length)
        x, out = w.buffer(self.x, self.dtype), self._written(self.out)
        line = w.open()
        origin = self.lines.origin(w, line)
        i = w.open()
        own = w.load(x, self.lines.place(w, origin, i))
        rank: Operand = Constant(0, self.dtype)
        for comparison, start, stop in (("le", number(0), i), ("lt", w.op("add", i, number(1)), size)):
            j = w.open()
            inner = w.carried(self.dtype)
            before = w.op(comparison, w.load(x, self.lines.place(w, origin, j)), own)
            after = w.op("add", inner, w.cast(before, self.dtype))
            carry = Carry(inner, rank, after, w.result(self.dtype), "add")
            w.close(j, start, stop, [carry])
            rank = carry.result
        w.store(out, self.lines.place(w, origin, w.cast(rank, INDEX)), i)
        w.close(i, number(0), size, [])
        w.close(line, w.first, w.last, [])
        return self._step(self.lines.count, self.lines.chunk())

    # Lines that one task sorts ----------------------------------------------------------------------------------------

    def by_digits(self) -> KernelStep:
        """Each line by itself, digit after digit; a digit that is the same in all of its elements is skipped."""
        w, n, passes = self.w, self.lines.length, len(self.digits)
        chunk, task = self._task()
        tasks = -(-self.lines.count // chunk)
        counts = self._written(Var(ArrayType((tasks * passes * BUCKETS,), np.dtype(COUNT))))
        scratch = self._scratch(tasks * 2 * n)
        base, home = w.op("mul", task, number(passes * BUCKETS)), w.op("mul", task, w.size(2 * n))
        bases = {d: w.op("add", base, number(d * BUCKETS)) for d in range(passes)}
        line = w.open()
        origin = self.lines.origin(w, line)
        read, size = self._keys(origin), w.size(n)
        self._clear(counts, base, passes * BUCKETS)
        self._count(counts, bases, read, number(0), size)
        same = self._constant_digits(counts, bases, read(number(0)), size)
        for d in range(passes):
            self._begin(counts, bases[d], 1)
        here: Operand = number(0)
        for d in range(passes):
            last = d == passes - 1
            source = self._from_scratch(scratch, w.op("add", home, here)) if d else read
            there = w.op("sub", size, here) if d else here
            write = self._into_result(origin) if last else self._into_scratch(scratch, w.op("add", home, there))
            stop = w.op("select", same[d], number(0), size) if d and not last else size
            self._scatter(counts, bases[d], d, source, write, number(0), stop)
            here = w.op("select", same[d], here, there) if d else there
        w.close(line, w.first, w.last, [], independent=False)
        return self._step(self.lines.count, chunk)

    def _constant_digits(self, counts: int, bases: dict[int, Operand], first: Streams, size: Operand) -> list[Operand]:
        """For each digit whether all elements have the one that the first of them has."""
        w, found = self.w, []
        for d, base in bases.items():
            alike = load_here(w, counts, w.op("add", base, self._digit(first, d)))
            found.append(w.op("eq", w.cast(alike, INDEX), size))
        return found

    # Lines in pieces --------------------------------------------------------------------------------------------------

    def in_pieces(self) -> list[KernelStep]:
        """Each digit in three kernels: pieces count, the counts become places, pieces move their elements."""
        n, count, passes = self.lines.length, self.lines.count, len(self.digits)
        pieces = min(-(-n // (LONG // 2)), PIECES)
        counted = Var(ArrayType((count * pieces * BUCKETS,), np.dtype(COUNT)))
        between = [self._scratch(count * n) for _ in range(min(passes - 1, 2))]
        steps = []
        for d in range(passes):
            source = between[(d - 1) % 2] if d else None
            target = between[d % 2] if d < passes - 1 else None
            steps.append(self._pieces_counted(d, counted, pieces, source))
            steps.append(self._places_found(counted, pieces))
            steps.append(self._pieces_moved(d, counted, pieces, source, target))
        return steps

    def _keys_alone(self, origin: Operand) -> Read:
        """Reads the upper halves of words."""
        w, x = self.w, self.w.buffer(self.x, self.dtype)

        def read(i: Operand) -> Streams:
            return [w.op("shl", w.cast(w.load(x, self.lines.place(w, origin, i)), WORD), Constant(32, WORD))]

        return read

    def in_buckets(self) -> list[KernelStep | Call]:
        """By the highest digit, in the three kernels of a digit; then each bucket by itself."""
        n, d = self.lines.length, len(self.digits) - 1
        pieces = min(-(-n // (LONG // 2)), PIECES)
        counted = Var(ArrayType((pieces * BUCKETS,), np.dtype(COUNT)))
        words = self._scratch(n)
        buckets = self.call.equation.replace(inputs=(*words, counted))
        return [
            self._pieces_counted(d, counted, pieces, None),
            self._places_found(counted, pieces),
            self._pieces_moved(d, counted, pieces, None, words),
            Call(buckets, (*words, counted), self.call.status),
        ]

    def _pieces_counted(self, d: int, counted: Var, pieces: int, source: list[Var] | None) -> KernelStep:
        w, counts, task = self.w, self._written(counted), self.w.open()
        read, base, line, start, stop = self._piece(task, pieces, source)
        if source is None and self.packed:
            read = self._keys_alone(self.lines.origin(w, line))
        self._clear(counts, base, BUCKETS)
        self._count(counts, {d: base}, read, start, stop)
        w.close(task, w.first, w.last, [])
        return self._step(self.lines.count * pieces, 1)

    def _pieces_moved(
        self, d: int, counted: Var, pieces: int, source: list[Var] | None, target: list[Var] | None
    ) -> KernelStep:
        w, counts, task = self.w, self._written(counted), self.w.open()
        read, base, line, start, stop = self._piece(task, pieces, source)
        if target is None:
            write = self._into_result(self.lines.origin(w, line))
        else:
            write = self._into_scratch(target, w.op("mul", line, w.size(self.lines.length)))
        self._scatter(counts, base, d, read, write, start, stop)
        w.close(task, w.first, w.last, [])
        return self._step(self.lines.count * pieces, 1)

    def _piece(
        self, task: Operand, pieces: int, source: list[Var] | None
    ) -> tuple[Read, Operand, Operand, Operand, Operand]:
        """What reads a piece's elements, where its counts are, its line, and where it begins and ends there."""
        w, n = self.w, self.lines.length
        line = w.op("quotient", task, w.size(pieces))
        length = w.size(-(-n // pieces))
        start = w.op("mul", w.op("sub", task, w.op("mul", line, w.size(pieces))), length)
        stop = w.op("min", w.op("add", start, length), w.size(n))
        if source is None:
            read = self._keys(self.lines.origin(w, line))
        else:
            read = self._from_scratch(source, w.op("mul", line, w.size(n)))
        return read, w.op("mul", task, number(BUCKETS)), line, start, stop

    def _places_found(self, counted: Var, pieces: int) -> KernelStep:
        w, counts, line = self.w, self._written(counted), self.w.open()
        self._begin(counts, w.op("mul", line, number(pieces * BUCKETS)), pieces)
        w.close(line, w.first, w.last, [])
        return self._step(self.lines.count, 0)


def arrange_steps(call: Call) -> list[KernelStep | Call] | None:
    """The kernels and the routine that put one long line in the order of random bits."""
    types = [a.type for a in call.equation.inputs]
    if (
        not all(isinstance(a, Var) for a in call.inputs)
        or types[0].size != types[0].shape[call.equation.params["dimension"]]
    ):
        return None
    return Sorter(call, Lines(1, types[0].size, 1)).in_buckets()


WRITERS["argsort"] = argsort_kernels
WRITERS["arrange"] = arrange_steps
