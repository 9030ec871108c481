"""Which roots share a kernel?  A walk over the equations that stores only what must be,
and groups what has the same loops.

A root joins the latest group over the same domain at whose position everything that it reads is at hand: stored
before, computed in the same row, or lazy. A value that takes expensive instructions is computed once: when several
kernels would, it is stored and the walk begins anew.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from funcgrad.errors import SourceLocation
from funcgrad.ir.primitive import registry
from funcgrad.ir.program import Atom, Equation, Literal, Program, Var
from funcgrad.lower.calls import FAILURES, Call, is_alias, is_native
from funcgrad.lower.graph import Graph, Stored
from funcgrad.lower.index import ZERO, Shape, Strided, axis, contiguous_strides, is_view, squeezed
from funcgrad.lower.loops import Operand
from funcgrad.lower.ownership import own
from funcgrad.lower.places import FOLDS as SCATTERS
from funcgrad.lower.places import update_root
from funcgrad.lower.products import Product, accumulation, arranged, fold_product, is_fold, match_product, turned
from funcgrad.lower.roots import Group, Root, fold_root, natural_index, store_root
from funcgrad.lower.structured import without_constants
from funcgrad.lower.survey import closure
from funcgrad.lower.turning import turn
from funcgrad.lower.updates import handed_on
from funcgrad.lower.values import Expressions, NotHere
from funcgrad.lower.writer import Writer

LOOK_BACK = 12  # groups that a root may join
LARGE = 1 << 15  # elements from which a kernel is better off with few arrays than with many together
HEAVIEST = 600  # instructions of one kernel
ROUNDS = 3
STORING = 4  # operations that take as long as writing an element or reading it
FEW_TO_SEARCH = 64  # elements: less than a kernel more would cost

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

    def __init__(
        self,
        program: Program,
        forced: frozenset[Var],
        first_status: int = 1,
        carried: Mapping[Var, Atom] | None = None,
    ) -> None:
        library = any(e.primitive.name == "dot_general" and not is_fold(e) for e in program.equations)
        self.graph = Graph(program, inside=carried is not None and not library)
        self.carried = carried or {}
        self.forced = forced
        self.first_status = first_status
        self.steps: Steps = []
        self.outputs: list[Var] = []
        self.codes: dict[Equation, int] = {}
        self.checked: set[Equation] = set()
        self.trials: dict[Group, Expressions] = {}
        self.readers: dict[Var, dict[Group, None]] = {}  # the groups that read or write a buffer, in their order
        self.updated: set[Var] = set()  # what took over the buffer of a value that nothing else reads any more
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
        whole, (equation, same) = equation, without_constants(equation)
        taken = self._taken_over(equation, whole)
        places = {k: v for k, v in enumerate(equation.outputs) if k in taken}
        if taken:
            outputs = tuple(taken.get(k, v) for k, v in enumerate(equation.outputs))
            equation = equation.replace(outputs=outputs)
        before = {root: self.graph.stored[root] for root in taken.values()}
        self.call(equation)
        self.graph.stored |= before  # for whoever reads the buffer as it was
        for k, var in places.items():
            self.graph.stored[var] = Stored(taken[k], len(self.steps) - 1)
        for var, atom in same.items():
            self.graph.stored[var] = self.graph.stored[atom] if isinstance(atom, Var) else self._number(atom)

    def _taken_over(self, equation: Equation, whole: Equation) -> dict[int, Var]:
        """The buffers of operands that a loop may change in place, by the number of the output."""
        taken = {}
        for i, k in handed_on(equation):
            operand, var = equation.inputs[i], equation.outputs[k]
            self.ensure(operand)
            root = own(self, operand, var, whole, whole)
            if root is not None:
                taken[k] = root
        return taken

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
        for part in (self._under_views, lambda operand: operand):  # what they are views of, or else themselves
            for which in missing:
                self.ensure(part(equation.inputs[which]))
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
        if found is None:
            product = turned(equation, product, self.graph)
            self.graph.stored[product.out] = Stored(product.out, len(self.steps))
        else:
            target = self._writable(found.out, found.base, equation)
            product = product._replace(out=target, alpha=found.factor, beta=1.0)
            self.graph.stored[found.out] = Stored(target, len(self.steps))
        self.steps.append(product)

    def _under_views(self, atom: Atom) -> Atom:
        """The value that `atom` shows all of, perhaps in another order."""
        while isinstance(atom, Var) and atom not in self.graph.stored:
            equation = self.graph.producers[atom]
            if not is_view(equation) or equation.inputs[0].type.size > atom.type.size:
                break
            atom = equation.inputs[0]
        return atom

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
        target = self._writable(var, equation.inputs[0], equation)
        root = update_root(equation, target, self.graph, len(self.steps))
        group = Group(root.domain, None, len(self.steps))
        self._accept(root, group, self._probe(root, group))
        group.roots.append(root)
        self.steps.append(group)
        self.graph.stored[var] = Stored(target, group.position)

    def _writable(self, var: Var, operand: Atom, at: Equation) -> Var:
        """For `var`, which is made from `operand`: the buffer of this value if nothing reads it after the equation at
        hand, or a new one that its elements are copied to.
        """
        root = own(self, operand, var, self.graph.producers[var], at)
        if root is not None:
            return root
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
            if (not given or self.carried.get(root) is atom) and root not in claimed:
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
        for group in self._candidates(root):
            if group.position <= after:
                return None
            fits, in_rows = _fits(root, group)
            if not fits or group.survey.instructions > HEAVIEST or self._is_searched_after(root, group):
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
        for var in (*trial.writer.buffer_of, root.var):
            self.readers.setdefault(var, {})[group] = None
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
        """The values that are better stored: costly ones that would be computed by several kernels, or far more often
        than they have elements; and cheap ones of which the kernels together compute more than storing them takes.
        """
        found = {var for var, count in self._computed().items() if self._is_dear(var, count)}
        for var, places in self.costly.items():
            once = max(var.type.size, 1)
            if var not in self.graph.stored and (len(places) > 1 or any(n > 2 * once for n in places.values())):
                found.add(var)
        return frozenset(found | self._searched())

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
    "cond": Fusion.loop,
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


def fuse(program: Program, first_status: int = 1, carried: Mapping[Var, Atom] | None = None) -> Fusion:
    """The steps of a simplified program; buffers of inputs that are `carried` may become those of these outputs."""
    forced: frozenset[Var] = frozenset()
    for _ in range(ROUNDS):
        fusion = Fusion(program, forced, first_status, carried).run()
        more = fusion.again()
        if not more:
            break
        forced |= more
    return fusion


def failure(equation: Equation) -> tuple[Exception | None, SourceLocation | None]:
    """What the failure of a check raises, and the user's line; calls say themselves what went wrong."""
    effect, raised = equation.primitive.effect, FAILURES.get(equation.primitive.name)
    return (effect(**equation.params) if effect else raised() if raised else None), equation.source
