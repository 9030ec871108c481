"""Which part of a program can be computed before some of its inputs are known?  The split of known from unknown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from funcgrad.ir.program import Atom, Program, Var


class Split(NamedTuple):
    """Two programs that make up one.

    Attributes
    ----------
    known
        ``known inputs -> (known outputs, residuals)``.
    unknown
        ``(residuals, unknown inputs) -> unknown outputs``.
    residuals
        How many values pass from one to the other.
    unknown_outputs
        For each output of the whole, whether it is unknown.
    """

    known: Program
    unknown: Program
    residuals: int
    unknown_outputs: tuple[bool, ...]


def needed(program: Program) -> Program:
    """`program` without the equations that nothing reads, but for those with effects."""
    wanted: set[Atom] = set(program.outputs)
    found = []
    for equation in reversed(program.equations):
        if equation.primitive.effect or equation.primitive.impure or any(v in wanted for v in equation.outputs):
            found.append(equation)
            wanted.update(equation.inputs)
    return program.replace(equations=tuple(reversed(found)))


def split(program: Program, unknown_inputs: Sequence[bool]) -> Split:
    """Split `program`; only what the unknown part reads becomes a residual.

    Examples
    --------
    >>> import funcgrad as fg
    >>> program = fg.make_jaxpr(lambda x, t: (fg.numpy.sin(x), fg.numpy.cos(x) * t))(*fg.numpy.ones((2, 3)))
    >>> parts = split(program, [False, True])
    >>> print(parts.unknown)
    { lambda ; a:f64[3] b:f64[3]. let
        c:f64[3] = mul a b
      in (c,) }
    """
    unknown = {v for v, u in zip(program.inputs, unknown_inputs, strict=True) if u}
    early, late = [], []
    for equation in program.equations:
        if any(a in unknown for a in equation.inputs):
            unknown.update(equation.outputs)
            late.append(equation)
        else:
            early.append(equation)
    out_flags = tuple(isinstance(a, Var) and a in unknown for a in program.outputs)
    late_outputs = [a for a, u in zip(program.outputs, out_flags, strict=True) if u]
    read = (*(a for equation in late for a in equation.inputs), *late_outputs)
    residuals = list(
        dict.fromkeys(a for a in read if isinstance(a, Var) and a not in unknown and a not in program.constants)
    )
    late_inputs = [v for v, u in zip(program.inputs, unknown_inputs, strict=True) if u]
    early_inputs = [v for v, u in zip(program.inputs, unknown_inputs, strict=True) if not u]
    early_outputs: list[Atom] = [a for a, u in zip(program.outputs, out_flags, strict=True) if not u]
    return Split(
        known=Program(tuple(early_inputs), tuple(early), (*early_outputs, *residuals), program.constants),
        unknown=Program((*residuals, *late_inputs), tuple(late), tuple(late_outputs), program.constants),
        residuals=len(residuals),
        unknown_outputs=out_flags,
    )
