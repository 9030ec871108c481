"""Which inputs does each element of a result depend on?  Read off a program, equation by equation.

A value's pattern is a sparse matrix of ones: a row for each of its elements, a column for each element of the input.
Loops are followed iteration by iteration, since what an iteration reads may be known (an index that counts).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from funcgrad.dtypes import is_inexact
from funcgrad.ir.program import Atom, Equation, Literal, Program, Var
from funcgrad.ops.contraction import free_axes
from funcgrad.ops.indexing import gather

MOVES = frozenset(
    "reshape transpose broadcast_in_dim slice rev concatenate pad gather optimization_barrier dynamic_slice "
    "dynamic_update_slice".split()
)
CUMULATIVE = frozenset("cumsum cumprod cummax cummin cumlogsumexp linear_recurrence".split())
FOLDS = frozenset("reduce_sum reduce_max reduce_min reduce_prod".split())
Axes = tuple[int, ...]
LARGEST_FOLDED = 1 << 22  # elements of known values that are computed to see where they are zero
LARGEST_PREFIX = 1 << 24  # entries of the pattern of a cumulative sum that is written down
MOST_STEPS = 20_000  # equations that are followed through the iterations of a loop


def pattern_of(program: Program, which: int) -> Any:
    """The pattern of the program's only output by one of its inputs, a SciPy array in compressed rows.

    Examples
    --------
    >>> import funcgrad as fg
    >>> pattern_of(fg.make_jaxpr(fg.numpy.cumsum)(fg.numpy.ones(3)), 0).toarray()
    array([[1, 0, 0],
           [1, 1, 0],
           [1, 1, 1]], dtype=int32)
    """
    size = program.inputs[which].type.size
    found = Pattern(program, size, {program.inputs[which]: identity(size)}, {})
    (out,) = program.outputs
    return found.rows.get(out, nothing(out.type.size, size))


class Pattern:
    """Which inputs (columns) each element (row) of the values of a program depends on.

    Attributes
    ----------
    size
        How many columns there are.
    rows
        The pattern of each value that depends on something.
    known
        The values that depend on nothing, where they are at hand.
    """

    def __init__(self, program: Program, size: int, rows: Mapping[Any, Any], known: Mapping[Any, Any]) -> None:
        self.size = size
        self.rows: dict[Atom, Any] = dict(rows)
        self.known: dict[Any, Any] = {**known, **program.constants}
        for equation in program.equations:
            self._step(equation)

    def _step(self, equation: Equation) -> None:
        moving = [a for a in equation.inputs if a in self.rows]
        primitive = equation.primitive
        if not moving:
            self._compute(equation)
        elif primitive.family != "nondifferentiable":
            by_elements = primitive.scalar is not None or primitive.family == "elementwise"
            rule = Pattern._elementwise if by_elements else RULES.get(primitive.name, Pattern._dense)
            found = rule(self, equation)
            for v, rows in zip(equation.outputs, found, strict=True):
                if is_inexact(v.type.dtype) and rows is not None and rows.nnz:
                    self.rows[v] = rows

    def _compute(self, equation: Equation) -> None:
        """Values that do not depend on any input are computed: indices, and matrices with zeros."""
        known = all(isinstance(a, Literal) or a in self.known for a in equation.inputs)
        small = sum(v.type.size for v in equation.outputs) <= LARGEST_FOLDED
        if known and small and not equation.primitive.impure:
            results = equation.primitive.compute(tuple(map(self.value, equation.inputs)), dict(equation.params))
            self.known.update(zip(equation.outputs, results, strict=True))

    def value(self, atom: Atom) -> Any:
        """The known value of an operand, or None."""
        return atom.value if isinstance(atom, Literal) else self.known.get(atom)

    def _elementwise(self, equation: Equation) -> list[Any]:
        """An element depends on what its operands' elements depend on."""
        size = equation.outputs[0].type.size
        total = None
        for a in equation.inputs:
            rows = self.rows.get(a)
            if rows is not None:
                full = rows if a.type.size == size else rows[np.zeros(size, np.int64)]
                total = full if total is None else _union(total + full)
        return [total]

    def _dense(self, equation: Equation) -> list[Any]:
        """Everything depends on everything."""
        columns = np.unique(np.concatenate([self.rows[a].indices for a in equation.inputs if a in self.rows]))
        found = []
        for v in equation.outputs:
            size = v.type.size
            place = np.tile(columns, size), np.arange(size + 1) * len(columns)
            found.append(csr((np.ones(size * len(columns), np.int32), *place), (size, self.size)))
        return found

    def _move(self, equation: Equation) -> list[Any]:
        """Elements go elsewhere: the primitive is run on their numbers (0 for what depends on nothing)."""
        operands, stacked, first = [], [nothing(1, self.size)], 1
        for a in equation.inputs:
            if a in self.rows:
                operands.append(np.arange(first, first + a.type.size).reshape(a.type.shape))
                stacked.append(self.rows[a])
                first += a.type.size
            elif is_inexact(a.type.dtype):
                operands.append(np.zeros(a.type.shape, np.int64))
            else:
                value = self.value(a)
                if value is None:  # an index that is not known
                    return self._dense(equation)
                operands.append(value)
        numbers = equation.primitive.reference(*operands, **equation.params)
        return [_stack(stacked)[np.asarray(numbers, np.int64).reshape(-1)]]

    def _fold(self, equation: Equation) -> list[Any]:
        (a,), (v,) = equation.inputs, equation.outputs
        axes = equation.params["axes"]
        places = np.expand_dims(np.arange(v.type.size).reshape(v.type.shape), tuple(axes))
        return [_collect(np.broadcast_to(places, a.type.shape), v.type.size, self.rows[a])]

    def _scatter(self, equation: Equation) -> list[Any]:
        x, updates, *indices = equation.inputs
        (v,) = equation.outputs
        numbers = [self.value(i) for i in indices]
        if any(i is None for i in numbers):
            return self._dense(equation)
        total = self.rows.get(x, nothing(v.type.size, self.size))
        if updates in self.rows:
            every = np.arange(v.type.size).reshape(v.type.shape)
            places = gather.reference(every, *numbers, **equation.params)
            total = _union(total + _collect(places, v.type.size, self.rows[updates]))
        return [total]

    def _product(self, equation: Equation) -> list[Any]:
        """Of a product with a known matrix, where that is not zero; else rows of one and columns of the other."""
        x, y = equation.inputs
        (v,) = equation.outputs
        (cx, cy), (bx, by) = equation.params["dimension_numbers"]
        total = nothing(v.type.size, self.size)
        for side, (a, other, own_c, own_b, other_c) in enumerate(((x, y, cx, bx, cy), (y, x, cy, by, cx))):
            if a not in self.rows:
                continue
            value = self.value(other) if not own_b else None
            if value is not None:
                total = _union(total + self._with_known(a, value, own_c, other_c, side))
            else:
                total = _union(total + self._spread(a, own_c, own_b, v, side))
        return [total]

    def _with_known(self, a: Atom, value: Any, own: Axes, other: Axes, side: int) -> Any:
        ndim, free = a.type.ndim, free_axes(a.type.ndim, own, ())
        order = np.arange(a.type.size).reshape(a.type.shape).transpose(*free, *own).reshape(-1)
        rest = [k for k in range(np.ndim(value)) if k not in other]
        summed = math.prod(a.type.shape[k] for k in own)
        matrix = (np.transpose(value, (*rest, *other)).reshape(-1, summed) != 0).astype(np.int32)
        count = math.prod(a.type.shape[k] for k in range(ndim) if k in free)
        rows = self.rows[a][order]
        kron = _sparse().kron(identity(count), _sparse().csr_array(matrix), format="csr")
        found = _union(kron @ rows)  # (own free axes, the other's)
        if side == 0:
            return found
        swap = np.arange(count * len(matrix)).reshape(count, len(matrix)).T.reshape(-1)
        return found[swap]

    def _spread(self, a: Atom, own: Axes, batch: Axes, v: Var, side: int) -> Any:
        ndim = a.type.ndim
        free = free_axes(ndim, own, batch)
        kept = [*batch, *free]
        extents = [a.type.shape[k] for k in kept]
        places = np.arange(math.prod(extents)).reshape(extents)
        spread = np.empty([a.type.shape[k] for k in (*kept, *own)], np.int64)
        spread[...] = places.reshape(*extents, *(1,) * len(own))
        back = np.argsort([*kept, *own])
        folded = _collect(spread.transpose(back), places.size, self.rows[a])
        shape = v.type.shape
        nb = len(batch)
        one = (1,) * (len(shape) - len(extents))
        placed = extents[:nb] + ([*extents[nb:], *one] if side == 0 else [*one, *extents[nb:]])
        return folded[np.broadcast_to(places.reshape(placed), shape).reshape(-1)]

    # Along lines -----------------------------------------------------------------------------------------------------

    def _sort(self, equation: Equation) -> list[Any]:
        """An element may come from anywhere in its line."""
        (x,), axis = equation.inputs, equation.params["dimension"]
        lines = _lines(x.type.shape, axis)
        return [_collect(lines, x.type.size // max(x.type.shape[axis], 1), self.rows[x])[lines.reshape(-1)]]

    def _cumulative(self, equation: Equation) -> list[Any]:
        """An element depends on those before it in its line."""
        shape, axis = equation.outputs[0].type.shape, equation.params["axis"]
        n, total = shape[axis], None
        if math.prod(shape) * (n + 1) // 2 > LARGEST_PREFIX:
            return self._dense(equation)
        late, early = np.tril_indices(n)
        if equation.params["reverse"]:
            late, early = n - 1 - late, n - 1 - early
        numbers = np.moveaxis(np.arange(math.prod(shape)).reshape(shape), axis, 0).reshape(n, -1)
        places = numbers[late].reshape(-1), numbers[early].reshape(-1)
        prefix = _sparse().csr_array((np.ones(places[0].size, np.int32), places), shape=(numbers.size, numbers.size))
        for a in equation.inputs:
            if a in self.rows:
                found = prefix @ self.rows[a]
                total = _union(found if total is None else total + found)
        return [total]

    # Loops and branches ----------------------------------------------------------------------------------------------

    def _inside(self, program: Program, rows: Sequence[Any], values: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Patterns and known values of the outputs of an inner program, for those of its inputs (None: none)."""
        pairs = zip(program.inputs, rows, values, strict=True)
        given = {v: (r, x) for v, r, x in pairs}
        moving = {v: r for v, (r, _) in given.items() if r is not None}
        known = {v: x for v, (r, x) in given.items() if r is None and x is not None}
        found = Pattern(program, self.size, moving, known)
        return [found.rows.get(a) for a in program.outputs], [found.value(a) for a in program.outputs]

    def _scan(self, equation: Equation) -> list[Any]:
        """Iteration by iteration."""
        params, inputs = equation.params, equation.inputs
        program, n, length = params["program"], params["carry"], params["length"]
        if length * len(program.equations) > MOST_STEPS:
            return self._dense(equation)
        first, second = params["consts"], params["consts"] + n
        rows, values = [self.rows.get(a) for a in inputs], [self.value(a) for a in inputs]
        state, known = rows[first:second], values[first:second]
        stacks: list[list[Any]] = [[nothing(v.type.size, self.size)] * length for v in program.outputs[n:]]
        for i in reversed(range(length)) if params["reverse"] else range(length):
            sizes = [v.type.size for v in program.inputs[second:]]
            own = [None if r is None else r[i * m : (i + 1) * m] for r, m in zip(rows[second:], sizes, strict=True)]
            slices = [None if x is None else x[i] for x in values[second:]]
            found, at_hand = self._inside(program, [*rows[:first], *state, *own], [*values[:first], *known, *slices])
            state, known = found[:n], at_hand[:n]
            for stack, r in zip(stacks, found[n:], strict=True):
                stack[i] = stack[i] if r is None else r
        for v, r, x in zip(equation.outputs, state, known, strict=False):
            if r is None and x is not None:
                self.known[v] = x
        return [*state, *(_stack(stack) if stack else None for stack in stacks)]

    def _cond(self, equation: Equation) -> list[Any]:
        """The branch that is known to be taken, or what any of them may do."""
        which, *operands = equation.inputs
        branches, number = equation.params["branches"], self.value(which)
        taken = branches if number is None else (branches[int(number)],)
        rows, values = [self.rows.get(a) for a in operands], [self.value(a) for a in operands]
        return _either([self._inside(branch, rows, values)[0] for branch in taken])

    def _while(self, equation: Equation) -> list[Any]:
        """What the carry may depend on after any number of iterations."""
        params = equation.params
        body, first = params["body"], params["cond_consts"]
        second = first + params["body_consts"]
        rows = [self.rows.get(a) for a in equation.inputs]
        consts, values = rows[first:second], [self.value(a) for a in equation.inputs[first:second]]
        state, unknown = rows[second:], [None] * len(body.outputs)
        for _ in range(MOST_STEPS // max(len(body.equations), 1)):
            found, _ = self._inside(body, [*consts, *state], [*values, *unknown])
            after = _either([state, found])
            if _entries(after) == _entries(state):
                return after
            state = after
        return self._dense(equation)


def _lines(shape: tuple[int, ...], axis: int) -> np.ndarray:
    """The number of each element's line along an axis."""
    rest = tuple(1 if k == axis else n for k, n in enumerate(shape))
    return np.broadcast_to(np.arange(math.prod(rest)).reshape(rest), shape)


def _either(choices: Sequence[Sequence[Any]]) -> list[Any]:
    """For each value, what it depends on in any of several cases."""
    total = list(choices[0])
    for choice in choices[1:]:
        total = [b if a is None else a if b is None else _union(a + b) for a, b in zip(total, choice, strict=True)]
    return total


def _entries(rows: Sequence[Any]) -> int:
    return sum(0 if r is None else int(r.nnz) for r in rows)


RULES: dict[str, Callable[[Pattern, Equation], list[Any]]] = {
    **dict.fromkeys(MOVES, Pattern._move),
    **dict.fromkeys(FOLDS, Pattern._fold),
    **dict.fromkeys(CUMULATIVE, Pattern._cumulative),
    "scatter_add": Pattern._scatter,
    "sort": Pattern._sort,
    "scan": Pattern._scan,
    "cond": Pattern._cond,
    "while": Pattern._while,
    "dot_general": Pattern._product,
}


def _sparse() -> Any:
    import scipy.sparse

    return scipy.sparse


def csr(parts: Any, shape: tuple[int, int]) -> Any:
    """A matrix in compressed rows, from what SciPy makes one of."""
    return _sparse().csr_array(parts, shape=shape)


def identity(n: int) -> Any:
    """Each element depends on itself."""
    return csr((np.ones(n, np.int32), np.arange(n), np.arange(n + 1)), (n, n))


def nothing(rows: int, columns: int) -> Any:
    """No element depends on anything."""
    return csr((rows, columns), (rows, columns))


def _stack(parts: list[Any]) -> Any:
    return _sparse().vstack(parts, format="csr")


def _union(rows: Any) -> Any:
    rows.data[:] = 1
    return rows


def _collect(places: np.ndarray, size: int, rows: Any) -> Any:
    """Rows that several elements share: element k of the operand goes to row ``places[k]``."""
    flat = np.asarray(places).reshape(-1)
    gather = csr((np.ones(flat.size, np.int32), (flat, np.arange(flat.size))), (size, flat.size))
    return _union(gather @ rows)
