"""What is a random program?  Statements of Python text, whose types are known, so that they can be left out again.

A `Program` is a function of arrays in single-assignment form; loops, branches and transformations are statements with
bodies.  A `Case` is one or several programs that are compiled together, each under transformations of its own.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tests.fuzz import helpers

PORTABLE = {"float64", "int64", "bool", "complex128"}


@dataclass(frozen=True)
class Body:
    """A function inside a program; it may read what stands above it."""

    name: str
    params: tuple[str, ...]
    statements: tuple[Statement, ...]
    result: str  # an expression of names: "v3", "(v3, v4)"

    def lines(self) -> Iterator[str]:
        """Its definition."""
        yield f"def {self.name}({', '.join(self.params)}):"
        for statement in self.statements:
            yield from (f"    {line}" for line in statement.lines())
        yield f"    return {self.result}"


@dataclass(frozen=True)
class Statement:
    """``target = text``, after the bodies that it calls; what it gives has a shape and a dtype."""

    target: str
    text: str
    shape: tuple[int, ...]
    dtype: str
    bodies: tuple[Body, ...] = ()
    portable: bool = True

    def lines(self) -> Iterator[str]:
        """As it stands in the program."""
        for body in self.bodies:
            yield from body.lines()
        yield f"{self.target} = {self.text}"


@dataclass(frozen=True)
class Program:
    """A function of arrays.

    Attributes
    ----------
    params, values
        Names and arguments.
    statements, results
        What is computed, and which of the names are returned.
    transforms
        Names of functions in `helpers` that make another function of it, innermost first.
    """

    params: tuple[str, ...]
    values: tuple[Any, ...]
    statements: tuple[Statement, ...]
    results: tuple[str, ...]
    transforms: tuple[str, ...] = ()

    @property
    def portable(self) -> bool:
        """Whether the program means the same in JAX: other dtypes promote otherwise, slopes at infinity are others."""
        dtypes = {np.asarray(v).dtype.name for v in self.values} | {s.dtype for s in every(self.statements)}
        return dtypes <= PORTABLE and all(s.portable for s in every(self.statements)) and self._finite

    @property
    def _finite(self) -> bool:
        return all(np.isfinite(v).all() for v in self.values)

    def text(self, name: str = "f") -> str:
        """The function and its transformations, as Python."""
        lines = [f"def {name}({', '.join(self.params)}):"]
        lines += [f"    {line}" for s in self.statements for line in s.lines()]
        lines.append(f"    return ({' '.join(f'{r},' for r in self.results)})")
        smooth = tuple(k for k, v in enumerate(self.values) if helpers.is_smooth(v))
        for transform in self.transforms:
            lines.append(f"{name} = {transform}({name}, {smooth})")
        return "\n".join(lines)

    def changed(self, **changes: Any) -> Program:
        """A copy with some fields replaced."""
        return replace(self, **changes)


def every(statements: tuple[Statement, ...]) -> Iterator[Statement]:
    """The statements, those of bodies too."""
    for statement in statements:
        yield statement
        for body in statement.bodies:
            yield from every(body.statements)


@dataclass(frozen=True)
class Case:
    """Programs that are compiled together."""

    programs: tuple[Program, ...]
    label: str = field(default="", compare=False)

    @property
    def values(self) -> tuple[Any, ...]:
        """The arguments of all."""
        return tuple(v for p in self.programs for v in p.values)

    def text(self) -> str:
        """``main(*arguments)`` returns the tuple of all results."""
        parts = [p.text(f"f{k}") for k, p in enumerate(self.programs)]
        calls, first = [], 0
        for k, p in enumerate(self.programs):
            calls.append(f"f{k}(*a[{first}:{first + len(p.values)}])")
            first += len(p.values)
        return "\n".join([*parts, f"def main(*a):\n    return ({' '.join(f'{c},' for c in calls)})"])

    def function(self, library: str = "funcgrad") -> Any:
        """``main`` as a function of funcgrad, or of JAX."""
        names = dict(helpers.namespace(library))
        exec(compile(self.text(), f"<{self.label or 'case'}>", "exec"), names)
        return names["main"]

    def script(self) -> str:
        """A whole file that shows results of the interpreter and of compiled code."""
        arguments = ",\n    ".join(literal(v) for v in self.values)
        return (
            "import numpy\n\nimport funcgrad as fg\nfrom funcgrad.ir.interpret import interpret\n"
            "from tests.fuzz.helpers import namespace\n\nglobals().update(namespace())\n\n\n"
            f"{self.text()}\n\n\narguments = [\n    {arguments},\n]\n"
            "print(interpret(fg.make_jaxpr(main)(*arguments), arguments))\nprint(fg.jit(main)(*arguments))\n"
        )


def literal(value: Any) -> str:
    """A Python expression for an argument, in its layout."""
    if not isinstance(value, np.ndarray):
        return repr(value) if isinstance(value, (bool, int, float, complex)) else f"numpy.{value.dtype}({value.item()})"
    native = np.asarray(value, value.dtype.newbyteorder("="))
    flat = native.reshape(-1)
    if native.dtype.name == "bfloat16":
        numbers = f"numpy.array({flat.astype(np.float32).tolist()}).astype(np.bfloat16)"
    else:
        numbers = f"numpy.array({flat.tolist()}, {native.dtype.name!r})"
    text = f"{numbers}.reshape({value.shape})" if value.ndim != 1 or not value.size else numbers
    if not value.dtype.isnative:
        text += f".astype({value.dtype.str!r})"
    if not value.flags.c_contiguous:
        text += f"  # strides {value.strides}"
    text = text.replace("nan", "numpy.nan").replace("inf", "numpy.inf")
    return textwrap.fill(text, 110, subsequent_indent="        ", break_long_words=False, break_on_hyphens=False)
