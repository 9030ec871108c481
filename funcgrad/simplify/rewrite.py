"""How is a program rebuilt?  A `Rewriter` appends equations to a new program, and merges those that are the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from funcgrad.errors import SourceLocation
from funcgrad.ir.primitive import Primitive
from funcgrad.ir.program import Atom, Equation, Literal, Program, Var
from funcgrad.ir.types import ArrayType


class Rewriter:
    """A program under construction.

    Attributes
    ----------
    env
        What stands for each variable of the old program.
    producers
        The equation of each new variable: what the identities look at.
    """

    def __init__(self, constants: Mapping[Var, np.ndarray]) -> None:
        self.equations: list[Equation] = []
        self.constants = dict(constants)
        self.env: dict[Var, Atom] = {}
        self.producers: dict[Var, Equation] = {}
        self._seen: dict[Any, tuple[Var, ...]] = {}

    def read(self, atom: Atom) -> Atom:
        """What stands for an atom of the old program."""
        return self.env.get(atom, atom) if isinstance(atom, Var) else atom

    def emit(
        self, primitive: Primitive, inputs: Sequence[Atom], params: Mapping[str, Any], source: SourceLocation | None
    ) -> tuple[Var, ...]:
        """The outputs of an equation, perhaps of one that was there before."""
        key = _signature(primitive, inputs, params)
        found = self._seen.get(key)
        if found is not None:
            return found
        types = primitive.output_types(tuple(a.type for a in inputs), dict(params))
        return self._append(key, Equation(primitive, tuple(inputs), tuple(map(Var, types)), params, source))

    def keep(self, equation: Equation, inputs: tuple[Atom, ...]) -> tuple[Var, ...]:
        """The outputs of an equation of the old program, whose inputs are now these."""
        if equation.primitive.impure:
            self.equations.append(equation.replace(inputs=inputs))
            return equation.outputs
        same = True
        for a, b in zip(inputs, equation.inputs, strict=True):
            if a is not b:
                if a.type != b.type:
                    return self.emit(equation.primitive, inputs, equation.params, equation.source)
                same = False
        key = _signature(equation.primitive, inputs, equation.params)
        return self._seen.get(key) or self._append(
            key,
            equation
            if same
            else Equation(equation.primitive, inputs, equation.outputs, equation.params, equation.source),
        )

    def _append(self, key: Any, equation: Equation) -> tuple[Var, ...]:
        outputs = self._seen[key] = equation.outputs
        self.equations.append(equation)
        for v in outputs:
            self.producers[v] = equation
        return outputs

    def define(self, atom: Atom, *names: str) -> Equation | None:
        """The equation that makes `atom`, if its primitive is one of `names`."""
        equation = self.producers.get(atom) if isinstance(atom, Var) else None
        return equation if equation is not None and equation.primitive.name in names else None

    def scalar(self, atom: Atom) -> Any:
        """The number that every element of `atom` is known to be, or None."""
        if isinstance(atom, Literal):
            return atom.value
        equation = self.define(atom, "broadcast_in_dim")
        if equation is None:
            return None
        source = equation.inputs[0]
        return source.value if isinstance(source, Literal) else None


def _signature(primitive: Primitive, inputs: Sequence[Atom], params: Mapping[str, Any]) -> Any:
    """Equal for equations that compute the same."""
    return primitive.name, tuple(map(_identity, inputs)), frozenset(params.items()) if params else None


def _identity(atom: Atom) -> Any:
    """Equal for atoms that are the same value: literals by their bits, variables by themselves."""
    return (atom.value.tobytes(), atom.type.dtype) if isinstance(atom, Literal) else atom


def literal(value: Any, dtype: np.dtype) -> Literal:
    """A number in a program."""
    return Literal(dtype.type(value), ArrayType((), dtype))


def live(program: Program) -> Program:
    """`program` without the equations and constants that nothing reads."""
    needed: set[Atom] = set(program.outputs)
    kept = []
    for equation in reversed(program.equations):
        primitive = equation.primitive
        if not needed.isdisjoint(equation.outputs) or primitive.effect or primitive.impure:
            kept.append(equation)
            needed.update(equation.inputs)
    constants = {v: value for v, value in program.constants.items() if v in needed}
    return Program(program.inputs, tuple(reversed(kept)), program.outputs, constants)
