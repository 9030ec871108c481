"""May an operation change its operand's buffer?  If it is a temporary's or a carry's, and all others have read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from funcgrad.ir.program import Atom, Equation, Var
from funcgrad.lower.graph import Graph


class Walk(Protocol):
    """What is asked of `lower.fusion.Fusion`."""

    graph: Graph
    carried: Mapping[Var, Atom]
    updated: set[Var]

    def ensure(self, atom: Atom) -> None:
        """Store a value."""


def own(walk: Walk, operand: Atom, var: Var, user: Equation, at: Equation) -> Var | None:
    """The buffer of `operand` if `user` may change it to hold `var` when the equation `at` runs: everything else has
    read it by then.
    """
    place = walk.graph.stored.get(operand) if isinstance(operand, Var) else None
    if place is None or not isinstance(operand, Var) or not (place.root is operand or operand in walk.updated):
        return None
    goal = walk.carried.get(place.root)
    if place.position < 0 and (goal is None or not walk.graph.leads(var, goal)):
        return None
    if not _is_read_before(walk, operand, user, at, place.root):
        return None
    walk.updated.add(var)
    return place.root


def _is_read_before(walk: Walk, operand: Var, user: Equation, at: Equation, root: Var) -> bool:
    """Whether all others read `operand` before the equation `at` runs: small values are stored for that."""
    users = walk.graph.users.get(operand, [])
    others = [other for other in users if other is not user]
    if len(users) - len(others) != 1:
        return False
    late: list[Var] = []
    for other in others:
        if other is None or not walk.graph.is_before(other, at):
            return False
        for out in other.outputs:
            place = walk.graph.stored.get(out)
            if place is None:
                late.append(out)
            elif place.root is root:
                return False
    if sum(out.type.size for out in late) * 2 > operand.type.size:
        return False
    for out in late:
        walk.ensure(out)
    return True
