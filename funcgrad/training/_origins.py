"""Where did NaN or infinity begin?  At the operation, on the way to a bad result, that made it of finite numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.errors import SourceLocation
from funcgrad.ir.interpret import last_uses
from funcgrad.ir.program import Atom, Equation, Literal, Program, Var
from funcgrad.quiet import quiet

FINE, INFINITE, NAN = range(3)
WORDS = {FINE: "finite", INFINITE: "infinity", NAN: "NaN"}


class Origin(NamedTuple):
    """The beginning of what is not finite.

    Attributes
    ----------
    what
        ``"NaN"`` or ``"infinity"``.
    where
        The primitive, or the argument that held it already.
    source
        The user's line.
    backward
        Whether it is an operation of the backward pass, which differentiates that line.
    """

    what: str
    where: str
    source: SourceLocation | None = None
    backward: bool = False

    def __str__(self) -> str:
        if self.source is None:
            return f"{self.what} is in {self.where}"
        part = "the derivative of " if self.backward else ""
        return f"{self.what} began in {self.where}, {part}{self.source}"


def state(x: Any) -> int:
    """Whether an array holds NaN, or else infinity."""
    x = np.asarray(x)
    if x.dtype.kind in "biu":
        return FINE
    with quiet():
        return NAN if np.isnan(x).any() else INFINITE if np.isinf(x).any() else FINE


def origins(program: Program, arguments: Sequence[Any], names: Sequence[str], forward: int) -> list[Origin]:
    """What made the first bad output of `program` bad: nothing, where all are finite.

    Parameters
    ----------
    program
        Value and gradients; calls must have been inlined.
    arguments, names
        Its arguments and what they are called.
    forward
        How many of its equations compute the value.

    Returns
    -------
    list of Origin
        The operation that made it what it is and, if that is NaN made of infinities, what made those.
    """
    states, culprits = _run(program, arguments)
    maker = {v: (k, equation) for k, equation in enumerate(program.equations) for v in equation.outputs}
    called = dict(zip(program.inputs, names, strict=True)) | dict.fromkeys(program.constants, "a constant")
    found: list[Origin] = []
    bad = [a for a in program.outputs if isinstance(a, Var) and states[a]]
    at: Atom | None = bad[0] if bad else None
    while at is not None:
        begun = _beginning(at, states, culprits, maker)
        what = WORDS[_state(begun, states)]
        if isinstance(begun, Literal) or begun not in maker:
            return [*found, Origin(what, called.get(begun, "a constant") if isinstance(begun, Var) else "a constant")]
        index, equation = maker[begun]
        found.append(Origin(what, equation.primitive.name, equation.source, index >= forward))
        at = next(iter(culprits[index]), None)
    return found


def _beginning(at: Atom, states: dict[Var, int], culprits: Any, maker: dict[Var, tuple[int, Equation]]) -> Atom:
    """The earliest value, on the way to `at`, that is as bad as `at` is."""
    kind = _state(at, states)
    while isinstance(at, Var) and at in maker:
        same = [a for a in culprits[maker[at][0]] if _state(a, states) == kind]
        if not same:
            break
        at = same[0]
    return at


def _state(atom: Atom, states: dict[Var, int]) -> int:
    return state(atom.value) if isinstance(atom, Literal) else states[atom]


def _run(program: Program, arguments: Sequence[Any]) -> tuple[dict[Var, int], list[list[Atom]]]:
    """The state of every variable, and for each equation with a bad output its bad operands."""
    env: dict[Var, Any] = dict(zip(program.inputs, arguments, strict=True)) | dict(program.constants)
    states = {v: state(x) for v, x in env.items()}
    dying = last_uses(program)
    culprits: list[list[Atom]] = []
    with quiet():
        for index, equation in enumerate(program.equations):
            inputs = tuple(a.value if isinstance(a, Literal) else env[a] for a in equation.inputs)
            outputs = equation.primitive.compute(inputs, dict(equation.params))
            env.update(zip(equation.outputs, outputs, strict=True))
            states.update((v, state(x)) for v, x in zip(equation.outputs, outputs, strict=True))
            bad = any(states[v] for v in equation.outputs)
            culprits.append(_bad_operands(equation, inputs) if bad else [])
            for v in dying.get(index, ()):
                del env[v]
    return states, culprits


def _bad_operands(equation: Equation, inputs: Sequence[Any]) -> list[Atom]:
    """The operands that hold NaN or infinity; of a choice, those that were chosen where they do."""
    if equation.primitive.name == "select":
        which, on_false, on_true = map(np.asarray, inputs)
        inputs = (which, np.where(which, 0, on_false), np.where(which, on_true, 0))
    return [a for a, x in zip(equation.inputs, inputs, strict=True) if state(x)]
