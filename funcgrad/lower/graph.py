"""What is stored, and what is only an expression?  The facts about a program that fusion and kernels share.

An equation is *lazy* when its elements can be computed wherever they are needed: elementwise operations, views, iota
and gather. Everything else has a place in the list of steps. A lazy value is stored when a library product, an output
or too many kernels need it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from funcgrad.ir.program import Atom, Equation, Program, Var
from funcgrad.lower.index import is_view
from funcgrad.lower.updates import handed_on
from funcgrad.transform.residuals import price

COMPUTED = frozenset({"dynamic_slice", "gather", "iota"})  # elements whose place is computed
DEEPEST = 100  # operations in a row that are computed anew wherever they are needed, before one is stored
SMALL = 1024  # elements of a value that costs next to nothing to store ...
MOST_WORK = 24  # ... which it is if several equations read it and it takes more operations than these


class Stored(NamedTuple):
    """Where a value lies: the variable whose buffer it shares (in C order), and the step after which it is there."""

    root: Var
    position: int


@dataclass(slots=True)
class Graph:
    """A program under lowering.

    Attributes
    ----------
    program
        The simplified program.
    producers
        The equation that defines each variable.
    users
        The equations that read each variable; an output of the program is read by None.
    stored
        Variables that have a buffer: inputs and constants (position -1), and what steps have written.
    seamed
        Padded and concatenated values that are not stored: their elements are read from their parts (`lower.seams`).
    sewn
        Lazy values whose elements were computed from such when they were met first.
    depths, works
        For lazy variables, the length of the longest chain of operations since the last stored values, and how many
        there are.
    """

    program: Program
    producers: dict[Var, Equation] = field(default_factory=dict)
    users: dict[Var, list[Equation | None]] = field(default_factory=dict)
    stored: dict[Var, Stored] = field(default_factory=dict)
    seamed: set[Var] = field(default_factory=set)
    sewn: set[Var] = field(default_factory=set)
    depths: dict[Var, int] = field(default_factory=dict)
    works: dict[Var, int] = field(default_factory=dict)
    order: dict[Equation, int] = field(default_factory=dict)
    inside: bool = False

    def __post_init__(self) -> None:
        for equation in self.program.equations:
            for v in equation.outputs:
                self.producers[v] = equation
            for a in equation.inputs:
                self._note_use(a, equation)
        for a in self.program.outputs:
            self._note_use(a, None)
        for v in (*self.program.inputs, *self.program.constants):
            self.stored[v] = Stored(v, -1)

    def _note_use(self, atom: Atom, equation: Equation | None) -> None:
        if isinstance(atom, Var):
            self.users.setdefault(atom, []).append(equation)

    def under_views(self, atom: Atom, whole: bool = False) -> Atom:
        """The value of which `atom` is a view, or a view of a view: one that is stored, or no view itself.

        With `whole`, views that do not show all of a value count as values.
        """
        while isinstance(atom, Var) and atom not in self.stored:
            equation = self.producers[atom]
            if not is_view(equation) or (whole and equation.inputs[0].type.size > atom.type.size):
                break
            atom = equation.inputs[0]
        return atom

    def only_user(self, var: Var) -> Equation | None:
        """The one equation that reads `var`, if nothing else does."""
        users = self.users.get(var, [])
        return users[0] if len(users) == 1 else None

    def is_before(self, one: Equation, other: Equation) -> bool:
        """Whether an equation stands above another one."""
        return self.place_of(one) < self.place_of(other)

    def place_of(self, equation: Equation) -> int:
        """Where an equation stands."""
        if not self.order:
            self.order = {e: k for k, e in enumerate(self.program.equations)}
        return self.order.get(equation, -1)

    def leads(self, var: Var, goal: Atom) -> bool:
        """Whether `var` becomes `goal` by changes in place alone."""
        while var is not goal:
            changes = (
                (user, k)
                for user in self.users.get(var, ())
                if user is not None
                for i, k in handed_on(user)
                if user.inputs[i] is var
            )
            user, k = next(changes, (None, 0))
            if user is None:
                return False
            var = user.outputs[k]
        return True

    def is_lazy(self, equation: Equation) -> bool:
        """Whether elements of the result can be computed one by one."""
        primitive = equation.primitive
        if primitive.name in ("pad", "concatenate"):
            return equation.outputs[0] in self.seamed
        return primitive.scalar is not None or primitive.name in COMPUTED or is_view(equation)

    def measure(self, equation: Equation) -> bool:
        """Note how much it takes to compute a lazy value anew; whether it is better stored."""
        (var,) = equation.outputs
        depth = work = 1
        for a in equation.inputs:
            if isinstance(a, Var) and a not in self.stored:
                depth = max(depth, 1 + self.depths.get(a, 0))
                work += self.works.get(a, 0)
                if a in self.sewn or a in self.seamed:
                    self.sewn.add(var)
        self.depths[var], self.works[var] = depth, work
        shared = len(self.users.get(var, ())) > 1 and var.type.size <= SMALL and work > MOST_WORK
        return depth > DEEPEST or shared

    def is_sewn(self, atom: Atom) -> bool:
        """Whether the elements of a lazy value are computed from some with seams."""
        pending, seen = [atom], set()
        while pending:
            a = pending.pop()
            if isinstance(a, Var) and a in self.sewn and a not in self.stored and a not in seen:
                inputs = self.producers[a].inputs
                if any(x in self.seamed and x not in self.stored for x in inputs):
                    return True
                seen.add(a)
                pending += inputs
        return False

    def takes_more(self, atoms: Iterable[Atom], most: int) -> bool:
        """Whether lazy values take more than `most` additions for each element."""
        pending, count = list(atoms), 0
        while pending and count <= most:
            a = pending.pop()
            if isinstance(a, Var) and a not in self.stored:
                count += price(self.producers[a]) // max(int(a.type.nbytes), 1)
                pending += self.producers[a].inputs
        return count > most

    def remeasure(self, stored: Atom) -> None:
        """Note again how much lazy values take that are made of one which is stored since they were met."""
        pending, found = [stored], set()
        while pending:
            a = pending.pop()
            for user in self.users.get(a, ()) if isinstance(a, Var) else ():
                if user is not None and user not in found and user.outputs[0] in self.depths:
                    found.add(user)
                    pending += user.outputs
        for equation in sorted(found, key=self.place_of):
            self.measure(equation)

    def is_stored(self, atom: Atom, position: int) -> bool:
        """Whether the value lies in a buffer before step `position`."""
        place = self.stored.get(atom) if isinstance(atom, Var) else None
        return place is not None and place.position < position
