"""How does a program read?  Canonical text in JAX's notation: equal programs have equal listings.

{ lambda ; a:f64[3]. let
    b:f64[3] = sin a
  in (b,) }
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from funcgrad.ir.program import Atom, Equation, Program, Var

LETTERS = "abcdefghijklmnopqrstuvwxyz"
RESERVED = frozenset({"in", "let", "lambda"})


def print_program(program: Program, source: bool = False) -> str:
    """The listing of `program`; with `source`, each equation carries the user's line.

    Examples
    --------
    >>> import funcgrad as fg
    >>> print(fg.make_jaxpr(lambda x: x * 2 + 1)(1.0))
    { lambda ; a:f64[]*. let
        b:f64[]* = mul a 2.0:f64[]*
        c:f64[]* = add b 1.0:f64[]*
      in (c,) }
    """
    return "\n".join(_lines(program, source))


def _names() -> Iterator[str]:
    number = 0
    while True:
        name, n = "", number
        while True:
            name = LETTERS[n % 26] + name
            n = n // 26 - 1
            if n < 0:
                break
        if name not in RESERVED:
            yield name
        number += 1


def _lines(program: Program, source: bool) -> list[str]:
    fresh = _names()
    names: dict[Var, str] = {}

    def bind(v: Var) -> str:
        names[v] = next(fresh)
        return f"{names[v]}:{v.type}"

    def read(a: Atom) -> str:
        return names[a] if a in names else a.text()  # type: ignore[union-attr]

    constants = " ".join(bind(v) for v in program.constants)
    inputs = " ".join(bind(v) for v in program.inputs)
    lines = [f"{{ lambda {constants}{' ' if constants else ''}; {inputs}. let"]
    for equation in program.equations:
        lines += _equation_lines(equation, bind, read, source)
    outputs = ", ".join(map(read, program.outputs)) + ("," if len(program.outputs) == 1 else "")
    return [*lines, f"  in ({outputs}) }}"]


def _equation_lines(equation: Equation, bind: Any, read: Any, source: bool) -> list[str]:
    operands = " ".join(map(read, equation.inputs))  # before the outputs get their names
    left = " ".join(map(bind, equation.outputs)) or "_"
    params = {k: v for k, v in sorted(equation.params.items()) if v is not None}
    inner = inner_programs(params)
    simple = " ".join(f"{k}={param_text(v)}" for k, v in params.items() if k not in {key for key, _, _ in inner})
    name = equation.primitive.name + (f"[{simple}]" if simple else "")
    line = f"    {left} = {name} {operands}".rstrip()
    if source and equation.source is not None:
        line += f"  # {equation.source}"
    lines = [line]
    for _, title, value in inner:
        listing = _lines(value, source)
        lines += [f"      {title}={listing[0]}", *(f"      {text}" for text in listing[1:])]
    return lines


def inner_programs(params: Mapping[str, Any]) -> list[tuple[str, str, Program]]:
    """The programs among the parameters of an equation, alone or in a tuple: key, title, and program."""
    found = []
    for key, value in params.items():
        if hasattr(value, "equations"):
            found.append((key, key, value))
        elif isinstance(value, tuple) and value and hasattr(value[0], "equations"):
            found += [(key, f"{key}[{k}]", program) for k, program in enumerate(value)]
    return found


def param_text(value: Any) -> str:
    """A parameter of an equation as it stands in listings."""
    if isinstance(value, np.dtype):
        return value.name
    if isinstance(value, tuple):
        return "(" + ",".join(map(param_text, value)) + ("," if len(value) == 1 else "") + ")"
    return value if isinstance(value, str) else repr(value)
