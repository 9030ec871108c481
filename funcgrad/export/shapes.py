"""How are symbolic shapes written?  ``symbolic_shape("b, 784")``; for all arguments at once, `symbolic_args_specs`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from funcgrad import tree
from funcgrad.errors import at_line
from funcgrad.export.constraints import SymbolicScope, parsed
from funcgrad.export.sizes import Size
from funcgrad.trace.function import ShapeDtypeStruct, leaf_types

Extents = tuple[int | Size, ...]


def symbolic_shape(
    shape_spec: str | None,
    *,
    constraints: Iterable[str] = (),
    scope: SymbolicScope | None = None,
    like: Sequence[int | Size] | None = None,
) -> Extents:
    """A shape with symbolic sizes, for `ShapeDtypeStruct`.

    Parameters
    ----------
    shape_spec
        Extents separated by commas: integers, symbols, and sums, products and powers of these. ``_`` stands for the
        extent of `like`, ``...`` for as many of its extents as fit. None: all of `like`.
    constraints
        What sizes must keep besides being at least 1: ``"b >= 2"``, ``"b <= 1024"``, ``"n >= m"``, ``"b % 8 == 0"`` (or
        ``"mod(b, 8) == 0"``). They are checked at each call. A size that follows from others is none of its own: write
        the extents ``m`` and ``2*m``.
    scope
        What shapes belong together with; the same symbol is the same size there. Left out, one of its own, with the
        `constraints`.
    like
        The shape that ``_`` and ``...`` take extents from.

    Returns
    -------
    tuple
        Of integers and `Size`.

    Raises
    ------
    ValueError
        If a text says no size, or both `scope` and `constraints` are given.

    Examples
    --------
    >>> symbolic_shape("b, 2*b+1, 784")
    (b, 2*b + 1, 784)
    """
    if scope is not None and tuple(constraints):
        raise ValueError(f"symbolic_shape: give the constraints to the scope, SymbolicScope(constraints){at_line()}")
    scope = SymbolicScope(constraints) if scope is None else scope
    if shape_spec is not None and not isinstance(shape_spec, str):
        raise ValueError(f"symbolic_shape: a text is needed, such as 'b, 784', not {shape_spec!r}{at_line()}")
    text = "..." if shape_spec is None else _without_parentheses(shape_spec.strip())
    parts = [part.strip() for part in _split(text)]
    if parts and not parts[-1]:
        parts.pop()
    if parts.count("...") > 1:
        raise ValueError(f"symbolic_shape: {shape_spec!r} has more than one '...'{at_line()}")
    if "..." in parts:
        place, have = parts.index("..."), _needed(like, "...")
        count = len(have) - len(parts) + 1
        if count < 0:
            raise ValueError(f"symbolic_shape: {shape_spec!r} has more extents than {tuple(have)}{at_line()}")
        parts[place : place + 1] = ["_"] * count
    if "_" in parts and len(_needed(like, "_")) != len(parts):
        raise ValueError(f"symbolic_shape: {shape_spec!r} has {len(parts)} extents, {like} has others{at_line()}")
    found: list[int | Size] = []
    for number, part in enumerate(parts):
        if part == "_":
            found.append(_needed(like, "_")[number])
            continue
        size = parsed(part, scope)
        found.append(size if size.constant is None else size.constant)
    return tuple(found)


def _without_parentheses(text: str) -> str:
    """A shape as Python prints it, without the parentheses around it; those of ``(a + b)*(a - b)`` stay."""
    depths = list(itertools.accumulate((letter == "(") - (letter == ")") for letter in text))
    around = text[:1] == "(" and 0 in depths and depths.index(0) == len(text) - 1
    return text[1:-1] if around else text


def _split(text: str) -> list[str]:
    """At the commas outside of parentheses."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _needed(like: Sequence[int | Size] | None, what: str) -> Sequence[int | Size]:
    if like is None:
        raise ValueError(f"symbolic_shape: {what!r} takes extents from `like`, which is not given{at_line()}")
    return like


def symbolic_args_specs(
    args: Any,
    shapes_specs: Any,
    constraints: Iterable[str] = (),
    scope: SymbolicScope | None = None,
) -> Any:
    """Types of arguments with symbolic sizes, of one scope.

    Parameters
    ----------
    args
        A pytree of arrays, numbers or `ShapeDtypeStruct`.
    shapes_specs
        A text for `symbolic_shape`, or a pytree of texts and None (the shape as it is), which may stop at any level of
        `args`.
    constraints, scope
        See `symbolic_shape`.

    Returns
    -------
    pytree
        Like `args`, of `ShapeDtypeStruct`.

    Raises
    ------
    ValueError
        Both a scope and constraints are given.

    Examples
    --------
    >>> import numpy as np
    >>> symbolic_args_specs({"x": np.zeros((8, 3)), "y": np.zeros(8)}, {"x": "b, ...", "y": "b"})["x"]
    ShapeDtypeStruct(shape=(b, 3), dtype=float64)
    """
    if scope is not None and tuple(constraints):
        raise ValueError(f"symbolic_args_specs: give the constraints to the scope{at_line()}")
    scope = SymbolicScope(constraints) if scope is None else scope
    leaves, structure = tree.flatten(args)
    texts = tree.broadcast_prefix(shapes_specs, args, none_is_leaf=True)
    plain = [ShapeDtypeStruct((), x.dtype) if isinstance(x, ShapeDtypeStruct) else x for x in leaves]
    types = leaf_types("symbolic_args_specs", plain, tree.structure(((args,), {})))
    found: list[Any] = []
    for x, t, text in zip(leaves, types, texts, strict=True):
        shape = x.shape if isinstance(x, ShapeDtypeStruct) else t.shape
        extents: Any = symbolic_shape(text, scope=scope, like=shape)
        found.append(ShapeDtypeStruct(extents, t.dtype))
    return tree.unflatten(structure, found)
