"""What do transformations accept?  Checks of their arguments, and results as the caller's own arrays."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.array import Array
from funcgrad.dtypes import is_inexact
from funcgrad.errors import at_line
from funcgrad.ir.types import ArrayType
from funcgrad.trace.frame import type_of
from funcgrad.trace.outputs import RETURNS, check_leaves
from funcgrad.trace.tracer import Tracer

FLOAT0 = np.dtype([("float0", np.void)])  # JAX's dtype of tangents of integers, which takes no memory


def check_callable(fun: Any, name: str) -> None:
    """A `TypeError` unless `fun` can be called."""
    if not callable(fun):
        raise TypeError(f"{name} takes a function, not {fun!r} of type {type(fun).__name__}{at_line()}")


def check_within(
    name: str,
    argument: str,
    value: Any,
    low: float,
    high: float = math.inf,
    *,
    above: bool = False,
    below: bool = False,
) -> None:
    """A `ValueError` for a number that is known and not within low..high: with `above` or `below`, nor at that end."""
    if type(value) not in (int, float):
        return
    if (value > low if above else value >= low) and (value < high if below else value <= high):
        return
    least, most = f"{'greater than' if above else 'at least'} {low}", f"{'less than' if below else 'at most'} {high}"
    if high == math.inf:
        wanted = least
    elif low == -math.inf:
        wanted = most
    else:
        wanted = f"{least} and {most}" if above or below else f"between {low} and {high}"
    raise ValueError(f"{name}: {argument} must be {wanted}, not {value}{at_line()}")


def argument_numbers(argnums: int | Sequence[int], count: int) -> tuple[int, ...]:
    """`argnums` as positions of the `count` positional arguments."""
    if type(argnums) is int and 0 <= argnums < count:  # the usual case
        return (argnums,)
    try:
        numbers = tuple(map(operator.index, argnums)) if isinstance(argnums, Sequence) else (operator.index(argnums),)
    except TypeError:
        raise TypeError(f"argnums must be an int or a sequence of ints, not {argnums!r}{at_line()}") from None
    for k in numbers:
        if not -count <= k < count:
            raise TypeError(
                f"differentiating with respect to argnums={argnums} requires at least {max(k + 1, -k)} positional "
                f"arguments to be passed by the caller, but got only {count} positional arguments{at_line()}"
            )
    numbers = tuple(k % count for k in numbers)
    if len(set(numbers)) != len(numbers):
        raise ValueError(f"argnums={argnums} names an argument twice{at_line()}")
    return numbers


def replaced(args: tuple[Any, ...], numbers: tuple[int, ...], values: tuple[Any, ...]) -> list[Any]:
    """The arguments with some of them replaced."""
    full = list(args)
    for k, value in zip(numbers, values, strict=True):
        full[k] = value
    return full


def check_inputs(chosen: Any, leaves: list[Any], holomorphic: bool, allow_int: bool, name: str = "grad") -> None:
    """A `TypeError`, with the leaf's key path, for what cannot be differentiated by."""
    for number, leaf in enumerate(leaves):
        try:
            dtype = type_of(leaf).dtype
            if is_inexact(dtype) and not holomorphic:
                continue
        except TypeError as error:
            raise TypeError(f"{name}: {argument_at(tree.paths(chosen)[number])}: {error}{at_line()}") from None
        where = argument_at(tree.paths(chosen)[number])
        if holomorphic and dtype.kind != "c":
            raise TypeError(
                f"{name} with holomorphic=True requires complex inputs, but {where} has dtype {dtype.name}. Convert it "
                f"with x.astype(complex), or leave holomorphic out.{at_line()}"
            )
        if not is_inexact(dtype) and not allow_int:
            raise TypeError(
                f"{name} requires real-valued inputs (floating dtypes), but {where} has dtype {dtype.name}. "
                "Convert it to a float (1.0 for 1, x.astype(float)), leave it out of argnums, or pass "
                f"allow_int=True.{at_line()}"
            )


def value_and_aux(result: Any, has_aux: bool) -> tuple[Any, Any]:
    """The two parts of what a function returned."""
    if not has_aux:
        return result, None
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise TypeError(
            f"with has_aux=True the function must return a pair (value, aux), not {type(result).__name__}{at_line()}"
        )
    return result[0], result[1]


def check_value(value: Any, holomorphic: bool) -> None:
    """A `TypeError` for a value that has no gradient: not a scalar, or not real (not complex, if `holomorphic`)."""
    leaves, structure = ([value], None) if type(value) is Tracer else tree.flatten(value)
    if len(leaves) != 1 or leaves[0] is not value:
        raise TypeError(
            f"Gradient only defined for scalar-output functions. Output was a pytree: {structure}. Return the loss "
            f"alone, or (loss, the rest) with has_aux=True.{at_line()}"
        )
    try:
        kind = type_of(value)
    except TypeError:
        raise TypeError(
            f"Gradient only defined for scalar-output functions. Output was: {value!r}.{at_line()}"
        ) from None
    if kind.shape:
        raise TypeError(
            f"Gradient only defined for scalar-output functions. Output had shape: {kind.shape}. Reduce it (np.sum, "
            f"np.mean), or use vjp.{at_line()}"
        )
    if holomorphic and kind.dtype.kind != "c":
        raise TypeError(
            f"grad with holomorphic=True requires a complex output, but it has dtype {kind.dtype.name}: no real "
            f"function is holomorphic, unless it is constant. Leave holomorphic out.{at_line()}"
        )
    if kind.dtype.kind == "c" and not holomorphic:
        raise TypeError(
            f"grad requires real-valued outputs, but the output has dtype {kind.dtype.name}. For holomorphic functions "
            "pass holomorphic=True; otherwise take its real part, its imaginary part or its absolute value, or use "
            f"vjp.{at_line()}"
        )
    if not is_inexact(kind.dtype):
        raise TypeError(
            "grad requires real-valued outputs (floating dtypes), but the output has dtype "
            f"{kind.dtype.name}.{at_line()}"
        )


def checked_cotangent(ct: Any, kind: ArrayType, path: tuple[Any, ...] = ()) -> Any:
    """A cotangent of an output of type `kind` at `path` (None where that is not smooth)."""
    where = f" at {tree.key_string(path)}" if path else ""
    if not is_inexact(kind.dtype):
        return None
    try:
        have = type_of(ct)
    except TypeError as error:
        raise TypeError(f"vjp: the cotangent{where}: {error}{at_line()}") from None
    if have.shape != kind.shape or (have.dtype != kind.dtype and not have.weak):
        raise ValueError(f"vjp: a cotangent{where} has type {have}, the output of the function {kind}{at_line()}")
    if have.weak and have.dtype.kind == "c" and kind.dtype.kind != "c":
        raise ValueError(f"vjp: a cotangent{where} is complex, the output of the function {kind}{at_line()}")
    return kind.dtype.type(ct) if have.weak else ct


def checked_tangent(t: Any, x: Any, path: tuple[Any, ...] = ()) -> Any:
    """A tangent of `x` (None where `x` is not smooth), the leaf at `path` of the primals."""
    where = f" at {tree.key_string(path)}" if path else ""
    try:
        kind = type_of(x)
        smooth = is_inexact(kind.dtype)
        have = type_of(t) if smooth else kind
    except TypeError as error:
        raise TypeError(f"jvp: the primal or tangent{where}: {error}{at_line()}") from None
    if not smooth:
        check_zero("jvp", t, kind, path)
        return None
    if have.shape != kind.shape or (have.dtype != kind.dtype and not (have.weak or kind.weak)):
        raise (ValueError if have.shape != kind.shape else TypeError)(
            f"jvp: primal and tangent{where} must have equal types, but they are {kind} and {have}{at_line()}"
        )
    return t if type(t) is Tracer else np.asarray(t, kind.dtype)[()]


def check_zero(name: str, tangent: Any, kind: ArrayType, path: tuple[Any, ...]) -> None:
    """A `TypeError` for a tangent of integers or booleans that is not zero (JAX's float0 is)."""
    if type(tangent) is Tracer or getattr(tangent, "dtype", None) == FLOAT0 or not np.any(tangent):
        return
    where = f" at {tree.key_string(path)}" if path else ""
    raise TypeError(
        f"{name}: the primal{where} has dtype {kind.dtype.name}, which has no tangents but zero. Convert it to a "
        f"float (1.0 for 1, x.astype(float)){at_line()}"
    )


def owned(values: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
    """Results as the caller's own arrays: no views, none twice, none that is an input."""
    taken = {id(x) for x in inputs}
    results: list[Any] = []
    for value in values:
        if type(value) is Tracer:
            results.append(value)
            continue
        shared = isinstance(value, np.ndarray) and (value.base is not None or id(value) in taken)
        taken.add(id(value))
        results.append((np.array(value) if shared else np.asarray(value)).view(Array))
    return results


def unshared(outputs: Sequence[Any]) -> list[Any]:
    """What a function returned, with copies of arrays that it did not compute from traced values:
    they may be its own.
    """
    return [np.array(x) if isinstance(x, np.ndarray) else x for x in outputs]


def leaf_axes(in_axes: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[int | None]:
    """One axis (or None) for each leaf of ``(args, kwargs)``."""
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)
    if not isinstance(in_axes, (int, type(None), tuple)):
        raise TypeError(
            f"vmap: in_axes must be an int, None, or a tuple with an entry per positional argument, not {in_axes!r} of "
            f"type {type(in_axes).__name__}{at_line()}"
        )
    try:
        spread = tree.broadcast_prefix(in_axes, args, none_is_leaf=True)
    except (ValueError, TypeError):
        raise ValueError(
            f"vmap: in_axes={in_axes!r} is neither an int nor a prefix of the {len(args)} positional arguments, whose "
            f"structure is {tree.structure(args)}{at_line()}"
        ) from None
    present = tree.leaves(args, none_is_leaf=True)
    axes = [a for a, x in zip(spread, present, strict=True) if x is not None]
    for a, path in zip(axes, tree.paths(args), strict=True):
        if a is not None and (not isinstance(a, int) or isinstance(a, bool)):
            raise TypeError(f"vmap: in_axes must hold ints and None, not {a!r} (for {argument_at(path)}){at_line()}")
    return [*axes, *(0 for _ in tree.leaves(kwargs))]


def argument_at(path: tuple[Any, ...]) -> str:
    """A leaf of the arguments in messages: ``argument 1['w']``."""
    return f"argument {path[0]}{tree.key_string(path[1:])}"


def batch_size(
    leaves: list[Any], axes: list[int | None], axis_size: int | None, paths: Sequence[tuple[Any, ...]] | None = None
) -> int:
    """The number of examples on which all batched leaves agree."""
    sizes: dict[int, list[str]] = {} if axis_size is None else {axis_size: ["axis_size"]}
    for number, (x, a) in enumerate(zip(leaves, axes, strict=True)):
        if a is None:
            continue
        where = argument_at(paths[number]) if paths else "an argument"
        try:
            shape = type_of(x).shape
        except TypeError as error:
            raise TypeError(f"vmap: {where}: {error}. Pass it with in_axes=None.{at_line()}") from None
        if not shape:
            raise ValueError(
                f"vmap: axis {a} is out of bounds for {where} of shape (), a scalar: pass it with in_axes=None if it "
                f"is the same for all examples{at_line()}"
            )
        if not -len(shape) <= a < len(shape):
            raise ValueError(f"vmap: axis {a} is out of bounds for {where} of shape {shape}{at_line()}")
        sizes.setdefault(shape[a], []).append(f"{where} (axis {a})")
    if not sizes:
        raise ValueError(
            "vmap: the arguments must agree on one number of examples; found none: every in_axes is None, give "
            f"axis_size{at_line()}"
        )
    if len(sizes) > 1:
        found = ", ".join(map(str, sorted(sizes)))
        each = "; ".join(f"{n}: {', '.join(where[:3])}" for n, where in sizes.items())
        raise ValueError(f"vmap: the arguments must agree on one number of examples; found {found} ({each}){at_line()}")
    return next(iter(sizes))


def moved(x: Any, source: int, destination: int) -> Any:
    """`x` with one axis elsewhere."""
    return x if source == destination else np.moveaxis(x, source, destination)


class FlatFunction:
    """A function of trees as one of leaves; a call notes the structures of what it returned.

    Attributes
    ----------
    structure, aux_structure
        Of the last output, and of what came with it.
    count
        How many of the last results are the output's.
    outputs
        Where a transformation keeps the results.
    """

    def __init__(self, fun: Callable[..., Any], arguments: tree.TreeDef, has_aux: bool = False) -> None:
        self.fun, self.arguments, self.has_aux = fun, arguments, has_aux
        self.structure = self.aux_structure = arguments
        self.count = 0
        self.outputs: list[Any] = []

    def __call__(self, *variables: Any) -> list[Any]:
        """The leaves of the output, then those of what came with it."""
        output, aux = value_and_aux(self.fun(*tree.unflatten(self.arguments, variables)), self.has_aux)
        leaves, self.structure = tree.flatten(output)
        rest, self.aux_structure = tree.flatten(aux)
        self.count = len(leaves)
        check_leaves(f"{function_name(self.fun)} {RETURNS}", leaves, self.structure)
        return unshared([*leaves, *rest])


def function_name(fun: Any) -> str:
    """What a function is called in messages."""
    return getattr(fun, "__name__", None) or repr(fun)


def check_real_inputs(chosen: Any, leaves: Sequence[Any], name: str) -> None:
    """A `TypeError`, with the leaf's key path, for complex values that are moved along real directions."""
    for path, leaf in zip(tree.paths(chosen), leaves, strict=True):
        dtype = type_of(leaf).dtype
        if dtype.kind == "c":
            raise TypeError(
                f"{name} requires real-valued inputs, but argument {path[0]}{tree.key_string(path[1:])} has dtype "
                f"{dtype.name}. For holomorphic functions pass holomorphic=True; otherwise use jvp or vjp.{at_line()}"
            )


def check_smooth_outputs(values: Sequence[Any], holomorphic: bool, name: str) -> None:
    """A `TypeError` for outputs that have no such Jacobian."""
    for value in values:
        dtype = type_of(value).dtype
        if holomorphic and dtype.kind != "c":
            raise TypeError(
                f"{name} with holomorphic=True requires complex outputs, but one has dtype {dtype.name}: no real "
                f"function is holomorphic, unless it is constant.{at_line()}"
            )
        if not is_inexact(dtype) or (dtype.kind == "c" and not holomorphic):
            raise TypeError(
                f"{name} requires real-valued outputs (floating dtypes), but one has dtype {dtype.name}. For "
                f"holomorphic functions pass holomorphic=True; otherwise use jvp or vjp.{at_line()}"
            )
