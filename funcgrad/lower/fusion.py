"""Which values are stored, and by which steps?  A walk over the equations that stores only what must be.

What is stored is a root, and joins a group of roots that share a kernel (`lower.joining`). A value that takes expensive
instructions is computed once: when several kernels would, it is stored and the walk begins anew.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

from funcgrad.errors import SourceLocation
from funcgrad.ir.primitive import registry
from funcgrad.ir.program import Atom, Equation, Literal, Program, Var
from funcgrad.lower.calls import FAILURES, Call, is_alias, is_native
from funcgrad.lower.graph import Graph, Stored
from funcgrad.lower.index import ZERO, Shape, Strided, axis, contiguous_strides, squeezed
from funcgrad.lower.joining import Groups
from funcgrad.lower.ownership import own
from funcgrad.lower.places import FOLDS as SCATTERS
from funcgrad.lower.places import given_index, update_root
from funcgrad.lower.products import accumulation, arranged, fold_product, is_fold, match_product, turned
from funcgrad.lower.roots import Root, fold_root, store_root
from funcgrad.lower.seams import dear_below, has_seams, is_better_stored, is_computed_too_often
from funcgrad.lower.structured import without_constants
from funcgrad.lower.turning import turn
from funcgrad.lower.updates import handed_on
from funcgrad.ops.indexing import scatter_add
from funcgrad.ops.scatter import is_by_place

ROUNDS = 3


class Fusion(Groups):
    """One walk.

    Attributes
    ----------
    outputs
        For each output of the program, the variable whose buffer it is.
    """

    def __init__(
        self,
        program: Program,
        forced: frozenset[Var],
        first_status: int = 1,
        carried: Mapping[Var, Atom] | None = None,
    ) -> None:
        library = any(e.primitive.name == "dot_general" and not is_fold(e) for e in program.equations)
        super().__init__(Graph(program, inside=carried is not None and not library), forced, first_status)
        self.carried = carried or {}
        self.outputs: list[Var] = []
        self.updated: set[Var] = set()  # what took over the buffer of a value that nothing else reads any more

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
        for as_view in (True, False):  # what they are views of, or else themselves
            for which in missing:
                operand = equation.inputs[which]
                self.ensure(self.graph.under_views(operand, whole=True) if as_view else operand)
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

    def concatenate(self, equation: Equation) -> None:
        """Each part is stored where it belongs; or none, where loops read them."""
        (var,) = equation.outputs
        if var not in self.forced and has_seams(equation, self.graph):
            self._sew(equation)
            return
        along, start, last = equation.params["dimension"], 0, -1
        strides = contiguous_strides(var.type.shape)
        for part in equation.inputs:
            target = Strided(start * strides[along], part.type.shape, strides)
            last = max(last, self.add(store_root(var, part, target)))
            start += part.type.shape[along]
        self.graph.stored[var] = Stored(var, last)

    def pad(self, equation: Equation) -> None:
        """The border first, everywhere, then what it surrounds; or neither, where loops read its parts."""
        operand, value = equation.inputs
        (var,) = equation.outputs
        if var not in self.forced and has_seams(equation, self.graph):
            self._sew(equation)
            return
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

    def _sew(self, equation: Equation) -> None:
        """Let loops read the elements of a value from its parts, of which dear ones are stored before."""
        for part in equation.inputs:
            value = self.graph.under_views(part)
            while value not in self.graph.stored and is_better_stored(value, self.graph):
                assert isinstance(value, Var)
                dear = dear_below(value, self.graph)
                self._store_first(dear or self._shared_below(value))
            if value not in self.graph.stored and is_computed_too_often(value, part, equation, self.graph):
                self._store_first(part)
        self.graph.seamed.update(equation.outputs)
        self.graph.measure(equation)

    def _store_first(self, atom: Atom) -> None:
        self.ensure(atom)
        self.graph.remeasure(atom)

    def _shared_below(self, value: Var) -> Var:
        """Of the operations from values with seams to `value`, what others read as well: it serves them all."""
        chosen, atom = value, value
        while atom not in self.graph.seamed:
            if self.graph.producers[atom].primitive.scalar is not None and len(self.graph.users[atom]) > 1:
                chosen = atom
            sewn = [a for a in self.graph.producers[atom].inputs if isinstance(a, Var) and self.graph.is_sewn(a)]
            if len(sewn) != 1:
                break
            (atom,) = sewn
        return chosen

    def scatter(self, equation: Equation) -> None:
        """A loop over the updates, one after the other, into a copy of the operand, or into the operand itself."""
        (var,) = equation.outputs
        if equation.primitive is scatter_add and is_by_place(tuple(a.type for a in equation.inputs), equation.params):
            self._add_by_place(equation)
            return
        target = self._writable(var, equation.inputs[0], equation)
        root = update_root(equation, target, self.graph, len(self.steps))
        self.graph.stored[var] = Stored(target, self.open(root))

    def _add_by_place(self, equation: Equation) -> None:
        """Additions by a routine, which checks indices itself, into the same buffer as a loop's."""
        operand, updates, index = equation.inputs
        (var,) = equation.outputs
        given, check = given_index(index, operand.type.size, self.graph)
        one = self.graph.under_views(updates)
        updates = one if one.type.size == 1 else updates
        self.ensure(updates)
        self.ensure(given)
        numbers = self.graph.stored[updates] if isinstance(updates, Var) else self._number(updates)
        read = (numbers.root, self.graph.stored[given].root)
        if isinstance(operand, Var) and operand in self.graph.stored and self.graph.stored[operand].root in read:
            target = var  # no piece may read what another one writes
            self.add(store_root(var, operand))
        else:
            target = self._writable(var, operand, equation)
        inputs = (target, *read)
        status = self.code_of(check) if check else 0
        self.graph.stored[var] = Stored(target, len(self.steps))
        self.steps.append(Call(equation if target is var else equation.replace(outputs=(target,)), inputs, status))
        if check:
            self.checked.add(check)

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
