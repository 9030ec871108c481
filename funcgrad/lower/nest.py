"""How are folds carried through loops?  `Nest`: open loops over axes,
with accumulators from one iteration to the next.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np

from funcgrad.dtypes import code
from funcgrad.lower.loops import INDEX, Carry, Constant, Operand, Value
from funcgrad.lower.roots import Root
from funcgrad.lower.seams import Stretch
from funcgrad.lower.writer import Writer

BLOCK = 1024


@dataclass(slots=True)
class Accumulator:
    """A fold in progress: in `narrow` inside the innermost loop, in `wide` around it."""

    root: Root
    fold: str
    narrow: str
    wide: str

    def start(self, dtype: str) -> Constant:
        """The element that a fold starts from."""
        return Constant(neutral(self.fold, dtype), dtype)


def neutral(fold: str, dtype: str) -> bool | int | float:
    if fold in ("add", "or"):
        return False if dtype == "b1" else 0.0 if dtype[0] == "f" else 0
    if fold in ("mul", "and"):
        return True if dtype == "b1" else 1.0 if dtype[0] == "f" else 1
    highest = fold == "min"
    if dtype[0] == "f":
        return float("inf") if highest else float("-inf")
    if dtype == "b1":
        return highest
    limits = np.iinfo(np.dtype(dtype))
    return int(limits.max if highest else limits.min)


def accumulator(root: Root) -> Accumulator:
    """How a root folds."""
    fold = root.fold or "add"
    dtype = code(root.operands[0][0].type.dtype)
    if dtype == "b1":
        fold = {"max": "or", "min": "and"}.get(fold, fold)
    inexact = dtype[0] == "f" and fold in ("add", "mul")
    narrow = "f4" if dtype == "f2" and inexact else dtype
    return Accumulator(root, fold, narrow, "f8" if inexact else dtype)


class Nest:
    """Open loops over axes, with folds carried through them; `close` ends them and gives the folds' results.

    Of the innermost loop, only a `stretch` is walked through. With `narrow`, it folds in the accumulator's narrow dtype
    (from the neutral element) and the loops around it in the wide one; a long innermost loop is cut into blocks for
    this.
    """

    def __init__(
        self,
        writer: Writer,
        symbols: dict[int, Operand],
        roots: Sequence[Root],
        axes: Sequence[tuple[int, int]],
        folds: list[Accumulator],
        *,
        parallel: bool,
        narrow: bool = True,
        searches: Sequence[Root] = (),
        free: Container[int] = (),
        stretch: Stretch | None = None,
    ) -> None:
        self.writer, self.folds, self.narrow = writer, folds, narrow
        self.searches = list(searches)
        serial = ("scatter",) if narrow else ("scatter", "column")  # columns are added to row after row
        apart = not any(root.kind in serial for root in roots)
        self.independent = [apart or k in free for k, _ in axes]
        self.levels: list[tuple[Value, Operand, Operand, list[Value]]] = []
        self.found: list[Operand] = []
        for number, (k, n) in enumerate(axes):
            inner = number == len(axes) - 1
            shared = parallel and number == 0
            start, stop = self._range(n, shared, stretch if inner else None)
            if inner and stretch is not None:
                n = stretch.high - stretch.low
                if n == len(axes) == 1 and not shared and not searches:  # no loop
                    symbols[k] = start
                    continue
            if inner and narrow and folds and n > 2 * BLOCK:
                start, stop = self._open_block(start, stop)
            symbols[k] = self._open(start, stop, inner and narrow)
        self.axis = symbols[axes[-1][0]] if axes else None

    def _range(self, n: int, shared: bool, stretch: Stretch | None) -> tuple[Operand, Operand]:
        """From where to where a loop over `n` elements goes, or a stretch of it; calls of the kernel share one."""
        w = self.writer
        start, stop = (w.first, w.last) if shared else (Constant(0, INDEX), w.size(n))
        if stretch is None:
            return start, stop
        low, high = stretch
        if low:
            start = w.op("max", start, w.size(low)) if shared else w.size(low)
        if high < n:
            stop = w.op("min", stop, w.size(high)) if shared else w.size(high)
        return start, stop

    def _open_block(self, start: Operand, stop: Operand) -> tuple[Operand, Operand]:
        w, block = self.writer, Constant(BLOCK, INDEX)
        length = w.op("sub", stop, start)
        count = w.op("quotient", w.op("add", length, Constant(BLOCK - 1, INDEX)), block)
        number = self._open(Constant(0, INDEX), count, False)
        low = w.op("add", start, w.op("mul", number, block))
        return low, w.op("min", w.op("add", low, block), stop)

    def _open(self, start: Operand, stop: Operand, narrow: bool) -> Value:
        index = self.writer.open()
        inner = [self.writer.carried(acc.narrow if narrow else acc.wide) for acc in self.folds]
        inner += [v for root in self.searches for v in self._search_carries(root)]
        self.levels.append((index, start, stop, inner))
        return index

    def _search_carries(self, root: Root) -> list[Value]:
        dtype = code(root.operands[0][0].type.dtype)
        return [self.writer.carried(dtype), self.writer.carried(INDEX)]

    def close(self, values: Sequence[Operand], found: Sequence[Operand] = ()) -> list[Operand]:
        """End the loops."""
        if not self.levels:
            self.found = [x for value in found for x in (value, Constant(0, INDEX))]
            return [self.writer.cast(v, acc.wide) for v, acc in zip(values, self.folds, strict=True)]
        current = list(values)
        searching = self._searched(found) if self.searches else []
        for number in reversed(range(len(self.levels))):
            index, start, stop, inner = self.levels[number]
            innermost = number == len(self.levels) - 1
            narrow = innermost and self.narrow
            carries = self._fold_carries(number, inner, current, narrow)
            n = len(self.folds)
            pairs = zip(inner[n:], searching, strict=True)
            carries += [
                Carry(i, self._search_start(number, k), v, self.writer.result(i.dtype))
                for k, (i, v) in enumerate(pairs)
            ]
            apart = self.independent[min(number, len(self.independent) - 1)]
            self.writer.close(index, start, stop, carries, apart)
            current = [c.result for c in carries[:n]]
            searching = [c.result for c in carries[n:]]
            current = [self.writer.cast(v, acc.wide) for v, acc in zip(current, self.folds, strict=True)]
        self.found = searching
        return current

    def _fold_carries(self, number: int, inner: list[Value], current: list[Operand], narrow: bool) -> list[Carry]:
        carries = []
        for k, (acc, value) in enumerate(zip(self.folds, current, strict=True)):
            dtype = acc.narrow if narrow else acc.wide
            restarts = narrow or number == 0
            initial: Operand = acc.start(dtype) if restarts else self.levels[number - 1][3][k]
            if self._goes_on(number + 1):
                after, fold = value, None
            else:
                after, fold = self.writer.op(acc.fold, inner[k], self.writer.cast(value, dtype)), acc.fold
            carries.append(Carry(inner[k], initial, after, self.writer.result(dtype), fold))
        return carries

    def _goes_on(self, number: int) -> bool:
        """Whether loop `number` folds on from where the loop around it stands, rather than from the neutral element."""
        innermost = len(self.levels) - 1
        return number < innermost or (number == innermost and not self.narrow)

    def _search_start(self, number: int, k: int) -> Operand:
        if number:
            return self.levels[number - 1][3][len(self.folds) + k]
        root = self.searches[k // 2]
        dtype = code(root.operands[0][0].type.dtype)
        return Constant(0, INDEX) if k % 2 else Constant(neutral("max" if root.fold == "gt" else "min", dtype), dtype)

    def better(self, before: Sequence[Operand]) -> list[Operand]:
        """Of what searches found in an earlier part of the loop (values and places) and in this one, the better."""
        rows = zip(self.searches, before[::2], before[1::2], self.found[::2], self.found[1::2], strict=True)
        return [x for root, *pairs in rows for x in self._better(root, *pairs)]

    def _searched(self, found: Sequence[Operand]) -> list[Operand]:
        """The better of the best so far and the element at hand, and its place."""
        n, after = len(self.folds), []
        inner = self.levels[-1][3]
        for k, (root, value) in enumerate(zip(self.searches, found, strict=True)):
            assert self.axis is not None
            after += self._better(root, inner[n + 2 * k], inner[n + 2 * k + 1], value, self.axis)
        return after

    def _better(self, root: Root, best: Operand, place: Operand, value: Operand, here: Operand) -> list[Operand]:
        """The better of two values, and its place; the first NaN wins."""
        w = self.writer
        assert root.fold is not None
        better = w.op(root.fold, value, best)
        if value.dtype[0] == "f":
            better = w.op("or", better, w.op("and", w.op("ne", value, value), w.op("eq", best, best)))
        return [w.op("select", better, value, best), w.op("select", better, here, place)]
