"""What if each row needs mathematics of its own?  Rows in blocks:
what is computed once per row is computed for a block at a time, in lanes.

A logistic regression folds each row of its data to a number, takes exponentials and logarithms of that number, and
adds the row back weighted: between two passes over short rows stand scalar instructions that cost more than both. So
a block of rows is folded first, then the numbers of all its rows are worked on by one vectorised loop, then the block
is walked through again, while it is in the cache. Mathematics that several passes need (the exponentials of a
softmax) is kept from the first to the last of them.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from funcgrad.lower.kernels import GroupWriter
from funcgrad.lower.loops import INDEX, Carry, Constant, Operand, Value
from funcgrad.lower.nest import Accumulator, accumulator
from funcgrad.lower.roots import Root, natural_index
from funcgrad.lower.values import Key

MOST_ROWS, LEAST_ROWS, ELEMENTS = 64, 2, 4096
LANES, FEW = 8, 2048  # rows that lanes no longer make up for, and the elements of a block of so few


def rows_per_block(columns: int) -> int:
    """A power of two of rows that has about `ELEMENTS` elements, or `FEW`: several arrays' share the first cache."""
    rows = MOST_ROWS
    while rows > LEAST_ROWS and rows * columns > (ELEMENTS if rows > LANES else FEW):
        rows //= 2
    return rows


class BlockedGroupWriter(GroupWriter):
    """Writes a group whose single row axis is walked through in blocks.

    `cuts` are the values of a row that its columns read and that took expensive instructions.
    """

    def _over_rows(self, full: list[Accumulator]) -> list[Operand]:
        w, (axis, _) = self.writer, self.rows[0]
        self.block_rows = rows_per_block(self.columns_count)
        self.block = w.size(self.block_rows, kind="block")  # a parameter: kernels do not know the number of columns
        self.row_axis = axis
        length = w.op("sub", w.last, w.first)
        blocks = w.op("quotient", w.op("sub", w.op("add", length, self.block), Constant(1, INDEX)), self.block)
        number = w.open()
        inner = [w.carried(acc.wide) for acc in full]
        self.start = w.op("add", w.first, w.op("mul", number, self.block))
        self.stop = w.op("min", w.op("add", self.start, self.block), w.last)
        before = Constant(0, INDEX) if self.pieces == 1 else w.op("mul", self._piece(), self.block)
        self.offset = w.op("sub", before, self.start)
        self.placed: dict[object, tuple[Operand, Operand]] = {}
        running: dict[Root, Operand] = {acc.root: v for acc, v in zip(full, inner, strict=True)}
        self._phases(running)
        carries = [
            Carry(v, acc.start(acc.wide), running[acc.root], w.result(acc.wide))
            for acc, v in zip(full, inner, strict=True)
        ]
        w.close(number, Constant(0, INDEX), blocks, carries, independent=False)
        return [c.result for c in carries]

    def _phases(self, running: dict[Root, Operand]) -> None:
        waiting = list(self.group.in_rows)
        for number, roots in self._passes():
            ready = [root for root in waiting if self.passes.of(root) <= number]
            waiting = [root for root in waiting if root not in ready]
            self._row_phase([key for key in self.cuts if self.passes.before(key[0]) == number], ready, running)
            self._column_phase(roots, running)
        self._row_phase([], waiting, running)

    # One loop over the rows of a block, nothing inside it ------------------------------------------------------------

    def _row_phase(self, cuts: Sequence[Key], roots: Sequence[Root], running: dict[Root, Operand]) -> None:
        if not cuts and not roots:
            return
        w = self.writer
        folds = [accumulator(r) for r in roots if r.kind == "full"]
        row = self._open_rows()
        inner = [w.carried(acc.narrow) for acc in folds]
        for key in cuts:
            self._keep(key, self.expressions.element(*key))
        self._stores([r for r in roots if r.kind == "store"])
        after = [w.op(acc.fold, v, self._value(acc.root, acc.narrow)) for acc, v in zip(folds, inner, strict=True)]
        carries = [
            Carry(v, acc.start(acc.narrow), value, w.result(acc.narrow), acc.fold)
            for acc, v, value in zip(folds, inner, after, strict=True)
        ]
        self._close_rows(row, carries, independent=True)
        for acc, carry in zip(folds, carries, strict=True):
            running[acc.root] = w.op(acc.fold, running[acc.root], w.cast(carry.result, acc.wide))
        for key in cuts:
            self.expressions.given[key] = functools.partial(self._recall, key)

    # One pass over the columns of each row of a block ----------------------------------------------------------------

    def _column_phase(self, roots: list[Root], running: dict[Root, Operand]) -> None:
        w = self.writer
        folds = [accumulator(r) for r in roots if r.kind == "full"]
        row = self._open_rows()
        inner = [w.carried(acc.wide) for acc in folds]
        with self._keeping():
            found = self._stage(roots)
            after = [w.op(acc.fold, v, found[acc.root]) for acc, v in zip(folds, inner, strict=True)]
            carries = [
                Carry(v, running[acc.root], value, w.result(acc.wide), acc.fold)
                for acc, v, value in zip(folds, inner, after, strict=True)
            ]
            self._close_rows(row, carries, independent=not any(r.kind == "column" for r in roots))
        running.update({acc.root: carry.result for acc, carry in zip(folds, carries, strict=True)})

    def _row_result(self, root: Root, value: Operand) -> None:
        super()._row_result(root, value)
        index = natural_index(root.var.type.shape)
        key = (root.var, index)
        self._keep(key, value)
        self.expressions.row_values[root.var] = (index, functools.partial(self._recall, key))

    # Rows and what is kept of them -----------------------------------------------------------------------------------

    def _open_rows(self) -> Value:
        row = self.expressions.symbols[self.row_axis] = self.writer.open()
        return row

    def _close_rows(self, row: Value, carries: list[Carry], independent: bool) -> None:
        self.writer.close(row, self.start, self.stop, carries, independent)
        self.expressions.forget(len(self.writer.blocks) - 1)

    def _place(self) -> Operand:
        """Where the row at hand has its place among the rows of the block that this piece works on."""
        return self._placed()[0]

    def _wide_place(self) -> Operand:
        """Where the element at hand has its place among those of the block."""
        return self.writer.op("add", self._placed()[1], self._column_index())

    def _placed(self) -> tuple[Operand, Operand]:
        """The place of the row at hand, and that of its first element: written once for each loop over rows."""
        w, row = self.writer, self.expressions.symbols[self.row_axis]
        if row not in self.placed:
            place = w.op("add", row, self.offset)
            self.placed[row] = place, w.op("mul", place, w.size(self.columns_count))
        return self.placed[row]

    def _keep(self, key: Key, value: Operand) -> None:
        self.writer.store(self._scratch(key), self._place(), value)

    def _recall(self, key: Key) -> Operand:
        return self.writer.load(self._scratch(key), self._place())
