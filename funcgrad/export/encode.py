"""How does a program look as JSON?  Equations by their primitives' names, values by numbers, inner programs by number.

A *body* is a list of programs, the last of which is the function; a program refers to those before it. Here everything
is written where it stands; `packed` moves what repeats (names, types, lines) into tables.

=============  ========================================================================================
program        ``{"inputs": [type], "constants": [[type, array]], "equations": [...], "outputs": [atom]}``
equation       ``[name, [atom], [type of an output], {parameter: value}, line or null]``
atom           the number of a value: inputs first, then constants, then outputs of equations in order;
               or a literal ``[dtype, bytes in hexadecimal, weak]``
type           ``[dtype, [extent], weak]``
line           ``[file, function, number, scope]``
=============  ========================================================================================
"""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np

from funcgrad.errors import SourceLocation, at_line
from funcgrad.export.container import MOST_BYTES, ExportError, dtype_code, little
from funcgrad.export.params import DISSOLVED, LEFT_OUT, PARAMETERS, PLAIN, write_params
from funcgrad.ir.program import Atom, Equation, Literal, Program, Var
from funcgrad.ir.types import ArrayType

DEEPEST = 64  # programs within programs
MOST_EQUATIONS = 4_000_000  # of a program whose inner programs are all written out
Json = Any


class Rule(NamedTuple):
    """A derivative rule of the user's that a program has lost, and where it stood."""

    name: str
    line: SourceLocation | None


class Writer:
    """Writes programs.

    Attributes
    ----------
    regular
        Whether known arrays of equal numbers, or of numbers at equal distances, become equations: of another size, they
        are other arrays.
    body
        The programs that are written.
    arrays
        The constants.
    rules
        Derivative rules that cannot be written.
    """

    def __init__(self, regular: bool = False) -> None:
        self.regular = regular
        self.body: list[Json] = []
        self.arrays: list[np.ndarray] = []
        self.rules: list[Rule] = []
        self._numbers: dict[int, int] = {}
        self._kept: list[Program] = []  # so that ids stay their own
        self._costs: list[int] = []
        self._depth = 0

    def number(self, program: Program) -> int:
        """The number of a program, which is written if it is new."""
        found = self._numbers.get(id(program))
        if found is None:
            if self._depth >= DEEPEST:
                raise ExportError(f"export: functions are nested more than {DEEPEST} deep{at_line()}")
            self._depth += 1
            data, cost = self._program(program)
            self._depth -= 1
            if cost > MOST_EQUATIONS:
                raise ExportError(f"export: the program has more than {MOST_EQUATIONS} equations{at_line()}")
            found = self._numbers[id(program)] = len(self.body)
            self._kept.append(program)
            self.body.append(data)
            self._costs.append(cost)
        return found

    def program(self, number: int) -> Program:
        """A program that is written already."""
        return self._kept[number]

    def _program(self, program: Program) -> tuple[Json, int]:
        made = {v: _regular(x) for v, x in program.constants.items()} if self.regular else {}
        made = {v: equations for v, equations in made.items() if equations}
        kept = {v: x for v, x in program.constants.items() if v not in made}
        values = {v: number for number, v in enumerate((*program.inputs, *kept))}
        written: list[Json] = []
        count = len(values)
        for v, equations in made.items():
            for name, operands, params in equations:
                literals = [count - 1 if a is None else a for a in operands]
                written.append([name, literals, [write_type(v.type)], params, None])
                count += 1
            values[v] = count - 1
        cost = 1 + len(written)
        for equation in program.equations:
            written.append(self._equation(equation, values))
            cost += 1 + sum(self._costs[self._numbers[id(p)]] for p in inner_programs(equation.params))
            for v in equation.outputs:
                values[v] = count
                count += 1
        return {
            "inputs": [write_type(v.type) for v in program.inputs],
            "constants": [[write_type(v.type), self._array(value)] for v, value in kept.items()],
            "equations": written,
            "outputs": [_atom(a, values) for a in program.outputs],
        }, cost

    def _array(self, value: np.ndarray) -> int:
        for k, known in enumerate(self.arrays):
            if known is value:
                return k
        self.arrays.append(value)
        return len(self.arrays) - 1

    def _equation(self, equation: Equation, values: dict[Var, int]) -> Json:
        name, params, line = equation.primitive.name, equation.params, equation.source
        if name in LEFT_OUT:
            raise ExportError(
                f"export: {name} cannot leave this process: it calls Python code, or belongs to a vmap with a named "
                f"axis. Return what it needs from the function, and call it outside.{at_line(line)}"
            )
        if name in DISSOLVED:
            if name != "custom_vmap_call":
                self.rules.append(Rule(repr(params["rule"]), line))
            name, params = "jit", {"program": params["program"], "name": _name(params["rule"])}
        if name not in PLAIN and (name not in PARAMETERS or not params.keys() <= PARAMETERS[name].keys()):
            raise ExportError(f"export: {name} has no form in files{at_line(line)}")
        inputs = [_atom(a, values) for a in equation.inputs]
        types = [write_type(v.type) for v in equation.outputs]
        written = write_params(name, params, self)
        return [name, inputs, types, written, write_line(line)]


def inner_programs(params: Any) -> list[Program]:
    """The programs among parameters."""
    found: list[Program] = []
    for value in params.values():
        if isinstance(value, Program):
            found.append(value)
        elif isinstance(value, tuple) and value and isinstance(value[0], Program):
            found += value
        elif hasattr(value, "parts"):
            found += [part.program for part in value.parts if part is not None]
    return found


def _name(rule: Any) -> str:
    return repr(rule)[:200]


def write_type(t: ArrayType) -> Json:
    """A type."""
    if t.nbytes >= MOST_BYTES:
        raise ExportError(f"export: an array of type {t} is larger than any memory{at_line()}")
    return [dtype_code(t.dtype), list(map(operator.index, t.shape)), int(t.weak)]


def write_line(line: SourceLocation | None) -> Json:
    """A line of the user's, as text."""
    if line is None:
        return None
    return [line.code.co_filename, line.code.co_qualname, line.line, line.scope]


def _literal(value: np.generic, weak: bool = False) -> Json:
    return [dtype_code(value.dtype), little(np.asarray(value)).hex(), int(weak)]


def _regular(value: np.ndarray) -> list[tuple[str, list[Json], Json]]:
    """Equations that make a known array of numbers alike, or of numbers at equal distances along an axis; None among
    the operands stands for the equation before.
    """
    shape = list(value.shape)
    if not value.size or not shape:
        return []
    elements = value.reshape(-1)
    spread = {"shape": shape, "broadcast_dimensions": []}
    if elements[:1].tobytes() * value.size == value.tobytes():
        return [("broadcast_in_dim", [_literal(elements[0])], spread)]
    for axis, extent in enumerate(shape):
        line = value[tuple(slice(None) if k == axis else 0 for k in range(value.ndim))]
        if extent < 2 or value.dtype.kind not in "iuf":
            continue
        step = line[1] - line[0]
        counts = np.arange(extent).astype(value.dtype)
        along = (counts * step + line[0]).reshape([extent if k == axis else 1 for k in range(value.ndim)])
        if step and np.broadcast_to(along, value.shape).tobytes() == value.tobytes():
            count = {"dtype": dtype_code(value.dtype), "shape": shape, "dimension": axis}
            found: list[tuple[str, list[Json], Json]] = [("iota", [], count)]
            found += [("mul", [None, _literal(step)], {})] if step != 1 else []
            return found + ([("add", [None, _literal(line[0])], {})] if line[0] else [])
    return []


def _atom(atom: Atom, values: dict[Var, int]) -> Json:
    return _literal(atom.value, atom.type.weak) if isinstance(atom, Literal) else values[atom]


# Tables ---------------------------------------------------------------------------------------------------------------


class _Table:
    """Things by number; equal ones have one."""

    def __init__(self) -> None:
        self.items: list[Json] = []
        self._numbers: dict[str, int] = {}

    def number(self, item: Json) -> int:
        key = repr(item)
        found = self._numbers.setdefault(key, len(self.items))
        if found == len(self.items):
            self.items.append(item)
        return found


def packed(body: list[Json]) -> dict[str, Json]:
    """A body with names, types and lines in tables."""
    names, types, lines = _Table(), _Table(), _Table()
    programs = []
    for program in body:
        equations = [
            [names.number(n), inputs, [types.number(t) for t in outputs], params, line and lines.number(line)]
            for n, inputs, outputs, params, line in program["equations"]
        ]
        programs.append(
            {
                "inputs": [types.number(t) for t in program["inputs"]],
                "constants": [[types.number(t), array] for t, array in program["constants"]],
                "equations": equations,
                "outputs": program["outputs"],
            }
        )
    return {"primitives": names.items, "types": types.items, "lines": lines.items, "programs": programs}
