"""In which pass over the columns is a root computed?  After the folds of its row that it reads."""

from __future__ import annotations

from typing import Any

from funcgrad.ir.program import Var
from funcgrad.lower.graph import Graph
from funcgrad.lower.roots import Group, Root


class Passes:
    """The passes of a group's kernel over the columns: a value that reads a fold of its row waits for the pass
    after it.
    """

    def __init__(self, group: Group, graph: Graph) -> None:
        self.graph, self.position = graph, group.position
        self.folds = {root.var: root for root in group.roots if root.kind in ("row", "arg")}
        self._values: dict[Var, int] = {}
        self._roots: dict[Root, int] = {}

    def before(self, atom: Any) -> int:
        """After how many passes a value is known."""
        if not isinstance(atom, Var) or not self.folds or self.graph.is_stored(atom, self.position):
            return 0
        known = self._values.get(atom)
        if known is None:
            self._values[atom] = 0
            fold = self.folds.get(atom)
            inputs = () if fold else self.graph.producers[atom].inputs
            known = self.of(fold) + 1 if fold else max(map(self.before, inputs), default=0)
            self._values[atom] = known
        return known

    def of(self, root: Root) -> int:
        """The pass that computes a root."""
        known = self._roots.get(root)
        if known is None:
            known = self._roots[root] = max(self.before(atom) for atom, _ in root.operands)
        return known
