"""What does a listing mean?  The canonical text (`ir.printer`), read again: ``str(parse_program(text)) == text``."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np

from funcgrad.errors import at_line
from funcgrad.ir.primitive import Primitive, registry
from funcgrad.ir.printer import DTYPES, records
from funcgrad.ir.program import Atom, Equation, Literal, Program, Var
from funcgrad.ir.types import NAMES, ArrayType
from funcgrad.tracebacks import boundary

NUMBER = r"(?:inf|nan|\d+(?:\.\d*)?(?:e[+-]?\d+)?)"
TOKENS = re.compile(
    "|".join(
        (
            r"(?P<skip>(?:\s+|\#[^\n]*)+)",
            r"(?P<string>'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\")",
            r"(?P<object>@[\w<>.\#-]+)",
            r"(?P<hole>%\d+)",
            rf"(?P<number>\(-?{NUMBER}[+-]{NUMBER}j\)|-?{NUMBER}j?(?![\w.]))",
            r"(?P<type>(?:bool|bf16|[iufc]\d+)\[[\d,]*\]\*?)",
            r"(?P<word>(?:[^\W\d]|[<_])[\w<>]*(?:\.[\w<>]+)*)",
            r"(?P<sign>[{}();,:=\[\].])",
            r"(?P<other>.)",
        )
    )
)
WORDS = {"True": True, "False": False, "None": None}
NAMED_TYPES = {name: dtype for dtype, name in NAMES.items()}
Constants = Iterable[Any] | Callable[[ArrayType], Any]


class Token(NamedTuple):
    """A word of the text, and where it begins."""

    kind: str
    text: str
    start: int


class Hole(NamedTuple):
    """Stands for a program inside a parameter until that program is read."""

    name: str


@boundary
def parse_program(text: str, constants: Constants | None = None, objects: Mapping[str, Any] | None = None) -> Program:
    """The program that a listing shows; any white space will do, and ``#`` begins a comment.

    Parameters
    ----------
    text
        As `print_program` writes it, or `Program.as_text`.
    constants
        The arrays behind the variables in front of the semicolon, for listings without their values: in the order of
        the text, or a function that makes one for a type. Values in the text go first.
    objects
        The Python objects (rules, callbacks) that the text names as ``@name``; see `python_objects`.

    Returns
    -------
    Program
        It is checked: types are those that the primitives infer.

    Raises
    ------
    SyntaxError
        With line and column: for what is no listing, an operation that there is not, variables that are not defined
        or defined twice, parameters and types that do not go together.
    ValueError
        If a constant or an object is not given.

    Examples
    --------
    >>> program = parse_program("{ lambda ; a:f64[3]. let b:f64[3] = sin a in (b,) }")
    >>> print(program)
    { lambda ; a:f64[3]. let
        b:f64[3] = sin a
      in (b,) }
    """
    reader = Reader(text, constants, objects or {})
    program = reader.program()
    if reader.token.kind != "end":
        reader.fail(f"expected the end of the text, not {reader.token.text!r}")
    return program


class Reader:
    """Reads a listing by recursive descent, one token ahead.

    Attributes
    ----------
    token
        The next token.
    """

    def __init__(self, text: str, constants: Constants | None, objects: Mapping[str, Any]) -> None:
        self.source, self.objects = text, objects
        self._constant = constants if callable(constants) else _in_turn(constants)
        self._tokens = [*self._split(text), Token("end", "", len(text.rstrip()))]
        self._place = 0

    def _split(self, text: str) -> Iterator[Token]:
        for found in TOKENS.finditer(text):
            kind = str(found.lastgroup)
            token = Token(kind, found[0], found.start())
            if kind == "other":
                self.fail(f"{token.text!r} means nothing in a listing", token)
            if kind != "skip":
                yield token

    @property
    def token(self) -> Token:
        """The next one."""
        return self._tokens[self._place]

    def _ahead(self, count: int) -> Token:
        return self._tokens[min(self._place + count, len(self._tokens) - 1)]

    def fail(self, message: str, token: Token | None = None) -> NoReturn:
        """Raise a `SyntaxError` at a token, the next one by default."""
        start = (token or self.token).start
        line = self.source.count("\n", 0, start) + 1
        first = self.source.rfind("\n", 0, start) + 1
        shown = self.source[first:].partition("\n")[0]
        error = SyntaxError(message, ("<listing>", line, start - first + 1, shown))
        error.msg = f"{message} (line {line}, column {start - first + 1})"
        raise error

    def take(self, *texts: str) -> Token:
        """The next token, which is one of some texts."""
        if self.token.text not in texts or self.token.kind not in ("sign", "word"):
            found = repr(self.token.text) if self.token.text else "the end of the text"
            self.fail(f"expected {' or '.join(map(repr, texts))}, not {found}")
        return self.next()

    def next(self) -> Token:
        """The next token."""
        token = self.token
        self._place += 1
        return token

    def kind(self, kind: str, meaning: str) -> Token:
        """The next token, which is of some kind."""
        if self.token.kind != kind:
            found = repr(self.token.text) if self.token.text else "the end of the text"
            self.fail(f"expected {meaning}, not {found}")
        return self.next()

    def _is(self, text: str, ahead: int = 0) -> bool:
        token = self._ahead(ahead)
        return token.kind in ("sign", "word") and token.text == text

    # Programs ---------------------------------------------------------------------------------------------------------

    def program(self) -> Program:
        """``{ lambda constants ; inputs. let equations in (outputs) }``."""
        self.take("{")
        self.take("lambda")
        names: dict[str, Var] = {}
        constants = {}
        while not self._is(";"):
            start = self.token
            v = self._binding(names)
            constants[v] = self._elements(v) if self._is("=") else self._given(v, start)
        self.take(";")
        inputs = []
        while not self._is("."):
            inputs.append(self._binding(names))
        self.take(".")
        self.take("let")
        equations = []
        while not self._is("in"):
            equations.append(self._equation(names))
        self.take("in")
        outputs = self._outputs(names)
        self.take("}")
        return Program(tuple(inputs), tuple(equations), outputs, constants)

    def _outputs(self, names: dict[str, Var]) -> tuple[Atom, ...]:
        self.take("(")
        outputs = []
        while not self._is(")"):
            outputs.append(self._atom(names))
            if not self._is(")"):
                self.take(",")
        self.take(")")
        return tuple(outputs)

    def _binding(self, names: dict[str, Var]) -> Var:
        """``a:f64[3]``."""
        word = self.kind("word", "a variable")
        if word.text in names:
            self.fail(f"the variable {word.text!r} is defined twice", word)
        self.take(":")
        v = names[word.text] = Var(self._type())
        return v

    def _type(self) -> ArrayType:
        token = self.kind("type", "a type like f64[3]")
        name, _, rest = token.text.partition("[")
        extents, _, weak = rest.partition("]")
        if name not in NAMED_TYPES or (extents and not all(extents.split(","))):
            self.fail(f"{token.text!r} is no type", token)
        return ArrayType(tuple(map(int, extents.split(","))) if extents else (), NAMED_TYPES[name], weak == "*")

    def _given(self, v: Var, token: Token) -> np.ndarray:
        value = self._constant(v.type)
        if value is None:
            line = self.source.count("\n", 0, token.start) + 1
            raise ValueError(
                f"the listing has no value for the constant {token.text}:{v.type} (line {line}): pass constants=, or "
                "print the program with values=True"
            )
        array = np.asarray(value)
        if array.shape != v.type.shape or array.dtype != v.type.dtype:
            self.fail(f"the constant {token.text}:{v.type} was given an array {array.shape} of {array.dtype}", token)
        return array

    def _elements(self, v: Var) -> np.ndarray:
        """``=[1.0,2.0]``."""
        start = self.take("=")
        self.take("[")
        values = []
        while not self._is("]"):
            values.append(self._scalar(v.type))
            if not self._is("]"):
                self.take(",")
        self.take("]")
        if len(values) != v.type.size:
            self.fail(f"{len(values)} values for a constant of type {v.type}", start)
        return np.array(values, v.type.dtype).reshape(v.type.shape)

    def _atom(self, names: dict[str, Var]) -> Atom:
        """A variable, or a number with its type."""
        token = self.token
        if token.kind == "word" and token.text not in WORDS and not (self._is(":", 1)):
            if token.text not in names:
                self.fail(f"the variable {token.text!r} is not defined")
            return names[self.next().text]
        after = 2 if self._ahead(2).kind == "type" else 0
        if token.kind not in ("number", "word") or not after:
            self.fail(f"expected a variable or a number with its type, not {token.text!r}")
        literal = self._tokens[self._place + 2]
        value = self.next()
        self.take(":")
        kind = self._type()
        if kind.shape:
            self.fail("numbers in a program have no axes", literal)
        return Literal(self._number(value, kind), kind)

    def _scalar(self, kind: ArrayType) -> np.generic:
        return self._number(self.next(), kind)

    def _number(self, token: Token, kind: ArrayType) -> np.generic:
        """A number of a dtype, exactly."""
        value = (
            WORDS.get(token.text) if token.kind == "word" else _value(token.text) if token.kind == "number" else None
        )
        if value is None:
            self.fail(f"{token.text!r} is no number", token)
        dtype = kind.dtype
        fits = {"b": bool, "i": int, "u": int, "c": complex | float}.get(dtype.kind, float)
        if not isinstance(value, fits) or (dtype.kind in "iu" and isinstance(value, bool)):
            self.fail(f"{token.text!r} is no number of type {kind}", token)
        try:
            return dtype.type(value)  # type: ignore[no-any-return]
        except OverflowError:
            self.fail(f"{token.text} is out of range for {kind}", token)

    # Equations --------------------------------------------------------------------------------------------------------

    def _equation(self, names: dict[str, Var]) -> Equation:
        """``b:f64[3] = name[params] operands``, and the programs that it holds."""
        new: dict[str, Var] = {}
        start = self.token
        if self._is("_"):
            self.next()
        else:
            while not self._is("=") or not new:
                word = self.token
                self._binding(new)
                if word.text in names:
                    self.fail(f"the variable {word.text!r} is defined twice", word)
        self.take("=")
        primitive = self._primitive()
        params = self._params() if self._is("[") else {}
        inputs = []
        while self._operand_follows():
            inputs.append(self._atom(names))
        self._inner(params, start)
        names |= new
        equation = Equation(primitive, tuple(inputs), tuple(new.values()), params)
        self._check(equation, start)
        return equation

    def _primitive(self) -> Primitive:
        word = self.kind("word", "an operation")
        if word.text not in registry:
            near = difflib.get_close_matches(word.text, registry, 1)
            self.fail(f"there is no operation {word.text!r}{f'; did you mean {near[0]!r}?' if near else ''}", word)
        return registry[word.text]

    def _operand_follows(self) -> bool:
        """Whether no new equation begins, no inner program, and not the end."""
        if self.token.kind == "number":
            return True
        if self.token.kind != "word" or self.token.text == "in" or self._is("=", 1):
            return False
        if self.token.text in WORDS:
            return True
        return not self._is(":", 1) and not self._title()

    def _title(self) -> tuple[str, int | None] | None:
        """``program={``, ``branches[0]={``, ``%0={``: the key and the place in a tuple, if an inner program begins."""
        if self._is("=", 1) and self._is("{", 2) and self.token.kind in ("word", "hole"):
            return self.token.text, None
        if self.token.kind == "word" and self._is("[", 1) and self._ahead(2).kind == "number" and self._is("]", 3):
            return self.token.text, int(self._ahead(2).text)
        return None

    def _inner(self, params: dict[str, Any], start: Token) -> None:
        tuples: dict[str, list[Program]] = {}
        holes: dict[str, Program] = {}
        while (title := self._title()) is not None:
            (key, number), token = title, self.token
            self._place += 1 if number is None else 4
            self.take("=")
            program = self.program()
            if number is not None:
                if number != len(tuples.setdefault(key, [])):
                    self.fail(f"{key}[{len(tuples[key])}] is missing", token)
                tuples[key].append(program)
            elif token.kind == "hole":
                holes[key] = program
            else:
                params[key] = program
        params |= {key: tuple(programs) for key, programs in tuples.items()}
        for key, value in params.items():
            params[key] = self._filled(value, holes, start)

    def _filled(self, value: Any, holes: dict[str, Program], start: Token) -> Any:
        """A parameter with the programs that belong into it."""
        if isinstance(value, Hole):
            if value.name not in holes:
                self.fail(f"the program {value.name} is missing", start)
            return holes[value.name]
        if isinstance(value, tuple) and not isinstance(value, ArrayType):
            items = [self._filled(x, holes, start) for x in value]
            return tuple(items) if type(value) is tuple else type(value)(*items)
        return value

    def _check(self, equation: Equation, start: Token) -> None:
        """The types of the outputs are what the operation gives."""
        primitive, types = equation.primitive, tuple(a.type for a in equation.inputs)
        if primitive.operands is not None and len(types) != primitive.operands:
            self.fail(f"{primitive.name} takes {primitive.operands} operands, not {len(types)}", start)
        try:
            found = primitive.output_types(types, dict(equation.params))
        except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
            reason = str(error).partition("\n")[0]
            self.fail(f"{primitive.name} does not take these operands and parameters: {reason}", start)
        declared = [v.type for v in equation.outputs]
        if [t[:2] for t in declared] != [t[:2] for t in found]:
            self.fail(
                f"{primitive.name} gives {' '.join(map(str, found))}, not {' '.join(map(str, declared)) or 'nothing'}",
                start,
            )

    # Parameters -------------------------------------------------------------------------------------------------------

    def _params(self) -> dict[str, Any]:
        self.take("[")
        params: dict[str, Any] = {}
        while not self._is("]"):
            word = self.kind("word", "a parameter")
            if word.text in params:
                self.fail(f"the parameter {word.text!r} is given twice", word)
            self.take("=")
            params[word.text] = self._param()
        self.take("]")
        return params

    def _param(self) -> Any:
        token = self.token
        if token.kind == "type":
            return self._type()
        if self._is("("):
            return self._items()
        if token.kind == "word" and self._is("(", 1):
            return self._record()
        self.next()
        if token.kind == "word":
            return WORDS[token.text] if token.text in WORDS else DTYPES.get(token.text, token.text)
        if token.kind == "number":
            return _value(token.text)
        if token.kind == "string":
            return self._string(token)
        if token.kind == "hole":
            return Hole(token.text)
        if token.kind == "object":
            return self._object(token)
        return self.fail(f"expected the value of a parameter, not {token.text!r}", token)

    def _string(self, token: Token) -> str:
        try:
            return str(ast.literal_eval(token.text))
        except (SyntaxError, ValueError):
            self.fail(f"{token.text} is no text", token)

    def _object(self, token: Token) -> Any:
        name = token.text[1:]
        if name not in self.objects:
            line = self.source.count("\n", 0, token.start) + 1
            raise ValueError(
                f"{token.text} (line {line}) is a Python object (a rule, a callback, a policy), which no text holds: "
                f"pass objects={{{name!r}: ...}} (see python_objects){at_line()}"
            )
        return self.objects[name]

    def _items(self) -> tuple[Any, ...]:
        self.take("(")
        items = []
        while not self._is(")"):
            items.append(self._param())
            if not self._is(")"):
                self.take(",")
        self.take(")")
        return tuple(items)

    def _record(self) -> Any:
        """``Name(field=value,...)``."""
        name = self.next()
        if name.text not in records:
            self.fail(f"there is no parameter of the kind {name.text!r}", name)
        self.take("(")
        fields = {}
        while not self._is(")"):
            key = self.kind("word", "a field").text
            self.take("=")
            fields[key] = self._param()
            if not self._is(")"):
                self.take(",")
        self.take(")")
        try:
            return records[name.text](**fields)
        except TypeError as error:
            self.fail(f"{name.text}: {error}", name)


def _in_turn(constants: Iterable[Any] | None) -> Callable[[ArrayType], Any]:
    given = iter(() if constants is None else constants)
    return lambda kind: next(given, None)


def _value(text: str) -> complex | float | int:
    """A number as Python writes it."""
    if text.endswith(("j", "j)")):
        return complex(text)
    return float(text) if re.search(r"[.en]", text) else int(text)
