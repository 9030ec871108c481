"""How does the pullback of a loop of unknown length run?  By two kernels of many iterations: one runs the loop and
writes the carry of each iteration on a section of the tape, until it is full; the other walks back along a section.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from funcgrad.ir.program import Var
from funcgrad.ir.types import ArrayType
from funcgrad.lower.inlined import MOST_INSTRUCTIONS, POLL, Merger, Places, is_small
from funcgrad.lower.loops import INDEX, Constant, Instruction, Load, Loop, Op, Store, While
from funcgrad.lower.schedule import KernelStep
from funcgrad.lower.structured import Structured, Tape

SECTION_BYTES = 1 << 16
SHORTEST, LONGEST = 16, 4096  # iterations of a section
ZERO, ONE = Constant(0, INDEX), Constant(1, INDEX)


def taped(region: Structured) -> tuple[Structured, list[KernelStep]] | None:
    """A ``while_pull`` by kernels of many iterations, and these; None where a table of steps is better."""
    if not all(map(is_small, region.plans)):
        return None
    p = _parts(region)
    ahead, back = Merger(), Merger()
    forward, backward = _ahead(region, p, ahead), _back(region, p, back)
    if ahead.count + back.count > MOST_INSTRUCTIONS:
        return None
    outputs = region.equation.outputs
    tape = Tape(
        p.sections,
        p.length,
        p.counter,
        region.plans[0].outputs[0],
        tuple(zip(p.initial, p.first, strict=True)),
        tuple(zip(p.sums, outputs, strict=True)),
    )
    spares = (*region.spares, tape.count, tape.holds)
    new = replace(region, spares=spares, tape=tape, printed=region.plans)
    visible = (*region.operands, *outputs, *spares, *p.sections)
    return new, [ahead.step(forward, visible), back.step(backward, visible)]


class _Parts(NamedTuple):
    """The buffers of a ``while_pull`` by role.

    Attributes
    ----------
    conditions, constants, initial
        The operands of the loop: constants of its condition, of its body, and where the carry begins.
    sums
        Where the way back begins.
    first, second, spares
        The carry of the loop before and after an iteration, and of the way back after one.
    sections, length, counter
        As in `Tape` (there, `count`).
    """

    conditions: tuple[Var, ...]
    constants: tuple[Var, ...]
    initial: tuple[Var, ...]
    sums: tuple[Var, ...]
    first: tuple[Var, ...]
    second: tuple[Var, ...]
    spares: tuple[Var, ...]
    sections: tuple[Var, ...]
    length: int
    counter: Var


def _parts(region: Structured) -> _Parts:
    params, equation = region.equation.params, region.equation
    n, kinds = params["cond_consts"], [v.type for v in region.plans[1].outputs]
    m, parts = n + params["body_consts"], len(kinds)
    given, ends = region.operands, len(equation.inputs)
    length = max(SHORTEST, min(LONGEST, SECTION_BYTES // max(sum(t.nbytes for t in kinds), 1)))
    return _Parts(
        given[:n],
        given[n:m],
        given[m : m + parts],
        (*given[ends:], *given[m + parts : ends]),  # zeros stand behind the operands
        region.spares[:parts],
        region.spares[parts : 2 * parts],
        region.spares[2 * parts :],
        tuple(Var(ArrayType((length, *t.shape), t.dtype)) for t in kinds),
        length,
        Var(ArrayType((), np.dtype(np.int64))),
    )


def _places(*groups: tuple[Any, Any]) -> Places:
    return {v: (x, None) for inner, outer in groups for v, x in zip(inner, outer, strict=True)}


def _ahead(region: Structured, p: _Parts, m: Merger) -> list[Instruction]:
    """The loop until a section is full."""
    cond, body, _ = region.plans
    kinds = [v.type for v in body.outputs]
    places = _places(
        (cond.program.inputs, (*p.conditions, *p.first)),
        (body.program.inputs, (*p.constants, *p.first)),
        (body.outputs, p.second),
    )
    counter, goes, room, more = m.buffer(p.counter, INDEX, True), m.fresh("b1"), m.fresh("b1"), m.fresh("b1")
    before, now = m.fresh(INDEX), m.fresh(INDEX)
    test = [*m.plan(cond, places), Load(goes, m.buffer(cond.outputs[0], "b1", False), ZERO)]
    test += [Load(before, counter, ZERO), Op(room, "lt", (before, m.parameter(p.length, INDEX)))]
    test.append(Op(more, "and", (goes, room)))
    steps: list[Instruction] = [Load(now, counter, ZERO)]
    for part, section, kind in zip(p.first, p.sections, kinds, strict=True):
        steps += m.copy(part, section, kind, now)
    steps += m.plan(body, places)
    for spare, target, kind in zip(p.second, p.first, kinds, strict=True):
        steps += m.copy(spare, target, kind)
    steps.append(Store(counter, ZERO, m.op(steps, "add", now, ONE)))
    poll, code = m.parameter(POLL, INDEX), m.parameter(region.status, INDEX)
    return [Store(counter, ZERO, ZERO), While(tuple(test), more, tuple(steps), poll, code)]


def _back(region: Structured, p: _Parts, m: Merger) -> list[Instruction]:
    """The way back along a section."""
    back, outputs = region.plans[2], region.equation.outputs
    last, index = m.fresh(INDEX), m.fresh(INDEX)
    steps: list[Instruction] = []
    number = m.op(steps, "sub", m.op(steps, "sub", last, ONE), index)
    n, k = len(p.constants), len(p.constants) + len(p.sections)
    inputs = back.program.inputs
    places = _places((inputs[:n], p.constants), (inputs[k:], outputs), (back.outputs, p.spares))
    for v, section in zip(inputs[n:k], p.sections, strict=True):
        places[v] = (section, number if v.type.size == 1 else m.op(steps, "mul", number, m.size(v.type.size)))
    steps += m.plan(back, places)
    for spare, target, v in zip(p.spares, outputs, back.outputs, strict=True):
        steps += m.copy(spare, target, v.type)  # that of the body: complex numbers are pairs there
    loop = Loop(index, ZERO, last, tuple(steps), (), False)
    return [Load(last, m.buffer(p.counter, INDEX, False), ZERO), loop]
