"""How does a program read?  Canonical text in JAX's notation: equal programs have equal listings::

    { lambda ; a:f64[3]. let
        b:f64[3] = sin a
      in (b,) }

`ir.parser` reads it again. A program is taken apart into a `Listing` of spans, which `ir.display` draws for people too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from funcgrad import dtypes
from funcgrad.ir.types import ArrayType

if TYPE_CHECKING:
    from funcgrad.ir.program import Atom, Equation, Program, Var

T = TypeVar("T", bound=tuple[Any, ...])
LETTERS = "abcdefghijklmnopqrstuvwxyz"
NUMBERS = ("inf", "nan", "infj", "nanj")
RESERVED = frozenset({"in", "let", "lambda", "_", "True", "False", "None", *NUMBERS})
DTYPES = {dtype.name: dtype for dtype in dtypes.ALL}
BARE = re.compile(r"(?:[^\W\d]|<)[\w<>.]*")  # texts that need no quotes, unless they mean something else
OBJECT = re.compile(r"[\w<>.#-]+")
records: dict[str, type[tuple[Any, ...]]] = {}
"""Named tuples that parameters may be, by name."""


def record(cls: type[T]) -> type[T]:
    """Class decorator: parameters of this named tuple are printed with its name and fields, and parsed."""
    records[cls.__name__] = cls
    return cls


class Span(NamedTuple):
    """A piece of a listing, and what it is: name, type, operation, key, value, number, title, or nothing of these."""

    kind: str
    text: str


Spans = list[Span]
SPACE, COMMA = Span("", " "), Span("", ", ")


class Row(NamedTuple):
    """An equation: what stands on the left of the sign and on the right, its line, and the programs that it holds."""

    left: Spans
    right: Spans
    source: str
    inner: list[tuple[str, Listing]]


class Listing(NamedTuple):
    """A program, taken apart.

    Attributes
    ----------
    constants, inputs, outputs
        Each a list of spans.
    rows
        The equations.
    """

    constants: list[Spans]
    inputs: list[Spans]
    rows: list[Row]
    outputs: list[Spans]


def print_program(program: Program, source: bool = False, values: bool = False) -> str:
    """The listing of `program`.

    Parameters
    ----------
    program
        Any.
    source
        Whether each equation carries the user's line, as a comment.
    values
        Whether constants carry their elements, so that the text is all of the program.

    Returns
    -------
    str
        Several lines.

    Examples
    --------
    >>> import funcgrad as fg
    >>> print(fg.make_jaxpr(lambda x: x * 2 + 1)(1.0))
    { lambda ; a:f64[]*. let
        b:f64[]* = mul a 2.0:f64[]*
        c:f64[]* = add b 1.0:f64[]*
      in (c,) }
    """
    return Writer(source=source, values=values).print(program)


def python_objects(program: Program) -> dict[str, Any]:
    """What no text can hold, rules and callbacks of the user's, by the names that stand in the listing (behind ``@``).

    Returns
    -------
    dict
        From a name to an object; `parse_program` takes it.

    Examples
    --------
    >>> import funcgrad as fg
    >>> def shown(x):
    ...     print(x)
    >>> program = fg.make_jaxpr(lambda x: fg.debug.callback(shown, x))(1.0)
    >>> list(python_objects(program))
    ['shown']
    """
    writer = Writer()
    writer.listing(program)
    return dict(writer.objects.values())


def _names(taken: frozenset[str] = RESERVED) -> Iterator[str]:
    number = 0
    while True:
        name, n = "", number
        while True:
            name = LETTERS[n % 26] + name
            n = n // 26 - 1
            if n < 0:
                break
        if name not in taken:
            yield name
        number += 1


def _joined(spans: Spans) -> str:
    return "".join([span.text for span in spans])


def _lines(listing: Listing) -> list[str]:
    constants = " ".join(map(_joined, listing.constants))
    inputs = " ".join(map(_joined, listing.inputs))
    lines = [f"{{ lambda {constants}{' ' if constants else ''}; {inputs}. let"]
    for row in listing.rows:
        comment = f"  # {row.source}" if row.source else ""
        lines.append(f"    {_joined(row.left)} = {_joined(row.right)}{comment}")
        for title, inner in row.inner:
            first, *rest = _lines(inner)
            lines += [f"      {title}={first}", *(f"      {text}" for text in rest)]
    outputs = ", ".join(map(_joined, listing.outputs)) + ("," if len(listing.outputs) == 1 else "")
    return [*lines, f"  in ({outputs}) }}"]


class Writer:
    """Takes programs apart; names for Python objects are the same in all of them.

    Attributes
    ----------
    source, values
        See `print_program`.
    named
        Whether variables have the names that the user gave them, where those are known.
    names
        These names; programs inside have the names that the whole one knows.
    objects
        Python objects with their names, by id.
    """

    def __init__(self, source: bool = False, values: bool = False, named: bool = False) -> None:
        self.source, self.values, self.named = source, values, named
        self.names: Mapping[Var, str] = {}
        self.objects: dict[int, tuple[str, Any]] = {}
        self._taken: set[str] = set()

    def print(self, program: Program) -> str:
        """The canonical text."""
        return "\n".join(_lines(self.listing(program)))

    def listing(self, program: Program) -> Listing:
        """A program, taken apart."""
        if self.named and program.names:
            self.names = program.names
        given = self.names
        names: dict[Var, str] = {}
        fresh = _names(RESERVED.union(given.values()))

        def bind(v: Var) -> Spans:
            names[v] = given.get(v) or next(fresh)
            return [Span("name", names[v]), Span("type", f":{v.type}")]

        constants = [[*bind(v), *self._elements(value)] for v, value in program.constants.items()]
        inputs = [bind(v) for v in program.inputs]

        def read(a: Atom) -> Spans:
            if a in names:
                return [Span("name", names[a])]
            if not hasattr(a, "text"):
                return [Span("name", "?"), Span("type", f":{a.type}")]  # nothing defines it: see `ir.check`
            number, _, kind = a.text().rpartition(":")
            return [Span("number", number), Span("type", f":{kind}")]

        rows = []
        for equation in program.equations:
            right, inner = self._operation(equation)
            for a in equation.inputs:  # before the outputs get their names
                right += [SPACE, *read(a)]
            left: Spans = []
            for v in equation.outputs:
                left += [SPACE, *bind(v)]
            where = str(equation.source) if self.source and equation.source is not None else ""
            rows.append(Row(left[1:] or [Span("name", "_")], right, where, inner))
        return Listing(constants, inputs, rows, [read(a) for a in program.outputs])

    def _elements(self, value: np.ndarray) -> Spans:
        if not self.values:
            return []
        return [Span("number", f"=[{','.join(repr(x) for x in value.ravel().tolist())}]")]

    def _operation(self, equation: Equation) -> tuple[Spans, list[tuple[str, Listing]]]:
        """The name of the primitive with its parameters, and the programs among these."""
        spans = [Span("operation", equation.primitive.name)]
        if not equation.params:
            return spans, []
        whole = inner_programs(equation.params)
        inner = [(title, self.listing(program)) for _, title, program in whole]
        skipped = {key for key, _, _ in whole}
        texts: Spans = []
        for key, value in sorted(equation.params.items()):
            if key not in skipped:
                texts += [SPACE, Span("key", f"{key}="), Span("value", self.text(value, inner))]
        return spans + ([Span("", "["), *texts[1:], Span("", "]")] if texts else []), inner

    def text(self, value: Any, inner: list[tuple[str, Listing]]) -> str:
        """A parameter; programs deep inside go to `inner`, and a number stands for each."""
        if isinstance(value, np.dtype):
            return value.name
        if isinstance(value, ArrayType):
            return str(value)
        if isinstance(value, tuple):
            kind = type(value).__name__
            if type(value) is tuple:
                return "(" + ",".join([self.text(x, inner) for x in value]) + ("," if len(value) == 1 else "") + ")"
            if records.get(kind) is type(value):
                pairs = zip(value._fields, value, strict=True)  # type: ignore[attr-defined]
                return f"{kind}({','.join([f'{name}={self.text(x, inner)}' for name, x in pairs])})"
        if isinstance(value, str):
            plain = BARE.fullmatch(value) and value not in RESERVED and value not in DTYPES
            return str(value) if plain else repr(str(value))
        if hasattr(value, "equations"):
            inner.append((f"%{len(inner)}", self.listing(value)))
            return inner[-1][0]
        if isinstance(value, np.number | np.bool_):
            value = value.item()
        if value is None or isinstance(value, bool | int | float | complex):
            return repr(value)
        return f"@{self._object(value)}"

    def _object(self, value: Any) -> str:
        """The name of a Python object: its own, with a number if another one has it too."""
        if id(value) not in self.objects:
            own = getattr(value, "__name__", None) or repr(value)
            own = own if OBJECT.fullmatch(own) else type(value).__name__
            name, number = own, 1
            while name in self._taken:
                name, number = f"{own}.{number}", number + 1
            self._taken.add(name)
            self.objects[id(value)] = name, value
        return self.objects[id(value)][0]


def inner_programs(params: Mapping[str, Any]) -> list[tuple[str, str, Program]]:
    """The programs among the parameters of an equation, alone or in a tuple: key, title, and program."""
    found = []
    for key, value in sorted(params.items()):
        if hasattr(value, "equations"):
            found.append((key, key, value))
        elif type(value) is tuple and value and all(hasattr(x, "equations") for x in value):
            found += [(key, f"{key}[{k}]", program) for k, program in enumerate(value)]
    return found


def all_equations(equations: Iterable[Equation]) -> Iterator[Equation]:
    """Equations, and those of the programs among their parameters, at any depth."""
    for equation in equations:
        yield equation
        for _, _, program in inner_programs(equation.params):
            yield from all_equations(program.equations)


def param_text(value: Any) -> str:
    """A parameter of an equation as it stands in listings."""
    return Writer().text(value, [])
