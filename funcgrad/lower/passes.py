"""In which pass over the columns is a root computed?  After the folds of its row that it reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from funcgrad.ir.program import Var
from funcgrad.lower.graph import Graph
from funcgrad.lower.roots import Group, Root


class Levels(NamedTuple):
    """In which pass over the columns each root is computed, and after how many each value is known."""

    of_roots: dict[Root, int]
    of_values: dict[Var, int]


def stages(group: Group, graph: Graph, values: Sequence[Var] = ()) -> Levels:
    """The passes over the columns: a value that reads a fold of its row waits for the pass after it."""
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
    return Levels(levels, {var: level(var) for var in values})
