"""What does a program mean?  Its equations, one after the other, on the primitives' NumPy references."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.ir.primitive import Values
from funcgrad.ir.program import Atom, Equation, Literal, Program, Var
from funcgrad.quiet import quiet


class Abandoned(Exception):
    """The results are not wanted any more."""


class Patience(threading.local):
    """What this thread's interpretation is for.

    Attributes
    ----------
    ended
        Asked before each equation, if there is one: whether the results are no longer wanted.
    watch
        What runs equations in the place of their references, if there is something: ``watch(equation, inputs)`` gives
        the outputs.
    """

    ended: Callable[[], bool] | None = None
    watch: Callable[[Equation, Values], Values] | None = None


patience = Patience()


def interpret(program: Program, arguments: Sequence[Any]) -> list[Any]:
    """The outputs of `program` for arrays `arguments`, computed by NumPy.

    Every value is forgotten after its last use, so that memory stays near what the program needs.

    Returns
    -------
    list
        An array for each output, with its shape and dtype.

    Raises
    ------
    Abandoned
        When this thread's `patience` has ended.

    Examples
    --------
    >>> import numpy as np
    >>> import funcgrad as fg
    >>> interpret(fg.make_jaxpr(lambda x, y: (x * y, x + y))(1.0, 1.0), [np.float64(2.0), np.float64(3.0)])
    [np.float64(6.0), np.float64(5.0)]
    """
    env: dict[Var, Any] = dict(zip(program.inputs, arguments, strict=True)) | dict(program.constants)
    dying = last_uses(program)
    ended, watch = patience.ended, patience.watch

    def read(atom: Atom) -> Any:
        return atom.value if isinstance(atom, Literal) else env[atom]

    with quiet():
        for index, equation in enumerate(program.equations):
            if ended is not None and ended():
                raise Abandoned
            values = tuple(map(read, equation.inputs))
            if watch is None:
                outputs = equation.primitive.refer(values, dict(equation.params))
            else:
                outputs = watch(equation, values)
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
