"""What is a program?  A frozen, typed list of equations in single-assignment form."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

import numpy as np

from funcgrad.errors import SourceLocation
from funcgrad.ir import display
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
        """The number as in listings.

        Returns
        -------
        str
            Such as ``2.0:f32[]``.

        Examples
        --------
        >>> import funcgrad as fg
        >>> (equation,) = fg.make_jaxpr(lambda x: 2.0 * x)(1.0).equations
        >>> equation.inputs[0].text()
        '2.0:f64[]*'
        """
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
        """A copy with some fields replaced.

        Parameters
        ----------
        **changes
            New values, by the names of the fields.

        Returns
        -------
        Equation
            The copy.

        Examples
        --------
        >>> import funcgrad as fg
        >>> (equation,) = fg.make_jaxpr(lambda x: 2.0 * x)(1.0).equations
        >>> equation.replace(source=None).source is None
        True
        """
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
    names
        What people call inputs and other values, where that is known; for `as_text`.
    """

    inputs: tuple[Var, ...]
    equations: tuple[Equation, ...]
    outputs: tuple[Atom, ...]
    constants: Mapping[Var, np.ndarray] = field(default_factory=dict)
    names: Mapping[Var, str] | None = None

    @property
    def input_types(self) -> tuple[ArrayType, ...]:
        """The types of the parameters."""
        return tuple(v.type for v in self.inputs)

    @property
    def output_types(self) -> tuple[ArrayType, ...]:
        """The types of the results."""
        return tuple(v.type for v in self.outputs)

    def replace(self, **changes: Any) -> Program:
        """A copy with some fields replaced.

        Parameters
        ----------
        **changes
            New values, by the names of the fields.

        Returns
        -------
        Program
            The copy; nothing is checked (see `funcgrad.ir.check`).

        Examples
        --------
        >>> import funcgrad as fg
        >>> program = fg.make_jaxpr(lambda x: (x, 2.0 * x))(1.0)
        >>> print(program.replace(outputs=program.outputs[:1], equations=()))
        { lambda ; a:f64[]*. let
          in (a,) }
        """
        fields = {name: getattr(self, name) for name in ("inputs", "equations", "outputs", "constants", "names")}
        return Program(**(fields | changes))

    def __str__(self) -> str:
        """The canonical text: the same for equal programs, whatever the user called things."""
        return print_program(self)

    def __repr__(self) -> str:
        """The listing for people, without colours."""
        return display.text(self)

    def as_text(self, source: bool = False, color: bool = False) -> str:
        """The listing for people: aligned, inputs under the names of the user's arguments.

        Parameters
        ----------
        source
            Whether each equation carries the user's line.
        color
            Whether to colour it for terminals (by ANSI escapes).

        Returns
        -------
        str
            The listing.

        Examples
        --------
        >>> import funcgrad as fg
        >>> import numpy as np
        >>> def loss(weights, x):
        ...     return np.sum(np.tanh(x @ weights))
        >>> print(fg.make_jaxpr(loss)(np.ones(3), np.ones((2, 3))).as_text())
        { lambda ; weights:f64[3] x:f64[2,3]. let
            a:f64[2] = dot_general[dimension_numbers=(((1,),(0,)),((),()))] x weights
            b:f64[2] = tanh a
            c:f64[]  = reduce_sum[axes=(0,)] b
          in (c,) }
        """
        return display.text(self, source, color)

    def show(self, source: bool = False, file: TextIO | None = None) -> None:
        """Print `as_text`, in colours where `file` is a terminal; ``NO_COLOR`` and ``FORCE_COLOR`` have the last word.

        Parameters
        ----------
        source
            Whether each equation carries the user's line.
        file
            Where to; standard output.

        Examples
        --------
        >>> import funcgrad as fg
        >>> fg.make_jaxpr(lambda x: 2.0 * x)(1.0).show()
        { lambda ; x:f64[]*. let
            a:f64[]* = mul 2.0:f64[]* x
          in (a,) }
        """
        stream = sys.stdout if file is None else file
        print(display.text(self, source, display.coloured(stream)), file=stream)

    def _repr_html_(self) -> str:
        """The listing in notebooks: inner programs fold, hovering over an equation shows the user's line."""
        return display.html(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """The listing in IPython's terminal."""
        printer.text(display.text(self, color=display.coloured(sys.stdout)))
