"""What does a user call?  `grad`, `value_and_grad`, `vjp`, `jvp`, `make_jaxpr`, `eval_shape`,
with JAX's signatures.
"""

from __future__ import annotations

import contextlib
import functools
import operator
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal, ParamSpec, TypeVar, overload

import numpy as np

from funcgrad import tree
from funcgrad.arguments import (
    argument_numbers,
    check_callable,
    check_inputs,
    check_value,
    checked_cotangent,
    checked_tangent,
    owned,
    replaced,
    unshared,
    value_and_aux,
)
from funcgrad.dtypes import is_inexact
from funcgrad.errors import at_line
from funcgrad.ir.names import with_names
from funcgrad.ir.program import Program
from funcgrad.ops.comparison import stop_gradient as _stop_gradient
from funcgrad.quiet import quiet
from funcgrad.trace.frame import type_of, undisturbed
from funcgrad.trace.function import ShapeDtypeStruct, leaf_types, trace_function
from funcgrad.trace.locals import Locals
from funcgrad.trace.tracer import Tracer
from funcgrad.tracebacks import boundary, shorten
from funcgrad.transform.jvp import jvp_values
from funcgrad.transform.vjp import instantiate, vjp_values
from funcgrad.transform.vmap import Environment

P = ParamSpec("P")
R = TypeVar("R")
Aux = TypeVar("Aux")


@overload
def grad(
    fun: np.ufunc,
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[..., Any]: ...
@overload
def grad(
    fun: Callable[P, tuple[Any, R]],
    argnums: int | Sequence[int] = 0,
    *,
    has_aux: Literal[True],
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[P, tuple[Any, R]]: ...
@overload
def grad(
    fun: Callable[P, tuple[Any, R]],
    argnums: int | Sequence[int],
    has_aux: Literal[True],
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[P, tuple[Any, R]]: ...
@overload
def grad(
    fun: Callable[P, Any],
    argnums: int | Sequence[int] = 0,
    has_aux: Literal[False] = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[P, Any]: ...
@boundary
def grad(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[..., Any]:
    """The function that computes the gradient of `fun`, by reverse mode.

    Parameters
    ----------
    fun
        Takes arrays, scalars or pytrees of them; returns a real scalar (shape ``()``), or ``(scalar, aux)`` if
        `has_aux`.
    argnums
        Which positional argument(s) to differentiate by: an int, or a sequence of ints (then a tuple is returned).
    has_aux
        Whether `fun` returns a pair; the second part is handed through.
    holomorphic
        Promise that `fun` is holomorphic: inputs and output are complex then, and the result is the complex derivative.
    allow_int
        Allow integer and boolean inputs; their gradients are zeros of their own dtype.

    Returns
    -------
    Callable
        With `fun`'s arguments; returns a pytree like the argument(s) at `argnums`, same shapes and dtypes (and `aux`).

    Raises
    ------
    TypeError
        For integer inputs, for an output that is not a real scalar (a complex one, if `holomorphic`), and for fewer
        arguments than `argnums` names.

    Notes
    -----
    Outside `jit` the arguments are known, so that `fun` may use ``if``, ``while``, ``float()`` and ``print`` on its
    values.

    The gradient of a real function of complex numbers z = x + iy is df/dx - i df/dy, as in JAX: descend along its
    conjugate.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.grad(np.tanh)(0.0)
    Array(1.)
    >>> fg.grad(lambda x, y: x * y, argnums=(0, 1))(2.0, 3.0)
    (Array(3.), Array(2.))
    >>> fg.grad(lambda z: np.real(z * np.conj(z)))(3 + 4j)
    Array(6.-8.j)
    >>> fg.grad(lambda z: z**2, holomorphic=True)(3 + 4j)
    Array(6.+8.j)
    """
    check_callable(fun, "grad")
    both = value_and_grad(fun, argnums, has_aux, holomorphic, allow_int)

    @functools.wraps(fun)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        try:
            value, gradients = both(*args, **kwargs)
        except BaseException as error:
            shorten(error)
            raise
        return (gradients, value[1]) if has_aux else gradients

    return gradient


@overload
def value_and_grad(
    fun: np.ufunc,
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[..., tuple[Any, Any]]: ...
@overload
def value_and_grad(
    fun: Callable[P, R],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[P, tuple[R, Any]]: ...
@boundary
def value_and_grad(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[..., Any]:
    """The function that computes `fun` and its gradient in one pass; the parameters are those of `grad`.

    Returns
    -------
    Callable
        Returns ``(value, gradient)``, or ``((value, aux), gradient)`` if `has_aux`.

    Examples
    --------
    >>> import funcgrad as fg
    >>> fg.value_and_grad(lambda x: x * x)(3.0)
    (Array(9.), Array(6.))
    """
    check_callable(fun, "value_and_grad")
    several = isinstance(argnums, Sequence)

    @functools.wraps(fun)
    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        try:
            numbers = argument_numbers(argnums, len(args))
            chosen = tuple(args[k] for k in numbers)
            leaves, structure = tree.flatten(chosen)
            check_inputs(chosen, leaves, holomorphic, allow_int)
            smooth = [is_inexact(type_of(x).dtype) for x in leaves]

            def flat(*variables: Any) -> tuple[list[Any], Any]:
                given = iter(variables)
                full = tree.unflatten(structure, [next(given) if s else x for x, s in zip(leaves, smooth, strict=True)])
                result = fun(*replaced(args, numbers, full), **kwargs)
                if not has_aux:
                    return [result], None
                value, aux = value_and_aux(result, has_aux)
                return [value, *unshared(tree.leaves(aux))], tree.structure(aux)

            with quiet():
                outputs, aux_structure, pullback = vjp_values(
                    flat, [x for x, s in zip(leaves, smooth, strict=True) if s]
                )
                value = outputs[0]
                check_value(value, holomorphic)
                cotangents = iter(pullback([type_of(value).dtype.type(1), *(None for _ in outputs[1:])], last=True))
            found = [
                instantiate(next(cotangents), x) if s else np.zeros_like(x) for x, s in zip(leaves, smooth, strict=True)
            ]
            value, *rest = owned([*outputs, *found], leaves)
            aux, gradients = rest[: len(outputs) - 1], tree.unflatten(structure, rest[len(outputs) - 1 :])
            picked = gradients if several else gradients[0]
            return ((value, tree.unflatten(aux_structure, aux)), picked) if has_aux else (value, picked)
        except BaseException as error:
            shorten(error)
            raise

    return value_and_gradient


@overload
def vjp(
    fun: Callable[..., R], *primals: Any, has_aux: Literal[False] = False
) -> tuple[R, Callable[[Any], tuple[Any, ...]]]: ...
@overload
def vjp(
    fun: Callable[..., tuple[R, Aux]], *primals: Any, has_aux: Literal[True]
) -> tuple[R, Callable[[Any], tuple[Any, ...]], Aux]: ...
@boundary
def vjp(fun: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The value of `fun` and its pullback.

    Parameters
    ----------
    fun
        Takes and returns arrays or pytrees of them.
    *primals
        Where to evaluate: arrays, scalars or pytrees of them.
    has_aux
        Whether `fun` returns ``(output, aux)``.

    Returns
    -------
    tuple
        ``(output, vjp_fun)`` or ``(output, vjp_fun, aux)``. ``vjp_fun(cotangent)``, for a pytree like the output,
        returns a tuple of cotangents like `primals`; it may be called any number of times. Cotangents of integers and
        booleans are zeros of their own dtype, and what is given for such outputs does not matter.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> y, pull = fg.vjp(lambda x: np.stack([x, x * x]), 3.0)
    >>> pull(np.array([1.0, 1.0]))
    (Array(7.),)
    """
    check_callable(fun, "vjp")
    leaves, structure = tree.flatten(primals)
    check_inputs(primals, leaves, False, True, "vjp")
    smooth = [is_inexact(type_of(x).dtype) for x in leaves]

    def flat(*variables: Any) -> tuple[list[Any], Any]:
        given = iter(variables)
        full = [next(given) if s else x for x, s in zip(leaves, smooth, strict=True)]
        output = fun(*tree.unflatten(structure, full))
        if has_aux:
            output, aux = value_and_aux(output, True)
            aux_leaves, aux_structure = tree.flatten(aux)
            out_leaves, out_structure = tree.flatten(output)
            return unshared([*out_leaves, *aux_leaves]), (out_structure, aux_structure, len(out_leaves))
        out_leaves, out_structure = tree.flatten(output)
        return unshared(out_leaves), (out_structure, None, len(out_leaves))

    with quiet():
        moving = [x for x, s in zip(leaves, smooth, strict=True) if s]
        outputs, (out_structure, aux_structure, count), pullback = vjp_values(flat, moving)
    types = [type_of(out) for out in outputs[:count]]

    def vjp_fun(cotangent: Any) -> Any:
        try:
            return pulled(cotangent)
        except BaseException as error:
            shorten(error)
            raise

    def pulled(cotangent: Any) -> Any:
        given, given_structure = tree.flatten(cotangent)
        if given_structure != out_structure:
            raise ValueError(
                f"vjp: the cotangent has the structure {given_structure}, the output of the function "
                f"{out_structure}{at_line()}"
            )
        pairs = zip(given, types, out_structure.paths(), strict=True)
        cts = [checked_cotangent(ct, t, path) for ct, t, path in pairs]
        with quiet():
            found = iter(pullback([*cts, *(None for _ in outputs[count:])]))
        full = [instantiate(next(found) if s else None, x) for x, s in zip(leaves, smooth, strict=True)]
        return tree.unflatten(structure, owned(full, [*leaves, *given]))

    results = owned(outputs, leaves)
    output = tree.unflatten(out_structure, results[:count])
    return (output, vjp_fun, tree.unflatten(aux_structure, results[count:])) if has_aux else (output, vjp_fun)


@overload
def jvp(
    fun: Callable[..., R], primals: Sequence[Any], tangents: Sequence[Any], has_aux: Literal[False] = False
) -> tuple[R, R]: ...
@overload
def jvp(
    fun: Callable[..., tuple[R, Aux]], primals: Sequence[Any], tangents: Sequence[Any], has_aux: Literal[True]
) -> tuple[R, R, Aux]: ...
@boundary
def jvp(fun: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False) -> Any:
    """The value of `fun` and its directional derivative, by forward mode.

    Parameters
    ----------
    fun
        Takes and returns arrays or pytrees of them.
    primals, tangents
        Two tuples of arguments of the same structure, shapes and dtypes.
    has_aux
        Whether `fun` returns ``(output, aux)``.

    Returns
    -------
    tuple
        ``(output, output tangent)``, or with `aux` behind.

    Raises
    ------
    TypeError
        Primals and tangents are no tuples, or their structures or dtypes differ.
    ValueError
        Their shapes differ.

    Examples
    --------
    >>> import funcgrad as fg
    >>> fg.jvp(lambda x: x * x, (3.0,), (1.0,))
    (Array(9.), Array(6.))
    """
    check_callable(fun, "jvp")
    if not (isinstance(primals, Sequence) and isinstance(tangents, Sequence)):
        found = f"{type(primals).__name__} and {type(tangents).__name__}"
        raise TypeError(
            f"jvp: primals and tangents must be tuples of arguments, such as (x,) and (t,), not {found}{at_line()}"
        )
    leaves, structure = tree.flatten(tuple(primals))
    moves, moves_structure = tree.flatten(tuple(tangents))
    if structure != moves_structure:
        raise TypeError(f"jvp: primals have the structure {structure}, tangents {moves_structure}{at_line()}")
    moves = [checked_tangent(t, x, path) for x, t, path in zip(leaves, moves, structure.paths(), strict=True)]
    shape: dict[str, Any] = {}

    def flat(*variables: Any) -> list[Any]:
        output = fun(*tree.unflatten(structure, variables))
        output, aux = value_and_aux(output, has_aux)
        out_leaves, shape["out"] = tree.flatten(output)
        aux_leaves, shape["aux"] = tree.flatten(aux)
        shape["count"] = len(out_leaves)
        return unshared([*out_leaves, *aux_leaves])

    with quiet():
        outputs, out_moves = jvp_values(flat, leaves, moves)
    count = shape["count"]
    full = [instantiate(t, x) for x, t in zip(outputs[:count], out_moves[:count], strict=True)]
    results = owned([*outputs, *full], [*leaves, *moves])
    output = tree.unflatten(shape["out"], results[:count])
    pushed = tree.unflatten(shape["out"], results[len(outputs) :])
    return (
        (output, pushed, tree.unflatten(shape["aux"], results[count : len(outputs)])) if has_aux else (output, pushed)
    )


@boundary
def make_jaxpr(
    fun: Callable[P, Any],
    static_argnums: int | Sequence[int] = (),
    axis_env: Sequence[tuple[Hashable, int]] | None = None,
) -> Callable[P, Program]:
    """The function that returns the program of `fun` for given arguments, without running it.

    Parameters
    ----------
    fun
        A function of arrays or pytrees of them.
    static_argnums
        Which positional arguments are Python values.
    axis_env
        Names and sizes of batch axes over which collective operations may go (outermost first), as if `fun` were under
        `vmap`.

    Returns
    -------
    callable
        It takes what `fun` takes and returns a `Program`, which prints itself.

    Examples
    --------
    >>> import funcgrad as fg
    >>> print(fg.make_jaxpr(lambda x: x + x)(1.0))
    { lambda ; a:f64[]*. let
        b:f64[]* = add a a
      in (b,) }
    >>> print(fg.make_jaxpr(lambda x: fg.lax.psum(x, "i"), axis_env=[("i", 4)])(1.0))
    { lambda ; a:f64[]*. let
        b:f64[] = psum[axis_name=i axis_size=4] a
      in (b,) }
    """
    check_callable(fun, "make_jaxpr")
    environment = [Environment(operator.index(size), name) for name, size in axis_env or ()]
    static = (static_argnums,) if isinstance(static_argnums, int) else tuple(static_argnums)

    @boundary
    @undisturbed
    @functools.wraps(fun)
    def make(*args: Any, **kwargs: Any) -> Program:
        fixed = {k % len(args): args[k] for k in static}
        moving = tuple(x for k, x in enumerate(args) if k not in fixed)

        def call(*rest: Any, **named: Any) -> Any:
            given = iter(rest)
            return fun(*(fixed[k] if k in fixed else next(given) for k in range(len(args))), **named)

        leaves, structure = tree.flatten((moving, kwargs))
        with contextlib.ExitStack() as stack, Locals() as seen:
            for frame in environment:
                stack.enter_context(frame)
            program = trace_function(call, structure, leaf_types("make_jaxpr", leaves, structure)).program
        return with_names(program, fun, structure.paths(), fixed, seen.names)

    return make


@boundary
def eval_shape(fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The shapes and dtypes of what ``fun(*args, **kwargs)`` would return, without computing anything.

    Arguments may be arrays or anything with ``shape`` and ``dtype``.

    Returns
    -------
    pytree of ShapeDtypeStruct
        In the structure of the result, a shape and a dtype for each array.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.eval_shape(np.matmul, fg.ShapeDtypeStruct((2, 3), np.float32), np.ones((3, 4), np.float32))
    ShapeDtypeStruct(shape=(2, 4), dtype=float32)
    """
    check_callable(fun, "eval_shape")
    leaves, structure = tree.flatten((args, kwargs))
    traced = trace_function(fun, structure, leaf_types("eval_shape", leaves, structure))
    return tree.unflatten(
        traced.out_structure, [ShapeDtypeStruct(t.shape, t.dtype) for t in traced.program.output_types]
    )


def stop_gradient(x: R) -> R:
    """`x`, through which no derivative flows (a pytree of arrays).

    Returns
    -------
    pytree of Array
        The structure, shapes and dtypes of `x`.

    Examples
    --------
    >>> import funcgrad as fg
    >>> fg.grad(lambda x: x * fg.stop_gradient(x))(3.0)
    Array(3.)
    """
    return tree.map(lambda leaf: _stop_gradient(leaf) if type(leaf) is Tracer else leaf, x)  # type: ignore[no-any-return]
