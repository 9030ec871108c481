"""How are cumulative sums, products, extrema and recurrences computed?  As kernels over lines.

Along lines whose elements are far apart, whole rows are folded at once, each onto the row before. Otherwise a line is
walked through. What is associative is folded a vector at a time where elements are neighbours (`compile.scans`), else
in blocks of `CHAINS` chains, each of which starts from the fold of those before it, so that no element waits for its
neighbour. Long lines are a native routine's, that reads them once (`compile.native.scanning`); those whose elements
are narrow or no neighbours are cut into pieces, as sizes say and never as threads do: a first kernel folds each piece,
a second one starts every piece from the folds of those before. Sums of floats are added up in float64 and rounded once
per element.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from funcgrad.dtypes import code
from funcgrad.ir.program import Var
from funcgrad.ir.types import ArrayType
from funcgrad.lower.calls import WRITERS, Call, is_native
from funcgrad.lower.lines import PIECE, Lines, number
from funcgrad.lower.loops import Carry, Constant, Operand, Value
from funcgrad.lower.nest import neutral
from funcgrad.lower.schedule import KernelStep
from funcgrad.lower.writer import Writer

CHAINS, LINK = 8, 64  # chains of a block, elements of a chain
BLOCK = CHAINS * LINK
LONG = 1 << 16  # elements of a piece of a line
MOST = 256  # pieces of a line
FEW = 16  # lines that are not enough to share out
NARROW = 8  # elements between those of a line, from which on rows are folded
TILE = 2048  # columns of a row that are folded together

FOLDS = {"cumsum": "add", "cummax": "max", "cummin": "min"}
WIDE = {"f4": "f8", "f2": "f4"}  # what floats are added up in
ROUTINE = frozenset({"f4", "f8", "i4", "u4", "i8", "u8"})  # elements of long lines that a native routine folds
KEPT = 1 << 16  # bytes of what it keeps of a block of such a line

State = tuple[Operand, ...]
Advance = Callable[[Writer, State, Sequence[Operand]], State]


def kernels(call: Call) -> Sequence[KernelStep | Call] | None:
    """The kernels of a cumulative operation; none for an empty one."""
    shape, params = call.equation.outputs[0].type.shape, call.equation.params
    lines = Lines.along(shape, params["axis"], params["reverse"])
    if 0 in shape or not is_native(call.equation) or not all(isinstance(a, Var) for a in call.inputs):
        return None
    if lines.inner >= NARROW:
        return [_over_rows(call, lines)]
    if call.equation.primitive.name in FOLDS:
        return _in_chains(call, lines)
    return [_one_by_one(call, lines)]


# From one element, or one row, to the next ----------------------------------------------------------------------------


def _logsumexp_terms(w: Writer, largest: Operand, x: Operand) -> tuple[Operand, Operand]:
    """The larger of two numbers, and ``exp`` of their distance, downwards (0 between equal infinities)."""
    apart = w.op("abs", w.op("sub", largest, x))
    apart = w.op("select", w.op("eq", largest, x), Constant(0.0, x.dtype), apart)
    return w.op("max", largest, x), w.op("exp", w.op("neg", apart))


def _next_logsumexp(w: Writer, before: Operand, operands: Sequence[Operand]) -> Operand:
    largest, rest = _logsumexp_terms(w, before, operands[0])
    return w.op("add", largest, w.op("log1p", rest))


def _next_value(w: Writer, name: str, before: Operand, operands: Sequence[Operand]) -> Operand:
    """What stands at the next place, from what stands before and from the operands there."""
    if name == "linear_recurrence":
        return w.op("add", w.op("mul", operands[0], before), operands[1])
    if name == "cumlogsumexp":
        return _next_logsumexp(w, before, operands)
    return w.op(_fold_of(name, before.dtype), before, operands[0])


def _first_value(w: Writer, name: str, operands: Sequence[Operand]) -> Operand:
    """What stands at the first place: of a recurrence the factor counts too, which may be infinite or NaN."""
    if name == "linear_recurrence":
        return _next_value(w, name, Constant(0.0, operands[0].dtype), operands)
    return operands[-1]


def _fold_of(name: str, dtype: str) -> str:
    fold = FOLDS.get(name, "mul")
    return {"max": "or", "min": "and"}.get(fold, fold) if dtype == "b1" else fold


def _begin(name: str, dtype: str) -> State:
    """What a line starts from."""
    if name == "linear_recurrence":
        return (Constant(0.0, dtype),)
    if name == "cumlogsumexp":  # the largest so far, and the sum of all exp(x - largest)
        return Constant(-math.inf, dtype), Constant(0.0, dtype)
    fold = FOLDS.get(name, "mul")
    return (Constant(neutral(fold, dtype), dtype),)


def _advance(w: Writer, name: str, state: State, operands: Sequence[Operand]) -> State:
    if name != "cumlogsumexp":
        return (_next_value(w, name, state[0], operands),)
    (x,), (before, total) = operands, state
    largest, rest = _logsumexp_terms(w, before, x)
    grown = w.op("add", w.op("mul", total, rest), Constant(1.0, x.dtype))
    return largest, w.op("select", w.op("gt", x, before), grown, w.op("add", total, rest))


def _shown(w: Writer, name: str, state: State) -> Operand:
    return state[0] if name != "cumlogsumexp" else w.op("add", state[0], w.op("log", state[1]))


# One element after another --------------------------------------------------------------------------------------------


class _Kernel:
    """One kernel being written, over the lines or pieces of the outermost loop."""

    def __init__(self, call: Call, lines: Lines) -> None:
        self.w, self.lines, self.call = Writer(), lines, call
        self.name = call.equation.primitive.name
        self.dtype = code(call.equation.outputs[0].type.dtype)
        self.x = [self.w.buffer(v, self.dtype) for v in call.inputs]

    def writes(self, var: Var) -> int:
        """A buffer that the kernel writes to."""
        return self.w.buffer(var, code(var.type.dtype), written=True)

    def result(self) -> int:
        """The buffer of the result."""
        return self.writes(self.call.equation.outputs[0])

    def operands(self, place: Operand) -> list[Operand]:
        """The operands' elements at an address."""
        return [self.w.load(x, place) for x in self.x]

    def step(self, task: Value, total: int, chunk: int) -> KernelStep:
        """The kernel, its outermost loop closed."""
        self.w.close(task, self.w.first, self.w.last, [])
        return KernelStep(self.w.kernel(), tuple(self.w.keys), tuple(self.w.size_values), total, chunk, None)


def _one_by_one(call: Call, lines: Lines) -> KernelStep:
    """Each line from its first element to its last."""
    k = _Kernel(call, lines)
    w, out = k.w, k.result()
    line = w.open()
    origin = lines.origin(w, line)
    begin = _begin(k.name, k.dtype)
    i = w.open()
    state = [w.carried(k.dtype) for _ in begin]
    place = lines.place(w, origin, i)
    after = _advance(w, k.name, tuple(state), k.operands(place))
    w.store(out, place, _shown(w, k.name, after))
    carries = [Carry(s, b, a, w.result(k.dtype)) for s, b, a in zip(state, begin, after, strict=True)]
    w.close(i, number(0), w.size(lines.length), carries)
    return k.step(line, lines.count, lines.chunk())


def _over_rows(call: Call, lines: Lines) -> KernelStep:
    """Each row from the one before: a task is a tile of columns, from the first row to the last."""
    k = _Kernel(call, lines)
    w, out = k.w, k.result()
    tile = min(TILE, lines.inner)
    tiles = -(-lines.inner // tile)
    task = w.open()
    outer = w.op("quotient", task, w.size(tiles))
    low = w.op("mul", w.op("sub", task, w.op("mul", outer, w.size(tiles))), w.size(tile))
    high = w.op("min", w.op("add", low, w.size(tile)), w.size(lines.inner))
    first = w.op("mul", outer, w.size(lines.length * lines.inner))
    origin = w.op("add", first, w.size((lines.length - 1) * lines.inner if lines.reverse else 0))
    j = w.open()
    place = w.op("add", origin, j)
    w.store(out, place, _first_value(w, k.name, k.operands(place)))
    w.close(j, low, high, [])
    i = w.open()
    row = lines.place(w, origin, i)
    above = w.op("add" if lines.reverse else "sub", row, w.size(lines.inner))
    j = w.open()
    place = w.op("add", row, j)
    before = w.load(out, w.op("add", above, j))
    w.store(out, place, _next_value(w, k.name, before, k.operands(place)))
    w.close(j, low, high, [])
    w.close(i, number(1), w.size(lines.length), [], independent=False)
    total = lines.outer * tiles
    chunk = -(-PIECE // (lines.length * tile))
    return k.step(task, total, chunk if chunk < total else 0)


# In blocks of chains --------------------------------------------------------------------------------------------------


def _in_chains(call: Call, lines: Lines) -> Sequence[KernelStep | Call]:
    """An associative fold: one kernel, or two for lines that are cut into pieces, or a routine with a place for its
    state.
    """
    if lines.length < 2 * LONG or lines.count >= FEW:
        return [_Chains(call, lines).scan(None, lines.length)]
    own = code(call.equation.outputs[0].type.dtype)
    if lines.inner == 1 and own in ROUTINE:
        size = int((WIDE.get(own, own) if call.equation.primitive.name == "cumsum" else own)[1:])
        blocks = -(-lines.length // (KEPT // size)) * lines.count
        state = Var(ArrayType((8 + 3 * blocks,), np.dtype(np.int64)))  # of all and of each
        equation = call.equation.replace(inputs=(*call.equation.inputs, state))
        return [Call(equation, (*call.inputs, state), call.status)]
    share = -(-lines.length // (MOST * BLOCK)) * BLOCK
    length = max(LONG, share)
    pieces = -(-lines.length // length)
    wide = WIDE.get(code(call.equation.outputs[0].type.dtype)) if call.equation.primitive.name == "cumsum" else None
    dtype = np.dtype(wide or code(call.equation.outputs[0].type.dtype))
    folds = Var(ArrayType((lines.count, pieces), dtype))
    return [_Chains(call, lines).fold_pieces(folds, length), _Chains(call, lines).scan(folds, length)]


class _Chains(_Kernel):
    """The kernels of an associative fold."""

    def __init__(self, call: Call, lines: Lines) -> None:
        super().__init__(call, lines)
        self.fold = _fold_of(self.name, self.dtype)
        self.wide = WIDE.get(self.dtype, self.dtype) if self.fold == "add" else self.dtype
        self.neutral = Constant(neutral(FOLDS[self.name], self.wide), self.wide)

    def fold_pieces(self, folds: Var, length: int) -> KernelStep:
        """The fold of every piece."""
        w, results = self.w, self.writes(folds)
        task = w.open()
        _, origin, start, stop = self._piece(task, folds.type.shape[1], length)
        w.store(results, task, self._folded(origin, start, stop))
        return self.step(task, folds.type.size, 1)

    def scan(self, folds: Var | None, length: int) -> KernelStep:
        """The fold so far, at every place."""
        w, out = self.w, self.result()
        pieces = 1 if folds is None else folds.type.shape[1]
        task = w.open()
        piece, origin, start, stop = self._piece(task, pieces, length)
        running: Operand = self.neutral
        if folds is not None:
            running = self._before(folds, w.op("sub", task, piece), task)
        if self.lines.inner == 1 or length < BLOCK:
            self._walk(out, origin, [start], w.op("sub", stop, start), [running])
        else:
            blocks = w.op("quotient", w.op("sub", stop, start), number(BLOCK))
            running = self._blocks(out, origin, start, blocks, running)
            rest = w.op("add", start, w.op("mul", blocks, number(BLOCK)))
            self._walk(out, origin, [rest], w.op("sub", stop, rest), [running])
        if folds is None:
            return self.step(task, self.lines.count, self.lines.chunk())
        return self.step(task, folds.type.size, 1)

    def _piece(self, task: Value, pieces: int, length: int) -> tuple[Operand, Operand, Operand, Operand]:
        """The number of a piece within its line, the line's address, and where the piece begins and ends."""
        w = self.w
        if pieces == 1:
            return number(0), self.lines.origin(w, task), number(0), w.size(self.lines.length)
        line = w.op("quotient", task, w.size(pieces))
        piece = w.op("sub", task, w.op("mul", line, w.size(pieces)))
        start = w.op("mul", piece, w.size(length))
        stop = w.op("min", w.op("add", start, w.size(length)), w.size(self.lines.length))
        return piece, self.lines.origin(w, line), start, stop

    def _before(self, folds: Var, first: Operand, last: Operand) -> Operand:
        """The fold of the line's earlier pieces, in order."""
        w, buffer = self.w, self.w.buffer(folds, self.wide)
        q = w.open()
        inner = w.carried(self.wide)
        after = w.op(self.fold, inner, w.load(buffer, q))
        carry = Carry(inner, self.neutral, after, w.result(self.wide))
        w.close(q, first, last, [carry])
        return carry.result

    def _element(self, origin: Operand, i: Operand) -> Operand:
        return self.w.cast(self.w.load(self.x[0], self.lines.place(self.w, origin, i)), self.wide)

    def _folded(self, origin: Operand, start: Operand, stop: Operand) -> Operand:
        """The fold of a stretch, in lanes."""
        w = self.w
        i = w.open()
        inner = w.carried(self.wide)
        after = w.op(self.fold, inner, self._element(origin, i))
        carry = Carry(inner, self.neutral, after, w.result(self.wide), self.fold)
        w.close(i, start, stop, [carry])
        return carry.result

    def _blocks(self, out: int, origin: Operand, start: Operand, blocks: Operand, running: Operand) -> Operand:
        """Whole blocks of chains; the fold after them."""
        w = self.w
        b = w.open()
        inner = w.carried(self.wide)
        begin = w.op("add", start, w.op("mul", b, number(BLOCK)))
        firsts = [w.op("add", begin, number(k * LINK)) for k in range(CHAINS)]
        state: list[Operand] = [inner]
        for first in firsts[:-1]:
            stretch = self._folded(origin, first, w.op("add", first, number(LINK)))
            state.append(w.op(self.fold, state[-1], stretch))
        after = self._walk(out, origin, firsts, number(LINK), state)
        carry = Carry(inner, running, after, w.result(self.wide))
        w.close(b, number(0), blocks, [carry])
        return carry.result

    def _walk(self, out: int, origin: Operand, firsts: list[Operand], count: Operand, state: list[Operand]) -> Operand:
        """Some chains of equal length, element by element, side by side; what the last one ends with."""
        w = self.w
        i = w.open()
        inner = [w.carried(self.wide) for _ in firsts]
        carries = []
        for first, before, begin in zip(firsts, inner, state, strict=True):
            place = self.lines.place(w, self.lines.place(w, origin, first), i)
            after = w.op(self.fold, before, w.cast(w.load(self.x[0], place), self.wide))
            w.store(out, place, w.cast(after, self.dtype))
            fold = self.fold if len(firsts) == 1 else None  # one chain may run in lanes
            carries.append(Carry(before, begin, after, w.result(self.wide), fold))
        w.close(i, number(0), count, carries)
        return carries[-1].result


for _name in ("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp", "linear_recurrence"):
    WRITERS[_name] = kernels
