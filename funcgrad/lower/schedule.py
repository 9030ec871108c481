"""How is a group run?  Its kernel, over which range, in which pieces, and what adds the pieces up."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Container
from dataclasses import dataclass
from typing import Any, NamedTuple

from funcgrad.ir.program import Equation, Var
from funcgrad.lower.graph import Graph, Stored
from funcgrad.lower.index import Affine, Strided, contiguous_strides
from funcgrad.lower.kernels import GroupWriter, group_is_flat
from funcgrad.lower.loops import Kernel
from funcgrad.lower.nest import BLOCK
from funcgrad.lower.roots import Group, Root, Survey, make_fold
from funcgrad.lower.rowblocks import BlockedGroupWriter

PIECE_NS = 25_000.0  # the least work that is worth handing to a thread ...
PIECE_NS_INSIDE = 200_000.0  # ... in the body of a loop, which threads would have to wait for again and again
MOST_PIECES, MOST_COLUMN_PIECES = 64, 16


class Apart(NamedTuple):
    """What pieces of a loop over examples do not share.

    Attributes
    ----------
    own
        The temporaries of which each piece has its own.
    status
        The code of an interruption; the next one is that of memory which there is not.
    """

    own: tuple[Any, ...]
    status: int


@dataclass(slots=True)
class KernelStep:
    """One kernel call: which buffers (by variable) and integers it takes, over how long a range,
    in pieces of what length; how many points it works on where no group tells; and what its pieces need of their own.
    """

    kernel: Kernel
    buffers: tuple[Any, ...]
    sizes: tuple[int | float | str, ...]  # a name is the address of a function of the runtime
    total: int
    chunk: int
    group: Group | None
    points: int = 0
    apart: Apart | None = None


def write_group(
    group: Group, graph: Graph, code_of: Callable[[Equation], int], survey: Survey, needed: Container[Var]
) -> list[KernelStep]:
    """The kernel calls that compute a group; row values that are not `needed` elsewhere are not stored."""
    if 0 in group.domain and not group.in_rows and all(root.kind in ("store", "scatter") for root in group.roots):
        return []  # what no loop changes would be read and checked all the same
    absorbed = mergeable(group, survey.positions)
    final = GroupWriter(group, graph, code_of, absorbed, needed, survey.passes)
    folds = group.rows is not None and len(final.rows) == 1
    if folds and 0 not in group.domain and (survey.costly_in_rows or survey.repeated):
        final = BlockedGroupWriter(group, graph, code_of, absorbed, needed, survey.passes)
    pieces = final.pieces = _pieces(group, final, survey)
    final.cuts, final.repeated, final.seams = survey.cuts, survey.repeated, survey.seams
    step = _step(final, group, -(-final.outermost[1] // pieces) if pieces > 1 else 0)
    seen = set(final.expressions.positions)
    if not absorbed <= mergeable(group, seen):  # an expression has been stored since the survey, or this is a scatter
        return write_group(
            group, graph, code_of, dataclasses.replace(survey, positions=survey.positions | seen), needed
        )
    return [step, *(s for root, var in final.partial.items() for s in _combine(root, var, group, graph, code_of))]


def _step(writer: GroupWriter, group: Group, chunk: int) -> KernelStep:
    kernel = writer.write()
    return KernelStep(
        kernel, tuple(writer.writer.keys), tuple(writer.writer.size_values), writer.outermost[1], chunk, group
    )


def mergeable(group: Group, positions: Collection[Affine]) -> frozenset[int]:
    """The axes that can be walked through together with their right neighbours: every index advances alike."""
    absorbed = set()
    domain = group.domain
    border = group.rows
    distinct = [dict(p.terms) for p in positions]
    for k in range(len(domain) - 1):
        if border is not None and k == border - 1:
            continue
        if all(t.get(k, 0) == t.get(k + 1, 0) * domain[k + 1] for t in distinct):
            absorbed.add(k)
    return frozenset(absorbed)


def _pieces(group: Group, writer: GroupWriter, survey: Survey) -> int:
    """Into how many pieces the outermost loop is cut: as sizes say, never as threads do."""
    if any(root.kind == "scatter" for root in group.roots) and writer.outermost[0] not in writer.free:
        return 1
    extent = writer.outermost[1]
    points = float(math.prod(group.domain))
    buffers = len(survey.reads) + len(group.roots)
    work = points * (0.3 * buffers + 0.08 * survey.instructions + 0.6 * survey.costly)
    most = MOST_COLUMN_PIECES if any(root.kind == "column" for root in group.roots) else MOST_PIECES
    pieces = min(int(work / (PIECE_NS_INSIDE if writer.expressions.graph.inside else PIECE_NS)), most, extent)
    if pieces < 2:
        return 1
    chunk = -(-extent // pieces)
    if group_is_flat(group, writer.rows):  # whole blocks
        chunk = -(-chunk // BLOCK) * BLOCK
    return -(-extent // chunk)


def _combine(
    root: Root, partial: Var, group: Group, graph: Graph, code_of: Callable[[Equation], int]
) -> list[KernelStep]:
    """The second kernel of a fold over rows: the pieces' results folded in order."""
    graph.stored[partial] = Stored(partial, group.position)
    names = {
        "add": "reduce_sum",
        "mul": "reduce_prod",
        "max": "reduce_max",
        "min": "reduce_min",
        "and": "reduce_and",
        "or": "reduce_or",
    }
    fold = names[root.fold or "add"]
    second = make_fold(fold, root.var, partial.type.shape, (0,), lambda index: ((partial, index),))
    after = Group(second.domain, second.rows, group.position + 1, [second])
    place = Strided(0, second.domain, contiguous_strides(second.domain)).place()
    return [_step(GroupWriter(after, graph, code_of, mergeable(after, (place,))), after, 0)]
