"""How are all derivatives of a function found at once?  `jacfwd`, `jacrev` and `hessian`: one batch of directions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec

import numpy as np

from funcgrad import tree
from funcgrad.arguments import (
    FlatFunction,
    argument_numbers,
    check_callable,
    check_inputs,
    check_real_inputs,
    check_smooth_outputs,
    owned,
    replaced,
)
from funcgrad.dtypes import is_inexact
from funcgrad.quiet import quiet
from funcgrad.trace.frame import type_of
from funcgrad.tracebacks import boundary
from funcgrad.transform.jvp import jvp_values
from funcgrad.transform.vjp import instantiate, vjp_values
from funcgrad.transform.vmap import vmap_values

P = ParamSpec("P")


@boundary
def jacfwd(
    fun: Callable[P, Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[P, Any]:
    """The function that computes the Jacobian of `fun` by forward mode, column by column: for few inputs.

    Parameters
    ----------
    fun
        Takes and returns arrays, scalars or pytrees of them; returns ``(output, aux)`` if `has_aux`.
    argnums
        Which positional argument(s) to differentiate by: an int, or a sequence of ints.
    has_aux
        Whether `fun` returns a pair; the second part is handed through.
    holomorphic
        Promise that `fun` is holomorphic: the inputs are complex then.

    Returns
    -------
    Callable
        With `fun`'s arguments; returns a pytree like `fun`'s output, whose leaves are pytrees like the argument(s) at
        `argnums`, of shape ``output leaf's shape + input leaf's shape``.

    Raises
    ------
    TypeError
        For integer inputs, and for complex ones unless `holomorphic`.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.jacfwd(lambda x: np.array([1.0, 2.0])[:, None] * x)(np.array([3.0, 4.0, 5.0])).shape
    (2, 3, 3)
    >>> fg.jacfwd(np.square)(np.array([1.0, 2.0]))
    Array([[2., 0.],
           [0., 4.]])
    """
    check_callable(fun, "jacfwd")

    @boundary
    @functools.wraps(fun)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        numbers = argument_numbers(argnums, len(args))
        chosen = tuple(args[k] for k in numbers)
        leaves, structure = tree.flatten(chosen)
        check_inputs(chosen, leaves, holomorphic, False, "jacfwd")
        if not holomorphic:
            check_real_inputs(chosen, leaves, "jacfwd")
        flat = FlatFunction(lambda *part: fun(*replaced(args, numbers, part), **kwargs), structure, has_aux)
        kinds = [type_of(x) for x in leaves]

        def push(*tangents: Any) -> list[Any]:
            outputs, moved = jvp_values(flat, leaves, tangents)
            flat.outputs = outputs
            return [instantiate(t, x) for x, t in zip(outputs[: flat.count], moved[: flat.count], strict=True)]

        total = sum(t.size for t in kinds)
        with quiet():
            if total:
                columns = vmap_values(push, total, _basis(kinds), [True] * len(kinds))
            else:
                columns = [np.zeros((0, *type_of(y).shape), type_of(y).dtype) for y in push(*map(_zeros, kinds))]
            if holomorphic:
                check_smooth_outputs(flat.outputs[: flat.count], holomorphic, "jacfwd")
            parts = [_blocks(np.moveaxis(y, 0, -1), kinds) for y in columns]
        return _assembled(flat, parts, structure, leaves, isinstance(argnums, Sequence), has_aux)

    return jacobian


@boundary
def jacrev(
    fun: Callable[P, Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[P, Any]:
    """The function that computes the Jacobian of `fun` by reverse mode, row by row: for few outputs.

    Parameters and result are those of `jacfwd`, and with `allow_int` integer inputs, whose derivatives are zeros.

    Returns
    -------
    callable
        It takes what `fun` takes and returns, for each output and each leaf of the arguments chosen by `argnums`, an
        array with the output's shape and then the leaf's; with `has_aux` a pair of that and the extra output.

    Raises
    ------
    TypeError
        For integer inputs unless `allow_int`, and for outputs that are not real (not complex, if `holomorphic`).

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.jacrev(lambda x: {"sum": np.sum(x), "twice": 2 * x})(np.ones(2))
    {'sum': Array([1., 1.]), 'twice': Array([[2., 0.], [0., 2.]])}
    """
    check_callable(fun, "jacrev")

    @boundary
    @functools.wraps(fun)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        numbers = argument_numbers(argnums, len(args))
        chosen = tuple(args[k] for k in numbers)
        leaves, structure = tree.flatten(chosen)
        check_inputs(chosen, leaves, holomorphic, allow_int, "jacrev")
        smooth = [is_inexact(type_of(x).dtype) for x in leaves]
        flat = FlatFunction(lambda *part: fun(*replaced(args, numbers, part), **kwargs), structure, has_aux)

        def run(*variables: Any) -> tuple[list[Any], None]:
            given = iter(variables)
            return flat(*(next(given) if s else x for x, s in zip(leaves, smooth, strict=True))), None

        moving = [x for x, s in zip(leaves, smooth, strict=True) if s]
        with quiet():
            flat.outputs, _, pullback = vjp_values(run, moving)
            results, rest = flat.outputs[: flat.count], len(flat.outputs) - flat.count
            check_smooth_outputs(results, holomorphic, "jacrev")
            kinds = [type_of(y) for y in results]

            def pull(*cotangents: Any) -> list[Any]:
                found = pullback([*cotangents, *(None for _ in range(rest))])
                return [instantiate(ct, x) for ct, x in zip(found, moving, strict=True)]

            total = sum(t.size for t in kinds)
            if total == 1:  # a scalar: nothing to batch
                rows = [x[None] for x in map(_as_array, pull(*(np.ones(t.shape, t.dtype) for t in kinds)))]
            elif total:
                rows = vmap_values(pull, total, _basis(kinds), [True] * len(kinds))
            else:
                rows = [np.zeros((0, *type_of(x).shape), type_of(x).dtype) for x in moving]
            found = iter(_rows(x, kinds) for x in rows)
            zero = [[np.zeros((*t.shape, *np.shape(x)), type_of(x).dtype) for t in kinds] for x in leaves]
            each = [next(found) if s else z for s, z in zip(smooth, zero, strict=True)]
        parts = [[each[k][j] for k in range(len(leaves))] for j in range(len(kinds))]
        return _assembled(flat, parts, structure, leaves, isinstance(argnums, Sequence), has_aux)

    return jacobian


@boundary
def hessian(
    fun: Callable[P, Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[P, Any]:
    """The function that computes all second derivatives of `fun`: forward mode over reverse mode.

    Parameters are those of `jacfwd`; the result has the structure of the output, and in it twice that of the input:
    ``hessian(f)({"a": a, "b": b})["a"]["b"]`` has the shape ``output's + a's + b's``.

    Returns
    -------
    callable
        It takes what `fun` takes and returns, for each output and each pair of leaves of the arguments chosen by
        `argnums`, an array with the output's shape, then those of the two leaves; with `has_aux` a pair of that and the
        extra output.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.hessian(lambda x: np.sum(x**3))(np.array([1.0, 2.0]))
    Array([[ 6.,  0.],
           [ 0., 12.]])
    """
    check_callable(fun, "hessian")
    return jacfwd(jacrev(fun, argnums, has_aux, holomorphic), argnums, has_aux, holomorphic)


def _as_array(x: Any) -> Any:
    return np.asarray(x) if isinstance(x, (np.generic, int, float, complex)) else x


def _zeros(kind: Any) -> np.ndarray:
    return np.zeros(kind.shape, kind.dtype)


def _basis(kinds: Sequence[Any]) -> list[np.ndarray]:
    """For each value a batch: the unit vectors of all values side by side, this value's part of each."""
    total, first = sum(t.size for t in kinds), 0
    parts = []
    for t in kinds:
        parts.append(np.eye(total, t.size, -first, t.dtype).reshape(total, *t.shape))
        first += t.size
    return parts


def _blocks(columns: Any, kinds: Sequence[Any]) -> list[Any]:
    """The last axis, over the elements of all values, cut into one array for each value."""
    parts, first, front = [], 0, columns.shape[:-1]
    for t in kinds:
        part = columns if t.size == columns.shape[-1] else columns[..., first : first + t.size]
        parts.append(np.reshape(part, (*front, *t.shape)))
        first += t.size
    return parts


def _rows(rows: Any, kinds: Sequence[Any]) -> list[Any]:
    """The first axis, over the elements of all outputs, cut into one array for each output."""
    parts, first, rest = [], 0, rows.shape[1:]
    for t in kinds:
        part = rows if t.size == rows.shape[0] else rows[first : first + t.size]
        parts.append(np.reshape(part, (*t.shape, *rest)))
        first += t.size
    return parts


def _assembled(
    flat: FlatFunction,
    parts: Sequence[Sequence[Any]],
    structure: tree.TreeDef,
    leaves: Sequence[Any],
    several: bool,
    has_aux: bool,
) -> Any:
    """The tree of outputs whose leaves are trees of inputs, and what the function handed through."""
    aux = flat.outputs[flat.count :]
    values = owned([*(x for row in parts for x in row), *aux], leaves)
    results = iter(values)
    rows = [tree.unflatten(structure, [next(results) for _ in row]) for row in parts]
    jacobian = tree.unflatten(flat.structure, [row if several else row[0] for row in rows])
    return (jacobian, tree.unflatten(flat.aux_structure, list(results))) if has_aux else jacobian
