"""How does a choice between functions look in a program?  The primitive ``cond``: branches, one of which runs.

Its first operand, an int64, is the number of the branch; the others are the operands of every branch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.control.bodies import (
    Flags,
    batched_program,
    chosen,
    filled,
    placed,
    program_of,
    pulled,
    pushed,
    reached,
    same_types,
    smooth,
    strong,
)
from funcgrad.control.scan import scan
from funcgrad.ir.interpret import interpret
from funcgrad.ir.primitive import Pullback, Values
from funcgrad.ir.program import Program
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import Operation, zero
from funcgrad.trace.builder import evaluate
from funcgrad.trace.frame import bind, type_of
from funcgrad.transform.partial import Split, split
from funcgrad.transform.residuals import economical

Branches = tuple[Program, ...]


def _infer(index: ArrayType, *types: ArrayType, branches: Branches) -> Any:
    if index.shape or index.dtype != np.dtype(np.int64):
        raise TypeError(f"cond: the number of the branch is an int64, not {index}")
    for branch in branches:
        same_types("cond", "the operands", types, branch.input_types)
        same_types("cond", "the outputs of a branch", branch.output_types, branches[0].output_types)
    return strong(branches[0].output_types)


def _reference(index: Any, *inputs: Any, branches: Branches) -> Values:
    return tuple(np.array(x) for x in interpret(branches[int(index)], inputs))


def _jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    branches: Branches = params["branches"]
    moving = tuple(t is not None for t in tangents[1:])
    duals = tuple(pushed(branch, moving) for branch in branches)
    outputs = bind(cond, *inputs, *(t for t in tangents[1:] if t is not None), branches=duals)
    able = smooth(branches[0].output_types)
    touched = [any(flags) for flags in zip(*(reached(branch, moving) for branch in branches), strict=True)]
    found = placed(outputs[len(able) :], able)
    return outputs[: len(able)], tuple(t if r else None for t, r in zip(found, touched, strict=True))


def _residual_types(cut: Split) -> tuple[ArrayType, ...]:
    return strong(cut.known.output_types[len(cut.known.outputs) - cut.residuals :])


def _vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    """Each branch leaves what its own pullback reads, and zeros where the others leave theirs."""
    branches: Branches = params["branches"]
    index, flags = inputs[0], tuple(wanted[1:])
    joints = [pulled(branch, flags) for branch in branches]
    count, n = len(branches[0].outputs), len(inputs) - 1
    cuts = [economical(split(joint, [k >= n for k in range(len(joint.inputs))]), (False,) * n) for joint in joints]
    types = [_residual_types(cut) for cut in cuts]

    def leaving(which: int) -> Program:
        def branch(*values: Any) -> list[Any]:
            results = evaluate(cuts[which].known, values, bind)
            own = results[len(results) - cuts[which].residuals :]
            others = [own if k == which else map(zero, ts) for k, ts in enumerate(types)]
            return [*results[:count], *(x for group in others for x in group)]

        return program_of(branch, branches[which].input_types)

    outputs = bind(cond, *inputs, branches=tuple(map(leaving, range(len(branches)))))
    residuals = outputs[count:]

    def pullback(cotangents: Values) -> Values:
        able = smooth(branches[0].output_types)
        given = filled(chosen(cotangents, able), chosen(branches[0].output_types, able))
        backward = tuple(_backward(k, cuts, types, flags, branches[0]) for k in range(len(branches)))
        return (None, *placed(bind(cond, index, *residuals, *given, branches=backward), flags))

    return outputs[:count], pullback


def _backward(
    which: int, cuts: Sequence[Split], types: Sequence[tuple[ArrayType, ...]], flags: Flags, branch: Program
) -> Program:
    """The pullback of one branch as a function of the residuals of all, and the cotangents."""
    first = sum(len(ts) for ts in types[:which])
    total = sum(map(len, types))
    cut, own = cuts[which], len(types[which])
    wanted_types = strong(chosen(branch.input_types, flags))
    able = smooth(branch.output_types)

    def pull(*values: Any) -> list[Any]:
        found = iter(evaluate(cut.unknown, [*values[first : first + own], *values[total:]], bind))
        late = cut.unknown_outputs[len(branch.outputs) :]
        return [next(found) if u else zero(t) for u, t in zip(late, wanted_types, strict=True)]

    residuals = [t for ts in types for t in ts]
    return program_of(pull, [*residuals, *strong(chosen(branch.output_types, able))])


def _batch(size: int, inputs: Values, batched: Sequence[bool], params: dict[str, Any]) -> Any:
    """Every example takes its own branch, in a loop over the batch; one branch for all works on the batch."""
    branches: Branches = params["branches"]
    if not batched[0]:
        wide = tuple(batched_program(branch, size, tuple(batched[1:])) for branch in branches)
        outputs = bind(cond, *inputs, branches=wide)
        return outputs, (True,) * len(outputs)
    outputs = loop_over_examples(cond, size, inputs, batched, params)
    return outputs, (True,) * len(outputs)


def loop_over_examples(
    primitive: Operation, size: int, inputs: Values, batched: Sequence[bool], params: dict[str, Any]
) -> Values:
    """A primitive applied to one example after the other, whose results are stacked."""
    fixed = [x for x, b in zip(inputs, batched, strict=True) if not b]
    slices = [x for x, b in zip(inputs, batched, strict=True) if b]

    def body(*values: Any) -> Values:
        same, own = iter(values[: len(fixed)]), iter(values[len(fixed) :])
        return bind(primitive, *(next(own) if b else next(same) for b in batched), **params)

    types = [type_of(x) for x in fixed]
    types += [ArrayType(type_of(x).shape[1:], type_of(x).dtype) for x in slices]
    program = program_of(body, strong(types))
    return bind(scan, *fixed, *slices, program=program, consts=len(fixed), carry=0, length=size, reverse=False)


cond = Operation(
    name="cond",
    family="structured",
    reference=_reference,
    infer=_infer,
    jvp=_jvp,
    vjp=_vjp,
    batch=_batch,
    multiple=True,
)
