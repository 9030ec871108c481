"""What decides on the final form of a kernel?  Seen in the expressions that were written for trial when roots met.

Passes over the columns forget what they computed: mathematics that several of them reach is worth keeping, and
divisions are (a layer norm's gradient takes 0.83 of the time), and so are values of the row that took expensive
instructions. A chain that each pass makes longer is worth keeping now and then, though no link of it is dear: else its
code grows with the square of the number of passes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator

from funcgrad.ir.program import Var
from funcgrad.lower.graph import Graph
from funcgrad.lower.passes import Passes
from funcgrad.lower.roots import Group, Root, Survey
from funcgrad.lower.values import Expressions, Key

WIDEST = 8192  # columns of a row whose values are kept from pass to pass
LINKS = 8  # elements read or computed anew for one of a column, from which a later pass had better find it kept
AROUND = 13  # instructions of loops, places and stores, of which the trial has none


def survey(group: Group, graph: Graph, trial: Expressions) -> Survey:
    """What is known of a group's kernel before it is written."""
    if group.is_plain:
        return group.survey
    row_depth = group.rows or 0
    order = Passes(group, graph)
    passes: dict[int, list[Key]] = {}
    for root in group.roots:
        passes.setdefault(order.of(root), []).extend(_keys(root))
    reached = [list(closure(keys, trial)) for _, keys in sorted(passes.items())]
    everything = dict.fromkeys(key for keys in reached for key in keys)
    everything.update(dict.fromkeys(closure([k for root in group.in_rows for k in _keys(root)], trial)))
    heavy = _heavy(everything, trial)
    cuts = dict.fromkeys(
        k
        for keys in (*passes.values(), *(trial.reads_of[key] for key in everything if trial.depth_of(key) > row_depth))
        for k in keys
        if k in heavy and trial.depth_of(k) == row_depth and k[0] not in trial.row_values
    )
    counts = Counter(key for keys in reached for key in keys)
    wide = math.prod(group.domain[row_depth:]) > WIDEST
    repeated = [] if wide else [k for k, n in counts.items() if n > 1 and _is_dear_in_columns(k, trial, row_depth)]
    if not wide and len(passes) > 2:
        repeated += _chained([keys for _, keys in sorted(passes.items())], counts, repeated, trial, row_depth)
    places = [graph.stored[v] for v in {v for v, _ in everything} if v in graph.stored]
    written = {root.var for root in group.roots if root.kind == "scatter"}  # what is there is read before
    return Survey(
        positions=group.survey.positions,
        reads={place.root for place in places if place.position < group.position} | written,
        instructions=group.survey.instructions + AROUND,
        costly=group.survey.costly,
        cuts=tuple(cuts),
        repeated=tuple(repeated),
        costly_in_rows=any(row_depth in trial.depths.get(v, ()) for v, _ in everything),
        passes=order,
        seams=group.survey.seams,
    )


def _keys(root: Root) -> list[Key]:
    """The elements that a root reads."""
    places = [(atom, index) for place in root.places or () for _, atom, index in place.values]
    return [(atom, index) for atom, index in (*root.operands, *places) if isinstance(atom, Var)]


def closure(keys: Iterable[Key], trial: Expressions, ends: Iterable[Key] = ()) -> Iterator[Key]:
    """The elements from which `keys` are computed, but for `ends` and what is before them, and these themselves."""
    seen = set(ends)
    pending = list(keys)
    while pending:
        key = pending.pop()
        if key not in seen:
            seen.add(key)
            yield key
            pending += trial.reads_of[key]


def _heavy(keys: Iterable[Key], trial: Expressions) -> set[Key]:
    """The elements whose computation takes expensive instructions."""
    readers: dict[Key, list[Key]] = {}
    for key in keys:
        for read in trial.reads_of[key]:
            readers.setdefault(read, []).append(key)
    found: set[Key] = set()
    pending = [key for key in keys if key[0] in trial.depths]
    while pending:
        key = pending.pop()
        if key not in found:
            found.add(key)
            pending += readers.get(key, ())
    return found


def _chained(
    passes: Iterable[list[Key]], counts: Counter[Key], kept: Iterable[Key], trial: Expressions, row_depth: int
) -> list[Key]:
    """The elements at which a chain is long that each pass computes from its beginning; `kept` are at hand anyway."""
    found: list[Key] = []
    ends = set(kept)
    unread = Counter(counts)  # how many passes from here on reach an element
    for keys in passes:
        new: dict[Key, None] = {}
        pending = list(keys)
        while pending:
            key = pending.pop()
            if key in new or key in ends:
                continue
            new[key] = None
            if unread[key] > 1 and trial.reads_of[key] and trial.depth_of(key) > row_depth:
                links = [k for k in closure([key], trial, ends) if trial.depth_of(k) > row_depth]
                if len(links) >= LINKS:
                    found.append(key)
            else:
                pending += trial.reads_of[key]
        ends.update(found)
        for key in closure(keys, trial):
            unread[key] -= 1
    return found


def _is_dear_in_columns(key: Key, trial: Expressions, row_depth: int) -> bool:
    """Whether each column takes mathematics for it, a division, or a root."""
    return any(depth > row_depth for depth in trial.depths.get(key[0], ()))
