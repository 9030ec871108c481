"""What does a program mean?  Its equations, one after the other, on the primitives' NumPy references."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.ir.program import Atom, Literal, Program, Var


class Abandoned(Exception):
    """The results are not wanted any more."""


class Patience(threading.local):
    """Whether this thread's interpretation should go on; `ended` is asked before each equation, if there is one."""

    ended: Callable[[], bool] | None = None


patience = Patience()


def interpret(program: Program, arguments: Sequence[Any]) -> list[Any]:
    """The outputs of `program` for arrays `arguments`, computed by NumPy.

    Every value is forgotten after its last use, so that memory stays near what the program needs.

    Raises
    ------
    Abandoned
        When this thread's `patience` has ended.
    """
    env: dict[Var, Any] = dict(zip(program.inputs, arguments, strict=True)) | dict(program.constants)
    dying = last_uses(program)
    ended = patience.ended

    def read(atom: Atom) -> Any:
        return atom.value if isinstance(atom, Literal) else env[atom]

    with np.errstate(all="ignore"):
        for index, equation in enumerate(program.equations):
            if ended is not None and ended():
                raise Abandoned
            primitive = equation.primitive
            outputs = primitive.refer(tuple(map(read, equation.inputs)), dict(equation.params))
            env.update(zip(equation.outputs, outputs, strict=True))
            for v in dying.get(index, ()):
                del env[v]
    return [read(atom) for atom in program.outputs]


def last_uses(program: Program) -> dict[int, list[Var]]:
    """For each equation's index, the variables that nothing reads after it."""
    last: dict[Var, int] = {}
    for index, equation in enumerate(program.equations):
        for atom in (*equation.inputs, *equation.outputs):
            if isinstance(atom, Var):
                last[atom] = index
    kept = {*program.inputs, *program.constants, *program.outputs}
    dying: dict[int, list[Var]] = {}
    for v, index in last.items():
        if v not in kept:
            dying.setdefault(index, []).append(v)
    return dying
