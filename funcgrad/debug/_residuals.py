"""What does reverse mode keep?  `saved_residuals`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from funcgrad import tree
from funcgrad.arguments import check_callable
from funcgrad.dtypes import is_inexact
from funcgrad.errors import at_line
from funcgrad.ir.program import Program, Var
from funcgrad.ir.types import ArrayType
from funcgrad.simplify import simplify
from funcgrad.trace.function import leaf_types, trace_function
from funcgrad.tracebacks import boundary
from funcgrad.transform.vjp import vjp_program


class Residual(NamedTuple):
    """A value that reverse mode keeps.

    Attributes
    ----------
    type
        Its shape and dtype.
    bytes
        Its size.
    origin
        What it is: an argument by its path, a constant, or an operation and the user's line.
    """

    type: ArrayType
    bytes: int
    origin: str

    def __str__(self) -> str:
        return f"{self.type}, {self.bytes} bytes, {self.origin}"


class Residuals(tuple[Residual, ...]):
    """What `saved_residuals` found; printed line by line."""

    __slots__ = ()

    @property
    def bytes(self) -> int:
        """Of all together."""
        return sum(r.bytes for r in self)

    def __repr__(self) -> str:
        return "\n".join([*map(str, self), f"{self.bytes} bytes in {len(self)} values"])


@boundary
def saved_residuals(fun: Callable[..., Any]) -> Callable[..., Residuals]:
    """The function that lists what the backward pass of `fun` reads: the memory that reverse mode takes.

    Arguments are those of `fun`. Values that the backward pass computes again (see `checkpoint`) are not in the list.

    Returns
    -------
    callable
        It takes what `fun` takes and returns a list of residuals, each with `type`, `bytes` and the line it stems from.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> f = lambda w, x: np.sum(np.tanh(w @ x))
    >>> [str(r.type) for r in fg.debug.saved_residuals(f)(np.ones((4, 3)), np.ones(3))]
    ['f64[4]', 'f64[3]', 'f64[4,3]']
    >>> [str(r.type) for r in fg.debug.saved_residuals(fg.checkpoint(f))(np.ones((4, 3)), np.ones(3))]
    ['f64[4,3]', 'f64[3]']
    """
    check_callable(fun, "saved_residuals")

    def list_residuals(*args: Any, **kwargs: Any) -> Residuals:
        leaves, structure = tree.flatten((args, kwargs))
        traced = trace_function(fun, structure, leaf_types("saved_residuals", leaves, structure))
        program, fixed = traced.program, len(traced.captures)
        joint = simplify(vjp_program(program, [is_inexact(t.dtype) for t in program.input_types]))
        paths = [*(f"captured value {k}" for k in range(fixed)), *map(_argument, structure.paths())]
        return Residuals(_residuals(joint, len(program.inputs), paths))

    return list_residuals


def _argument(path: tuple[Any, ...]) -> str:
    part, *rest = path
    first = rest[0] if part == 0 else repr(rest[0])
    return f"argument {first}{tree.key_string(tuple(rest[1:]))}"


def _residuals(joint: Program, count: int, paths: list[str]) -> list[Residual]:
    """What the equations behind the cotangents read of those before; what hides behind a barrier is read there."""
    late: set[Any] = set(joint.inputs[count:])
    reads: dict[Var, None] = {}
    origins: dict[Var, str] = dict(zip(joint.inputs, paths, strict=False))
    origins |= dict.fromkeys(joint.constants, "a constant")
    for equation in joint.equations:
        if equation.primitive.name == "optimization_barrier" or any(a in late for a in equation.inputs):
            reads.update((a, None) for a in equation.inputs if isinstance(a, Var) and a not in late)
            late.update(equation.outputs)
        else:
            origin = f"{equation.primitive.name}{at_line(equation.source) if equation.source else ''}".replace(
                "\n ", ""
            )
            origins.update(dict.fromkeys(equation.outputs, origin))
    return [Residual(v.type, v.type.nbytes, origins[v]) for v in reads]
