"""How is a linear program turned round, and how are tangents taken through a loop that has been run already?

A pullback is linear in cotangents; its transpose is linear in tangents, and reads the same residuals. So where values
are known and tangents are not yet, a loop or a branch runs once, for values and residuals, and what waits for the
tangents is the transpose of its pullback.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.dtypes import is_inexact
from funcgrad.ir.primitive import Primitive, Values
from funcgrad.ir.program import Program
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import zero
from funcgrad.trace.builder import evaluate, trace
from funcgrad.trace.frame import bind, type_of
from funcgrad.transform.partial import needed, split
from funcgrad.transform.vjp import instantiate, vjp_program

LEAVES_RESIDUALS = frozenset({"scan", "cond"})  # whose pullbacks do not run them again

Loop = tuple[Primitive, Values, dict[str, Any]]
counted: dict[str, Callable[[Values, dict[str, Any]], Loop | None]] = {}  # a loop of unknown length as one of known


def leaving_residuals(primitive: Primitive, inputs: Values, params: dict[str, Any]) -> Loop | None:
    """The operation, or one that does the same, if its pullback reads residuals instead of running it again."""
    if primitive.name in counted:
        return counted[primitive.name](inputs, params)
    return (primitive, inputs, params) if primitive.name in LEAVES_RESIDUALS else None


def transposed(program: Program, fixed: int) -> Program:
    """The transpose of a program that is linear behind its first inputs, `fixed` of them, which are those of the
    result too.

    Examples
    --------
    >>> import funcgrad as fg
    >>> program = fg.make_jaxpr(lambda a, x: fg.numpy.sum(a * x))(*fg.numpy.ones((2, 3)))
    >>> print(transposed(program, 1))
    { lambda ; a:f64[3] b:f64[]. let
        c:f64[3] = broadcast_in_dim[broadcast_dimensions=() shape=(3,)] b
        d:f64[3] = mul c a
      in (d,) }
    """
    joint = vjp_program(program, [k >= fixed for k in range(len(program.inputs))])
    parts = split(joint, [k >= len(program.inputs) for k in range(len(joint.inputs))])
    first = len(program.outputs)
    known = needed(parts.known.replace(outputs=parts.known.outputs[first:]))
    types = [ArrayType(t.shape, t.dtype) for t in program.input_types]

    def run(*values: Any) -> list[Any]:
        found = evaluate(known, [*values[:fixed], *map(zero, types[fixed:])], bind)
        early, residuals = iter(found), found[len(found) - parts.residuals :]
        late = iter(evaluate(parts.unknown, [*residuals, *values[fixed:]], bind))
        return [next(late) if u else next(early) for u in parts.unknown_outputs[first:]]

    smooth = [ArrayType(t.shape, t.dtype) for t in program.output_types if is_inexact(t.dtype)]
    turned, captures = trace(run, [*types[:fixed], *smooth])
    assert not captures
    return turned


def tangents_apart(
    primitive: Primitive, primals: Values, params: dict[str, Any], tangents: Sequence[Any]
) -> tuple[Values, Values]:
    """What a JVP rule gives, but values and residuals are computed where the primals are known."""
    assert primitive.vjp is not None
    wanted = [t is not None for t in tangents]
    outputs, pullback = primitive.vjp(primals, wanted, params)
    types = [type_of(y) for y in outputs]
    smooth = [is_inexact(t.dtype) for t in types]

    def pulled(*cotangents: Any) -> list[Any]:
        given = iter(cotangents)
        found = pullback(tuple(next(given) if s else None for s in smooth))
        return [instantiate(ct, x) for ct, x, w in zip(found, primals, wanted, strict=True) if w]

    program, captures = trace(pulled, [ArrayType(t.shape, t.dtype) for t, s in zip(types, smooth, strict=True) if s])
    moving = [t for t in tangents if t is not None]
    pushed = iter(evaluate(transposed(program, len(captures)), [*captures, *moving], bind))
    return outputs, tuple(next(pushed) if s else None for s in smooth)
