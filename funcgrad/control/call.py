"""What stands for a jitted function inside another program?  The primitive ``jit``: a call of an inner program."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from funcgrad.dtypes import is_inexact
from funcgrad.ir.interpret import interpret
from funcgrad.ir.primitive import Pullback, Values
from funcgrad.ir.program import Program
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import Operation
from funcgrad.trace.frame import bind
from funcgrad.transform.jvp import jvp_program, level_of
from funcgrad.transform.linear import linear_split
from funcgrad.transform.partial import Split, split
from funcgrad.transform.vjp import vjp_program
from funcgrad.transform.vmap import clear as clear_batched
from funcgrad.transform.vmap import kept_program

# Transformed programs are kept, so that a function that is called again finds its derivative compiled.
_jvp = functools.lru_cache(maxsize=512)(jvp_program)
_linear = functools.lru_cache(maxsize=512)(linear_split)


@functools.lru_cache(maxsize=512)
def _vjp(program: Program, wanted: tuple[bool, ...]) -> Split:
    joint = vjp_program(program, wanted)
    return split(joint, [k >= len(program.inputs) for k in range(len(joint.inputs))])


def clear() -> None:
    """Forget the transformed programs."""
    for cache in (_jvp, _vjp, _linear):
        cache.cache_clear()
    clear_batched()


def _infer(*types: ArrayType, program: Program, name: str) -> tuple[ArrayType, ...]:
    expected = program.input_types
    if [(t.shape, t.dtype) for t in types] != [(t.shape, t.dtype) for t in expected]:
        raise TypeError(f"jit: {name} takes {', '.join(map(str, expected))}, not {', '.join(map(str, types))}")
    return program.output_types


def _jvp_rule(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    program: Program = params["program"]
    moving = tuple(t is not None for t in tangents)
    given = [t for t in tangents if t is not None]
    if level_of(given) > level_of(inputs):
        return _separately(inputs, given, moving, params)
    outputs = bind(call, *inputs, *given, program=_jvp(program, moving), name=params["name"])
    count = len(program.outputs)
    rest = iter(outputs[count:])
    return outputs[:count], tuple(next(rest) if is_inexact(t.dtype) else None for t in program.output_types)


def _separately(
    inputs: Values, given: Sequence[Any], moving: tuple[bool, ...], params: dict[str, Any]
) -> tuple[Values, Values]:
    """Outputs in the frame of the inputs, where more is known than in the tangents'; likewise what both need."""
    program: Program = params["program"]
    parts = _linear(program, moving)
    known = bind(call, *inputs, program=parts.known, name=params["name"])
    count = len(program.outputs)
    pushed = iter(bind(call, *known[count:], *given, program=parts.unknown, name=params["name"]))
    return known[:count], tuple(next(pushed) if is_inexact(t.dtype) else None for t in program.output_types)


def _vjp_rule(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    program: Program = params["program"]
    name = params["name"]
    parts = _vjp(program, tuple(wanted))
    known = bind(call, *inputs, program=parts.known, name=name)
    count = len(program.outputs)
    early = iter(known[: len(known) - parts.residuals])
    residuals = known[len(known) - parts.residuals :]
    outputs = tuple(next(early) for _ in range(count))
    flags = parts.unknown_outputs[count:]
    fixed = [None if u else next(early) for u in flags]  # cotangents that do not depend on the outputs': zeros

    def pullback(cotangents: Values) -> Values:
        given = [ct for ct, t in zip(cotangents, program.output_types, strict=True) if is_inexact(t.dtype)]
        pulled = iter(bind(call, *residuals, *given, program=parts.unknown, name=name))
        found = iter([next(pulled) if u else f for u, f in zip(flags, fixed, strict=True)])
        return tuple(next(found) if w else None for w in wanted)

    return outputs, pullback


def _batch_rule(size: int, inputs: Values, batched: Sequence[bool], params: dict[str, Any]) -> Any:
    program = kept_program(params["program"], size, tuple(batched))
    outputs = bind(call, *inputs, program=program, name=params["name"])
    return outputs, (True,) * len(outputs)


call = Operation(
    name="jit",
    family="structured",
    reference=lambda *inputs, program, name: tuple(interpret(program, inputs)),
    infer=_infer,
    jvp=_jvp_rule,
    vjp=_vjp_rule,
    batch=_batch_rule,
    multiple=True,
)
