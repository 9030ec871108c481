"""How are sparse Jacobians and Hessians found in a few products?  `sparse_jacobian`, `sparse_hessian`.

Which inputs each element of the output depends on is read off the program (`sparse_patterns`); columns (or rows) that
share no row (column) get one colour, and one product serves a colour: Curtis, Powell and Reid (1974), Coleman and
Moré (1983).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad import tree
from funcgrad.api import grad, vjp
from funcgrad.arguments import argument_numbers, check_callable, check_inputs, check_real_inputs, function_name
from funcgrad.batching import vmap
from funcgrad.errors import at_line
from funcgrad.linearization import linearize
from funcgrad.runtime.dispatch import jit
from funcgrad.simplify import simplify
from funcgrad.sparse_patterns import csr, nothing, pattern_of
from funcgrad.trace.frame import type_of
from funcgrad.trace.function import leaf_types, trace_function
from funcgrad.trace.tracer import Tracer
from funcgrad.tracebacks import boundary


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
    """A function that computes a sparse Jacobian; made by `sparse_jacobian`.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> jacobian = fg.sparse_jacobian(lambda x: x[1:] * x[:-1])
    >>> jacobian(np.array([1.0, 2.0, 3.0])).toarray()
    array([[2., 1., 0.],
           [0., 3., 2.]])
    >>> jacobian.pattern(np.zeros(3)).toarray().astype(int)
    array([[1, 1, 0],
           [0, 1, 1]])
    """

    def __init__(self, fun: Callable[..., Any], argnums: int, name: str, symmetric: bool) -> None:
        functools.update_wrapper(self, fun)
        self.fun, self.argnums, self.name, self.symmetric = fun, argnums, name, symmetric
        self._found: dict[Any, Colours] = {}
        self._push, self._pull = jit(self._pushed), jit(self._pulled)

    @boundary
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
            return nothing(*shape).astype(type_of(chosen).dtype)
        length = shape[0] if found.by_rows else shape[1]
        seeds = np.zeros((found.number, length), type_of(chosen).dtype)
        seeds[found.of, np.arange(length)] = 1
        products = np.asarray((self._pull if found.by_rows else self._push)(seeds, *args))
        pattern = found.pattern
        rows = np.repeat(np.arange(shape[0]), np.diff(pattern.indptr))
        columns = pattern.indices
        data = products[found.of[rows], columns] if found.by_rows else products[found.of[columns], rows]
        return csr((data, columns.copy(), pattern.indptr.copy()), shape)

    @boundary
    def pattern(self, *args: Any) -> Any:
        """Where the Jacobian may be other than zero.

        Parameters
        ----------
        *args
            The function's arguments; only their structure, shapes and dtypes matter.

        Returns
        -------
        scipy.sparse.csr_array
            Ones at these places.
        """
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
            pattern = pattern_of(simplify(traced.program), place)
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


@boundary
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


@boundary
def sparse_hessian(fun: Callable[..., Any], argnums: int = 0) -> SparseJacobian:
    """The function that computes the Hessian of a scalar function as a sparse matrix; see `sparse_jacobian`.

    Returns
    -------
    SparseJacobian
        It takes what `fun` takes and returns a `scipy.sparse.csr_array` of shape (n, n), n being the size of the
        argument.

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
