"""How does a group become a kernel?  Loops over rows, inside them one pass over the columns for each stage,
then what is left.

A value of one element waits for the folds of its row that it reads: so many passes over the row there are (softmax:
the maximum, the sum of exponentials, the result), all over a row that stays in the cache. Folds of floats run in
lanes over at most `BLOCK` elements; the blocks' sums are added in float64. Rows are shared out in pieces that depend
on sizes alone; a fold over rows writes one partial result for each piece, and a second kernel adds these in order.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection, Container, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from funcgrad.dtypes import code
from funcgrad.ir.program import Equation, Var
from funcgrad.ir.types import ArrayType
from funcgrad.lower.graph import Graph
from funcgrad.lower.index import Affine, Shape, contiguous_strides, flat, total
from funcgrad.lower.loops import INDEX, Constant, Kernel, Load, Operand, Value
from funcgrad.lower.nest import Accumulator, Nest, accumulator, neutral
from funcgrad.lower.passes import Passes
from funcgrad.lower.roots import Group, Root, natural_index
from funcgrad.lower.seams import Stretch, stretches
from funcgrad.lower.values import Expressions, Key
from funcgrad.lower.writer import Writer


class GroupWriter:
    """Writes the kernel of one group; `absorbed` axes have been merged into their right neighbours.

    `cuts` are the values of a row that its columns read and that took expensive instructions, `repeated` the elements
    that several passes over the columns would compute (see `lower.rowblocks`).
    """

    cuts: Sequence[Key] = ()
    repeated: Sequence[Key] = ()
    seams: Collection[int] = ()
    block_rows = 1  # that are worked on together

    def __init__(
        self,
        group: Group,
        graph: Graph,
        code_of: Callable[[Equation], int],
        absorbed: frozenset[int] = frozenset(),
        needed: Container[Var] | None = None,
        passes: Passes | None = None,
    ) -> None:
        self.needed = needed
        self.group = group
        self.passes = passes or Passes(group, graph)
        self.pieces = 1
        self.writer = Writer()
        domain = group.domain
        rows = len(domain) if group.rows is None else group.rows
        axes = _merged(domain, rows, absorbed)
        self.rows = [(k, n) for k, n in axes if k < rows]
        self.columns = [(k, n) for k, n in axes if k >= rows]
        if group.rows is None and self.rows:  # nothing folds columns alone: the last axis is the inner loop
            self.columns = [self.rows.pop()]
        flat_loop = self.columns if group_is_flat(group, self.rows) else []
        self.outermost = (self.rows or flat_loop or [(0, 1)])[0]
        inner = self.columns[-1][0] if self.columns else None
        self.expressions = Expressions(self.writer, graph, group, code_of, self._iterations, inner=inner)
        self.expressions.absorbed = absorbed
        self.free = frozenset(k for k, _ in axes if all(_is_free(root, k, absorbed) for root in group.roots))
        self.partial: dict[Root, Var] = {}
        self.scratch: dict[Key, Var] = {}
        self.columns_count = math.prod(n for _, n in self.columns)
        self._piece_number: Operand | None = None

    def _iterations(self, depth: int) -> int:
        count = 1
        for _, n in [*self.rows, *self.columns][:depth]:
            count *= n
        return count

    # The kernel ------------------------------------------------------------------------------------------------------

    def write(self) -> Kernel:
        """The kernel."""
        full = [accumulator(r) for r in (*self.group.roots, *self.group.in_rows) if r.kind == "full"]
        for acc in full:
            self._prepare_full(acc)
        for root in self._kind("column"):
            self._clear_columns(root)
        totals = self._flat(full) if group_is_flat(self.group, self.rows) else self._over_rows(full)
        for acc, value in zip(full, totals, strict=True):
            self._finish_full(acc, value)
        return self.writer.kernel()

    def _kind(self, *kinds: str) -> list[Root]:
        return [root for root in self.group.roots if root.kind in kinds]

    def _flat(self, full: list[Accumulator]) -> list[Operand]:
        """One loop nest over the whole domain."""
        totals: list[Operand] = []
        for stretch in self._stretches():
            with self.expressions.along(stretch):
                nest = self._nest(self.columns, full, parallel=True, stretch=stretch)
                values = [self._value(acc.root, acc.narrow) for acc in full]
                self._stores(self._kind("store", "scatter"))
                totals = self._folded(full, totals, nest.close(values))
        return totals

    def _stretches(self) -> list[Stretch | None]:
        """The parts of the innermost loop."""
        return stretches(self.seams, self.columns[-1][1]) if self.columns else [None]

    def _nest(self, axes: Sequence[tuple[int, int]], folds: list[Accumulator], **options: Any) -> Nest:
        return Nest(self.writer, self.expressions.symbols, self.group.roots, axes, folds, free=self.free, **options)

    def _folded(self, folds: list[Accumulator], one: Sequence[Operand], other: list[Operand]) -> list[Operand]:
        """What two parts of a loop fold to."""
        if not one:
            return other
        return [self.writer.op(acc.fold, a, b) for acc, a, b in zip(folds, one, other, strict=True)]

    def _over_rows(self, full: list[Accumulator]) -> list[Operand]:
        outer = self._nest(self.rows, full, parallel=True, narrow=False)
        contributions: dict[Root, Operand] = {}
        for _, roots in self._passes():
            with self._keeping():
                contributions |= self._stage(roots)
        self._stores([r for r in self.group.in_rows if r.kind == "store"])
        values = []
        for acc in full:
            value = contributions.get(acc.root)
            values.append(self.writer.cast(self._value(acc.root, acc.narrow), acc.wide) if value is None else value)
        if self.scratch:  # rows keep their values in one place
            outer.independent = [False] * len(outer.independent)
        return outer.close(values)

    def _passes(self) -> list[tuple[int, list[Root]]]:
        """The roots that each pass over the columns computes."""
        found: dict[int, list[Root]] = {}
        for root in self.group.roots:
            found.setdefault(self.passes.of(root), []).append(root)
        return sorted(found.items())

    def _stage(self, roots: list[Root]) -> dict[Root, Operand]:
        """One pass over the columns; the values of full folds for this row."""
        folds = [accumulator(r) for r in roots if r.kind in ("row", "full")]
        searches = [r for r in roots if r.kind == "arg"]
        depth = len(self.writer.blocks) - 1
        results: list[Operand] = []
        best: list[Operand] = []
        keepers = self.expressions.keepers
        left: set[Key] = set()
        for stretch in self._stretches():
            self.expressions.keepers = dict(keepers)
            with self.expressions.along(stretch):
                nest = self._nest(self.columns, folds, parallel=False, searches=searches, stretch=stretch)
                values = [self._value(acc.root, acc.narrow) for acc in folds]
                found = [self._value(r, code(r.operands[0][0].type.dtype)) for r in searches]
                self._stores([r for r in roots if r.kind in ("store", "scatter")])
                for root in roots:
                    if root.kind == "column":
                        self._add_to_column(root)
                results = self._folded(folds, results, nest.close(values, found))
                best = nest.better(best) if best else nest.found
            left |= self.expressions.keepers.keys()
            self.expressions.forget(depth)
        self.expressions.keepers = keepers
        for key in keepers.keys() - left:
            del keepers[key]
        contributions = {}
        for acc, result in zip(folds, results, strict=True):
            if acc.root.kind == "full":
                contributions[acc.root] = result
            else:
                self._row_result(acc.root, self.writer.cast(result, acc.root.dtype))
        for root, position in zip(searches, best[1::2], strict=True):
            self._row_result(root, self.writer.cast(position, root.dtype))
        return contributions

    @contextmanager
    def _keeping(self) -> Iterator[None]:
        """A pass over the columns, behind which others read what it has computed of `repeated`."""
        waiting = [key for key in self.repeated if key not in self.expressions.given]
        keepers = self.expressions.keepers = {key: functools.partial(self._keep_wide, key) for key in waiting}
        yield
        for key in waiting:
            if key not in keepers:
                self.expressions.given[key] = functools.partial(self._recall_wide, key)

    def _keep_wide(self, key: Key, value: Operand) -> None:
        self.writer.store(self._scratch(key, self.columns_count), self._wide_place(), value)

    def _recall_wide(self, key: Key) -> Operand:
        return self.writer.load(self._scratch(key, self.columns_count), self._wide_place())

    def _wide_place(self) -> Operand:
        """Where the element at hand has its place among those that are kept: of a row, for each piece."""
        if self.pieces == 1:
            return self._column_index()
        w = self.writer
        return w.op("add", w.op("mul", self._piece(), w.size(self.columns_count)), self._column_index())

    def _scratch(self, key: Key, each: int = 1) -> int:
        """The buffer of a value that is kept from one pass to the next."""
        if key not in self.scratch:
            size = self.pieces * self.block_rows * each
            self.scratch[key] = Var(ArrayType((size,), key[0].type.dtype))
        return self.writer.buffer(self.scratch[key], code(key[0].type.dtype), written=True)

    def _row_result(self, root: Root, value: Operand) -> None:
        index = natural_index(root.var.type.shape)
        self.expressions.row_values[root.var] = (index, value)
        if self.needed is not None and root.var not in self.needed:
            return
        buffer = self.writer.buffer(root.var, root.dtype, written=True)
        self.writer.store(buffer, self.expressions.position(flat(index, root.var.type.shape)), value)

    # Elements --------------------------------------------------------------------------------------------------------

    def _value(self, root: Root, dtype: str) -> Operand:
        """What a root stores or folds, at the point at hand."""
        product: Operand | None = None
        for atom, index in root.operands:
            factor = self.expressions.cast(self.expressions.element(atom, index), dtype)
            product = factor if product is None else self.expressions("mul", product, factor)
        assert product is not None
        return product

    def _stores(self, roots: Sequence[Root]) -> None:
        for root in roots:
            value = self._value(root, root.dtype)
            buffer = self.writer.buffer(root.var, root.dtype, written=True)
            if root.kind == "scatter":
                self._scatter(root, buffer, value)
                continue
            assert root.target is not None
            self.writer.store(buffer, self.expressions.position(root.target.place()), value)

    def _load_here(self, result: Value, buffer: int, place: Operand) -> None:
        """A load that stays in the innermost loop: what it reads changes there."""
        self.writer.put(Load(result, buffer, place), len(self.writer.blocks) - 1)

    def _scatter(self, root: Root, buffer: int, value: Operand) -> None:
        """Write a value, or fold it in, at a computed place."""
        shape = root.var.type.shape
        lines = [self.expressions.at(place) for place in root.places]
        place = self.expressions.position(
            total([line.scaled(s) for line, s in zip(lines, contiguous_strides(shape), strict=True)])
        )
        if root.fold is None and not root.drop:
            self.writer.store(buffer, place, value)
            return
        before = self.writer.fresh(root.dtype, len(self.writer.blocks) - 1)
        if root.drop:  # what is not to be written leaves what stands at place 0
            inside = self._inside(lines, shape)
            place = self.writer.op("select", inside, place, Constant(0, INDEX))
            self._load_here(before, buffer, place)
            self.writer.store(buffer, place, self.writer.op("select", inside, value, before))
            return
        assert root.fold is not None
        self._load_here(before, buffer, place)
        self.writer.store(buffer, place, self.expressions(root.fold, before, value))

    def _inside(self, lines: Sequence[Affine], shape: Shape) -> Operand:
        """Whether a place is within bounds on every axis."""
        w, inside = self.writer, Constant(True, "b1")
        total_inside: Operand = inside
        for line, n in zip(lines, shape, strict=True):
            i = self.expressions.position(line)
            both = w.op("and", w.op("ge", i, Constant(0, INDEX)), w.op("lt", i, w.size(n)))
            total_inside = both if total_inside is inside else w.op("and", total_inside, both)
        return total_inside

    # Folds over rows -------------------------------------------------------------------------------------------------

    def _piece(self) -> Operand:
        """The number of this call's piece."""
        if self._piece_number is None:
            chunk = self.writer.size(self._chunk(), kind="chunk")
            self._piece_number = self.writer.op("quotient", self.writer.first, chunk)
        return self._piece_number

    def _chunk(self) -> int:
        return max(-(-self.outermost[1] // self.pieces), 1)

    def _partial(self, root: Root, dtype: str) -> Var:
        """Where the pieces leave their results: the result itself when there is one piece only."""
        if self.pieces == 1:
            return root.var
        if root not in self.partial:
            shape = (self.pieces, *root.var.type.shape)
            self.partial[root] = Var(ArrayType(shape, np.dtype(dtype)))
        return self.partial[root]

    def _prepare_full(self, acc: Accumulator) -> None:
        self.writer.buffer(
            self._partial(acc.root, acc.wide), acc.wide if self.pieces > 1 else acc.root.dtype, written=True
        )

    def _finish_full(self, acc: Accumulator, value: Operand) -> None:
        dtype = acc.wide if self.pieces > 1 else acc.root.dtype
        buffer = self.writer.buffer(self._partial(acc.root, acc.wide), dtype, written=True)
        place = Constant(0, INDEX) if self.pieces == 1 else self._piece()
        self.writer.store(buffer, place, self.writer.cast(value, dtype))

    def _column_index(self) -> Operand:
        """The number of the column at hand."""
        first = self.group.rows or 0
        columns = self.group.domain[first:]
        index = tuple(Affine(((first + k, 1),)) for k in range(len(columns)))
        return self.expressions.position(flat(index, columns))

    def _column_place(self, root: Root) -> Operand:
        columns = self.group.domain[self.group.rows or 0 :]
        place = self._column_index()
        base = self.writer.op("mul", self._piece(), self.writer.size(math.prod(columns)))
        return self.writer.op("add", base, place)

    def _column_buffer(self, root: Root) -> int:
        dtype = accumulator(root).narrow if self.pieces > 1 else root.dtype
        return self.writer.buffer(self._partial(root, dtype), dtype, written=True)

    def _clear_columns(self, root: Root) -> None:
        nest = self._nest(self.columns, [], parallel=False)
        buffer = self._column_buffer(root)
        dtype = self.writer.buffers[buffer].dtype
        acc = accumulator(root)
        self.writer.store(buffer, self._column_place(root), Constant(neutral(acc.fold, dtype), dtype))
        nest.close([])
        self.expressions.forget(0)

    def _add_to_column(self, root: Root) -> None:
        acc = accumulator(root)
        buffer = self._column_buffer(root)
        dtype = self.writer.buffers[buffer].dtype
        place = self._column_place(root)
        before = self.writer.fresh(dtype, len(self.writer.blocks) - 1)
        self._load_here(before, buffer, place)
        value = self.writer.cast(self._value(root, acc.narrow), dtype)
        self.writer.store(buffer, place, self.writer.op(acc.fold, before, value))


def _is_free(root: Root, k: int, absorbed: frozenset[int]) -> bool:
    """Whether no two iterations of a loop, with the axes that were merged into it, write at the same place."""
    while k in root.free and k - 1 in absorbed:
        k -= 1
    return k in root.free


def group_is_flat(group: Group, rows: Sequence[tuple[int, int]]) -> bool:
    """Whether the kernel is one loop nest without rows."""
    return group.rows is None and not rows


def _merged(domain: Shape, rows: int, absorbed: frozenset[int]) -> list[tuple[int, int]]:
    """The loop axes that are left, each with the extent of those that it has absorbed."""
    axes, extent = [], 1
    for k, n in enumerate(domain):
        extent *= n
        if k not in absorbed:
            axes.append((k, extent))
            extent = 1
    return axes
