"""How does a user write branches that run as native code?  JAX's `cond` and `switch`.

The functions given are traced once; what they use from outside is handed to the branch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.control.bodies import strong
from funcgrad.control.cond import cond as cond_p
from funcgrad.errors import at_line
from funcgrad.ir.program import Program, Var
from funcgrad.lax import _in_python
from funcgrad.lax._bodies import Body, body_of, leaves_of, operands_of, scalar_type, shown, title
from funcgrad.ops.comparison import convert
from funcgrad.ops.families import operation
from funcgrad.trace.frame import bind
from funcgrad.trace.tracer import Tracer

__all__ = ["cond", "switch"]
INT64 = np.dtype(np.int64)


class _Absent:
    """What stands for an operand that is not given: None is one."""


def cond(
    pred: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any, operand: Any = _Absent
) -> Any:
    """``true_fun(*operands) if pred else false_fun(*operands)``; only one of them runs.

    Under `vmap`, every example takes its own branch (JAX computes both for all).

    Parameters
    ----------
    pred
        A boolean scalar; of a number, whether it is not 0.
    true_fun, false_fun
        Functions of the operands, whose results have equal structures, shapes and dtypes.
    *operands
        Pytrees of arrays. Functions may read traced values from outside as well.
    operand
        The only operand, by name. JAX's older form ``cond(pred, x, true_fun, y, false_fun)`` works too.

    Returns
    -------
    pytree of Array
        What the branch returns; all branches return the same structure, shapes and dtypes.

    Raises
    ------
    TypeError
        The predicate is no real scalar, or the results of the branches differ in structure, a shape or a dtype.

    Examples
    --------
    >>> import funcgrad as fg
    >>> fg.grad(lambda x: fg.lax.cond(x > 0, lambda x: x * x, lambda x: -x, x))(3.0)
    Array(6.)
    """
    if not callable(true_fun) and callable(false_fun) and len(operands) == 2 and callable(operands[1]):
        own, then, (others, otherwise) = true_fun, false_fun, operands
        return cond(pred, lambda x, _: then(x), lambda _, y: otherwise(y), own, others)
    if operand is not _Absent:
        if operands:
            raise TypeError(f"cond: operands are given by position or as `operand`, not both{at_line()}")
        operands = (operand,)
    kind = scalar_type("cond", "the predicate", pred)
    if kind.shape:
        raise TypeError(f"cond: the predicate must be a scalar, not {kind}; for arrays there is numpy.where{at_line()}")
    if kind.dtype.kind == "c":
        raise TypeError(f"cond: the predicate must be a boolean or a real number, not {kind}{at_line()}")
    if kind.dtype != np.bool_:
        pred = pred != 0
    number = convert(pred, dtype=INT64) if type(pred) is Tracer else np.int64(bool(pred))
    return _choose("cond", number, (false_fun, true_fun), operands)


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """``branches[index](*operands)``; only that one runs. The index is clamped to the branches there are, as in JAX.

    Returns
    -------
    pytree of Array
        What the branch returns; all branches return the same structure, shapes and dtypes.

    Raises
    ------
    TypeError
        The index is no integer scalar.
    ValueError
        There are no branches.

    Examples
    --------
    >>> import funcgrad as fg
    >>> fg.lax.switch(1, [lambda x: x, lambda x: x * 2, lambda x: x * 3], 5.0)
    Array(10.)
    """
    kind = scalar_type("switch", "the index", index)
    if kind.shape or kind.dtype.kind not in "iu":
        raise TypeError(f"switch: the index must be an integer scalar, not {kind}{at_line()}")
    if not branches:
        raise ValueError(f"switch: at least one branch is needed{at_line()}")
    last = len(branches) - 1
    if type(index) is not Tracer:
        return _choose("switch", np.int64(min(max(int(index), 0), last)), branches, operands)
    low, high = operation("max"), operation("min")
    if kind.dtype == np.uint64:
        index = high(index, np.uint64(last))  # before it may become negative
    number = convert(index, dtype=INT64)
    return _choose("switch", high(low(number, np.int64(0)), np.int64(last)), branches, operands)


def _choose(name: str, number: Any, branches: Sequence[Callable[..., Any]], operands: tuple[Any, ...]) -> Any:
    leaves, structure, types = leaves_of(f"{name}: operands", operands)
    if _in_python.wanted(number):
        return _in_python.choose(number, branches, operands)
    types = list(strong(types)) if any(type(x) is Tracer for x in leaves) else types
    bodies = [body_of(name, branch, structure, types) for branch in branches]
    captured = list({id(x): x for body in bodies for x in body.captured}.values())
    first = bodies[0]
    for body, branch in zip(bodies, branches, strict=True):
        _check_branch(name, first, body, branches[0], branch)
    programs = tuple(_aligned(body, captured) for body in bodies)
    outputs = bind(cond_p, number, *captured, *operands_of(leaves, types), branches=programs)
    return tree.unflatten(first.structure, outputs)


def _check_branch(name: str, first: Body, other: Body, one: Any, two: Any) -> None:
    if other.structure != first.structure:
        raise TypeError(
            f"{name}: the branches return different structures: {title(one)} "
            f"{shown(first.structure, first.program.output_types)}, {title(two)} "
            f"{shown(other.structure, other.program.output_types)}{at_line()}"
        )
    pairs = zip(first.structure.paths(), first.program.output_types, other.program.output_types, strict=True)
    for path, t, u in pairs:
        if (t.shape, t.dtype) != (u.shape, u.dtype):
            where = f" at {tree.key_string(path)}" if path else ""
            raise TypeError(
                f"{name}: the branches return different types{where}: {title(one)} {t}, {title(two)} {u}{at_line()}"
            )


def _aligned(body: Body, captured: Sequence[Tracer]) -> Program:
    """The program with an input for every captured value of any branch."""
    from_id = {id(x): v for x, v in zip(body.captured, body.program.inputs, strict=False)}
    own = [from_id.get(id(x)) for x in captured]
    inputs = tuple(v if v is not None else Var(x.type) for v, x in zip(own, captured, strict=True))
    return body.program.replace(inputs=(*inputs, *body.program.inputs[len(body.captured) :]))
