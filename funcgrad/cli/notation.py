"""How are arguments written in a shell?  As types like ``f32[10,3]``, numbers, and tuples, lists, dicts of them."""

from __future__ import annotations

import ast
import re
from typing import Any

from funcgrad.ir.types import NAMES
from funcgrad.trace.function import ShapeDtypeStruct

DTYPES = {name: dtype for dtype, name in NAMES.items()} | {dtype.name: dtype for dtype in NAMES}
SCALAR = re.compile(r"\b(\w+)\s*\[\s*\]")  # f32[], which Python does not read


def read_argument(text: str) -> Any:
    """An argument: a type stands for an array of that type.

    Raises
    ------
    ValueError
        If it is nothing of the kind.

    Examples
    --------
    >>> read_argument("f32[10,3]")
    ShapeDtypeStruct(shape=(10, 3), dtype=float32)
    >>> read_argument("{'scale': 2.0, 'layers': [(f64[3,3], f64[])]}")["layers"][0][1]
    ShapeDtypeStruct(shape=(), dtype=float64)
    """
    try:
        return _value(ast.parse(SCALAR.sub(r"\1[()]", text).strip(), mode="eval").body, text)
    except (SyntaxError, RecursionError, MemoryError):
        raise ValueError(f"{text!r} is no type like 'f32[10]', number, or tuple, list or dictionary of them") from None


def _value(node: ast.expr, text: str) -> Any:
    match node:
        case ast.Subscript(value=ast.Name(id=name), slice=extents):
            return _array(name, _extents(extents, text), text)
        case ast.Name(id=name) if name in DTYPES:
            return _array(name, (), text)
        case ast.Constant(value=bool() | int() | float() | complex() as number):
            return number
        case ast.Constant(value=None):
            return None
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.Tuple(elts=items):
            return tuple(_value(item, text) for item in items)
        case ast.List(elts=items):
            return [_value(item, text) for item in items]
        case ast.Dict(keys=keys, values=values) if all(isinstance(key, ast.Constant) for key in keys):
            names = [key.value for key in keys if isinstance(key, ast.Constant)]
            return {name: _value(item, text) for name, item in zip(names, values, strict=True)}
    raise ValueError(
        f"{ast.unparse(node)!r} in {text!r} is no type like 'f32[10]', number, or tuple, list or dictionary of them"
    )


def _array(name: str, shape: tuple[int, ...], text: str) -> ShapeDtypeStruct:
    if name not in DTYPES:
        known = ", ".join(sorted(NAMES.values(), key=lambda n: (n.rstrip("0123456789"), len(n), n)))
        raise ValueError(f"there is no dtype {name!r} (in {text!r}); there are {known}")
    return ShapeDtypeStruct(shape, DTYPES[name])


def _extents(node: ast.expr, text: str) -> tuple[int, ...]:
    items = node.elts if isinstance(node, ast.Tuple) else [node]
    found = [item.value if isinstance(item, ast.Constant) else None for item in items]
    if any(type(extent) is not int for extent in found):
        raise ValueError(f"the extents in {text!r} are no integers from 0 on")
    return tuple(extent for extent in found if isinstance(extent, int))
