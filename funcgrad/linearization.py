"""How is a function's derivative had as a function?  `linearize`, `linear_transpose`, and `closure_convert`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar, overload

import numpy as np

from funcgrad import tree
from funcgrad.arguments import FlatFunction, check_callable, check_inputs, check_zero, function_name, owned
from funcgrad.dtypes import is_inexact
from funcgrad.errors import at_line
from funcgrad.ir.program import Program, Var
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import zero
from funcgrad.quiet import quiet
from funcgrad.trace.builder import evaluate
from funcgrad.trace.frame import bind, type_of, undisturbed
from funcgrad.trace.function import leaf_types, trace_function
from funcgrad.trace.tracer import Tracer
from funcgrad.tracebacks import boundary
from funcgrad.transform.jvp import jvp_values
from funcgrad.transform.linear import TangentBuilder
from funcgrad.transform.partial import split
from funcgrad.transform.vjp import instantiate, vjp_program

R = TypeVar("R")
Aux = TypeVar("Aux")


@overload
def linearize(fun: Callable[..., R], *primals: Any, has_aux: Literal[False] = False) -> tuple[R, Callable[..., R]]: ...
@overload
def linearize(
    fun: Callable[..., tuple[R, Aux]], *primals: Any, has_aux: Literal[True]
) -> tuple[R, Callable[..., R], Aux]: ...
@boundary
@undisturbed
def linearize(fun: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The value of `fun` and its derivative there, as a function that no longer computes `fun`.

    Parameters
    ----------
    fun
        Takes and returns arrays or pytrees of them. Outside `jit` it may use ``if``, ``while`` and ``float()`` on its
        values.
    *primals
        Where to evaluate: arrays, scalars or pytrees of them. Integers and booleans have no tangents but zero.
    has_aux
        Whether `fun` returns ``(output, aux)``.

    Returns
    -------
    tuple
        ``(output, jvp_fun)`` or ``(output, jvp_fun, aux)``. ``jvp_fun(*tangents)``, for tangents like `primals`, is the
        directional derivative, as `jvp` gives it; it may be called any number of times, jitted and transposed.

    Raises
    ------
    TypeError
        For leaves that are no arrays, and for tangents of another structure.
    ValueError
        For tangents of another shape or dtype.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> y, f_jvp = fg.linearize(np.sin, 0.0)
    >>> y, f_jvp(2.0)
    (Array(0.), Array(2.))
    """
    check_callable(fun, "linearize")
    leaves, structure = tree.flatten(primals)
    check_inputs(primals, leaves, False, True, "linearize")
    flat = FlatFunction(fun, structure, has_aux)
    with quiet():
        with TangentBuilder() as builder:
            kinds = [ArrayType(t.shape, t.dtype) for t in map(type_of, leaves)]
            variables = [builder.parameter(t) if is_inexact(t.dtype) else None for t in kinds]
            outputs, moved = jvp_values(flat, leaves, variables)
            pairs = zip(outputs[: flat.count], moved[: flat.count], strict=True)
            pushed = [instantiate(t, x) for x, t in pairs if is_inexact(type_of(x).dtype)]
            program = builder.program([v for v in variables if v is not None], pushed)
            captures = [x for x, _ in builder.captures.values()]
        results = owned(outputs, leaves)
    out_structure, types = flat.structure, [type_of(x) for x in outputs[: flat.count]]

    @boundary
    def jvp_fun(*tangents: Any) -> Any:
        """The directional derivative."""
        given, given_structure = tree.flatten(tangents)
        _check_structure("linearize", "tangents", given_structure, "primals", structure)
        checked = _checked(given, kinds, "linearize", "tangent", structure, ValueError)
        with quiet():
            found = iter(evaluate(program, [*captures, *checked], bind))
        full = [next(found) if is_inexact(t.dtype) else np.zeros(t.shape, t.dtype) for t in types]
        return tree.unflatten(out_structure, owned(full, [*given, *program.constants.values()]))

    output = tree.unflatten(out_structure, results[: flat.count])
    return (
        (output, jvp_fun, tree.unflatten(flat.aux_structure, results[flat.count :])) if has_aux else (output, jvp_fun)
    )


@boundary
def linear_transpose(fun: Callable[..., Any], *primals: Any) -> Callable[..., Any]:
    """The transpose of a linear function.

    Parameters
    ----------
    fun
        A linear function of arrays or pytrees of them.
    *primals
        Examples of its arguments: arrays, or anything with ``shape`` and ``dtype``; only their types matter.

    Returns
    -------
    Callable
        Takes a pytree like `fun`'s output, returns a tuple of pytrees like `primals`.

    Raises
    ------
    TypeError
        If `fun` is not linear: the message names the first operation that is not, and its line.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> a = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> fg.linear_transpose(lambda x: a @ x, np.zeros(2))(np.array([1.0, 0.0]))
    (Array([1., 2.]),)
    """
    check_callable(fun, "linear_transpose")
    leaves, structure = tree.flatten((primals, {}))
    types = [ArrayType(t.shape, t.dtype) for t in leaf_types("linear_transpose", leaves, structure)]
    for path, t in zip(tree.paths(primals), types, strict=True):
        if not is_inexact(t.dtype):
            raise TypeError(
                f"linear_transpose requires floating or complex inputs, but argument {path[0]}"
                f"{tree.key_string(path[1:])} has dtype {t.dtype.name}{at_line()}"
            )
    traced = trace_function(fun, structure, types)
    program, captures = traced.program, traced.captures
    fixed = len(captures)
    joint = vjp_program(program, [k >= fixed for k in range(len(program.inputs))])
    parts = split(joint, [k >= len(program.inputs) for k in range(len(joint.inputs))])
    _check_linear(fun, program, parts.known, parts.residuals, fixed)
    in_structure = tree.structure(primals)
    smooth = [t for t in program.output_types if is_inexact(t.dtype)]

    @boundary
    def transposed(cotangent: Any) -> Any:
        """The cotangents of the arguments for that of the output."""
        given, given_structure = tree.flatten(cotangent)
        _check_structure("linear_transpose", "cotangents", given_structure, "the output", traced.out_structure)
        moving = [ct for ct, t in zip(given, program.output_types, strict=True) if is_inexact(t.dtype)]
        checked = _checked(moving, smooth, "linear_transpose", "cotangent", traced.out_structure)
        empty = [zero(t) for t in types]
        with quiet():
            known = evaluate(parts.known, [*captures, *empty], bind)
            early, residuals = iter(known[len(program.outputs) :]), known[len(known) - parts.residuals :]
            late = iter(evaluate(parts.unknown, [*residuals, *checked], bind))
        flags = parts.unknown_outputs[len(program.outputs) :]
        found = [next(late) if u else next(early) for u in flags]
        return tree.unflatten(in_structure, owned(found, given))

    return transposed


def _check_linear(fun: Any, program: Program, known: Program, residuals: int, fixed: int) -> None:
    """A `TypeError` if the backward program reads anything that depends on the function's arguments."""
    tainted: set[Any] = set(known.inputs[fixed:])
    for equation in known.equations:
        if any(a in tainted for a in equation.inputs):
            tainted.update(equation.outputs)
    outputs = known.outputs[len(known.outputs) - residuals :] if residuals else ()
    if not any(isinstance(a, Var) and a in tainted for a in outputs):
        return
    for equation in program.equations:
        if equation.primitive.family not in ("linear", "bilinear") and equation.source is not None:
            name, line = equation.primitive.name, at_line(equation.source)
            break
    else:
        name, line = "a product of its arguments", at_line()
    raise TypeError(
        f"linear_transpose: {function_name(fun)} is not linear: its derivative depends on where it is taken; see "
        f"{name}{line}"
    )


def _check_structure(name: str, what: str, have: tree.TreeDef, other: str, want: tree.TreeDef) -> None:
    if have != want:
        raise TypeError(f"{name}: {what} with the structure {have} do not fit {other} with {want}{at_line()}")


def _checked(
    values: Sequence[Any],
    types: Sequence[ArrayType],
    name: str,
    what: str,
    structure: tree.TreeDef,
    error: type[Exception] = TypeError,
) -> list[Any]:
    """Tangents or cotangents of these types; Python numbers take the dtype that is wanted. Integers have none."""
    checked = []
    for path, x, t in zip(structure.paths(), values, types, strict=False):
        if not is_inexact(t.dtype):
            check_zero(name, x, t, path)
            continue
        have = type_of(x)
        if have.shape != t.shape or (have.dtype != t.dtype and not have.weak):
            raise error(
                f"{name}: the {what} at {tree.key_string(path) or 'the top'} has type {have}, not {t}{at_line()}"
            )
        checked.append(
            x
            if type(x) is Tracer and have.dtype == t.dtype
            else np.asarray(x, t.dtype)[()]
            if type(x) is not Tracer
            else x.astype(t.dtype)
        )
    return checked


@boundary
def closure_convert(fun: Callable[..., Any], *example_args: Any) -> tuple[Callable[..., Any], list[Any]]:
    """`fun` with the traced values that it closes over made arguments: for custom rules, which must not close over any.

    Parameters
    ----------
    fun
        A function of `example_args`, traced at their types.
    *example_args
        Arrays or pytrees of them.

    Returns
    -------
    tuple
        ``(converted, hoisted)`` with ``converted(*args, *hoisted) == fun(*args)``; `hoisted` is a list.

    Examples
    --------
    >>> import funcgrad as fg
    >>> def scaled(x):
    ...     converted, hoisted = fg.closure_convert(lambda y: y * x, 1.0)
    ...     return converted(2.0, *hoisted), len(hoisted)
    >>> fg.jvp(scaled, (3.0,), (1.0,), has_aux=True)
    (Array(6.), Array(2.), Array(1))
    """
    check_callable(fun, "closure_convert")
    leaves, structure = tree.flatten((example_args, {}))
    traced = trace_function(fun, structure, leaf_types("closure_convert", leaves, structure))
    in_structure, count = tree.structure(example_args), len(example_args)

    def converted(*args: Any) -> Any:
        """The function, of its own arguments and the hoisted values."""
        given, given_structure = tree.flatten(args[:count])
        _check_structure("closure_convert", "arguments", given_structure, "examples", in_structure)
        with quiet():
            outputs = evaluate(traced.program, [*args[count:], *given], bind)
        return tree.unflatten(traced.out_structure, owned(outputs, [*args[count:], *given]))

    return converted, list(traced.captures)
