"""What is to be run?  Steps in order, and for every buffer where it lies:
argument, constant, result, or a place in the arena.

A temporary occupies its place in the arena from the step that writes it to the last one that reads it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from funcgrad import config
from funcgrad.errors import SourceLocation
from funcgrad.ir.program import Program, Var
from funcgrad.ir.types import ArrayType
from funcgrad.lower.ahead import ahead
from funcgrad.lower.calls import WRITERS, Call
from funcgrad.lower.chains import Chain, chained
from funcgrad.lower.complex import split
from funcgrad.lower.counting import counted
from funcgrad.lower.expand import expand
from funcgrad.lower.fusion import Fusion, failure, fuse
from funcgrad.lower.hoist import hoisted
from funcgrad.lower.inlined import constants_of, merged
from funcgrad.lower.peel import peeled
from funcgrad.lower.products import Product
from funcgrad.lower.roots import Group, Survey
from funcgrad.lower.schedule import KernelStep, write_group
from funcgrad.lower.sharing import region_chunk
from funcgrad.lower.structured import BODIES, Structured, failures_of, renamed, structured
from funcgrad.lower.survey import survey
from funcgrad.lower.taping import taped
from funcgrad.lower.tiling import tiled
from funcgrad.lower.updates import TRIALS, arranged
from funcgrad.simplify import simplify

ALIGNMENT = 64
ZONE = 256  # bytes between buffers under `check_memory`
Step = KernelStep | Product | Call | Structured | Chain


@dataclass(slots=True)
class Plan:
    """A lowered program.

    Attributes
    ----------
    program
        The simplified program, in which complex arrays are real ones.
    arguments, results
        The types of its inputs and outputs, complex ones as such.
    steps
        Kernel calls, library products, calls of what has no kernel, loops and branches, in order.
    outputs
        For each output, the variable whose buffer it is.
    offsets
        For each temporary, its place in the arena, in bytes.
    arena_bytes
        The size of the arena.
    failures
        For each status code, what it raises and the user's line.
    first_status
        The first of these codes.
    """

    program: Program
    arguments: tuple[ArrayType, ...]
    results: tuple[ArrayType, ...]
    steps: list[Step]
    outputs: tuple[Var, ...]
    offsets: dict[Var, int]
    arena_bytes: int
    failures: list[tuple[BaseException | None, SourceLocation | None]]
    first_status: int = 1


def make_plan(program: Program, first_status: int = 1, carry: Sequence[tuple[int, int]] | None = None) -> Plan:
    """Lower a simplified program, whose failures are counted from `first_status` on.

    For the body of a loop or branch, `carry` are pairs of an input and an output (their numbers) that may share a
    buffer.
    """
    arguments, results = program.input_types, program.output_types
    program = peeled(counted(expand(hoisted(tiled(expand(program))))))
    real = split(program)
    program = program if real is program else expand(real)
    pairs = None if carry is None else {program.inputs[i]: program.outputs[k] for i, k in carry}
    fusion = fuse(program, first_status, pairs)
    steps = _write(fusion)
    failures: list[Any] = [failure(e) for e in fusion.codes]
    for number, step in enumerate(steps):
        if isinstance(step, Call) and step.equation.primitive.name in BODIES:
            region = structured(step, make_plan, first_status + len(failures))
            failures += failures_of(region)
            if region.equation.primitive.name == "while_pull":
                steps[number] = _on_tape(region)
                continue
            whole = merged(region, carry is not None)
            region.chunk = 0 if whole else region_chunk(region, carry is not None)
            steps[number] = whole or region
            if whole:
                program = program.replace(constants=dict(program.constants) | constants_of(region))
    steps = chained(steps, fusion.outputs)
    given = {*program.inputs, *program.constants, *fusion.outputs}
    offsets, size = _arena(_lifetimes(steps, given))
    return Plan(program, arguments, results, steps, tuple(fusion.outputs), offsets, size, failures, first_status)


def _trial(body: Program, pairs: Sequence[tuple[int, int]]) -> Plan:
    """The plan of a body, to see what it changes in place."""
    return make_plan(arranged(simplify(renamed(body)), pairs), 1, pairs)


TRIALS.append(_trial)


def _on_tape(region: Structured) -> Structured:
    """A pullback by kernels of many iterations, each a plan of one step, where that can be."""
    found = taped(region)
    if found is None:
        return region
    new, kernels = found
    assert new.tape is not None
    known = {v: x for v, x in constants_of(region).items() if v not in region.constants}
    given = {*new.operands, *new.equation.outputs, *new.spares, *new.tape.sections, *known, *new.constants}
    plans = []
    for k, step in enumerate(kernels):
        offsets, size = _arena(_lifetimes([step], given))
        program = Program(() if k else new.tape.sections, (), (), {} if k else known)
        plans.append(Plan(program, (), (), [step], (), offsets, size, [], region.status))
    arenas = tuple(Var(ArrayType((plan.arena_bytes,), np.dtype(np.uint8))) for plan in plans)
    return replace(new, plans=tuple(plans), arenas=arenas)


def _write(fusion: Fusion) -> list[Step]:
    """Every group as kernels; what a row folds is stored only if some step or output reads it, and so are values that
    an earlier walk has shown to be better stored.
    """
    surveys: dict[Group, Survey] = {}
    needed: set[Var] = set(fusion.outputs)
    for step in reversed(fusion.steps):
        if isinstance(step, Group):
            fusion.drop_unread(step, needed)
            surveys[step] = survey(step, fusion.graph, fusion.trials[step])
            needed |= surveys[step].reads
        else:
            needed |= set(buffers_of(step))
    steps: list[Step] = []
    for step in fusion.steps:
        if isinstance(step, Group):
            written = write_group(step, fusion.graph, fusion.code_of, surveys[step], needed)
            steps += written if fusion.graph.inside else map(ahead, written)
        elif isinstance(step, Call):
            writer = WRITERS.get(step.equation.primitive.name)
            steps += (writer(step) if writer else None) or [step]
        else:
            steps.append(step)
    return steps


def buffers_of(step: Step) -> Sequence[Var]:
    """The buffers that a step reads and writes."""
    return (step.x.var, step.y.var, step.out) if isinstance(step, Product) else step.buffers


def _lifetimes(steps: Sequence[Step], given: set[Var]) -> dict[Var, tuple[int, int]]:
    """First and last step of every temporary."""
    lives: dict[Var, tuple[int, int]] = {}
    for number, step in enumerate(steps):
        for v in buffers_of(step):
            if v not in given:
                lives[v] = (lives.get(v, (number, number))[0], number)
    return lives


def _arena(lives: dict[Var, tuple[int, int]]) -> tuple[dict[Var, int], int]:
    """Places for temporaries, large ones first, each in the lowest gap that is free during its life."""
    if config.check_memory.value:
        return _apart(lives)
    placed: list[tuple[int, int, int, int]] = []  # offset, end, first, last
    offsets: dict[Var, int] = {}
    size = 0
    for v, (first, last) in sorted(lives.items(), key=lambda item: -item[0].type.nbytes):
        need = math.ceil(max(v.type.nbytes, 1) / ALIGNMENT) * ALIGNMENT
        offset = 0
        for low, high, _, _ in sorted(p for p in placed if p[2] <= last and first <= p[3]):
            if low - offset >= need:
                break
            offset = max(offset, high)
        placed.append((offset, offset + need, first, last))
        offsets[v] = offset
        size = max(size, offset + need)
    return offsets, size


def _apart(lives: dict[Var, tuple[int, int]]) -> tuple[dict[Var, int], int]:
    """Places for temporaries none of which serves twice, with a red zone before and behind each."""
    offsets, end = {}, ZONE
    for v in lives:
        offsets[v] = end
        end += math.ceil(v.type.nbytes / ALIGNMENT) * ALIGNMENT + ZONE
    return offsets, end
