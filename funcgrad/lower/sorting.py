"""How are lines put in order?  argsort by rank or by digits, in shared pieces; the merging of sorted pieces; search.

What argsort gets are unsigned keys (`ops.sorting` has made them). Short lines count for each element those that come
before it. Longer ones are put in order of the lowest digit of their keys, then stably of the next one (H. H. Seward's
radix sort, 1954): counting how often each digit occurs says where its elements begin. Long lines are cut into pieces,
as sizes say and never as threads do, and each piece has its own counts.

Values are sorted by a native routine, line by line. A long line is sorted in pieces, which kernels then merge, two by
two: where each share of the result begins in both is found by bisection (S. Odeh et al., "Merge path", 2012).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from funcgrad.dtypes import code
from funcgrad.ir.program import Var
from funcgrad.ir.types import ArrayType
from funcgrad.lower.calls import WRITERS, Call
from funcgrad.lower.lines import PIECE, Lines, load_here, number
from funcgrad.lower.loops import INDEX, Carry, Constant, Operand
from funcgrad.lower.schedule import KernelStep
from funcgrad.lower.writer import Writer

RANKED = 40  # elements of a line that is sorted by rank
LONG = 1 << 17  # elements of a line that is cut into pieces
PIECES = 8
FEW = 8  # lines that are not enough to share out
TASKS = 16  # pieces of work, each with its own scratch memory, that many lines are shared out in
COUNT = "u4"
WORD = "u8"

Streams = list[Operand]
Read = Callable[[Operand], Streams]
Write = Callable[[Operand, Streams], None]


# argsort --------------------------------------------------------------------------------------------------------------


def argsort_kernels(call: Call) -> list[KernelStep] | None:
    """The kernels of an argsort of unsigned keys; none for an empty one."""
    (x,) = call.inputs
    params = call.equation.params
    if not isinstance(x, Var) or 0 in x.type.shape or x.type.dtype.kind != "u" or params["descending"]:
        return None
    lines = Lines.along(x.type.shape, params["dimension"])
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
        self.lines = lines
        (self.x,) = call.inputs
        (self.out,) = call.equation.outputs
        self.dtype = code(self.x.type.dtype)
        self.packed = self.dtype != WORD
        bits = 8 * int(self.dtype[1:])
        width = 8 if lines.length < 4096 or bits <= 8 else 11
        self.digits = [(low, min(width, bits - low)) for low in range(0, bits, width)]
        self.buckets = 1 << min(width, bits)
        self.w = Writer()

    # Common parts -----------------------------------------------------------------------------------------------------

    def _written(self, var: Var) -> int:
        return self.w.buffer(var, code(var.type.dtype), written=True)

    def _keys(self, origin: Operand) -> Read:
        """Reads the operand."""
        w = self.w
        x = w.buffer(self.x, self.dtype)

        def read(i: Operand) -> Streams:
            key = w.load(x, self.lines.place(w, origin, i))
            if not self.packed:
                return [key, w.cast(i, COUNT)]
            return [w.op("or", w.op("shl", w.cast(key, WORD), Constant(32, WORD)), w.cast(i, WORD))]

        return read

    def _into_result(self, origin: Operand) -> Write:
        w, out = self.w, self._written(self.out)

        def write(place: Operand, streams: Streams) -> None:
            low = w.op("and", streams[0], Constant((1 << 32) - 1, WORD)) if self.packed else streams[1]
            w.store(out, self.lines.place(w, origin, place), w.cast(low, INDEX))

        return write

    def _from_scratch(self, scratch: Sequence[Var], base: Operand) -> Read:
        buffers = [self._written(v) for v in scratch]
        return lambda i: [load_here(self.w, b, self.w.op("add", base, i)) for b in buffers]

    def _into_scratch(self, scratch: Sequence[Var], base: Operand) -> Write:
        buffers = [self._written(v) for v in scratch]

        def write(place: Operand, streams: Streams) -> None:
            for b, value in zip(buffers, streams, strict=True):
                self.w.store(b, self.w.op("add", base, place), value)

        return write

    def _scratch(self, size: int) -> list[Var]:
        dtypes = (WORD,) if self.packed else (WORD, COUNT)
        return [Var(ArrayType((size,), np.dtype(dtype))) for dtype in dtypes]

    def _digit(self, streams: Streams, which: int) -> Operand:
        w, (low, width) = self.w, self.digits[which]
        shift = w.cast(w.size(low + (32 if self.packed else 0), kind="shift"), WORD)  # so that digits share kernels
        mask = w.cast(w.size((1 << width) - 1, kind="mask"), WORD)
        return w.cast(w.op("and", w.op("shr", streams[0], shift), mask), INDEX)

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
        place = w.op("add", w.op("add", base, w.op("mul", p, number(self.buckets))), b)
        here = load_here(w, counts, place)
        w.store(counts, place, inner)
        carry = Carry(inner, outer, w.op("add", inner, here), w.result(COUNT))
        w.close(p, number(0), w.size(pieces), [carry], independent=False)
        around = Carry(outer, Constant(0, COUNT), carry.result, w.result(COUNT))
        w.close(b, number(0), number(self.buckets), [around], independent=False)

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
        counts = self._written(Var(ArrayType((tasks * passes * self.buckets,), np.dtype(COUNT))))
        scratch = self._scratch(tasks * 2 * n)
        base, home = w.op("mul", task, number(passes * self.buckets)), w.op("mul", task, w.size(2 * n))
        bases = {d: w.op("add", base, number(d * self.buckets)) for d in range(passes)}
        line = w.open()
        origin = self.lines.origin(w, line)
        read, size = self._keys(origin), w.size(n)
        self._clear(counts, base, passes * self.buckets)
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
        counted = Var(ArrayType((count * pieces * self.buckets,), np.dtype(COUNT)))
        between = [self._scratch(count * n) for _ in range(min(passes - 1, 2))]
        steps = []
        for d in range(passes):
            source = between[(d - 1) % 2] if d else None
            target = between[d % 2] if d < passes - 1 else None
            steps.append(self._pieces_counted(d, counted, pieces, source))
            steps.append(self._places_found(counted, pieces))
            steps.append(self._pieces_moved(d, counted, pieces, source, target))
        return steps

    def _pieces_counted(self, d: int, counted: Var, pieces: int, source: list[Var] | None) -> KernelStep:
        w, counts, task = self.w, self._written(counted), self.w.open()
        read, base, _, start, stop = self._piece(task, pieces, source)
        self._clear(counts, base, self.buckets)
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
        return read, w.op("mul", task, number(self.buckets)), line, start, stop

    def _places_found(self, counted: Var, pieces: int) -> KernelStep:
        w, counts, line = self.w, self._written(counted), self.w.open()
        self._begin(counts, w.op("mul", line, number(pieces * self.buckets)), pieces)
        w.close(line, w.first, w.last, [])
        return self._step(self.lines.count, 0)


def kernel_step(w: Writer, total: int, chunk: int) -> KernelStep:
    """What was written, to be run over `total` tasks."""
    return KernelStep(w.kernel(), tuple(w.keys), tuple(w.size_values), total, chunk if chunk < total else 0, group=None)


# Sorted pieces merged -------------------------------------------------------------------------------------------------

SHARE = 1 << 16  # elements of the result that one task merges ...
CHAINS = 4  # ... in so many stretches side by side, so that none waits for another's comparison


def sort_steps(call: Call) -> list[KernelStep | Call] | None:
    """A long line's sort in pieces, and the merging of the pieces; none for shorter lines."""
    (x,), (out,), params = call.inputs, call.equation.outputs, call.equation.params
    if not isinstance(x, Var) or x.type.dtype.kind not in "iuf" or x.type.dtype.itemsize < 4:
        return None
    n, count = x.type.shape[-1], math.prod(x.type.shape[:-1])
    if params["dimension"] != x.type.ndim - 1 or params["descending"] or n < LONG or not 0 < count < FEW:
        return None
    levels = 1 if n < 1 << 20 else 2 if n < 1 << 23 else 3
    between = Var(x.type.with_shape(x.type.shape))
    runs = [between if (levels - k) % 2 else out for k in range(levels + 1)]  # to and fro, so that the last is `out`
    pieces = call.equation.replace(inputs=(x,), outputs=(runs[0],), params={**params, "pieces": 1 << levels})
    steps: list[KernelStep | Call] = [Call(pieces, (x,), call.status)]
    for level in range(levels):
        steps.append(Merger(runs[level], runs[level + 1], n, -(-n // (1 << levels)) << level).step(count))
    return steps


class Merger:
    """Writes the kernel that merges sorted runs two by two; each task makes a share of the result of one pair."""

    def __init__(self, source: Var, target: Var, n: int, length: int) -> None:
        self.w = Writer()
        self.length, self.dtype = length, code(source.type.dtype)
        self.runs = self.w.buffer(source, self.dtype)
        self.out = self.w.buffer(target, self.dtype, written=True)
        self.n, self.size = n, self.w.size(n)

    def step(self, count: int) -> KernelStep:
        """The kernel, over all shares of all pairs of `count` lines."""
        w, pairs = self.w, -(-self.n // (2 * self.length))
        shares = -(-2 * self.length // SHARE)
        task = w.open()
        line, within = self._divided(task, pairs * shares)
        pair, share = self._divided(within, shares)
        home = w.op("mul", line, self.size)
        first = w.op("mul", pair, w.size(2 * self.length))
        middle = w.op("min", w.op("add", first, w.size(self.length)), self.size)
        last = w.op("min", w.op("add", first, w.size(2 * self.length)), self.size)
        start = w.op("add", first, w.op("mul", share, w.size(SHARE)))
        stop = w.op("min", w.op("add", start, w.size(SHARE)), last)
        self._merge(home, (first, middle, last), start, stop)
        w.close(task, w.first, w.last, [])
        return kernel_step(w, count * pairs * shares, 1)

    def _divided(self, number_: Operand, by: int) -> tuple[Operand, Operand]:
        w = self.w
        quotient = w.op("quotient", number_, w.size(by))
        return quotient, w.op("sub", number_, w.op("mul", quotient, w.size(by)))

    def _address(self, home: Operand, i: Operand) -> Operand:
        """The address of an element of the runs; past the end, that of the last one (which is not used then)."""
        w = self.w
        return w.op("add", home, w.op("min", i, w.op("sub", self.size, number(1))))

    def _load(self, home: Operand, i: Operand) -> Operand:
        return self.w.load(self.runs, self._address(home, i))

    def _merge(self, home: Operand, ends: tuple[Operand, Operand, Operand], start: Operand, stop: Operand) -> None:
        """Stretches of equal length, of which the last ones may overlap, element by element."""
        w, (_, middle, last) = self.w, ends
        length = w.op("quotient", w.op("add", w.op("sub", stop, start), number(CHAINS - 1)), number(CHAINS))
        places = [
            w.op("min", w.op("add", start, w.op("mul", length, number(k))), w.op("sub", stop, length))
            for k in range(CHAINS)
        ]
        begins = [self._taken_before(home, ends, place) for place in places]
        step = w.open()
        carries = []
        for place, begin in zip(places, begins, strict=True):
            i = w.carried(INDEX)
            at = w.op("add", place, step)
            j = w.op("sub", w.op("add", at, middle), i)
            near, far = self._address(home, i), self._address(home, j)
            x, y = w.load(self.runs, near), w.load(self.runs, far)
            second = w.op("or", w.op("ge", i, middle), w.op("and", w.op("lt", j, last), comes_before(w, y, x)))
            # choosing the address and reading again: a choice between two floats would be a jump
            w.store(self.out, w.op("add", home, at), w.load(self.runs, w.op("select", second, far, near)))
            after = w.op("add", i, w.op("cast", w.op("not", second), dtype=INDEX))
            carries.append(Carry(i, begin, after, w.result(INDEX)))
        w.close(step, number(0), length, carries)

    def _taken_before(self, home: Operand, ends: tuple[Operand, Operand, Operand], place: Operand) -> Operand:
        """Where the first run stands when the result has come to a place, by bisection."""
        w, (first, middle, last) = self.w, ends
        done = w.op("sub", place, first)
        low = w.op("max", first, w.op("sub", w.op("add", first, done), w.op("sub", last, middle)))
        high = w.op("min", w.op("add", first, done), middle)
        round_ = w.open()
        least, most = w.carried(INDEX), w.carried(INDEX)
        between = w.op("add", least, w.op("quotient", w.op("sub", most, least), number(2)))
        other = w.op("sub", w.op("sub", w.op("add", place, middle), between), number(1))
        x, y = self._load(home, between), self._load(home, w.op("max", other, number(0)))
        open_ = w.op("lt", least, most)
        passed = w.op("and", open_, w.op("not", comes_before(w, y, x)))
        stays = w.op("and", open_, comes_before(w, y, x))
        carries = [
            Carry(least, low, w.op("select", passed, w.op("add", between, number(1)), least), w.result(INDEX)),
            Carry(most, high, w.op("select", stays, between, most), w.result(INDEX)),
        ]
        w.close(round_, number(0), w.size(self.length.bit_length() + 1), carries)
        return carries[0].result


def comes_before(w: Writer, x: Operand, y: Operand) -> Operand:
    """Whether `x` stands before `y` in order: NaN comes last."""
    if x.dtype[0] != "f":
        return w.op("lt", x, y)
    return w.op("and", w.op("not", w.op("le", y, x)), w.op("eq", x, x))


# searchsorted ---------------------------------------------------------------------------------------------------------


def search_kernels(call: Call) -> list[KernelStep] | None:
    """Bisection for each number that is looked for; none where there are none."""
    ordered, query = call.inputs
    (out,), params = call.equation.outputs, call.equation.params
    if not isinstance(ordered, Var) or not query.type.size or ordered.type.dtype.kind not in "biuf":
        return None
    w, dtype, n = Writer(), code(ordered.type.dtype), ordered.type.shape[-1]
    places, found = w.buffer(ordered, dtype), w.buffer(out, "i8", written=True)
    each = query.type.size // math.prod(ordered.type.shape[:-1])
    task = w.open()
    home = w.op("mul", w.op("quotient", task, w.size(each)), w.size(n)) if params["batch_ndim"] else number(0)
    if not isinstance(query, Var):
        return None
    wanted = w.load(w.buffer(query, dtype), task)
    round_ = w.open()
    least, length = w.carried(INDEX), w.carried(INDEX)
    half = w.op("quotient", w.op("add", length, number(1)), number(2))
    probe = w.op("sub", w.op("add", least, half), number(1))
    inside = w.op("min", probe, w.size(max(n - 1, 0)))
    x = w.load(places, w.op("add", home, inside))
    passed = comes_before(w, x, wanted) if params["side"] == "left" else w.op("not", comes_before(w, wanted, x))
    passed = w.op("and", passed, w.op("gt", length, number(0)))
    carries = [
        Carry(least, number(0), w.op("select", passed, w.op("add", least, half), least), w.result(INDEX)),
        Carry(
            length,
            w.size(n),
            w.op("select", passed, w.op("sub", length, half), w.op("sub", half, w.op("min", length, number(1)))),
            w.result(INDEX),
        ),
    ]
    w.close(round_, number(0), w.size(n.bit_length() + 1 if n else 0), carries)
    w.store(found, task, carries[0].result)
    w.close(task, w.first, w.last, [])
    return [kernel_step(w, query.type.size, -(-PIECE // max(n.bit_length(), 1)))]


WRITERS["argsort"] = argsort_kernels
WRITERS["searchsorted"] = search_kernels
WRITERS["sort"] = sort_steps
