"""Which group does a root join?  The latest over the same domain at whose position all that it reads is at hand."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Container, Iterator

from funcgrad.ir.program import Equation, Var
from funcgrad.lower.calls import Call
from funcgrad.lower.graph import Graph, Stored
from funcgrad.lower.loops import Operand
from funcgrad.lower.products import Product
from funcgrad.lower.roots import Group, Root, natural_index
from funcgrad.lower.survey import closure
from funcgrad.lower.values import Expressions, Key, NotHere
from funcgrad.lower.writer import Writer

LOOK_BACK = 12  # groups that a root may join
LARGE = 1 << 15  # elements from which a kernel is better off with few arrays than with many together
HEAVIEST = 600  # instructions of one kernel
PASSES = 4  # over the columns: beyond, a kernel with more of them takes fewer instructions
STORING = 4  # operations that take as long as writing an element or reading it
FEW = 4  # operations that may be done as many times for each element, rather than storing what they give
REPEATING = 24  # operations that are done again and take as long as storing what they give and reading it
DEAR = 5  # operations that a root or a division takes the time of
FEW_TO_SEARCH = 64  # elements: less than a kernel more would cost

Steps = list[Group | Product | Call]


class Groups:
    """The steps of a walk, and what is known of the kernels among them.

    Attributes
    ----------
    steps
        Groups, library products and calls, in the order in which they run.
    codes
        The equations that can fail, with their codes (from `first_status` on).
    forced
        The values that are stored because an earlier walk has shown that they should be.
    checked
        The equations whose failures some kernel notes.
    """

    def __init__(self, graph: Graph, forced: frozenset[Var], first_status: int) -> None:
        self.graph = graph
        self.forced = forced
        self.first_status = first_status
        self.steps: Steps = []
        self.codes: dict[Equation, int] = {}
        self.checked: set[Equation] = set()
        self.trials: dict[Group, Expressions] = {}
        self.readers: dict[Var, dict[Group, None]] = {}  # the groups that read or write a buffer, in their order
        self.costly: dict[Var, dict[int, int]] = {}  # for each costly lazy variable: how often which step computes it

    def code_of(self, equation: Equation) -> int:
        """The status that tells of a failure in `equation`."""
        return self.codes.setdefault(equation, self.first_status + len(self.codes))

    def add(self, root: Root, after: int = -1) -> int:
        """Put a root into a group; the position of its step."""
        position = self._join(root, after)
        if position is None:
            position = self.open(root)
        if root.kind != "store":
            self.graph.stored[root.var] = Stored(root.var, position)
        return position

    def open(self, root: Root) -> int:
        """Put a root into a group of its own; the position of its step."""
        group = Group(root.domain, root.rows, len(self.steps))
        self._accept(root, group, self._probe(root, group))
        group.roots.append(root)
        self.steps.append(group)
        return group.position

    def _join(self, root: Root, after: int) -> int | None:
        for group in self._candidates(root):
            if group.position <= after:
                return None
            fits, in_rows = _fits(root, group)
            if not fits or _is_full(group) or self._is_searched_after(root, group):
                continue
            before = group.rows
            if not in_rows and root.rows is not None:
                group.rows = root.rows
            try:
                trial = self._probe(root, group)
            except NotHere:
                group.rows = before
                continue
            (group.in_rows if in_rows else group.roots).append(root)
            self._accept(root, group, trial)
            return group.position
        return None

    def _is_searched_after(self, root: Root, group: Group) -> bool:
        """Whether a root searches through what a group stores, so that other loops than a search's can."""
        var = root.operands[0][0]
        return root.kind == "arg" and var in self.forced and self.graph.stored[var].position == group.position

    def _candidates(self, root: Root) -> Iterator[Group]:
        """The groups that a root may join, the latest first: of large arrays only those that read the same ones."""
        if math.prod(root.domain) < LARGE:
            groups = (step for step in reversed(self.steps) if isinstance(step, Group))
            return itertools.islice(groups, LOOK_BACK)
        found = {g.position: g for var in self._sources(root) for g in list(self.readers.get(var, ()))[-LOOK_BACK:]}
        return (found[position] for position in sorted(found, reverse=True))

    def _sources(self, root: Root) -> set[Var]:
        """The buffers as large as its domain that a root reads."""
        size = math.prod(root.domain)
        found: set[Var] = set()
        seen: set[Var] = set()
        waiting = [atom for atom, _ in root.operands]
        while waiting:
            atom = waiting.pop()
            if not isinstance(atom, Var) or atom in seen or atom.type.size < size:
                continue
            seen.add(atom)
            place, producer = self.graph.stored.get(atom), self.graph.producers.get(atom)
            if place is not None:
                found.add(place.root)
            elif producer is None:
                found.add(atom)
            else:
                waiting.extend(producer.inputs)
        return found

    def _probe(self, root: Root, group: Group) -> Expressions:
        """Write the root's elements for trial: raises `NotHere` if the group cannot compute it.

        All roots of a group share one trial, so that what they have in common is written once.
        """
        trial = self.trials.get(group)
        if trial is None:
            trial = self.trials[group] = self._trial(group)
        trial.begin()
        for atom, index in root.operands:
            trial.element(atom, index)
        for place in root.places or ():
            trial.at(place)
        return trial

    def _trial(self, group: Group) -> Expressions:
        def iterations(depth: int) -> int:
            return math.prod(group.domain[:depth])

        inner = len(group.domain) - 1 if group.domain else None
        trial = Expressions(Writer(), self.graph, group, self.code_of, iterations, observed=True, inner=inner)
        for k in range(len(group.domain)):
            trial.symbols[k] = trial.writer.open()
        return trial

    def _accept(self, root: Root, group: Group, trial: Expressions) -> None:
        """Note what a root that has joined adds to its group."""
        survey = group.survey
        survey.instructions += trial.writer.instructions - trial.begun
        survey.costly += len(trial.costly)
        survey.reads.update(trial.writer.buffer_of)
        for var in (*trial.writer.buffer_of, root.var):
            self.readers.setdefault(var, {})[group] = None
        survey.positions.update(trial.positions)
        survey.seams |= trial.borders.seams
        if root.target is not None:
            survey.positions.add(root.target.place())
        if root.kind in ("row", "arg"):
            survey.folds += 1
            value: Operand = trial.writer.fresh(root.dtype, root.rows or 0)
            trial.row_values[root.var] = (natural_index(root.var.type.shape), value)
        self.checked |= trial.checked
        for var, iterations in trial.costly.items():
            self.costly.setdefault(var, {})[group.position] = iterations

    def again(self) -> frozenset[Var]:
        """The values that are better stored: costly ones that would be computed by several kernels, or far more often
        than they have elements; and cheap ones of which the kernels together compute more than storing them takes.
        """
        found = {var for var, count in self._computed().items() if self._is_dear(var, count)}
        for var, places in self.costly.items():
            once = max(var.type.size, 1)
            if var not in self.graph.stored and (len(places) > 1 or any(n > 2 * once for n in places.values())):
                found.add(var)
        return frozenset(found | self._searched() | self._spread() | self._shifted())

    def drop_unread(self, group: Group, needed: Container[Var]) -> None:
        """Leave out the stores of a group that nothing reads: its own kernel has these values at hand."""

        def stays(root: Root) -> bool:
            stored = root.kind == "store" and root.var in self.forced
            return not stored or root.var in needed or self._checks(root, group)

        group.roots = [root for root in group.roots if stays(root)]
        group.in_rows = [root for root in group.in_rows if stays(root)]

    def _checks(self, root: Root, group: Group) -> bool:
        """Whether something can fail where a root is computed."""
        keys = ((v, index) for v, index in root.operands if isinstance(v, Var))
        producers = (self.graph.producers.get(v) for v, _ in closure(keys, self.trials[group]))
        return any(equation is not None and equation.primitive.effect for equation in producers)

    def _searched(self) -> set[Var]:
        """What takes mathematics before it is searched through: a search goes from element to element, but storing
        goes on in lanes.
        """
        found: set[Var] = set()
        for group, trial in self.trials.items():
            for root in group.roots:
                atom = root.operands[0][0]
                many = math.prod(root.domain) >= FEW_TO_SEARCH
                if root.kind == "arg" and many and isinstance(atom, Var) and atom not in self.graph.stored:
                    keys = ((v, index) for v, index in root.operands if isinstance(v, Var))
                    if any(v in trial.mathematical for v, _ in closure(keys, trial)):
                        found.add(atom)
        return found

    def _spread(self) -> set[Var]:
        """What loops over more axes than it has would compute again and again, though no operation of it is dear."""
        found: set[Var] = set()
        for group, trial in self.trials.items():
            if math.prod(group.domain) < LARGE:
                continue
            again = {key for key in trial.reads_of if self._is_again(key, group, trial)}
            if again:
                readers = (reads for key, reads in trial.reads_of.items() if key not in again)
                operands = (root.operands for root in group.roots)
                read = (key for keys in (*readers, *operands) for key in keys)
                found |= {v for v, index in read if isinstance(v, Var) and (v, index) in again}
        return found

    def _is_again(self, key: Key, group: Group, trial: Expressions) -> bool:
        """Whether a kernel computes an element for each of many iterations."""
        var = key[0]
        if self.graph.works.get(var, 0) < FEW or not trial.reads_of[key] or key in trial.borders.parts:
            return False
        return math.prod(group.domain[: trial.depth_of(key)]) >= FEW * max(var.type.size, 1)

    def _shifted(self) -> set[Var]:
        """What loops compute at several places (stencils of stencils), and values with seams that no cut of a loop
        decides.
        """
        found: set[Var] = set()
        for group, trial in self.trials.items():
            found |= trial.borders.unsplit
            if math.prod(group.domain) < LARGE:
                continue
            places: Counter[tuple[Var, object]] = Counter()
            for key in trial.reads_of:
                var, index = key
                if var.type.size <= 2 * math.prod(group.domain[: trial.depth_of(key)]) <= 4 * var.type.size:
                    places[var, None if key in trial.borders.parts else tuple(i.terms for i in index)] += 1
            for (var, _), n in places.items():
                work = self.graph.works.get(var, 0) + DEAR * (group.position in self.costly.get(var, ()))
                if (n - 1) * work > REPEATING and self._is_operation(var):
                    found.add(var)
        return found - self.graph.stored.keys()

    def _is_operation(self, var: Var) -> bool:
        equation = self.graph.producers.get(var)
        return equation is not None and equation.primitive.scalar is not None

    def _computed(self) -> Counter[Var]:
        """How many kernels compute each lazy value that several equations read."""
        found: Counter[Var] = Counter()
        for group, trial in self.trials.items():
            if math.prod(group.domain) >= LARGE:
                found.update({var for var, _ in trial.reads_of})
        return found

    def _is_dear(self, var: Var, kernels: int) -> bool:
        equation = self.graph.producers.get(var)
        if kernels < 2 or var in self.graph.stored or equation is None or equation.primitive.scalar is None:
            return False
        work = self.graph.works.get(var, 0)
        return len(self.graph.users[var]) > 1 and (kernels - 1) * work > STORING * (kernels + 2)


def _is_full(group: Group) -> bool:
    """Whether a kernel takes no more roots: a pass over the columns computes anew what it needs of earlier ones."""
    instructions = group.survey.instructions + len(group.roots)  # the stores, which are not written yet
    return instructions * max(group.survey.folds, PASSES) > HEAVIEST * PASSES


def _fits(root: Root, group: Group) -> tuple[bool, bool]:
    """Whether a root may share the group's loops, and whether only those over rows."""
    if any(other.kind == "scatter" for other in group.roots):
        return False, False
    if root.domain == group.domain:
        settled = root.rows is None or group.rows is None or root.rows == group.rows
        return settled and not (group.in_rows and root.rows not in (None, group.rows)), False
    rows = group.rows if 0 not in group.domain else None  # checks of the rows would not be made
    in_rows = bool(rows) and root.domain == group.domain[:rows] and root.kind in ("store", "full")
    return in_rows, in_rows
