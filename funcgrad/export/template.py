"""How does one program stand for all sizes?  By holes where those traced at several sizes differ.

A function is traced at several sizes. The programs must have the same equations; numbers in them that differ become
holes, each with the polynomial in the sizes that has these values at all samples, more of them than determine it. What
no polynomial describes is refused. For given sizes the holes are filled, and the program is checked as any other one.

A hole is ``{"@": number}``; the table of holes has ``["n", polynomial]`` for an integer and ``[form, polynomial, dtype,
weak]`` for a literal, with the forms ``n``, ``1/n``, ``sqrt``, ``1/sqrt`` and these with a minus sign.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, NoReturn

import numpy as np

from funcgrad.export.container import MOST_BYTES, ExportError, dtype_code, dtype_of, little, refuse
from funcgrad.export.decode import literal_value
from funcgrad.export.samples import Fitter
from funcgrad.export.sizes import Size, Sizes, read_size, text_of, write_size

Json = Any
HOLE = "@"
MOST_HOLES = 1 << 20
DENOMINATORS = (1, 64)
NUMBER = re.compile(r"(\d+)")

Form = tuple[Callable[[float], float], Callable[[Fraction], float]]


def _root(n: Fraction) -> float:
    return math.sqrt(float(n))


# name: (what a value says of n, the value for n)
FORMS: dict[str, Form] = {
    "n": (lambda v: v, float),
    "1/n": (lambda v: 1 / v, lambda n: float(1 / n)),
    "sqrt": (lambda v: v * v, _root),
    "1/sqrt": (lambda v: 1 / (v * v), lambda n: 1 / _root(n)),
}


class Differs(ExportError, section="exporterror"):
    """Programs at several sizes differ by more than numbers that polynomials describe."""


class Merger:
    """Makes one body of those at several sizes."""

    def __init__(self, fitter: Fitter) -> None:
        self.fitter = fitter
        self.holes: list[Json] = []
        self.sizes: dict[tuple[int, ...], Size] = {}  # values at the samples, and the polynomial
        self._holes: dict[Any, Json] = {}
        self.line: Json = None

    def bodies(self, bodies: Sequence[list[Json]]) -> list[Json]:
        """One body for all."""
        if len({len(body) for body in bodies}) > 1:
            self.fail("functions inside it are other ones", [len(body) for body in bodies])
        return [self._program(programs) for programs in zip(*bodies, strict=True)]

    def shapes(self, shapes: Sequence[Sequence[int]]) -> list[int | Size]:
        """An output's extents."""
        found: list[int | Size] = []
        for values in zip(*shapes, strict=True):
            size = self.size(values)
            found.append(size if size.constant is None else size.constant)
        return found

    def size(self, values: Sequence[int]) -> Size:
        """The polynomial with these values."""
        key = tuple(values)
        found = self.sizes.get(key)
        if found is None:
            terms = self.fitter.fit([Fraction(v) for v in values])
            if terms is None:
                self.fail("a number", values)
            found = self.sizes[key] = Size(terms)
        return found

    def fail(self, what: str, values: Sequence[Any]) -> NoReturn:
        """Refuse programs that differ."""
        pairs = list(zip(self.fitter.points, values, strict=True))
        shown = dict.fromkeys(f"{value!r:.40} for {text_of(sizes)}" for sizes, value in pairs)
        place = f"\n  at {self.line[0]}:{self.line[2]} (in {self.line[1]})" if self.line else ""
        raise Differs(
            f"export: the program differs from size to size in a way that no polynomial in the sizes describes: {what} "
            f"is {', '.join(list(shown)[:4])}. A constraint may help (such as 'b % 2 == 0' where sizes are halved), "
            f"and numbers that are made from the arguments' shapes; else export the function for each size{place}"
        )

    def _program(self, programs: Sequence[Json]) -> Json:
        first = programs[0]
        self.line = None
        self._alike("an input", [p["inputs"] for p in programs])
        equations = []
        for number in range(min(len(p["equations"]) for p in programs)):
            equations.append(self._equation([p["equations"][number] for p in programs]))
        self._alike("the number of equations", [p["equations"] for p in programs])
        self._alike("the number of results", [p["outputs"] for p in programs])
        constants = [p["constants"] for p in programs]
        if any(c != constants[0] for c in constants):
            self._constants(constants)
        return {
            "inputs": self._json("an input's type", [p["inputs"] for p in programs]),
            "constants": first["constants"],
            "equations": equations,
            "outputs": [self._atom(atoms) for atoms in zip(*(p["outputs"] for p in programs), strict=True)],
        }

    def _constants(self, constants: Sequence[Json]) -> NoReturn:
        self.fail("a known array (one that is not made from the arguments)", [str(c) for c in constants])

    def _alike(self, what: str, lists: Sequence[Sequence[Json]]) -> None:
        if len({len(items) for items in lists}) > 1:
            self.fail(what, [len(items) for items in lists])

    def _equation(self, equations: Sequence[Json]) -> Json:
        first = equations[0]
        self.line = first[4]
        if any(e[0] != first[0] or e[4] != first[4] for e in equations):
            self.fail("an operation", [e[0] for e in equations])
        self._alike("the number of operands", [e[1] for e in equations])
        atoms = [self._atom(group) for group in zip(*(e[1] for e in equations), strict=True)]
        types = self._json("a type", [e[2] for e in equations])
        return [first[0], atoms, types, self._json(f"a parameter of {first[0]}", [e[3] for e in equations]), first[4]]

    def _atom(self, atoms: Sequence[Json]) -> Json:
        first = atoms[0]
        if all(a == first for a in atoms):
            return first
        if not all(isinstance(a, list) and a[0] == first[0] and a[2] == first[2] for a in atoms):
            self.fail("an operand", [a if isinstance(a, int) else "a number" for a in atoms])
        key = (first[0], first[2], *(a[1] for a in atoms))
        found = self._holes.get(key)
        if found is None:
            found = self._holes[key] = self._literal(first, [a[1] for a in atoms])
        return found

    def _literal(self, first: Json, texts: Sequence[str]) -> Json:
        """A literal that is a function of sizes."""
        dtype = dtype_of(first[0])
        values: list[Any] = [literal_value(text, dtype) for text in texts]
        if dtype.kind in "bc":
            self.fail("a number", values)
        sign = "-" if all(v < 0 for v in values) else ""
        sizes = [abs(v) if sign else v for v in values]
        for form, (inverse, _) in FORMS.items():
            for largest in DENOMINATORS:
                size = self._fitted(inverse, sizes, largest)
                if size is not None and self._same(sign + form, size, dtype, texts):
                    return self._hole([sign + form, write_size(size), dtype_code(dtype), first[2]])
        self.fail("a number", values)

    def _fitted(self, inverse: Callable[[float], float], values: Sequence[Any], largest: int) -> Size | None:
        """The polynomial of which values say something, with denominators up to `largest` in what they say."""
        try:
            targets = [Fraction(inverse(float(v))).limit_denominator(largest) for v in values]
        except (ZeroDivisionError, OverflowError, ValueError):
            return None
        terms = self.fitter.fit(targets)
        return None if terms is None else Size(terms)

    def _same(self, form: str, size: Size, dtype: np.dtype, texts: Sequence[str]) -> bool:
        """Whether a form has all samples' literals, bit by bit."""
        try:
            return all(literal_text(form, size, dtype, p) == t for p, t in zip(self.fitter.points, texts, strict=True))
        except ExportError:
            return False

    def _json(self, what: str, values: Sequence[Json]) -> Json:
        """Types and parameters: integers may differ."""
        first = values[0]
        if all(type(v) is type(first) and v == first for v in values):
            return first
        if all(type(v) is int for v in values):
            return self._integer(what, values)
        if all(isinstance(v, list) for v in values):
            self._alike(f"the length of {what}", values)
            return [self._json(what, group) for group in zip(*values, strict=True)]
        if all(isinstance(v, dict) and v.keys() == first.keys() for v in values):
            return {key: self._json(f"{what} ({key})", [v[key] for v in values]) for key in first}
        if all(isinstance(v, str) for v in values):
            return self._text(what, [NUMBER.split(v) for v in values])
        self.fail(what, values)

    def _integer(self, what: str, values: Sequence[int]) -> Json:
        key = tuple(values)
        found = self._holes.get(key)
        if found is None:
            terms = self.fitter.fit([Fraction(v) for v in values])
            if terms is None:
                self.fail(what, values)
            self.sizes[key] = size = Size(terms)
            found = self._holes[key] = self._hole(["n", write_size(size)])
        return found

    def _text(self, what: str, parts: Sequence[list[str]]) -> Json:
        """Messages tell sizes."""
        if len({len(p) for p in parts}) > 1:
            self.fail(what, ["".join(p) for p in parts])
        found: list[Json] = []
        for number, group in enumerate(zip(*parts, strict=True)):
            same = all(text == group[0] for text in group)
            if not same and number % 2 == 0:
                self.fail(what, ["".join(p) for p in parts])
            found.append(group[0] if same else self._integer(what, list(map(int, group))))
        return {HOLE: found}

    def _hole(self, entry: Json) -> Json:
        self.holes.append(entry)
        return {HOLE: len(self.holes) - 1}


def literal_text(form: str, size: Size, dtype: np.dtype, sizes: Sizes) -> str:
    """A literal for given sizes, as bytes in hexadecimal."""
    n = size.fraction(sizes)
    try:
        if dtype.kind in "iu":
            if form not in ("n", "-n") or n.denominator != 1:
                raise ExportError(f"the number {size} is no integer for {text_of(sizes)}")
            value: Any = int(n)
        else:
            value = FORMS[form.removeprefix("-")][1](n)
        number = np.asarray(-value if form.startswith("-") else value).astype(dtype)
        if dtype.kind in "iu" and int(number) != (-value if form.startswith("-") else value):
            raise OverflowError
    except (ZeroDivisionError, ValueError, OverflowError) as error:
        if isinstance(error, ExportError):
            raise
        raise ExportError(f"the number {form} of n = {size} does not exist for {text_of(sizes)}") from error
    return little(number).hex()


# Holes are filled -----------------------------------------------------------------------------------------------------


class Holes:
    """A table of holes, as a file has it."""

    def __init__(self, data: Json, names: Sequence[str]) -> None:
        if not isinstance(data, list) or len(data) > MOST_HOLES:
            refuse("the table of holes is damaged")
        self.entries = [_read_hole(entry, names) for entry in data]

    def filled(self, body: Json, sizes: Sizes) -> Json:
        """A body for given sizes."""
        values = [_fill(entry, sizes) for entry in self.entries]
        return _replaced(body, values)


def _read_hole(entry: Json, names: Sequence[str]) -> Any:
    if isinstance(entry, list) and len(entry) == 2 and entry[0] == "n":
        return read_size(entry[1], names)
    if not isinstance(entry, list) or len(entry) != 4 or not isinstance(entry[0], str):
        refuse("a hole is damaged")
    form, size, dtype, weak = entry
    if form.removeprefix("-") not in FORMS or type(weak) is not int or weak not in (0, 1):
        refuse("a hole is damaged")
    return form, read_size(size, names), dtype_of(dtype), weak


def _fill(entry: Any, sizes: Sizes) -> Json:
    if isinstance(entry, Size):
        value = entry.evaluate(sizes)
        if abs(value) >= MOST_BYTES:
            raise ExportError(f"the size {entry} is too large for {text_of(sizes)}")
        return value
    form, size, dtype, weak = entry
    return [dtype_code(dtype), literal_text(form, size, dtype, sizes), weak]


def _replaced(data: Json, values: Sequence[Json]) -> Json:
    if isinstance(data, list):
        return [_replaced(x, values) if isinstance(x, list | dict) else x for x in data]
    if isinstance(data, dict):
        if HOLE not in data:
            return {key: _replaced(x, values) if isinstance(x, list | dict) else x for key, x in data.items()}
        what = data[HOLE]
        if isinstance(what, list):
            return "".join(x if isinstance(x, str) else str(_replaced(x, values)) for x in what)
        if len(data) == 1 and type(what) is int and 0 <= what < len(values):
            return values[what]
        refuse("a hole is damaged")
    return data
