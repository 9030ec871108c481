"""Which values are too large to be stored?  Scores of attention: a product with few terms, larger than its operands.

Where everything that is made of such a product is made slice by slice (mathematics, sums of rows, further products), a
loop computes one slice after the other, in memory of a cache's size, and only what the rest of the program reads is
stored. What comes later and reads the large value again, as the backward pass does, computes its slices again, from
the product's operands and the rows' sums and maxima (Rabe and Staats 2021; Dao et al. 2022): twice the product, and
no memory of the size of the product.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import numpy as np

from funcgrad import numpy as fnp
from funcgrad.control.call import call
from funcgrad.ir.program import Equation, Literal, Program, Var
from funcgrad.lax._control import scan
from funcgrad.lower.graph import Graph
from funcgrad.lower.tileaxes import SUM, Axis, NotCut, operand_axes, resized, result_axis, summed_axes
from funcgrad.ops.dynamic import dynamic_slice
from funcgrad.ops.families import zero
from funcgrad.simplify import simplify
from funcgrad.trace.builder import evaluate, trace
from funcgrad.trace.frame import bind, running, type_of

LARGE = 1 << 23  # elements of a value that is computed in slices, if it is ...
GROWN = 4  # ... so many times as large as the product's operands together, and ...
TERMS = 256  # ... each element is a sum of at most so many products: computed again about as soon as read again
SLICE = 1 << 20  # elements of a slice: several such slices fit into a last-level cache
MOST = 1 << 24  # ... or larger ones, for the sake of at least
LINES = 128  # rows, where they are rows of the product's matrices: the library is at its speed
MOST_LOOPS = 4
VIEWS = frozenset({"broadcast_in_dim", "reshape", "transpose"})
POSITIONS = VIEWS | {"iota"}


def tiled(program: Program, large: int | None = None) -> Program:
    """A simplified program that stores no product of `large` elements (default: `LARGE`) where slices of it will do."""
    large = LARGE if large is None else large
    for equation in program.equations:
        found = _tiled_from(program, equation) if _is_seed(equation, large) else None
        if found is not None:
            return tiled(simplify(found), large)
    return program


def _is_seed(equation: Equation, large: int) -> bool:
    if equation.primitive.name != "dot_general":
        return False
    (x, y), (out,) = equation.inputs, equation.outputs
    contracted = equation.params["dimension_numbers"][0][0]
    grown = out.type.size >= max(large, GROWN * (x.type.size + y.type.size))
    return grown and out.type.dtype.kind == "f" and math.prod(x.type.shape[k] for k in contracted) <= TERMS


def _tiled_from(program: Program, seed: Equation) -> Program | None:
    graph, (out,) = Graph(program), seed.outputs
    batch = len(seed.params["dimension_numbers"][1][0])
    for axis, extent in enumerate(out.type.shape):
        size = out.type.size // extent
        rows = max(SLICE // size, min(LINES if axis >= batch else 1, MOST // size), 1)
        if rows < extent:
            try:
                region = Region(graph, out.type.size // 2, extent).grown(seed, axis)
                return _rewritten(program, region, _divisor(extent, rows))
            except NotCut:
                continue
    return None


def _divisor(extent: int, rows: int) -> int:
    """As many rows or fewer, so that no slice is smaller than the others, if it does not take twice as many slices."""
    return next((k for k in range(rows, rows // 2, -1) if extent % k == 0), rows)


@dataclass(eq=False)
class Region:
    """Equations that are run slice by slice.

    Attributes
    ----------
    extent
        Of the axis that is cut.
    axes
        Along which axis each value of the region is cut.
    operands
        For each equation, along which axes its operands are.
    levels
        For each equation, after how many loops it can run.
    """

    graph: Graph
    large: int
    extent: int
    axes: dict[Var, int] = field(default_factory=dict)
    operands: dict[Equation, tuple[Axis, ...]] = field(default_factory=dict)
    levels: dict[Equation, int] = field(default_factory=dict)

    def grown(self, seed: Equation, axis: int) -> Region:
        """With everything large that is made of the seed, and what it is made of."""
        waiting = [(seed, axis, operand_axes(seed, axis))]
        while waiting:
            equation, axis, operands = waiting.pop()
            if equation in self.operands:
                if (self.axes[equation.outputs[0]], self.operands[equation]) != (axis, operands):
                    raise NotCut
                continue
            self.operands[equation] = operands
            self.axes[equation.outputs[0]] = axis
            waiting += self._before(equation)
            waiting += self._behind(equation.outputs[0], axis)
        self._add_rows()
        self._set_levels()
        return self

    def is_large(self, atom: Any) -> TypeGuard[Var]:
        """Whether a value is not stored."""
        return isinstance(atom, Var) and atom.type.size >= self.large

    def made(self, atom: Any) -> TypeGuard[Var]:
        """Whether an equation of the region makes a value."""
        return isinstance(atom, Var) and atom in self.axes

    def _before(self, equation: Equation) -> Iterator[tuple[Equation, int, tuple[Axis, ...]]]:
        """The equations that make the large operands, where they can be run in slices; others are stored."""
        for atom, axis in zip(equation.inputs, self.operands[equation], strict=True):
            if not self.is_large(atom):
                continue
            if axis is None:
                raise NotCut
            producer = self.graph.producers.get(atom)
            try:
                if producer is not None:
                    yield producer, axis, operand_axes(producer, axis)
            except NotCut:
                continue

    def _behind(self, var: Var, axis: int) -> Iterator[tuple[Equation, int, tuple[Axis, ...]]]:
        """The equations that read a large value."""
        if not self.is_large(var):
            return
        if axis == SUM:
            raise NotCut
        for user in self.graph.users.get(var, ()):
            if user is None:
                raise NotCut
            for number, atom in enumerate(user.inputs):
                if atom is not var:
                    continue
                result = result_axis(user, number, axis)
                operands = summed_axes(user, number, axis) if result == SUM else operand_axes(user, result)
                if operands[number] != axis:
                    raise NotCut
                yield user, result, operands

    def _add_rows(self) -> None:
        """Mathematics on numbers of the rows, between a fold of a large value and what reads the rows again."""
        axes, found = dict(self.axes), {}
        for equation in self.graph.program.equations:
            cheap = equation.primitive.scalar is not None or equation.primitive.name in VIEWS
            if cheap and equation not in self.operands:
                cut = self._cut_with_rows(equation, axes)
                if cut is not None:
                    found[equation] = cut
                    axes[equation.outputs[0]] = cut[0]
        for equation in reversed(self.graph.program.equations):
            if equation in found:
                (var,), (axis, operands) = equation.outputs, found[equation]
                if any(self._reads(user, var, axis) for user in self.graph.users.get(var, ())):
                    self.axes[var], self.operands[equation] = axis, operands

    @staticmethod
    def _cut_with_rows(equation: Equation, axes: dict[Var, int]) -> tuple[int, tuple[Axis, ...]] | None:
        """The axes of the result and the operands, if some operand is cut, and all that are fit."""
        known = {k: axes[a] for k, a in enumerate(equation.inputs) if isinstance(a, Var) and axes.get(a, SUM) != SUM}
        for number, axis in known.items():
            try:
                result = result_axis(equation, number, axis)
                operands = operand_axes(equation, result)
            except NotCut:
                return None
            return (result, operands) if all(operands[k] == n for k, n in known.items()) else None
        return None

    def _reads(self, user: Equation | None, var: Any, axis: int) -> bool:
        """Whether an equation of the region reads slices of a value along an axis."""
        if user not in self.operands:
            return False
        return any(a is var and k == axis for a, k in zip(user.inputs, self.operands[user], strict=True))

    def _set_levels(self) -> None:
        outside: dict[Var, int] = {}

        def after(atom: Any, axis: Axis) -> int:
            """The loops that must be done before a value is there, as a slice or as a whole."""
            if not self.made(atom):
                return outside.get(atom, 0)
            at_hand = axis is not None and self.axes[atom] == axis
            return self.levels[self.graph.producers[atom]] + (not at_hand)

        for equation in self.graph.program.equations:
            operands = self.operands.get(equation)
            axes = operands or (None,) * len(equation.inputs)
            level = max((after(a, k) for a, k in zip(equation.inputs, axes, strict=True)), default=0)
            if operands is None:
                outside |= dict.fromkeys(equation.outputs, level)
            else:
                self.levels[equation] = level
        if max(self.levels.values()) >= MOST_LOOPS:
            raise NotCut

    # Loops -----------------------------------------------------------------------------------------------------------

    def loop(self, level: int) -> list[Equation]:
        """The equations of a loop, in order: its own, and what they read that an earlier loop did not store."""
        chosen: set[Equation] = set()
        waiting = [e for e, n in self.levels.items() if n == level]
        while waiting:
            equation = waiting.pop()
            if equation in chosen:
                continue
            chosen.add(equation)
            waiting += [self.graph.producers[a] for a in equation.inputs if self.made(a) and self.is_large(a)]
        return [e for e in self.graph.program.equations if e in chosen]

    def positions(self, equations: Sequence[Equation]) -> list[Equation]:
        """What is made of positions and numbers alone, such as a mask: each slice makes what it reads of it."""
        free: dict[Var, Equation] = {}
        for e in self.graph.program.equations:
            lazy = e.primitive.name in POSITIONS or (e.primitive.scalar is not None and not e.primitive.effect)
            if lazy and e not in self.operands and all(isinstance(a, Literal) or a in free for a in e.inputs):
                free[e.outputs[0]] = e
        read = {a for e in equations for a in e.inputs}
        found = []
        for var, e in reversed(free.items()):
            if var in read:
                found.append(e)
                read.update(e.inputs)
        return found[::-1]

    def results(self, level: int) -> list[Var]:
        """What a loop stores: values that are read outside of it."""
        later = [e for k in range(level + 1, 1 + max(self.levels.values())) for e in self.loop(k)]
        read = {*self.graph.program.outputs, *(a for e in later for a in e.inputs)}
        read.update(a for e in self.graph.program.equations if e not in self.operands for a in e.inputs)
        own = (e.outputs[0] for e, n in self.levels.items() if n == level)
        return [v for v in own if v in read and not self.is_large(v)]


# Rewriting ------------------------------------------------------------------------------------------------------------


def _rewritten(program: Program, region: Region, rows: int) -> Program:
    """The program with a call of a loop over slices of so many rows for each level, where its last equation was."""
    loops = {}
    for level in sorted(set(region.levels.values())):
        equations, results = region.loop(level), region.results(level)
        if results:
            last = [e for e in equations if region.levels[e] == level][-1]
            loops[last] = _call(region, equations, results, rows)
    order = [loops.get(e) if e in region.operands else e for e in program.equations]
    return program.replace(equations=tuple(_ordered([e for e in order if e is not None])))


def _ordered(equations: Sequence[Equation]) -> Iterator[Equation]:
    """The equations in their order, but for those that read what stands below: they follow as soon as it is there.

    What calls Python does so in the order of the program.
    """
    missing = {v for e in equations for v in e.outputs}
    waiting: list[Equation] = []
    for equation in equations:
        waiting.append(equation)
        before = None
        while waiting and len(waiting) != before:
            before = len(waiting)
            rest, waiting = waiting, []
            for e in rest:
                held = e.primitive.impure and any(earlier.primitive.impure for earlier in waiting)
                if held or not missing.isdisjoint(e.inputs):
                    waiting.append(e)
                else:
                    missing.difference_update(e.outputs)
                    yield e
    assert not waiting


def _call(region: Region, equations: Sequence[Equation], results: Sequence[Var], rows: int) -> Equation:
    """A call of a loop over slices."""
    alone = region.positions(equations)
    own = {e.outputs[0] for e in (*alone, *equations)}
    given = tuple(dict.fromkeys(a for e in equations for a in e.inputs if isinstance(a, Var) and a not in own))
    equations = [*alone, *equations]
    source = equations[0].source
    before, running.source = running.source, source
    try:
        inner, _ = trace(_looped(region, equations, given, results, rows), [v.type for v in given])
    finally:
        running.source = before
    return Equation(call, given, tuple(results), {"program": inner, "name": "tiles"}, source)


def _looped(
    region: Region, equations: Sequence[Equation], given: Sequence[Var], results: Sequence[Var], rows: int
) -> Callable[..., list[Any]]:
    """A function of what the loop is given: for its results."""
    cut = [v for v in results if region.axes[v] != SUM]
    sums = [v for v in results if region.axes[v] == SUM]

    def slices(values: Sequence[Any], first: Any, count: int) -> list[Any]:
        """The results of one slice."""

        def body(start: Any, *xs: Any) -> list[Any]:
            env = dict(zip(given, xs, strict=True))
            return _slice_of(region, equations, env, [*cut, *sums], start, count)

        program, _ = trace(body, [type_of(first), *(type_of(x) for x in values)])
        return evaluate(tiled(simplify(program), SLICE * 2), [first, *values], bind)

    def whole(*values: Any) -> list[Any]:
        def step(carry: Any, first: Any) -> Any:
            found = slices(values, first, rows)
            return [a + b for a, b in zip(carry, found[len(cut) :], strict=True)], found[: len(cut)]

        starts = np.arange(0, region.extent - rows + 1, rows)
        totals, stacks = scan(step, [zero(v.type) for v in sums], starts)
        parts = [[_joined(x, region.axes[v])] for v, x in zip(cut, stacks, strict=True)]
        done = len(starts) * rows
        if done < region.extent:
            found = slices(values, np.int64(done), region.extent - done)
            totals = [a + b for a, b in zip(totals, found[len(cut) :], strict=True)]
            parts = [[*part, x] for part, x in zip(parts, found, strict=False)]
        env = dict(zip(sums, totals, strict=True))
        for v, part in zip(cut, parts, strict=True):
            env[v] = fnp.concatenate(part, region.axes[v]) if len(part) > 1 else part[0]
        return [env[v] for v in results]

    return whole


def _joined(stack: Any, axis: int) -> Any:
    """Slices along a new leading axis, put together along their own."""
    x = fnp.moveaxis(stack, 0, axis)
    shape = type_of(x).shape
    return fnp.reshape(x, (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :]))


def _slice_of(
    region: Region, equations: Iterable[Equation], env: dict[Var, Any], results: Sequence[Var], first: Any, count: int
) -> list[Any]:
    """The values of a slice."""
    made: dict[Var, Any] = {}
    cuts: dict[tuple[Var, int], Any] = {}

    def read(atom: Any, axis: Axis) -> Any:
        if isinstance(atom, Literal):
            return atom.value
        whole = made[atom] if atom in made else env[atom]
        if axis is None or (atom in region.axes and atom in made):
            return whole
        if (atom, axis) not in cuts:
            shape = atom.type.shape
            starts = [first if k == axis else np.int64(0) for k in range(len(shape))]
            sizes = (*shape[:axis], count, *shape[axis + 1 :])
            cuts[atom, axis] = dynamic_slice(whole, *starts, slice_sizes=sizes)
        return cuts[atom, axis]

    for e in equations:
        (var,), running.source = e.outputs, e.source
        axis = region.axes.get(var, SUM)
        operands = region.operands.get(e, (None,) * len(e.inputs))
        inputs = [read(a, k) for a, k in zip(e.inputs, operands, strict=True)]
        if e.primitive.name == "iota":
            (made[var],) = running.builders[-1].process(e.primitive, (), resized(e, axis, count))
            if e.params["dimension"] == axis:
                made[var] = made[var] + first.astype(var.type.dtype)
        else:
            (made[var],) = bind(e.primitive, *inputs, **resized(e, axis, count))
    return [made[v] for v in results]
