"""How is one element computed?  Expressions, written into a kernel where they are needed, each once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from funcgrad.dtypes import code
from funcgrad.ir.program import Atom, Equation, Literal, Var
from funcgrad.lower.graph import COMPUTED, Graph
from funcgrad.lower.index import ZERO, Affine, Index, Shape, flat, is_view, through_view, total
from funcgrad.lower.loops import INDEX, Constant, Operand, Value
from funcgrad.lower.places import Place, resolve
from funcgrad.lower.roots import Group
from funcgrad.lower.scalar import MATHEMATICS
from funcgrad.lower.seams import Borders, Stretch, joined, padded
from funcgrad.lower.writer import EXPENSIVE, Writer

Key = tuple[Var, Index]  # one element of a value
NESTED = 50  # elements in the course of computing each other, beyond which recursion ends
PLACED = COMPUTED | {"pad", "concatenate"}  # operations whose elements are not at the same index, and of no view
SEAMED = {"pad": padded, "concatenate": joined}
FOLDING = frozenset({"pow"})  # a constant operand makes their code shorter
FOR_BOOL = {"max": "or", "min": "and", "add": "or", "mul": "and"}


class NotHere(Exception):
    """A value that the kernel cannot have yet: it is complete only after this kernel, or made by a later one."""


class Expressions:
    """Writes the elements of lazy values into one kernel.

    Attributes
    ----------
    costly
        The lazy variables that took an expensive instruction.
    given
        Values that were computed earlier in the kernel, with what fetches them.
    keepers
        What is done with values when they are computed first.
    checked
        The equations that can fail, of which every element is checked.
    reads_of
        What each value was computed from, if the expressions are `observed`.
    mathematical
        The variables that took mathematical instructions.
    depths
        The loop depths at which each variable took expensive instructions.
    positions
        Every affine expression that became an index: what decides which loop axes can be merged.
    borders
        What is known of the places around the loops' indices.
    """

    def __init__(
        self,
        writer: Writer,
        graph: Graph,
        group: Group,
        code_of: Callable[[Equation], int],
        iterations: Callable[[int], int],
        observed: bool = False,
        inner: int | None = None,
    ) -> None:
        self.writer = writer
        self.graph = graph
        self.group = group
        self.code_of = code_of
        self.iterations = iterations
        self.observed = observed
        self.symbols: dict[int, Operand] = {}
        self.absorbed: frozenset[int] = frozenset()
        self.begun = 0
        self.row_values: dict[Var, tuple[Index, Any]] = {}
        self.given: dict[Key, Callable[[], Operand]] = {}
        self.keepers: dict[Key, Callable[[Operand], None]] = {}
        self.mathematical: set[Var] = set()
        self.depths: dict[Var, set[int]] = {}
        self.reads_of: dict[Key, list[Key]] = {}
        self.costly: dict[Var, int] = {}
        self.checked: set[Equation] = set()
        self.positions: list[Affine] = []
        self.borders = Borders(self, inner, observed)
        self._memo: dict[Key, Operand] = {}
        self._places: dict[Affine, Operand] = {}
        self._reads: list[Key] = []
        self._nesting = 0
        self._equation: Equation | None = None
        self._index: Index = ()

    def begin(self) -> None:
        """Forget what was noted of the values so far (but not the values): from here on it is another root's."""
        self.costly, self.checked, self.positions = {}, set(), []
        self._reads, self._nesting, self._equation, self.borders.crossed = (
            [],
            0,
            None,
            0,
        )  # another root may have ended in `NotHere`
        self.begun = self.writer.instructions

    # What primitives' `scalar` declarations call ---------------------------------------------------------------------

    def __call__(self, name: str, *operands: Operand) -> Operand:
        """The value of an instruction."""
        if operands[0].dtype == "b1":
            name = FOR_BOOL.get(name, name)
        if name in EXPENSIVE and self._equation is not None:
            var, depth = self._equation.outputs[0], self.writer.depth(*operands)
            self.costly[var] = max(self.costly.get(var, 0), self.iterations(depth))
            self.depths.setdefault(var, set()).add(depth)
            if name in MATHEMATICS:
                self.mathematical.add(var)
        return self.writer.op(name, *operands)

    def constant(self, value: bool | int | float, dtype: str) -> Operand:
        """A number."""
        kind = dtype[0]
        return Constant(float(value) if kind == "f" else bool(value) if kind == "b" else int(value), dtype)

    def cast(self, x: Operand, dtype: str) -> Operand:
        """A conversion."""
        return self.writer.cast(x, dtype)

    def bitcast(self, x: Operand, dtype: str) -> Operand:
        """The same bits as another dtype of the same width."""
        return x if x.dtype == dtype else self.writer.op("bitcast", x, dtype=dtype)

    def size(self, number: int) -> Operand:
        """An extent."""
        return self.writer.size(number)

    def check(self, condition: Operand) -> None:
        """Let the call fail, as the equation at hand, unless `condition`."""
        assert self._equation is not None
        if self._covered(self._equation):
            self.checked.add(self._equation)
        if 0 in self.group.domain or 0 in self._equation.outputs[0].type.shape:
            return  # there is no element to check, though what no loop changes is computed once
        self.writer.check(condition, self.writer.size(self.code_of(self._equation), kind="code"))

    def _covered(self, equation: Equation) -> bool:
        """Whether the loops visit every element of the equation that is being written."""
        shape, domain = equation.outputs[0].type.shape, self.group.domain
        wide = [(i, n) for i, n in zip(self._index, shape, strict=True) if n != 1]
        walks = [_walk(i, n, domain) for i, n in wide]
        axes = [k for walk in walks for k in walk or ()]
        return 0 in shape or (0 not in domain and None not in walks and len(set(axes)) == len(axes))

    # Elements --------------------------------------------------------------------------------------------------------

    def element(self, atom: Atom, index: Index) -> Operand:
        """The element of `atom` at `index`."""
        if isinstance(atom, Literal):
            return self._number(atom)
        key = (atom, index)
        found = self._memo.get(key)
        if found is None:
            self._nesting += 1
            if self._nesting > NESTED:
                self._compute_below(key)
            found = self._memo[key] = self._observe(key) if self.observed else self._compute(atom, index)
            self._nesting -= 1
            if self.keepers and key in self.keepers:
                self.keepers.pop(key)(found)
        if self.observed:
            self._reads.append(key)
            if self.borders.crossed:
                self.borders.parts.add(key)
        return found

    def _number(self, literal: Literal) -> Operand:
        dtype, value = code(literal.type.dtype), literal.value.item()
        folds = self._equation is not None and self._equation.primitive.name in FOLDING
        return self.constant(value, dtype) if dtype[0] != "f" or folds else self.writer.number(value, dtype)

    def _observe(self, key: Key) -> Operand:
        """An element, and a note of what it was computed from."""
        outer, self._reads = self._reads, []
        found = self._compute(*key)
        self.reads_of[key], self._reads = self._reads, outer
        return found

    def depth_of(self, key: Key) -> int:
        """The depth of the innermost loop that a value varies in."""
        return self.writer.depth(self._memo[key])

    def forget(self, depth: int) -> None:
        """Forget what was computed inside loops deeper than `depth`: they are closed."""
        memo, places, known = self._memo, self._places, self.borders.known
        for key in [key for key, value in memo.items() if type(value) is Value and value.depth > depth]:
            del memo[key]
        for place in [place for place, value in places.items() if type(value) is Value and value.depth > depth]:
            del places[place]
        for what in [what for what, value in known.items() if type(value) is Value and value.depth > depth]:
            del known[what]

    @contextmanager
    def along(self, stretch: Stretch | None) -> Iterator[None]:
        """Elements in a part of the innermost loop, which are others behind it."""
        borders = self.borders
        before = self._memo, self._places, borders.known
        if stretch is not None:
            self._memo, self._places, borders.known = dict(self._memo), dict(self._places), dict(borders.known)
        borders.stretch = stretch
        yield
        borders.stretch = None
        self._memo, self._places, borders.known = before

    def position(self, expression: Affine) -> Operand:
        """An affine expression of the loop axes as a value."""
        self.positions.append(expression)
        found = self._places.get(expression)
        if found is None:
            found = self._places[expression] = self._position(expression)
        return found

    def _position(self, expression: Affine) -> Operand:
        if self.absorbed:
            kept = tuple([(s, c) for s, c in expression.terms if not (isinstance(s, int) and s in self.absorbed)])
            expression = Affine(kept, expression.constant)
        return self.writer.affine(expression, self.symbols)

    def _compute(self, var: Var, index: Index) -> Operand:
        kept = self.given.get((var, index)) if self.given else None
        if kept is not None:
            return kept()
        row = self.row_values.get(var)
        if row is not None:
            return self._row_value(var, index, row)
        place = self.graph.stored.get(var)
        if place is not None and place.position < self.group.position:
            if not var.type.size:  # of which nothing is read, though what no loop changes is computed once
                return self.constant(0, code(var.type.dtype))
            buffer = self.writer.buffer(place.root, code(var.type.dtype))
            return self.writer.load(buffer, self.position(flat(index, var.type.shape)))
        equation = self.graph.producers.get(var)
        if equation is None or not self.graph.is_lazy(equation):
            raise NotHere
        if self.observed and place is not None and self.borders.crossed:  # here it would be computed again
            raise NotHere
        return self._lazy(equation, index)

    def _compute_below(self, top: Key) -> None:
        """Compute what an element is made of, innermost first: chains may be longer than Python's stack."""
        outer = self._reads, self._nesting
        self._reads, self._nesting = [], 0
        waiting = self._unknown_operands(top)
        while waiting:
            unknown = self._unknown_operands(waiting[-1])
            if unknown:
                waiting += unknown
            else:
                self.element(*waiting.pop())
        self._reads, self._nesting = outer

    def _unknown_operands(self, key: Key) -> list[Key]:
        """The elements that an element is computed from, at places known beforehand, and that are not there yet.

        The first one comes last.
        """
        var, index = key
        place = self.graph.stored.get(var)
        before = place is not None and place.position < self.group.position
        equation = self.graph.producers.get(var)
        if key in self._memo or key in self.given or var in self.row_values or before or equation is None:
            return []
        if not self.graph.is_lazy(equation) or equation.primitive.name in PLACED:
            return []
        if is_view(equation):
            keys = [(equation.inputs[0], through_view(equation, index))]
        else:
            keys = [(a, index if a.type.shape else ()) for a in equation.inputs]
        return [(a, i) for a, i in reversed(keys) if isinstance(a, Var) and (a, i) not in self._memo]

    def _row_value(self, var: Var, index: Index, row: tuple[Index, Any]) -> Operand:
        expected, value = row
        wide = [k for k, n in enumerate(var.type.shape) if n != 1]
        if [index[k] for k in wide] != [expected[k] for k in wide]:
            raise NotHere
        return value() if callable(value) else value  # type: ignore[no-any-return]

    def _lazy(self, equation: Equation, index: Index) -> Operand:
        if is_view(equation):
            return self.element(equation.inputs[0], through_view(equation, index))
        name, params = equation.primitive.name, equation.params
        if name == "iota":
            place = self.position(index[params["dimension"]])
            return self.cast(place, code(params["dtype"]))
        if name == "gather":
            return self._gather(equation, index)
        if name in SEAMED:
            self.borders.crossed += 1
            found = SEAMED[name](self, equation, index)
            self.borders.crossed -= 1
            return found
        if name == "dynamic_slice":
            operand, *starts = equation.inputs
            moved = [total((i, self.place(s, ()))) for i, s in zip(index, starts, strict=True)]
            return self.element(operand, tuple(moved))
        outer, self._equation = self._equation, equation
        operands = [self.element(a, index if a.type.shape else ()) for a in equation.inputs]
        self._index = index if equation.outputs[0].type.shape else ()
        result = self._apply(equation, operands)
        self._equation = outer
        return result

    def _apply(self, equation: Equation, operands: list[Operand]) -> Operand:
        scalar: Any = equation.primitive.scalar
        if isinstance(scalar, str):
            return self(scalar, *operands)
        dtype = code(equation.inputs[0].type.dtype)
        return scalar(self, dtype, *operands, **equation.params)  # type: ignore[no-any-return]

    def _gather(self, equation: Equation, index: Index) -> Operand:
        operand, *indices = equation.inputs
        axes, shape = equation.params["axes"], operand.type.shape
        count = len(indices[0].type.shape)
        rest = iter(index[count:])
        # Nothing reads a place along one element: it may vary in a loop that the value does not.
        lines = {k: ZERO if shape[k] == 1 else self.place(i, index[:count]) for k, i in zip(axes, indices, strict=True)}
        full = tuple(lines[k] if k in lines else next(rest) for k in range(len(operand.type.shape)))
        return self.element(operand, full)

    def place(self, atom: Atom, index: Index) -> Affine:
        """The element of an index array, as an expression of loop axes where it is one."""
        return self.at(resolve(self.graph, self.group.position, atom, index))

    def at(self, place: Place) -> Affine:
        """A place as an expression of loop axes and values."""
        parts = [place.affine]
        for factor, atom, index in place.values:
            value = self.cast(self.element(atom, index), INDEX)
            if isinstance(value, Constant):
                parts.append(Affine((), factor * int(value.value)))
            else:
                parts.append(Affine(((value, factor),)))
        return total(parts)


def _walk(expression: Affine, extent: int, domain: Shape) -> list[int] | None:
    """The loop axes with which an index takes each value from 0 to the extent once, as digits of a number do."""
    size, axes = 1, []
    for symbol, coefficient in sorted(expression.terms, key=lambda term: abs(term[1])):
        if not isinstance(symbol, int) or abs(coefficient) != size:
            return None
        size *= domain[symbol]
        axes.append(symbol)
    return axes if size == extent else None
