"""Which arrays of a loop's carry are changed in place?  Those that the body changes at some places only.

An iteration that writes one element must cost one element, forward and backward. So everything else that reads the
array is put before the write, and cotangents that are scattered to zeros and then added up are scattered into the sum.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from funcgrad.ir.primitive import registry
from funcgrad.ir.program import Atom, Equation, Literal, Program, Var
from funcgrad.ir.types import ArrayType
from funcgrad.simplify import simplify

WRITES = frozenset(
    {"scatter", "scatter_add", "scatter_mul", "scatter_min", "scatter_max", "dynamic_update_slice"}
)  # operand 0, changed at some places
LEAST = 32  # elements of an array that is worth the trouble
INT64 = ArrayType((), np.dtype(np.int64))


def handed_on(equation: Equation) -> Iterator[tuple[int, int]]:
    """Operands that an equation may change in place, each with the output that it becomes."""
    name, params = equation.primitive.name, equation.params
    if name in WRITES:
        yield 0, 0
    elif name == "scan":
        yield from ((params["consts"] + k, k) for k in range(params["carry"]))
    elif name == "while":
        first = params["cond_consts"] + params["body_consts"]
        yield from ((first + k, k) for k in range(len(equation.outputs)))
    elif name == "cond":
        yield from ((j + 1, k) for j, k in through_branches(params["branches"]))


@functools.lru_cache(maxsize=256)
def through_branches(branches: tuple[Program, ...]) -> tuple[tuple[int, int], ...]:
    """Operands that every branch changes in place, or leaves alone, each with the output that it becomes."""
    arrays = [t for t in branches[0].output_types if t.size >= LEAST]
    if not arrays:
        return ()
    origins = [_origins(_sums_in_place(simplify(branch))) for branch in branches]
    pairs = [(j, k) for k, j in enumerate(origins[0]) if j is not None and all(o[k] == j for o in origins)]
    pairs = [(j, k) for j, k in pairs if sum(j == other for other, _ in pairs) == 1]
    for plan in (TRIALS[0](branch, pairs) for branch in branches) if pairs else ():
        pairs = [(j, k) for j, k in pairs if plan.outputs[k] is plan.program.inputs[j]]
    return tuple(pairs)


TRIALS: list[Callable[[Program, Sequence[tuple[int, int]]], Any]] = []  # how `lower.plan` lowers a body


def _origins(program: Program) -> list[int | None]:
    """For each output, the input that it is after changes in place."""
    producers = {v: e for e in program.equations for v in e.outputs}
    found: list[int | None] = []
    for atom in program.outputs:
        while isinstance(atom, Var) and atom in producers and atom.type.size >= LEAST:
            equation = producers[atom]
            number = equation.outputs.index(atom)
            before = next((equation.inputs[i] for i, k in handed_on(equation) if k == number), None)
            if before is None:
                break
            atom = before
        large = isinstance(atom, Var) and atom.type.size >= LEAST and atom in program.inputs
        found.append(program.inputs.index(atom) if large else None)
    return found


def arranged(program: Program, carry: Sequence[tuple[int, int]]) -> Program:
    """A body, so written that the parts of its carry (numbers of inputs and outputs) can be changed in place."""
    arrays = [program.inputs[i] for i, _ in carry if program.inputs[i].type.size >= LEAST]
    if not arrays:
        return program
    return _reads_first(_sums_in_place(program), arrays)


# Sums of updates ------------------------------------------------------------------------------------------------------

Update = tuple[str, tuple[Atom, ...], Mapping[str, object]]  # what to do, its operands behind the array, parameters


class _Sums:
    """Rewrites ``x + (zeros with updates added)`` as ``x`` with updates added."""

    def __init__(self, program: Program) -> None:
        self.producers = {v: e for e in program.equations for v in e.outputs}
        self.uses = Counter(a for e in program.equations for a in e.inputs if isinstance(a, Var))
        self.uses.update(a for a in program.outputs if isinstance(a, Var))

    def updates(self, atom: Atom) -> list[Update] | None:
        """What is added to zeros to give a value that is read once; None for other values."""
        equation = self.producers.get(atom) if isinstance(atom, Var) else None
        if equation is None:
            return None
        name, first = equation.primitive.name, equation.inputs[:1]
        if name == "broadcast_in_dim" and _is_zero(first[0]):
            return []
        if self.uses[atom] > 1:  # type: ignore[index]
            return None
        if name == "add" and all(a.type.shape == atom.type.shape for a in equation.inputs):
            parts = [self.updates(a) for a in equation.inputs]
            return None if None in parts else [u for part in parts for u in part or ()]
        if name == "scatter_add":
            below = self.updates(first[0])
            return None if below is None else [*below, (name, equation.inputs[1:], equation.params)]
        if name == "dynamic_update_slice" and self.updates(first[0]) == []:
            return [("window", equation.inputs[1:], {})]
        if name == "pad" and _is_zero(equation.inputs[1]):
            config = equation.params["padding_config"]
            if all(low >= 0 and high >= 0 and not inner for low, high, inner in config):
                starts = (Literal(np.int64(low), INT64) for low, _, _ in config)
                return [("window", (first[0], *starts), {})]
        return None

    def rewritten(self, equation: Equation) -> list[Equation]:
        """The equations in the place of one."""
        if equation.primitive.name == "add" and equation.outputs[0].type.size >= LEAST:
            for x, y in (equation.inputs, equation.inputs[::-1]):
                updates = self.updates(y)
                if updates and x.type == y.type and sum(u[1][0].type.size for u in updates) * 4 <= y.type.size:
                    return _applied(equation, x, updates)
        return [equation]


def _is_zero(atom: Atom) -> bool:
    return isinstance(atom, Literal) and atom.type.dtype.kind == "f" and not atom.value


def _applied(equation: Equation, x: Atom, updates: Sequence[Update]) -> list[Equation]:
    """The updates one after the other, the last of which gives the equation's result."""
    made: list[Equation] = []

    def emit(name: str, inputs: tuple[Atom, ...], out: Var, params: Mapping[str, object]) -> Var:
        made.append(Equation(registry[name], inputs, (out,), params, equation.source))
        return out

    for k, (name, operands, params) in enumerate(updates):
        out = equation.outputs[0] if k == len(updates) - 1 else Var(equation.outputs[0].type)
        if name == "window":
            part, *starts = operands
            kind = ArrayType(part.type.shape, part.type.dtype)
            before = emit("dynamic_slice", (x, *starts), Var(kind), {"slice_sizes": kind.shape})
            after = emit("add", (before, part), Var(kind), {})
            name, operands = "dynamic_update_slice", (after, *starts)
        x = emit(name, (x, *operands), out, params)
    return made


def _sums_in_place(program: Program) -> Program:
    while True:
        sums = _Sums(program)
        equations = [new for old in program.equations for new in sums.rewritten(old)]
        if all(new is old for new, old in zip(equations, program.equations, strict=False)):
            return program
        program = program.replace(equations=_alive(equations, program.outputs))


def _alive(equations: Sequence[Equation], outputs: Sequence[Atom]) -> tuple[Equation, ...]:
    """The equations that somebody reads, or that have effects."""
    wanted: set[Atom] = set(outputs)
    kept = []
    for equation in reversed(equations):
        if equation.primitive.effect or equation.primitive.impure or not wanted.isdisjoint(equation.outputs):
            kept.append(equation)
            wanted.update(equation.inputs)
    return tuple(reversed(kept))


# Order ----------------------------------------------------------------------------------------------------------------


def _reads_first(program: Program, arrays: Sequence[Var]) -> Program:
    """The program with everything that reads an array before what changes it, where that can be."""
    if any(e.primitive.impure for e in program.equations):
        return program
    equations = list(program.equations)
    pending: list[Var] = list(arrays)
    while pending:
        array = pending.pop()
        change = _change(equations, array)
        if change is None:
            continue
        equation, out = change
        pending.append(out)
        place = equations.index(equation)
        behind = equations[place + 1 :]
        if any(array in e.inputs for e in behind):
            late = set(equation.outputs)
            first, after = [], []
            for e in behind:
                if late.isdisjoint(e.inputs):
                    first.append(e)
                else:
                    late.update(e.outputs)
                    after.append(e)
            equations[place:] = [*first, equation, *after]
    return program.replace(equations=tuple(equations))


def _change(equations: Sequence[Equation], array: Var) -> tuple[Equation, Var] | None:
    """The equation that may change an array in place, and what it becomes."""
    for equation in equations:
        for i, k in handed_on(equation):
            if equation.inputs[i] is array:
                return equation, equation.outputs[k]
    return None
