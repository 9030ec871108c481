"""How does a group become a kernel?  Loops over rows, inside them one pass over the columns for each stage, then what is left.

A value of one element waits for the folds of its row that it reads: so many passes over the row there are (softmax: the maximum, the sum of
exponentials, the result), all over a row that stays in the cache. Folds of floats run in lanes over at most `BLOCK` elements; the
blocks' sums are added in float64. Rows are shared out in pieces that depend on sizes alone; a fold over rows writes one partial
result for each piece, and a second kernel adds these in order.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from funcgrad.dtypes import code
from funcgrad.ir.program import Equation, Var
from funcgrad.ir.types import ArrayType
from funcgrad.lower.graph import Graph, Stored
from funcgrad.lower.index import Affine, Shape, contiguous_strides, flat, total
from funcgrad.lower.loops import INDEX, Carry, Constant, Kernel, Load, Operand, Value
from funcgrad.lower.roots import Group, Root, make_fold, natural_index
from funcgrad.lower.values import Expressions
from funcgrad.lower.writer import Writer

BLOCK = 1024
PIECE_NS = 25_000.0  # the least work that is worth handing to a thread
MOST_PIECES, MOST_COLUMN_PIECES = 64, 16


@dataclass(slots=True)
class KernelStep:
    """One kernel call: which buffers (by variable) and integers it takes, over how long a range, in pieces of what length."""

    kernel: Kernel
    buffers: tuple[Any, ...]
    sizes: tuple[int, ...]
    total: int
    chunk: int
    group: Group | None


@dataclass(slots=True)
class Accumulator:
    """A fold in progress: in `narrow` inside the innermost loop, in `wide` around it."""

    root: Root
    fold: str
    narrow: str
    wide: str

    def neutral(self, dtype: str) -> Constant:
        """The element that a fold starts from."""
        return Constant(_neutral(self.fold, dtype), dtype)


def _neutral(fold: str, dtype: str) -> bool | int | float:
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


class GroupWriter:
    """Writes the kernel of one group; `absorbed` axes have been merged into their right neighbours."""

    def __init__(
        self,
        group: Group,
        graph: Graph,
        code_of: Callable[[Equation], int],
        absorbed: frozenset[int] = frozenset(),
        pieces: int = 1,
        needed: Container[Var] | None = None,
    ) -> None:
        self.needed = needed
        self.group = group
        self.pieces = pieces
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
        self.expressions = Expressions(self.writer, graph, group, code_of, self._iterations)
        self.expressions.absorbed = absorbed
        self.partial: dict[Root, Var] = {}
        self.graph = graph

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
        if group_is_flat(self.group, self.rows):
            totals = self._flat(full)
        else:
            totals = self._over_rows(full)
        for acc, value in zip(full, totals, strict=True):
            self._finish_full(acc, value)
        return self.writer.kernel()

    def _kind(self, *kinds: str) -> list[Root]:
        return [root for root in self.group.roots if root.kind in kinds]

    def _flat(self, full: list[Accumulator]) -> list[Operand]:
        """One loop nest over the whole domain."""
        nest = Nest(self, self.columns, full, parallel=True)
        values = [self._value(acc.root, acc.narrow) for acc in full]
        self._stores(self._kind("store", "scatter"))
        return nest.close(values)

    def _over_rows(self, full: list[Accumulator]) -> list[Operand]:
        outer = Nest(self, self.rows, full, parallel=True, narrow=False)
        contributions: dict[Root, Operand] = {}
        levels = stages(self.group, self.graph)
        for stage in range(max(levels.values(), default=-1) + 1):
            roots = [r for r in self.group.roots if levels[r] == stage]
            contributions |= self._stage(roots)
        self._stores([r for r in self.group.in_rows if r.kind == "store"])
        values = []
        for acc in full:
            value = contributions.get(acc.root)
            values.append(self.writer.cast(self._value(acc.root, acc.narrow), acc.wide) if value is None else value)
        return outer.close(values)

    def _stage(self, roots: list[Root]) -> dict[Root, Operand]:
        """One pass over the columns; the values of full folds for this row."""
        folds = [accumulator(r) for r in roots if r.kind in ("row", "full")]
        searches = [r for r in roots if r.kind == "arg"]
        depth = len(self.writer.blocks) - 1
        nest = Nest(self, self.columns, folds, parallel=False, searches=searches)
        values = [self._value(acc.root, acc.narrow) for acc in folds]
        found = [self._value(r, code(r.operands[0][0].type.dtype)) for r in searches]
        self._stores([r for r in roots if r.kind in ("store", "scatter")])
        for root in roots:
            if root.kind == "column":
                self._add_to_column(root)
        results = nest.close(values, found)
        self.expressions.forget(depth)
        contributions = {}
        for acc, result in zip(folds, results, strict=True):
            if acc.root.kind == "full":
                contributions[acc.root] = result
            else:
                self._row_result(acc.root, self.writer.cast(result, acc.root.dtype))
        for root, position in zip(searches, nest.places, strict=True):
            self._row_result(root, self.writer.cast(position, root.dtype))
        return contributions

    def _row_result(self, root: Root, value: Operand) -> None:
        index = natural_index(root.var.type.shape)
        self.expressions.row_values[root.var] = (index, value)
        if self.needed is not None and root.var not in self.needed:
            return
        buffer = self.writer.buffer(root.var, root.dtype, written=True)
        self.writer.store(buffer, self.expressions.position(flat(index, root.var.type.shape)), value)

    # Elements ----------------------------------------------------------------------------------------------------------

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
                place = self.expressions.position(self._scatter_place(root))
                before = self.writer.fresh(root.dtype, len(self.writer.blocks) - 1)
                self._load_here(before, buffer, place)
                self.writer.store(buffer, place, self.expressions("add", before, value))
                continue
            assert root.target is not None
            terms = tuple((k, s) for k, s in enumerate(root.target.strides) if s)
            self.writer.store(buffer, self.expressions.position(Affine(terms, root.target.offset)), value)

    def _load_here(self, result: Value, buffer: int, place: Operand) -> None:
        """A load that stays in the innermost loop: what it reads changes there."""
        self.writer.put(Load(result, buffer, place), len(self.writer.blocks) - 1)

    def _scatter_place(self, root: Root) -> Affine:
        shape = root.var.type.shape
        parts = [
            (place if isinstance(place, Affine) else self.expressions.place(*place)).scaled(s)
            for place, s in zip(root.places, contiguous_strides(shape), strict=True)
        ]
        return total(parts)

    # Folds over rows -----------------------------------------------------------------------------------------------------

    def _piece(self) -> Operand:
        """The number of this call's piece."""
        if self.pieces == 1:
            return Constant(0, INDEX)
        chunk = self.writer.size(self._chunk(), kind="chunk")
        return self.writer.op("quotient", self.writer.first, chunk)

    def _chunk(self) -> int:
        return -(-self.outermost[1] // self.pieces)

    def _partial(self, root: Root, dtype: str) -> Var:
        """Where the pieces leave their results: the result itself when there is one piece only."""
        if self.pieces == 1:
            return root.var
        if root not in self.partial:
            shape = (self.pieces, *root.var.type.shape)
            self.partial[root] = Var(ArrayType(shape, np.dtype(dtype)))
        return self.partial[root]

    def _prepare_full(self, acc: Accumulator) -> None:
        self.writer.buffer(self._partial(acc.root, acc.wide), acc.wide if self.pieces > 1 else acc.root.dtype, written=True)

    def _finish_full(self, acc: Accumulator, value: Operand) -> None:
        dtype = acc.wide if self.pieces > 1 else acc.root.dtype
        buffer = self.writer.buffer(self._partial(acc.root, acc.wide), dtype, written=True)
        self.writer.store(buffer, self._piece(), self.writer.cast(value, dtype))

    def _column_place(self, root: Root) -> Operand:
        columns = self.group.domain[self.group.rows or 0 :]
        first = self.group.rows or 0
        index = tuple(Affine(((first + k, 1),)) for k in range(len(columns)))
        place = self.expressions.position(flat(index, columns))
        if self.pieces == 1:
            return place
        base = self.writer.op("mul", self._piece(), self.writer.size(int(np.prod(columns, dtype=int))))
        return self.writer.op("add", base, place)

    def _column_buffer(self, root: Root) -> int:
        dtype = accumulator(root).narrow if self.pieces > 1 else root.dtype
        return self.writer.buffer(self._partial(root, dtype), dtype, written=True)

    def _clear_columns(self, root: Root) -> None:
        nest = Nest(self, self.columns, [], parallel=False)
        buffer = self._column_buffer(root)
        dtype = self.writer.buffers[buffer].dtype
        acc = accumulator(root)
        self.writer.store(buffer, self._column_place(root), Constant(_neutral(acc.fold, dtype), dtype))
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


class Nest:
    """Open loops over axes, with folds carried through them; `close` ends them and gives the folds' results.

    With `narrow`, the innermost loop folds in the accumulator's narrow dtype (from the neutral element) and the loops around it in
    the wide one; a long innermost loop is cut into blocks for this.
    """

    def __init__(
        self,
        group: GroupWriter,
        axes: Sequence[tuple[int, int]],
        folds: list[Accumulator],
        *,
        parallel: bool,
        narrow: bool = True,
        searches: Sequence[Root] = (),
    ) -> None:
        self.group, self.writer, self.folds, self.narrow = group, group.writer, folds, narrow
        self.searches = list(searches)
        self.serial = ("scatter",) if narrow else ("scatter", "column")  # columns are added to row after row
        self.levels: list[tuple[Value, Operand, Operand, list[Value]]] = []
        self.places: list[Operand] = []
        symbols = group.expressions.symbols
        for number, (k, n) in enumerate(axes):
            start: Operand
            stop: Operand
            if parallel and number == 0:
                start, stop = self.writer.first, self.writer.last
            else:
                start, stop = Constant(0, INDEX), self.writer.size(n)
            inner = number == len(axes) - 1
            if inner and narrow and folds and n > 2 * BLOCK:
                start, stop = self._open_block(start, stop)
            symbols[k] = self._open(start, stop, inner and narrow)
        self.axis = symbols[axes[-1][0]] if axes else None

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
            carries += [Carry(i, self._search_start(number, k), v, self.writer.result(i.dtype)) for k, (i, v) in enumerate(pairs)]
            independent = not any(root.kind in self.serial for root in self.group.group.roots)
            self.writer.close(index, start, stop, carries, independent)
            current = [c.result for c in carries[:n]]
            searching = [c.result for c in carries[n:]]
            current = [self.writer.cast(v, acc.wide) for v, acc in zip(current, self.folds, strict=True)]
        self.places = searching[1::2]
        return current

    def _fold_carries(self, number: int, inner: list[Value], current: list[Operand], narrow: bool) -> list[Carry]:
        carries = []
        for k, (acc, value) in enumerate(zip(self.folds, current, strict=True)):
            dtype = acc.narrow if narrow else acc.wide
            restarts = narrow or number == 0
            initial: Operand = acc.neutral(dtype) if restarts else self.levels[number - 1][3][k]
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
        return Constant(0, INDEX) if k % 2 else Constant(_neutral("max" if root.fold == "gt" else "min", dtype), dtype)

    def _searched(self, found: Sequence[Operand]) -> list[Operand]:
        """The better of the best so far and the element at hand, and its place; the first NaN wins."""
        w, n, after = self.writer, len(self.folds), []
        inner = self.levels[-1][3]
        for k, (root, value) in enumerate(zip(self.searches, found, strict=True)):
            best, place = inner[n + 2 * k], inner[n + 2 * k + 1]
            assert root.fold is not None
            better = w.op(root.fold, value, best)
            if value.dtype[0] == "f":
                better = w.op("or", better, w.op("and", w.op("ne", value, value), w.op("eq", best, best)))
            assert self.axis is not None
            after += [w.op("select", better, value, best), w.op("select", better, self.axis, place)]
        return after


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


def mergeable(group: Group, positions: Sequence[Affine]) -> frozenset[int]:
    """The axes that can be walked through together with their right neighbours: every index advances alike."""
    absorbed = set()
    domain = group.domain
    border = group.rows
    distinct = [dict(p.terms) for p in set(positions)]
    for k in range(len(domain) - 1):
        if border is not None and k == border - 1:
            continue
        if all(t.get(k, 0) == t.get(k + 1, 0) * domain[k + 1] for t in distinct):
            absorbed.add(k)
    return frozenset(absorbed)


def stages(group: Group, graph: Graph) -> dict[Root, int]:
    """For each root the pass over the columns in which it is computed: after the row folds that it reads."""
    folds = {root.var: root for root in group.roots if root.kind in ("row", "arg")}
    memo: dict[Var, int] = {}
    levels: dict[Root, int] = {}

    def level(var: Any) -> int:
        if not isinstance(var, Var) or graph.is_stored(var, group.position):
            return 0
        if var not in memo:
            memo[var] = 0
            if var in folds:
                memo[var] = root_level(folds[var]) + 1
            else:
                memo[var] = max((level(a) for a in graph.producers[var].inputs), default=0)
        return memo[var]

    def root_level(root: Root) -> int:
        if root not in levels:
            levels[root] = max(level(atom) for atom, _ in root.operands)
        return levels[root]

    for root in group.roots:
        root_level(root)
    return levels


def draft_group(group: Group, graph: Graph, code_of: Callable[[Equation], int]) -> GroupWriter:
    """A first writing, with every loop by itself: it tells which buffers are read and which loops can be merged."""
    draft = GroupWriter(group, graph, code_of)
    draft.write()
    return draft


def write_group(
    group: Group, graph: Graph, code_of: Callable[[Equation], int], draft: GroupWriter, needed: Container[Var]
) -> list[KernelStep]:
    """The kernel calls that compute a group; row values that are not `needed` elsewhere are not stored."""
    absorbed = mergeable(group, draft.expressions.positions)
    pieces = _pieces(group, draft, absorbed)
    final = GroupWriter(group, graph, code_of, absorbed, pieces, needed)
    kernel = final.write()
    extent = final.outermost[1]
    chunk = -(-extent // pieces) if pieces > 1 else 0
    step = KernelStep(kernel, tuple(final.writer.keys), tuple(final.writer.size_values), extent, chunk, group)
    return [step, *(s for root, var in final.partial.items() for s in _combine(root, var, group, graph, code_of))]


def _pieces(group: Group, draft: GroupWriter, absorbed: frozenset[int]) -> int:
    """Into how many pieces the outermost loop is cut: as sizes say, never as threads do."""
    if any(root.kind == "scatter" for root in group.roots):
        return 1
    probe = GroupWriter(group, draft.graph, lambda _: 1, absorbed)
    extent = probe.outermost[1]
    points = float(np.prod(group.domain, dtype=float))
    kernel = draft.writer
    costly = len(draft.expressions.costly)
    work = points * (0.3 * len(kernel.buffers) + 0.08 * kernel.instructions + 0.6 * costly)
    most = MOST_COLUMN_PIECES if any(root.kind == "column" for root in group.roots) else MOST_PIECES
    pieces = min(int(work / PIECE_NS), most, extent)
    if pieces < 2:
        return 1
    chunk = -(-extent // pieces)
    if group_is_flat(group, probe.rows):  # whole blocks
        chunk = -(-chunk // BLOCK) * BLOCK
    return -(-extent // chunk)


def _combine(root: Root, partial: Var, group: Group, graph: Graph, code_of: Callable[[Equation], int]) -> list[KernelStep]:
    """The second kernel of a fold over rows: the pieces' results folded in order."""
    graph.stored[partial] = Stored(partial, group.position)
    names = {"add": "reduce_sum", "mul": "reduce_prod", "max": "reduce_max", "min": "reduce_min", "and": "reduce_and", "or": "reduce_or"}
    fold = names[root.fold or "add"]
    second = make_fold(fold, root.var, partial.type.shape, (0,), lambda index: ((partial, index),))
    after = Group(second.domain, second.rows, group.position + 1, [second])
    draft = draft_group(after, graph, code_of)
    final = GroupWriter(after, graph, code_of, mergeable(after, draft.expressions.positions))
    kernel = final.write()
    return [KernelStep(kernel, tuple(final.writer.keys), tuple(final.writer.size_values), final.outermost[1], 0, after)]
