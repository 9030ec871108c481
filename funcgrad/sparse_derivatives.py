"""How are sparse Jacobians and Hessians found in a few products?  `sparse_jacobian`, `sparse_hessian`.

Which inputs each element of a program's values depends on is propagated through its equations; columns (or rows) that
share no row (column) get one colour, and one product serves a colour: Curtis, Powell and Reid (1974), Coleman and
Moré (1983).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad import tree
from funcgrad.api import grad, vjp
from funcgrad.arguments import argument_numbers, check_callable, check_inputs, check_real_inputs, function_name
from funcgrad.batching import vmap
from funcgrad.dtypes import is_inexact
from funcgrad.errors import at_line
from funcgrad.ir.program import Atom, Equation, Literal, Program, Var
from funcgrad.linearization import linearize
from funcgrad.ops.contraction import free_axes
from funcgrad.ops.indexing import gather
from funcgrad.runtime.dispatch import jit, leaf_types, trace_function
from funcgrad.simplify import simplify
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer

MOVES = frozenset("reshape transpose broadcast_in_dim slice rev concatenate pad gather optimization_barrier".split())
FOLDS = frozenset("reduce_sum reduce_max reduce_min reduce_prod".split())
Axes = tuple[int, ...]
LARGEST_FOLDED = 1 << 22  # elements of known values that are computed to see where they are zero


class Pattern:
    """Which inputs (columns) each element (row) of the values of a program depends on; see `of`."""

    def __init__(self, program: Program, which: int) -> None:
        self.program = program
        self.size = program.inputs[which].type.size
        self.rows: dict[Atom, Any] = {program.inputs[which]: _identity(self.size)}
        self.known: dict[Any, Any] = {**program.constants}

    def of(self) -> Any:
        """The pattern of the program's only output, a SciPy array in compressed rows."""
        for equation in self.program.equations:
            self._step(equation)
        (out,) = self.program.outputs
        return self.rows.get(out, _nothing(out.type.size, self.size))

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
                if is_inexact(v.type.dtype) and rows.nnz:
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
            found.append(_csr((np.ones(size * len(columns), np.int32), *place), (size, self.size)))
        return found

    def _move(self, equation: Equation) -> list[Any]:
        """Elements go elsewhere: the primitive is run on their numbers (0 for what depends on nothing)."""
        operands, stacked, first = [], [_nothing(1, self.size)], 1
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
        total = self.rows.get(x, _nothing(v.type.size, self.size))
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
        total = _nothing(v.type.size, self.size)
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
        kron = _sparse().kron(_identity(count), _sparse().csr_array(matrix), format="csr")
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


RULES: dict[str, Callable[[Pattern, Equation], list[Any]]] = {
    **dict.fromkeys(MOVES, Pattern._move),
    **dict.fromkeys(FOLDS, Pattern._fold),
    "scatter_add": Pattern._scatter,
    "dot_general": Pattern._product,
}


def _sparse() -> Any:
    import scipy.sparse

    return scipy.sparse


def _csr(parts: Any, shape: tuple[int, int]) -> Any:
    return _sparse().csr_array(parts, shape=shape)


def _identity(n: int) -> Any:
    return _csr((np.ones(n, np.int32), np.arange(n), np.arange(n + 1)), (n, n))


def _nothing(rows: int, columns: int) -> Any:
    return _csr((rows, columns), (rows, columns))


def _stack(parts: list[Any]) -> Any:
    return _sparse().vstack(parts, format="csr")


def _union(rows: Any) -> Any:
    rows.data[:] = 1
    return rows


def _collect(places: np.ndarray, size: int, rows: Any) -> Any:
    """Rows that several elements share: element k of the operand goes to row ``places[k]``."""
    flat = np.asarray(places).reshape(-1)
    gather = _csr((np.ones(flat.size, np.int32), (flat, np.arange(flat.size))), (size, flat.size))
    return _union(gather @ rows)


class Colours(NamedTuple):
    """A pattern, and how its entries are found.

    Attributes
    ----------
    pattern
        In compressed rows.
    of
        The colour of every column, or of every row if `by_rows`.
    number
        How many colours there are.
    """

    pattern: Any
    of: np.ndarray
    number: int
    by_rows: bool


def _greedy(pattern: Any) -> tuple[np.ndarray, int]:
    """A colour for each column, so that columns of one colour share no row; those with most entries first."""
    columns = pattern.tocsc()
    colours = np.full(pattern.shape[1], -1)
    degree = np.diff(columns.indptr)
    for j in np.argsort(-degree, kind="stable"):
        taken = set()
        for i in columns.indices[columns.indptr[j] : columns.indptr[j + 1]]:
            taken.update(colours[pattern.indices[pattern.indptr[i] : pattern.indptr[i + 1]]].tolist())
        colour = 0
        while colour in taken:
            colour += 1
        colours[j] = colour
    return colours, int(colours.max(initial=-1)) + 1


def coloured(pattern: Any, symmetric: bool) -> Colours:
    """Columns or rows, whichever need fewer colours."""
    pattern.sort_indices()
    columns, count = _greedy(pattern)
    if symmetric or count <= 1:
        return Colours(pattern, columns, count, False)
    turned = pattern.T.tocsr()
    rows, fewer = _greedy(turned)
    return Colours(pattern, rows, fewer, True) if fewer < count else Colours(pattern, columns, count, False)


class SparseJacobian:
    """A function that computes a sparse Jacobian; made by `sparse_jacobian`."""

    def __init__(self, fun: Callable[..., Any], argnums: int, name: str, symmetric: bool) -> None:
        functools.update_wrapper(self, fun)
        self.fun, self.argnums, self.name, self.symmetric = fun, argnums, name, symmetric
        self._found: dict[Any, Colours] = {}
        self._push, self._pull = jit(self._pushed), jit(self._pulled)

    def __call__(self, *args: Any) -> Any:
        """The Jacobian, a `scipy.sparse.csr_array`."""
        (which,) = argument_numbers((self.argnums,), len(args))
        leaves, structure = tree.flatten((args, {}))
        if any(type(x) is Tracer for x in leaves):
            raise TypeError(f"{self.name} works on known values only, not inside transformations{at_line()}")
        chosen = args[which]
        check_inputs((chosen,), tree.leaves((chosen,)), False, False, self.name)
        check_real_inputs((chosen,), tree.leaves((chosen,)), self.name)
        if not tree.structure(chosen).is_leaf():
            raise TypeError(f"{self.name}: the argument must be one array, not {tree.structure(chosen)}{at_line()}")
        found = self._colours(args, which, leaves, structure)
        shape = found.pattern.shape
        if not found.number:
            return _nothing(*shape).astype(type_of(chosen).dtype)
        length = shape[0] if found.by_rows else shape[1]
        seeds = np.zeros((found.number, length), type_of(chosen).dtype)
        seeds[found.of, np.arange(length)] = 1
        products = np.asarray((self._pull if found.by_rows else self._push)(seeds, *args))
        pattern = found.pattern
        rows = np.repeat(np.arange(shape[0]), np.diff(pattern.indptr))
        columns = pattern.indices
        data = products[found.of[rows], columns] if found.by_rows else products[found.of[columns], rows]
        return _csr((data, columns.copy(), pattern.indptr.copy()), shape)

    def pattern(self, *args: Any) -> Any:
        """Where the Jacobian may be other than zero: ones in a `scipy.sparse.csr_array`."""
        (which,) = argument_numbers((self.argnums,), len(args))
        leaves, structure = tree.flatten((args, {}))
        return self._colours(args, which, leaves, structure).pattern.copy()

    def _colours(self, args: Any, which: int, leaves: list[Any], structure: tree.TreeDef) -> Colours:
        types = leaf_types(self.name, leaves, structure)
        key = (structure, tuple(types))
        found = self._found.get(key)
        if found is None:
            traced = trace_function(self.fun, structure, types)
            if len(traced.program.outputs) != 1 or not traced.out_structure.is_leaf():
                raise TypeError(
                    f"{self.name}: {function_name(self.fun)} must return one array, not "
                    f"{traced.out_structure}{at_line()}"
                )
            place = len(tree.leaves(args[:which]))
            pattern = Pattern(simplify(traced.program), place).of()
            found = self._found[key] = coloured(pattern.tocsr(), self.symmetric)
        return found

    def _along(self, args: Sequence[Any]) -> tuple[Callable[[Any], Any], Any]:
        which = self.argnums % len(args)
        return (lambda x: self.fun(*args[:which], x, *args[which + 1 :])), args[which]

    def _pushed(self, seeds: Any, *args: Any) -> Any:
        f, x = self._along(args)
        _, push = linearize(f, x)
        return vmap(lambda t: np.reshape(push(np.reshape(t, type_of(x).shape)), (-1,)))(seeds)

    def _pulled(self, seeds: Any, *args: Any) -> Any:
        f, x = self._along(args)
        out, pull = vjp(f, x)
        kind = type_of(out)
        return vmap(lambda ct: np.reshape(pull(np.reshape(ct, kind.shape).astype(kind.dtype))[0], (-1,)))(seeds)


def sparse_jacobian(fun: Callable[..., Any], argnums: int = 0) -> SparseJacobian:
    """The function that computes the Jacobian of `fun` as a sparse matrix, at the cost of a few products.

    Parameters
    ----------
    fun
        A function of arrays that returns one array; it is traced to find which inputs each output depends on, and
        compiled.
    argnums
        Which argument, an array, to differentiate by.

    Returns
    -------
    SparseJacobian
        With `fun`'s arguments; returns a ``scipy.sparse.csr_array`` of shape ``(output's size, argument's size)``.
        Its method ``pattern`` says where entries can be.

    Raises
    ------
    TypeError
        For integer or complex arguments, for outputs that are not one array, and inside other transformations.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> jacobian = fg.sparse_jacobian(lambda x: x[1:] ** 2 - x[:-1])
    >>> jacobian(np.array([1.0, 2.0, 3.0])).toarray()
    array([[-1.,  4.,  0.],
           [ 0., -1.,  6.]])
    """
    check_callable(fun, "sparse_jacobian")
    return SparseJacobian(fun, argnums, "sparse_jacobian", False)


def sparse_hessian(fun: Callable[..., Any], argnums: int = 0) -> SparseJacobian:
    """The function that computes the Hessian of a scalar function as a sparse matrix; see `sparse_jacobian`.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> rosenbrock = lambda x: np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
    >>> fg.sparse_hessian(rosenbrock)(np.ones(4)).toarray()
    array([[ 802., -400.,    0.,    0.],
           [-400., 1002., -400.,    0.],
           [   0., -400., 1002., -400.],
           [   0.,    0., -400.,  200.]])
    """
    check_callable(fun, "sparse_hessian")
    return SparseJacobian(grad(fun, argnums), argnums, "sparse_hessian", True)
