"""Which numbers does a scan count?  Slices of an array that only counts are a part of the carry: there is no array."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from funcgrad.ir.primitive import registry
from funcgrad.ir.program import Atom, Equation, Literal, Program, Var
from funcgrad.ir.types import ArrayType


def counted(program: Program) -> Program:
    """A simplified program whose scans count for themselves."""
    producers = {v: e for e in program.equations for v in e.outputs}
    equations = tuple(
        _counted(e, producers, program.constants) if e.primitive.name == "scan" else e for e in program.equations
    )
    if equations == program.equations:
        return program
    read: set[Atom] = {*program.outputs, *(a for e in equations for a in e.inputs)}
    return program.replace(
        equations=tuple(e for e in equations if e.primitive.name != "iota" or e.outputs[0] in read),
        constants={v: x for v, x in program.constants.items() if v in read},
    )


def _counted(scan: Equation, producers: Mapping[Var, Equation], constants: Mapping[Var, np.ndarray]) -> Equation:
    params, body = scan.params, scan.params["program"]
    n, m = params["consts"], params["consts"] + params["carry"]
    counts = {k: c for k, a in enumerate(scan.inputs[m:], m) if (c := _count(a, producers, constants)) is not None}
    if not counts:
        return scan
    starts, nexts = [], []
    for k, (start, step) in counts.items():
        kind = ArrayType((), body.inputs[k].type.dtype)
        last = start + step * (params["length"] - 1)
        first, by = (last, -step) if params["reverse"] else (start, step)
        starts.append(_literal(first, kind))
        after = Var(kind)
        nexts.append(Equation(registry["add"], (body.inputs[k], _literal(by, kind)), (after,), {}, scan.source))
    c = params["carry"]
    numbers = [body.inputs[k] for k in counts]
    rest = [k for k in range(m, len(scan.inputs)) if k not in counts]
    changed = dict(params) | {
        "program": body.replace(
            inputs=(*body.inputs[:m], *numbers, *(body.inputs[k] for k in rest)),
            equations=(*body.equations, *nexts),
            outputs=(*body.outputs[:c], *(e.outputs[0] for e in nexts), *body.outputs[c:]),
        ),
        "carry": c + len(counts),
    }
    ends = [Var(v.type) for v in starts]
    return scan.replace(
        inputs=(*scan.inputs[:n], *scan.inputs[n:m], *starts, *(scan.inputs[k] for k in rest)),
        outputs=(*scan.outputs[:c], *ends, *scan.outputs[c:]),
        params=changed,
    )


def _literal(value: int, kind: ArrayType) -> Literal:
    return Literal(kind.dtype.type(value), kind)


def _count(atom: Atom, producers: Mapping[Var, Equation], constants: Mapping[Var, Any]) -> tuple[int, int] | None:
    """From where, and by how much, an array of integers counts."""
    if not isinstance(atom, Var) or atom.type.ndim != 1 or atom.type.dtype.kind != "i" or atom.type.size < 2:
        return None
    equation, known = producers.get(atom), constants.get(atom)
    if equation is not None:
        return (0, 1) if equation.primitive.name == "iota" else None
    if known is None:
        return None
    start, step = int(known[0]), int(known[1]) - int(known[0])
    fits = np.all(np.diff(known) == step)
    return (start, step) if fits else None
