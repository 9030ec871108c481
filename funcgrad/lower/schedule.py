"""How is a group run?  Its kernel, over which range, in which pieces, and what adds the pieces up."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from funcgrad.ir.program import Equation, Var
from funcgrad.lower.graph import Graph, Stored
from funcgrad.lower.index import Affine
from funcgrad.lower.kernels import GroupWriter, group_is_flat
from funcgrad.lower.loops import Kernel
from funcgrad.lower.nest import BLOCK
from funcgrad.lower.roots import Group, Root, make_fold
from funcgrad.lower.rowblocks import BlockedGroupWriter

PIECE_NS = 25_000.0  # the least work that is worth handing to a thread
WIDEST = 8192  # columns of a row whose values are kept from pass to pass
MOST_PIECES, MOST_COLUMN_PIECES = 64, 16


@dataclass(slots=True)
class KernelStep:
    """One kernel call: which buffers (by variable) and integers it takes, over how long a range, in pieces of what length."""

    kernel: Kernel
    buffers: tuple[Any, ...]
    sizes: tuple[int | float, ...]
    total: int
    chunk: int
    group: Group | None


def draft_group(group: Group, graph: Graph, code_of: Callable[[Equation], int]) -> GroupWriter:
    """A first writing, with every loop by itself: it tells which buffers are read and which loops can be merged."""
    draft = GroupWriter(group, graph, code_of)
    draft.write()
    return draft


def write_group(
    group: Group,
    graph: Graph,
    code_of: Callable[[Equation], int],
    draft: GroupWriter,
    needed: Container[Var],
) -> list[KernelStep]:
    """The kernel calls that compute a group; row values that are not `needed` elsewhere are not stored."""
    absorbed = mergeable(group, draft.expressions.positions)
    pieces = _pieces(group, draft, absorbed)
    one_row_axis = len(GroupWriter(group, graph, code_of, absorbed).rows) == 1
    repeated = repeated_values(draft)
    blocks = one_row_axis and (draft.expressions.costly_in_rows or repeated)
    writer = BlockedGroupWriter if blocks else GroupWriter
    final = writer(group, graph, code_of, absorbed, pieces, needed)
    final.cuts, final.repeated = tuple(draft.expressions.cuts), repeated
    kernel = final.write()
    extent = final.outermost[1]
    chunk = -(-extent // pieces) if pieces > 1 else 0
    step = KernelStep(kernel, tuple(final.writer.keys), tuple(final.writer.size_values), extent, chunk, group)
    return [step, *(s for root, var in final.partial.items() for s in _combine(root, var, group, graph, code_of))]


def repeated_values(draft: GroupWriter) -> list[Any]:
    """The mathematics that more than one pass over the columns needs, while a block of it stays in the cache."""
    columns = int(np.prod([n for _, n in draft.columns], dtype=int))
    return [key for key, count in draft.expressions.computed.items() if count > 1] if columns <= WIDEST else []


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
