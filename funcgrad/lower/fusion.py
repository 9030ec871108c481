"""Which roots share a kernel?  A walk over the equations that stores only what must be,
and groups what has the same loops.

A root joins the latest group over the same domain at whose position everything that it reads is at hand: stored
before, computed in the same row, or lazy. A value that takes expensive instructions is computed once: when several
kernels would, it is stored and the walk begins anew.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any

from funcgrad.errors import SourceLocation
from funcgrad.ir.primitive import registry
from funcgrad.ir.program import Atom, Equation, Literal, Program, Var
from funcgrad.lower.calls import FAILURES, Call, is_alias, is_native
from funcgrad.lower.graph import Graph, Stored
from funcgrad.lower.index import ZERO, Shape, Strided, axis, contiguous_strides, squeezed
from funcgrad.lower.loops import Operand
from funcgrad.lower.places import FOLDS as SCATTERS
from funcgrad.lower.places import update_root
from funcgrad.lower.products import Product, accumulation, arranged, fold_product, is_fold, match_product
from funcgrad.lower.roots import Group, Root, fold_root, natural_index, store_root
from funcgrad.lower.structured import without_constants
from funcgrad.lower.turning import turn
from funcgrad.lower.values import Expressions, NotHere
from funcgrad.lower.writer import Writer

LOOK_BACK = 12  # groups that a root may join
HEAVIEST = 600  # instructions of one kernel
ROUNDS = 3

Steps = list[Group | Product | Call]


class Fusion:
    """One walk.

    Attributes
    ----------
    steps
        Groups, library products and calls, in the order in which they run.
    outputs
        For each output of the program, the variable whose buffer it is.
    codes
        The equations that can fail, with their codes (from `first_status` on).
    """

    def __init__(self, program: Program, forced: frozenset[Var], first_status: int = 1) -> None:
        self.graph = Graph(program)
        self.forced = forced
        self.first_status = first_status
        self.steps: Steps = []
        self.outputs: list[Var] = []
        self.codes: dict[Equation, int] = {}
        self.checked: set[Equation] = set()
        self.trials: dict[Group, Expressions] = {}
        self.updated: set[Var] = set()  # what took over the buffer of a temporary that nothing else reads
        self.costly: dict[Var, dict[int, int]] = {}  # for each costly lazy variable: how often which step computes it

    def run(self) -> Fusion:
        """Walk over the program."""
        for equation in self.graph.program.equations:
            if is_alias(equation):
                self.reshape(equation)
            elif not is_native(equation):
                self._foreign(equation)
            elif self.graph.is_lazy(equation):
                self._lazy(equation)
            else:
                HANDLERS.get(equation.primitive.name, Fusion.call)(self, equation)
        for equation in self.graph.program.equations:
            if equation.primitive.effect and equation not in self.checked:
                self.ensure(equation.outputs[0])
        claimed: set[Var] = set()
        for atom in self.graph.program.outputs:
            self.outputs.append(self._output(atom, claimed))
        return self

    def code_of(self, equation: Equation) -> int:
        """The status that tells of a failure in `equation`."""
        return self.codes.setdefault(equation, self.first_status + len(self.codes))

    # Equations -------------------------------------------------------------------------------------------------------

    def _lazy(self, equation: Equation) -> None:
        (var,) = equation.outputs
        if var in self.graph.stored:  # a product has added it up
            return
        if equation.primitive.name == "reshape" and equation.inputs[0] in self.graph.stored:
            self.reshape(equation)  # the same buffer: an output needs no copy of it
            return
        if self.graph.measure(equation) or var in self.forced or (turn(equation) and self._is_walked(var)):
            self.store(var)

    def _is_walked(self, var: Var) -> bool:
        """Whether loops over its elements read a value: products are told how their operands lie."""
        return any(user is None or user.primitive.scalar is not None for user in self.graph.users.get(var, ()))

    def _foreign(self, equation: Equation) -> None:
        """An operation on complex arrays, which lie in memory: a product, or a call."""
        (self.product if equation.primitive.name == "dot_general" else self.call)(equation)

    def call(self, equation: Equation) -> None:
        """An operation that runs as a whole."""
        for atom in equation.inputs:
            self.ensure(atom)
        inputs = tuple(self.graph.stored[a].root if isinstance(a, Var) else a for a in equation.inputs)
        position = len(self.steps)
        self.steps.append(Call(equation, inputs, self.code_of(equation)))
        self.graph.stored.update((v, Stored(v, position)) for v in equation.outputs)
        self.checked.add(equation)

    def loop(self, equation: Equation) -> None:
        """A loop; what it hands on unchanged is what was handed to it."""
        equation, same = without_constants(equation)
        self.call(equation)
        for var, atom in same.items():
            self.graph.stored[var] = self.graph.stored[atom] if isinstance(atom, Var) else self._number(atom)

    def _number(self, literal: Literal) -> Stored:
        """A literal in a buffer."""
        var = Var(literal.type)
        return Stored(var, self.add(store_root(var, literal)))

    def fold(self, equation: Equation) -> None:
        """A reduction."""
        self.add(fold_root(equation))

    def reshape(self, equation: Equation) -> None:
        """A reshape that regroups elements is the same buffer read otherwise."""
        (operand,), (var,) = equation.inputs, equation.outputs
        assert isinstance(operand, Var)
        self.ensure(operand)
        self.graph.stored[var] = self.graph.stored[operand]

    def barrier(self, equation: Equation) -> None:
        """A stored value as it is, for what comes after all steps so far."""
        (operand,), (var,) = equation.inputs, equation.outputs
        assert isinstance(operand, Var)
        self.ensure(operand)
        self.graph.stored[var] = Stored(self.graph.stored[operand].root, len(self.steps) - 1)

    def product(self, equation: Equation) -> None:
        """A product by loops or by the library."""
        if is_fold(equation):
            self.add(fold_product(equation))
            return
        product, missing = match_product(equation, self.graph, len(self.steps))
        for which in missing:
            self.ensure(equation.inputs[which])
        if product is None:
            product, missing = match_product(equation, self.graph, len(self.steps))
        for which in missing:  # its axes stand in an order that no matrix has: a copy in another one
            copied, equation = arranged(equation, which)
            self.graph.producers[copied.outputs[0]] = copied
            self.store(copied.outputs[0])
        if product is None:
            product, missing = match_product(equation, self.graph, len(self.steps))
        assert product is not None
        found = accumulation(equation, self.graph, len(self.steps))
        if found is not None:
            self.add(store_root(found.out, found.base))
            product = dataclasses.replace(product, out=found.out, alpha=found.factor, beta=1.0)
        self.graph.stored[product.out] = Stored(product.out, len(self.steps))
        self.steps.append(product)

    def concatenate(self, equation: Equation) -> None:
        """Each part is stored where it belongs."""
        (var,) = equation.outputs
        along, start, last = equation.params["dimension"], 0, -1
        strides = contiguous_strides(var.type.shape)
        for part in equation.inputs:
            target = Strided(start * strides[along], part.type.shape, strides)
            last = max(last, self.add(store_root(var, part, target)))
            start += part.type.shape[along]
        self.graph.stored[var] = Stored(var, last)

    def pad(self, equation: Equation) -> None:
        """The border first, everywhere, then what it surrounds."""
        operand, value = equation.inputs
        (var,) = equation.outputs
        config, shape = equation.params["padding_config"], operand.type.shape
        border = Root("store", squeezed(var.type.shape), None, var, ((value, ()),), target=None)
        border.target = Strided(0, border.domain, contiguous_strides(border.domain))
        position = self.add(border)
        first, counts = (
            zip(*itertools.starmap(_visible, zip(shape, var.type.shape, config, strict=True)), strict=True)
            if shape
            else ((), ())
        )
        if 0 not in counts:
            inner = _inner_root(var, operand, first, counts, config)
            position = self.add(inner, after=position)
        self.graph.stored[var] = Stored(var, position)

    def scatter(self, equation: Equation) -> None:
        """A loop over the updates, one after the other, into a copy of the operand, or into the operand itself."""
        (var,) = equation.outputs
        target = self._writable(equation)
        root = update_root(equation, target, self.graph, len(self.steps))
        group = Group(root.domain, None, len(self.steps))
        self._accept(root, group, self._probe(root, group))
        group.roots.append(root)
        self.steps.append(group)
        self.graph.stored[var] = Stored(target, group.position)

    def _writable(self, equation: Equation) -> Var:
        """The buffer of a temporary that nothing else reads, or a new one that its elements are copied to."""
        operand, (var,) = equation.inputs[0], equation.outputs
        place = self.graph.stored.get(operand) if isinstance(operand, Var) else None
        own = place is not None and place.position >= 0 and (place.root is operand or operand in self.updated)
        if own and self.graph.only_user(operand) is equation:  # type: ignore[arg-type]
            self.updated.add(var)
            return place.root  # type: ignore[union-attr]
        self.add(store_root(var, operand))
        return var

    # Stores ----------------------------------------------------------------------------------------------------------

    def ensure(self, atom: Atom) -> None:
        """Store a value that is not stored yet."""
        if isinstance(atom, Var) and atom not in self.graph.stored:
            self.store(atom)

    def store(self, var: Var) -> None:
        """Store a lazy value."""
        producer = self.graph.producers.get(var)
        if producer is not None and turn(producer):
            self.call(producer)
            return
        self.graph.stored[var] = Stored(var, self.add(store_root(var)))

    def _output(self, atom: Atom, claimed: set[Var]) -> Var:
        """The variable whose buffer is this output: nobody else's."""
        if isinstance(atom, Var):
            self.ensure(atom)
            root = self.graph.stored[atom].root
            given = root in self.graph.program.constants or root in self.graph.program.inputs
            if not given and root not in claimed:
                claimed.add(root)
                return root
        copy = Var(atom.type)
        duplicate = Equation(registry["convert_element_type"], (atom,), (copy,), {"dtype": atom.type.dtype}, None)
        if is_native(duplicate):
            self.graph.stored[copy] = Stored(copy, self.add(store_root(copy, atom)))
        else:
            self.call(duplicate)
        claimed.add(copy)
        return copy

    # Groups ----------------------------------------------------------------------------------------------------------

    def add(self, root: Root, after: int = -1) -> int:
        """Put a root into a group; the position of its step."""
        position = self._join(root, after)
        if position is None:
            group = Group(root.domain, root.rows, len(self.steps))
            self._accept(root, group, self._probe(root, group))
            group.roots.append(root)
            self.steps.append(group)
            position = group.position
        if root.kind != "store":
            self.graph.stored[root.var] = Stored(root.var, position)
        return position

    def _join(self, root: Root, after: int) -> int | None:
        groups = (step for step in reversed(self.steps) if isinstance(step, Group))
        for group in itertools.islice(groups, LOOK_BACK):
            if group.position <= after:
                return None
            fits, in_rows = _fits(root, group)
            if not fits or group.survey.instructions > HEAVIEST:
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

        trial = Expressions(Writer(), self.graph, group, self.code_of, iterations, observed=True)
        for k in range(len(group.domain)):
            trial.symbols[k] = trial.writer.open()
        return trial

    def _accept(self, root: Root, group: Group, trial: Expressions) -> None:
        """Note what a root that has joined adds to its group."""
        survey = group.survey
        survey.instructions += trial.writer.instructions - trial.begun
        survey.costly += len(trial.costly)
        survey.reads.update(trial.writer.buffer_of)
        survey.positions.update(trial.positions)
        if root.target is not None:
            survey.positions.add(root.target.place())
        if root.kind in ("row", "arg"):
            value: Operand = trial.writer.fresh(root.dtype, root.rows or 0)
            trial.row_values[root.var] = (natural_index(root.var.type.shape), value)
        self.checked |= trial.checked
        for var, iterations in trial.costly.items():
            self.costly.setdefault(var, {})[group.position] = iterations

    def again(self) -> frozenset[Var]:
        """The costly values that would be computed by several kernels, or far more often than they have elements."""
        found = set()
        for var, places in self.costly.items():
            once = max(var.type.size, 1)
            if var not in self.graph.stored and (len(places) > 1 or any(n > 2 * once for n in places.values())):
                found.add(var)
        return frozenset(found)


def _fits(root: Root, group: Group) -> tuple[bool, bool]:
    """Whether a root may share the group's loops, and whether only those over rows."""
    if any(other.kind == "scatter" for other in group.roots):
        return False, False
    if root.domain == group.domain:
        settled = root.rows is None or group.rows is None or root.rows == group.rows
        return settled and not (group.in_rows and root.rows not in (None, group.rows)), False
    rows = group.rows
    in_rows = bool(rows) and root.domain == group.domain[:rows] and root.kind in ("store", "full")
    return in_rows, in_rows


def _visible(n: int, extent: int, config: tuple[int, int, int]) -> tuple[int, int]:
    """Of an axis that is padded (or cut): the first element that is seen, and how many are."""
    low, _, interior = config
    step = interior + 1
    first = max(0, -(low // step)) if low < 0 else 0
    last = min(n - 1, (extent - 1 - low) // step)
    return first, max(last - first + 1, 0)


def _inner_root(var: Var, operand: Atom, first: Any, counts: Shape, config: Any) -> Root:
    """Store the visible part of a padded operand in its place."""
    strides = contiguous_strides(var.type.shape)
    domain = squeezed(counts)
    numbers = iter(range(len(domain)))
    symbols = [ZERO if n == 1 else axis(next(numbers)) for n in counts]
    index = tuple(s.scaled(1, f) for s, f in zip(symbols, first, strict=True))
    steps = [k + 1 for *_, k in config]
    offset = sum((low + f * k) * s for (low, _, _), f, k, s in zip(config, first, steps, strides, strict=True))
    kept = tuple(s * k for s, k, n in zip(strides, steps, counts, strict=True) if n != 1)
    return Root("store", domain, None, var, ((operand, index),), target=Strided(offset, domain, kept))


HANDLERS: dict[str, Callable[[Any, Equation], None]] = {
    "scan": Fusion.loop,
    "while": Fusion.loop,
    **dict.fromkeys(
        ("reduce_sum", "reduce_prod", "reduce_max", "reduce_min", "reduce_and", "reduce_or", "argmax", "argmin"),
        Fusion.fold,
    ),
    "reshape": Fusion.reshape,
    "optimization_barrier": Fusion.barrier,
    "dot_general": Fusion.product,
    "concatenate": Fusion.concatenate,
    "pad": Fusion.pad,
    **dict.fromkeys((*SCATTERS, "dynamic_update_slice"), Fusion.scatter),
}


def fuse(program: Program, first_status: int = 1) -> Fusion:
    """The steps of a simplified program."""
    forced: frozenset[Var] = frozenset()
    for _ in range(ROUNDS):
        fusion = Fusion(program, forced, first_status).run()
        more = fusion.again()
        if not more:
            break
        forced |= more
    return fusion


def failure(equation: Equation) -> tuple[Exception | None, SourceLocation | None]:
    """What the failure of a check raises, and the user's line; calls say themselves what went wrong."""
    effect, raised = equation.primitive.effect, FAILURES.get(equation.primitive.name)
    return (effect(**equation.params) if effect else raised() if raised else None), equation.source
