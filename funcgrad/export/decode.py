"""How is a program read, and what is checked?  Everything that `funcgrad.ir.check` asks for, and that it is no trap.

Values are numbered, so that each is defined once and before it is read; programs refer only to earlier ones, so that
they end. Every type is inferred again by the primitive's own rule. Numbers, names, texts and sizes have limits, the
equations of inner programs count as often as they would be written out, and places that are read and written are within
bounds or are checked when the program runs (`funcgrad.export.bounds`).
"""

from __future__ import annotations

from collections.abc import Sequence
from types import CodeType
from typing import Any

import numpy as np

from funcgrad.control.bodies import program_of
from funcgrad.errors import SourceLocation
from funcgrad.export.bounds import Ranges, checks
from funcgrad.export.container import ExportError, checked_shape, dtype_of, from_little, refuse
from funcgrad.export.encode import DEEPEST, MOST_EQUATIONS, inner_programs
from funcgrad.export.params import PARAMETERS, PLAIN, read_params
from funcgrad.ir.primitive import Primitive, registry
from funcgrad.ir.program import Atom, Equation, Literal, Program, Var
from funcgrad.ir.types import ArrayType

MOST_TEXT = 4096
MOST_GROUPS, MOST_POSITIONS = 1 << 16, 1 << 22  # heads and sequences of attention
Json = Any


def read_body(body: Json, arrays: Sequence[np.ndarray]) -> Program:
    """The function that a body holds.

    Raises
    ------
    ExportError
        For anything that `funcgrad.export.encode` would not have written.
    """
    reader = _Reader(body, arrays)
    for data in _list(body, "programs"):
        reader.read(data)
    if not reader.programs:
        refuse("there is no program")
    return reader.programs[-1]


class _Reader:
    def __init__(self, body: Json, arrays: Sequence[np.ndarray]) -> None:
        if not isinstance(body, dict) or set(body) != {"primitives", "types", "lines", "programs"}:
            refuse("the program's parts are not those that it should have")
        self.arrays = arrays
        self.types = [read_type(data) for data in _list(body, "types")]
        self.lines = [_line(data) for data in _list(body, "lines")]
        self.primitives = [_primitive(name) for name in _list(body, "primitives")]
        self.programs: list[Program] = []
        self._costs: list[int] = []
        self._depths: list[int] = []
        self._numbers: dict[int, int] = {}

    def number(self, program: Program) -> int:
        """The number of a program that was read."""
        return self._numbers[id(program)]

    def program(self, number: Any) -> Program:
        """A program before this one."""
        return _item(self.programs, number, "program")  # type: ignore[no-any-return]

    def read(self, data: Json) -> None:
        """Read the next program."""
        if not isinstance(data, dict) or set(data) != {"inputs", "constants", "equations", "outputs"}:
            refuse("a program's parts are not those that it should have")
        inputs = tuple(Var(self._type(t)) for t in _list(data, "inputs"))
        values: list[Var] = list(inputs)
        constants, ranges = {}, Ranges()
        for entry in _list(data, "constants"):
            v, value = self._constant(entry)
            values.append(v)
            constants[v] = value
            ranges.constant(v, value)
        equations: list[Equation] = []
        cost, depth = 1, 1
        for entry in _list(data, "equations"):
            equation = self._equation(entry, values)
            before, equation = checks(equation, ranges)
            for one in (*before, equation):
                ranges.follow(one)
            equations += [*before, equation]
            values += equation.outputs
            inner = [self.number(p) for p in inner_programs(equation.params)]
            cost += 1 + sum(self._costs[k] for k in inner)
            depth = max([depth, *(self._depths[k] + 1 for k in inner)])
            if cost > MOST_EQUATIONS or depth > DEEPEST:
                refuse("programs within programs are too many or too deep")
        outputs = tuple(self._atom(a, values) for a in _list(data, "outputs"))
        program = Program(inputs, tuple(equations), outputs, constants)
        self._numbers[id(program)] = len(self.programs)
        self.programs.append(program)
        self._costs.append(cost)
        self._depths.append(depth)

    def _type(self, number: Any) -> ArrayType:
        return _item(self.types, number, "type")  # type: ignore[no-any-return]

    def _constant(self, entry: Json) -> tuple[Var, np.ndarray]:
        if not isinstance(entry, list) or len(entry) != 2:
            refuse("a constant is damaged")
        kind, value = self._type(entry[0]), _item(self.arrays, entry[1], "array")
        if value.shape != kind.shape or value.dtype != kind.dtype:
            refuse(f"a constant of type {kind} has an array of shape {value.shape} of {value.dtype.name}")
        return Var(kind), value

    def _atom(self, data: Json, values: list[Var]) -> Atom:
        if type(data) is int:
            return _item(values, data, "value")  # type: ignore[no-any-return]
        if not isinstance(data, list) or len(data) != 3 or not isinstance(data[1], str):
            refuse(f"{data!r:.40} is no value")
        kind = ArrayType((), dtype_of(data[0]), _flag(data[2]))
        return Literal(literal_value(data[1], kind.dtype), kind)

    def _equation(self, entry: Json, values: list[Var]) -> Equation:
        if not isinstance(entry, list) or len(entry) != 5 or not isinstance(entry[1], list):
            refuse("an equation is damaged")
        name, atoms, kinds, params, line = entry
        primitive: Primitive = _item(self.primitives, name, "primitive")
        inputs = tuple(self._atom(a, values) for a in atoms)
        declared = tuple(self._type(t) for t in (kinds if isinstance(kinds, list) else refuse("types are damaged")))
        source = None if line is None else _item(self.lines, line, "line")
        given = read_params(primitive.name, params, self)
        _check_types(primitive, [a.type for a in inputs], given, declared)
        return Equation(primitive, inputs, tuple(map(Var, declared)), given, source)


def read_type(data: Json) -> ArrayType:
    """A type."""
    if not isinstance(data, list) or len(data) != 3:
        refuse(f"{data!r:.60} is no type")
    dtype = dtype_of(data[0])
    return ArrayType(checked_shape(data[1], dtype), dtype, _flag(data[2]))


def literal_value(text: str, dtype: np.dtype) -> np.generic:
    """The number behind its bytes."""
    if len(text) != 2 * dtype.itemsize:
        refuse(f"{text!r:.40} is no number of {dtype.name}")
    try:
        value: Any = from_little(bytes.fromhex(text), dtype, ())[()]
    except ValueError:
        refuse(f"{text!r:.40} is no number of {dtype.name}")
    if dtype.kind == "b" and text not in ("00", "01"):
        refuse("a truth value is neither 0 nor 1")
    return value  # type: ignore[no-any-return]


def _list(data: Json, key: str) -> list[Json]:
    found = data.get(key) if isinstance(data, dict) else None
    if not isinstance(found, list):
        refuse(f"the list of {key} is missing")
    return found


def _item(items: Sequence[Any], number: Any, what: str) -> Any:
    if type(number) is not int or not 0 <= number < len(items):
        refuse(f"{number!r:.40} is no {what}: there are {len(items)}")
    return items[number]


def _flag(data: Json) -> bool:
    if type(data) is not int or data not in (0, 1):
        refuse(f"{data!r:.40} is neither 0 nor 1")
    return bool(data)


def _primitive(name: Any) -> Primitive:
    if not isinstance(name, str) or (name not in PLAIN and name not in PARAMETERS):
        refuse(f"{name!r:.60} is no operation that this funcgrad knows in files")
    return registry[name]


def _text(data: Any) -> str:
    if not isinstance(data, str) or len(data) > MOST_TEXT:
        refuse(f"{data!r:.60} is no text")
    return data if data.isprintable() else ascii(data)[1:-1]


def _nothing() -> None:
    """Whose code object lends its form to lines of files."""


def _line(data: Json) -> SourceLocation:
    """A line as text: a code object that is never run, whose names are the file's."""
    if not isinstance(data, list) or len(data) != 4 or type(data[2]) is not int or not 0 <= data[2] < 1 << 31:
        refuse(f"{data!r:.60} is no line")
    file, function, scope = _text(data[0]), _text(data[1]), _text(data[3])
    code: CodeType = _nothing.__code__.replace(co_filename=file, co_name=function, co_qualname=function)
    return SourceLocation(code, data[2], scope)


# Types ----------------------------------------------------------------------------------------------------------------


def _check_types(
    primitive: Primitive, types: list[ArrayType], params: dict[str, Any], declared: Sequence[ArrayType]
) -> None:
    name = primitive.name
    if primitive.operands is not None and len(types) != primitive.operands:
        refuse(f"{name} takes {primitive.operands} operands, not {len(types)}")
    try:
        _CHECKS.get(name, _no_check)(primitive, types, params)
        inferred = primitive.output_types(tuple(types), params)
    except ExportError:
        raise
    except Exception as error:  # a rule for types may stumble in any way over what no program holds
        raise ExportError(f"deserialize: an equation of {name} is wrong: {error}") from error
    if [(t.shape, t.dtype) for t in inferred] != [(t.shape, t.dtype) for t in declared]:
        refuse(f"the results of {name} have types {inferred}, but the file says {declared}")


def _no_check(primitive: Primitive, types: list[ArrayType], params: dict[str, Any]) -> None:
    """The primitive's own rule says it all."""


def _same(what: str, have: Sequence[ArrayType], want: Sequence[ArrayType]) -> None:
    if [(t.shape, t.dtype) for t in have] != [(t.shape, t.dtype) for t in want]:
        refuse(f"{what}: the operands have other types than the program takes")


def _check_call(primitive: Primitive, types: list[ArrayType], params: dict[str, Any]) -> None:
    _same(primitive.name, types, params["program"].input_types)


def _check_solve(primitive: Primitive, types: list[ArrayType], params: dict[str, Any]) -> None:
    solvers = params["solvers"]
    _check_call(primitive, types, params)
    constants = solvers.constants(types)
    used = sum(map(len, constants))
    if used + solvers.size != len(types):
        refuse("custom_linear_solve: there are more or fewer operands than functions read")
    for part, own in zip(solvers.parts, constants, strict=True):
        if part is not None:
            _same("custom_linear_solve", (*own, *types[used:]), part.program.input_types)
    _same("custom_linear_solve", params["program"].output_types, solvers.solve.program.output_types)


def _check_attention(primitive: Primitive, types: list[ArrayType], params: dict[str, Any]) -> None:
    """Its rule for types trusts its operands: what it computes is written out for them."""
    if any(t.ndim != n for t, n in zip(types, (5, 4, 4), strict=False)) or len(types) < 3:
        refuse(f"{primitive.name}: operands of other ranks")
    groups = types[0].shape[0] * types[0].shape[1]
    positions = (types[0].shape[3], types[1].shape[2], types[2].shape[2])
    if not 0 < groups <= MOST_GROUPS or 0 in types[0].shape or max(positions) > MOST_POSITIONS:
        refuse(f"{primitive.name}: too many heads or positions, or none")
    strong = [ArrayType(t.shape, t.dtype) for t in types]
    program = program_of(lambda *xs: primitive.reference(*xs, **params), strong)
    _same(primitive.name, program.output_types, primitive.output_types(tuple(types), params))


_CHECKS: dict[str, Any] = {
    "checkpoint": _check_call,
    "custom_linear_solve": _check_solve,
    "attention": _check_attention,
    "attention_backward": _check_attention,
}
