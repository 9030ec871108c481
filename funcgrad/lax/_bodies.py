"""What do loops and branches share?  Functions traced once, as programs with the values that they use from outside, and
the errors for carries that change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np

from funcgrad import tree
from funcgrad.errors import at_line
from funcgrad.ir.program import Program
from funcgrad.ir.types import ArrayType
from funcgrad.ops.comparison import convert
from funcgrad.trace.builder import trace
from funcgrad.trace.frame import type_of
from funcgrad.trace.outputs import checked_leaves
from funcgrad.trace.tracer import Tracer

__all__: list[str] = []
LONGEST = 400  # characters of a pytree in a message


class Body(NamedTuple):
    """A traced function: its program, whose first inputs stand for the `captured` outer values, and its output."""

    program: Program
    captured: tuple[Tracer, ...]
    structure: tree.TreeDef


def body_of(name: str, function: Callable[..., Any], structure: tree.TreeDef, types: Sequence[ArrayType]) -> Body:
    """Trace ``function(*args)``, where the tuple `args` has `structure` and leaves of `types`."""
    if not callable(function):
        raise TypeError(f"{name}: a function is needed, not {function!r}{at_line()}")
    out: list[tree.TreeDef] = []

    def flat(*variables: Any) -> list[Any]:
        output = function(*tree.unflatten(structure, variables))
        leaves, out_structure = checked_leaves(f"{name}: {title(function)} must return arrays", output)
        out.append(out_structure)
        return leaves

    program, captured = trace(flat, types)
    return Body(program, captured, out[0])


def title(function: Any) -> str:
    return getattr(function, "__name__", repr(function))


def leaves_of(name: str, value: Any) -> tuple[list[Any], tree.TreeDef, list[ArrayType]]:
    """The leaves of a pytree, its structure and the leaves' types; lists become arrays as they are, one by one."""
    leaves, structure = tree.flatten(value)
    types = []
    for path, leaf in zip(structure.paths(), leaves, strict=True):
        try:
            types.append(type_of(leaf))
        except TypeError as error:
            where = f" at {tree.key_string(path)}" if path else ""
            raise TypeError(f"{name}: {error}{where}{at_line()}") from None
    return leaves, structure, types


def operands_of(leaves: Sequence[Any], types: Sequence[ArrayType]) -> list[Any]:
    """Leaves with exactly these dtypes."""
    return [_operand(leaf, t) for leaf, t in zip(leaves, types, strict=True)]


def _operand(leaf: Any, kind: ArrayType) -> Any:
    have = type_of(leaf)
    if have.dtype == kind.dtype and (not have.weak or type(leaf) is not Tracer):
        return leaf if type(leaf) is Tracer else np.asarray(leaf, kind.dtype)
    return convert(leaf, dtype=kind.dtype) if type(leaf) is Tracer else np.asarray(leaf, kind.dtype)


def settled_carry(
    name: str,
    trace_with: Callable[[Sequence[ArrayType]], tuple[Body, Sequence[ArrayType], tree.TreeDef]],
    structure: tree.TreeDef,
    types: list[ArrayType],
) -> tuple[Body, list[ArrayType]]:
    """Trace a body until the carry that it returns has the types of the one that it takes.

    Weak leaves (Python numbers) take the dtype that the body gives them, as in JAX.
    """
    for _ in range(3):
        body, after, out_structure = trace_with(types)
        if out_structure != structure:
            _structures_differ(name, (structure, types), (out_structure, after))
        changed = [
            ArrayType(t.shape, u.dtype) if t.weak and t.dtype != u.dtype and t.shape == u.shape else t
            for t, u in zip(types, after, strict=True)
        ]
        if changed == types:
            break
        types = changed
    for path, t, u in zip(structure.paths(), types, after, strict=True):
        if (t.shape, t.dtype) != (u.shape, u.dtype):
            where = tree.key_string(path) if path else "the carry"
            whole = f": {shown(structure, types)} became {shown(structure, after)}" if path else ""
            raise TypeError(
                f"{name}: the carry must keep its shapes and dtypes, but {where} is {t} before "
                f"and {u} after one iteration{whole}{at_line()}"
            )
    return body, types


def _structures_differ(name: str, before: tuple[tree.TreeDef, Any], after: tuple[tree.TreeDef, Any]) -> NoReturn:
    one, two = (list(structure.paths()) for structure, _ in (before, after))
    lost, new = [p for p in one if p not in two], [p for p in two if p not in one]
    where = f"; {tree.key_string(lost[0])} is gone" if lost else ""
    where += f"; {tree.key_string(new[0])} is new" if new else ""
    raise TypeError(
        f"{name}: the carry after one iteration has the structure {shown(*after)}, "
        f"where {shown(*before)} was passed in{where}{at_line()}"
    )


def shown(structure: tree.TreeDef, types: Sequence[ArrayType]) -> str:
    """A pytree with its leaves' types."""
    text = str(structure).removeprefix("PyTreeSpec(")
    text = text.partition(", namespace=")[0] if ", namespace=" in text else text.removesuffix(")")
    pieces = text.split("*")
    if len(pieces) != len(types) + 1:  # a key has a star in it
        return text
    found = "".join(f"{piece}{kind}" for piece, kind in zip(pieces, [*types, ""], strict=True))
    return found if len(found) <= LONGEST else f"{found[:LONGEST]} ..."


def scalar_type(name: str, what: str, value: Any) -> ArrayType:
    """The type of a predicate or a branch's number."""
    try:
        return type_of(value)
    except TypeError:
        raise TypeError(f"{name}: {what} must be a scalar, not {value!r}{at_line()}") from None
