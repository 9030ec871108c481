"""What is a program?  A frozen, typed list of equations in single-assignment form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from funcgrad.errors import SourceLocation
from funcgrad.ir.primitive import Primitive
from funcgrad.ir.printer import print_program
from funcgrad.ir.types import ArrayType


class Var:
    """A value that a program takes or an equation defines; compared by identity."""

    __slots__ = ("type",)

    def __init__(self, type: ArrayType) -> None:
        self.type = type

    def __repr__(self) -> str:
        return f"Var({self.type})"


class Literal:
    """A 0-d value written into the program."""

    __slots__ = ("type", "value")

    def __init__(self, value: np.generic, type: ArrayType) -> None:
        self.value = value
        self.type = type

    def __repr__(self) -> str:
        return f"Literal({self.value}:{self.type})"

    def text(self) -> str:
        """As in listings: ``2.0:f32[]``."""
        value = self.value.item()
        return f"{value!r}:{self.type}"


Atom = Var | Literal


@dataclass(slots=True, eq=False)  # never changed, but not frozen: that makes one in four times the time
class Equation:
    """``outputs = primitive[params](*inputs)``, and the user's line that asked for it."""

    primitive: Primitive
    inputs: tuple[Atom, ...]
    outputs: tuple[Var, ...]
    params: Mapping[str, Any]
    source: SourceLocation | None = None

    def replace(self, **changes: Any) -> Equation:
        """A copy with some fields replaced."""
        fields = {name: getattr(self, name) for name in ("primitive", "inputs", "outputs", "params", "source")}
        return Equation(**(fields | changes))


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A function of arrays.

    Attributes
    ----------
    inputs
        The parameters.
    equations
        In order: an equation reads only what stands above it.
    outputs
        The results; a variable may occur more than once and may be an input.
    constants
        Known arrays that the program reads, by variable.
    """

    inputs: tuple[Var, ...]
    equations: tuple[Equation, ...]
    outputs: tuple[Atom, ...]
    constants: Mapping[Var, np.ndarray] = field(default_factory=dict)

    @property
    def input_types(self) -> tuple[ArrayType, ...]:
        """The types of the parameters."""
        return tuple(v.type for v in self.inputs)

    @property
    def output_types(self) -> tuple[ArrayType, ...]:
        """The types of the results."""
        return tuple(v.type for v in self.outputs)

    def replace(self, **changes: Any) -> Program:
        """A copy with some fields replaced."""
        fields = {name: getattr(self, name) for name in ("inputs", "equations", "outputs", "constants")}
        return Program(**(fields | changes))

    def __str__(self) -> str:
        return print_program(self)
