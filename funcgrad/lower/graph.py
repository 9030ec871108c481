"""What is stored, and what is only an expression?  The facts about a program that fusion and kernels share.

An equation is *lazy* when its elements can be computed wherever they are needed: elementwise operations, views, iota
and gather. Everything else has a place in the list of steps. A lazy value is stored when a library product, an output
or too many kernels need it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from funcgrad.ir.program import Atom, Equation, Program, Var
from funcgrad.lower.index import is_view
from funcgrad.lower.updates import handed_on

COMPUTED = frozenset({"dynamic_slice", "gather", "iota"})  # elements whose place is computed
DEEPEST = 100  # operations in a row that are computed anew wherever they are needed, before one is stored
SMALL = 1024  # elements of a value that costs next to nothing to store ...
MOST_WORK = 24  # ... which it is if several equations read it and it takes more operations than these


class Stored(NamedTuple):
    """Where a value lies: the variable whose buffer it shares (in C order), and the step after which it is there."""

    root: Var
    position: int


class Framed(NamedTuple):
    """What a padded value surrounds: a stored value, a view of one, or the negative of these."""

    inside: Var
    stored: Var
    negated: bool


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
    framed
        Padded values that are not stored: where their elements are read.
    depths, works
        For lazy variables, the length of the longest chain of operations since the last stored values, and how many
        there are.
    """

    program: Program
    producers: dict[Var, Equation] = field(default_factory=dict)
    users: dict[Var, list[Equation | None]] = field(default_factory=dict)
    stored: dict[Var, Stored] = field(default_factory=dict)
    framed: dict[Var, Framed] = field(default_factory=dict)
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
        if not self.order:
            self.order = {e: k for k, e in enumerate(self.program.equations)}
        return self.order[one] < self.order.get(other, -1)

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
        if primitive.name == "pad":
            return equation.outputs[0] in self.framed
        return primitive.scalar is not None or primitive.name in COMPUTED or is_view(equation)

    def measure(self, equation: Equation) -> bool:
        """Note how much it takes to compute a lazy value anew; whether it is better stored."""
        (var,) = equation.outputs
        depth = work = 1
        for a in equation.inputs:
            if isinstance(a, Var) and a not in self.stored:
                depth = max(depth, 1 + self.depths.get(a, 0))
                work += self.works.get(a, 0)
        self.depths[var], self.works[var] = depth, work
        shared = len(self.users.get(var, ())) > 1 and var.type.size <= SMALL and work > MOST_WORK
        return depth > DEEPEST or shared

    def is_stored(self, atom: Atom, position: int) -> bool:
        """Whether the value lies in a buffer before step `position`."""
        place = self.stored.get(atom) if isinstance(atom, Var) else None
        return place is not None and place.position < position
