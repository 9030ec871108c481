"""What is a symbolic size?  A polynomial in sizes that are known when an exported function is called.

``symbolic_shape("b, 2*h, 784")`` gives a shape whose extents are such polynomials; symbols stand for integers >= 1.
A call's arguments tell what they are: each symbol must stand in some extent that is linear in it.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from funcgrad.errors import at_line
from funcgrad.export.container import MOST_BYTES, ExportError, refuse

Monomial = tuple[tuple[str, int], ...]
Terms = dict[Monomial, Fraction]
Sizes = Mapping[str, int]
MOST_TERMS, HIGHEST = 64, 8


class Size:
    """A polynomial with rational coefficients in symbols; immutable.

    Examples
    --------
    >>> from funcgrad.export import symbolic_shape
    >>> b, n = symbolic_shape("b, 2*b+1")
    >>> b * b - n
    b^2 - 2*b - 1
    >>> n.evaluate({"b": 8})
    17
    """

    __slots__ = ("scope", "terms")
    __array_ufunc__ = None
    symbolic = True

    def __init__(self, terms: Terms, scope: SymbolicScope | None = None) -> None:
        self.terms = {m: c for m, c in terms.items() if c}
        self.scope = scope

    @property
    def names(self) -> set[str]:
        """The symbols."""
        return {name for monomial in self.terms for name, _ in monomial}

    @property
    def constant(self) -> int | None:
        """The number that it is, if it has no symbols."""
        whole = not self.terms or set(self.terms) == {()}
        return int(self.terms.get((), 0)) if whole else None

    def evaluate(self, sizes: Sizes) -> int:
        """The integer for given sizes.

        Raises
        ------
        ExportError
            If it is no integer.
        """
        value = self.fraction(sizes)
        if value.denominator != 1:
            raise ExportError(f"the size {self} is no integer for {text_of(sizes)}")
        return int(value)

    def fraction(self, sizes: Sizes) -> Fraction:
        """The number for given sizes."""
        total = Fraction(0)
        for monomial, coefficient in self.terms.items():
            for name, power in monomial:
                coefficient *= sizes[name] ** power
            total += coefficient
        return total

    def _with(self, other: Any, terms: Terms) -> Size:
        scope = self.scope
        if isinstance(other, Size) and other.scope is not None:
            if scope is not None and other.scope is not scope:
                raise ValueError(f"{self} and {other} are of different scopes: pass the same scope{at_line()}")
            scope = other.scope
        return Size(terms, scope)

    def __add__(self, other: Any) -> Any:
        given = _terms(other)
        if given is None:
            return NotImplemented
        total = dict(self.terms)
        for monomial, coefficient in given.items():
            total[monomial] = total.get(monomial, Fraction(0)) + coefficient
        return self._with(other, total)

    def __mul__(self, other: Any) -> Any:
        given = _terms(other)
        if given is None:
            return NotImplemented
        total: Terms = {}
        for m1, c1 in self.terms.items():
            for m2, c2 in given.items():
                powers = dict(m1)
                for name, power in m2:
                    powers[name] = powers.get(name, 0) + power
                monomial = tuple(sorted(powers.items()))
                total[monomial] = total.get(monomial, Fraction(0)) + c1 * c2
        return self._with(other, total)

    def __neg__(self) -> Size:
        return self * -1  # type: ignore[no-any-return]

    def __sub__(self, other: Any) -> Any:
        return NotImplemented if _terms(other) is None else self + other * -1

    def __rsub__(self, other: Any) -> Any:
        return self * -1 + other

    __radd__ = __add__
    __rmul__ = __mul__

    def __eq__(self, other: object) -> bool:
        given = _terms(other)
        return given is not None and self.terms == {m: c for m, c in given.items() if c}

    def __hash__(self) -> int:
        number = self.constant
        return hash(frozenset(self.terms.items())) if number is None else hash(number)

    def __index__(self) -> int:
        raise TypeError(
            f"the symbolic size {self} has no value: it stands in the shapes of ShapeDtypeStruct that "
            f"funcgrad.export.export is given{at_line()}"
        )

    def __repr__(self) -> str:
        parts = []
        for monomial, c in sorted(self.terms.items(), key=lambda item: (-_degree(item[0]), item[0])):
            factors = [name if power == 1 else f"{name}^{power}" for name, power in monomial]
            if abs(c.numerator) != 1 or not factors:
                factors.insert(0, str(abs(c.numerator)))
            text = "*".join(factors) + (f"/{c.denominator}" if c.denominator != 1 else "")
            parts += ["-" if c < 0 else "+", text]
        if not parts:
            return "0"
        return ("-" if parts[0] == "-" else "") + " ".join(parts[1:])


def is_symbolic_dim(extent: object) -> bool:
    """Whether an extent is a symbolic size.

    Returns
    -------
    bool
        False for integers.

    Examples
    --------
    >>> from funcgrad.export import symbolic_shape
    >>> [is_symbolic_dim(n) for n in symbolic_shape("b, 3")]
    [True, False]
    """
    return isinstance(extent, Size)


def _degree(monomial: Monomial) -> int:
    return sum(power for _, power in monomial)


def _terms(value: Any) -> Terms | None:
    if isinstance(value, Size):
        return value.terms
    return {(): Fraction(value)} if isinstance(value, int | Fraction) else None


def text_of(sizes: Sizes) -> str:
    """Sizes as in messages: ``b = 3, n = 7``."""
    return ", ".join(f"{name} = {n}" for name, n in sizes.items())


def write_size(size: Size) -> Any:
    """As JSON: ``[[numerator, denominator, [[symbol, power], ...]], ...]``."""
    return [[c.numerator, c.denominator, [list(p) for p in m]] for m, c in sorted(size.terms.items())]


def read_size(data: Any, names: Sequence[str]) -> Size:
    """The polynomial that JSON describes."""
    if not isinstance(data, list) or len(data) > MOST_TERMS:
        refuse(f"{data!r:.60} is no polynomial")
    terms: Terms = {}
    for term in data:
        if not isinstance(term, list) or len(term) != 3 or not isinstance(term[2], list) or len(term[2]) > len(names):
            refuse(f"{term!r:.60} is no term of a polynomial")
        over, under = term[:2]
        if type(over) is not int or type(under) is not int or not (0 < under < 1 << 32 and abs(over) < MOST_BYTES):
            refuse("a coefficient is out of range")
        monomial = []
        for power in term[2]:
            if not isinstance(power, list) or len(power) != 2 or power[0] not in names:
                refuse(f"{power!r:.60} is no power of a symbol")
            if type(power[1]) is not int or not 0 < power[1] <= HIGHEST:
                refuse("a power is out of range")
            monomial.append((power[0], power[1]))
        terms[tuple(sorted(monomial))] = Fraction(over, under)
    return Size(terms)


# Texts ----------------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(r"\s*(?:(\d{1,15})|([A-Za-z_]\w*)|(>=|<=|==|!=|\*\*|[-+*^()%<>,/]))")
_CONDITION = re.compile(r"(.*?)(>=|<=|==|!=|>|<)(.*)", re.DOTALL)


class _Parser:
    """Sums of products of numbers, symbols, powers and parentheses."""

    def __init__(self, text: str, scope: SymbolicScope | None) -> None:
        self.text, self.scope = text, scope
        self.tokens = list(self._split(text))
        self.place = 0

    def _split(self, text: str) -> Iterator[str]:
        place = 0
        text = text.rstrip()
        while place < len(text):
            match = _TOKEN.match(text, place)
            if match is None:
                raise self.error()
            yield match.group().strip()
            place = match.end()

    def error(self) -> ValueError:
        return ValueError(
            f"{self.text!r} is no symbolic size: sums and products of numbers and symbols are, such as b, 2*b+1 "
            f"or h*w{at_line()}"
        )

    def take(self, *wanted: str) -> str | None:
        if self.place < len(self.tokens) and (not wanted or self.tokens[self.place] in wanted):
            self.place += 1
            return self.tokens[self.place - 1]
        return None

    def whole(self) -> Size:
        found = self.sum()
        if self.place < len(self.tokens):
            raise self.error()
        return found

    def sum(self) -> Size:
        sign = self.take("+", "-")
        total: Size = self.product() * (-1 if sign == "-" else 1)
        while sign := self.take("+", "-"):
            total = total + self.product() * (-1 if sign == "-" else 1)
        return total

    def product(self) -> Size:
        total: Size = self.power()
        while self.take("*"):
            total = self.times(total, self.power())
        return total

    def times(self, left: Size, right: Size) -> Size:
        """A product, unless it has more terms than a file may have: powers of powers have millions."""
        found: Size = left * right
        if len(found.terms) > MOST_TERMS:
            raise ValueError(f"{self.text!r:.80} has more than {MOST_TERMS} terms{at_line()}")
        return found

    def power(self) -> Size:
        base = self.atom()
        if self.take("^", "**"):
            exponent = self.take() or ""
            if not exponent.isdigit() or not 0 < int(exponent) <= HIGHEST:
                raise self.error()
            total = base
            for _ in range(int(exponent) - 1):
                total = self.times(total, base)
            return total
        return base

    def atom(self) -> Size:
        if self.take("("):
            inner = self.sum()
            if not self.take(")"):
                raise self.error()
            return inner
        token = self.take()
        if token is None or not (token.isidentifier() or token.isdigit()):
            raise self.error()
        if token.isdigit():
            return Size({(): Fraction(int(token))}, self.scope)
        return Size({((token, 1),): Fraction(1)}, self.scope)


def parsed(text: str, scope: SymbolicScope | None = None) -> Size:
    """The polynomial that a text says."""
    if text.count("(") > MOST_TERMS:
        raise ValueError(f"{text!r:.80} has more than {MOST_TERMS} parentheses{at_line()}")
    return _Parser(text, scope).whole()


class Constraint(NamedTuple):
    """What sizes must keep: ``left op right``, or ``left % modulus op right`` where there is a modulus."""

    left: Size
    modulus: int
    op: str
    right: Size

    @property
    def names(self) -> set[str]:
        """The symbols."""
        return self.left.names | self.right.names

    def holds(self, sizes: Sizes) -> bool:
        """Whether given sizes keep it."""
        left, right = self.left.fraction(sizes), self.right.fraction(sizes)
        return COMPARISONS[self.op](left % self.modulus if self.modulus else left, right)

    def __str__(self) -> str:
        left = f"({self.left}) % {self.modulus}" if len(self.left.terms) > 1 else f"{self.left} % {self.modulus}"
        return f"{left if self.modulus else self.left} {self.op} {self.right}"


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
}


def constraint(text: str, scope: SymbolicScope | None = None) -> Constraint:
    """The constraint that a text says: ``b >= 2``, ``b <= 1024``, ``b % 8 == 0`` or ``mod(b, 8) == 0``."""
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no constraint: write b >= 2 or b % 8 == 0{at_line()}")
    left, op, right = (part.strip() for part in match.groups())
    modulus = 0
    named = re.fullmatch(r"mod\((.*),\s*(\d{1,9})\s*\)", left)
    symbol = re.fullmatch(r"\(?(.*?)\)?\s*%\s*(\d{1,9})", left)
    if found := named or symbol:
        left, modulus = found.group(1), int(found.group(2))
        if not modulus:
            raise ValueError(f"{text!r} divides by 0{at_line()}")
    return Constraint(parsed(left, scope), modulus, op, parsed(right, scope))


class SymbolicScope:
    """What belongs together: symbols of one name are one size, and constraints hold for all shapes of the scope.

    Parameters
    ----------
    constraints
        Texts such as ``"b >= 2"`` or ``"b % 8 == 0"``.
    """

    def __init__(self, constraints: Iterable[str] = ()) -> None:
        if isinstance(constraints, str):
            raise TypeError(f"constraints must be a sequence of texts, not the text {constraints!r}{at_line()}")
        self.constraints = [constraint(text, self) for text in constraints]

    def __repr__(self) -> str:
        return f"SymbolicScope({[str(c) for c in self.constraints]})"


# Solving --------------------------------------------------------------------------------------------------------------


class Extent(NamedTuple):
    """An extent of an argument: what it must be, and where it stands."""

    size: Size
    where: str


def unsolvable(extents: Sequence[Extent], names: Iterable[str]) -> set[str]:
    """The symbols that extents do not tell."""
    known: set[str] = set()
    while True:
        new = {name for extent in extents if (name := _linear(extent.size, known)) is not None}
        if not new:
            return set(names) - known
        known |= new


def _linear(size: Size, known: set[str]) -> str | None:
    """The only unknown symbol, if the polynomial is linear in it."""
    unknown = size.names - known
    if len(unknown) != 1:
        return None
    (name,) = unknown
    return name if all(dict(m).get(name, 0) <= 1 for m in size.terms) else None


def solved(extents: Sequence[Extent], values: Sequence[int], constraints: Sequence[Constraint]) -> dict[str, int]:
    """The sizes that extents of arguments tell.

    Raises
    ------
    ValueError
        With the argument that does not fit.
    """
    sizes: dict[str, int] = {}
    pairs = list(zip(extents, values, strict=True))
    while True:
        for extent, value in pairs:
            name = _linear(extent.size, set(sizes))
            if name is not None:
                sizes[name] = _solution(extent, value, name, sizes)
                break
        else:
            break
    for extent, value in pairs:
        wanted = extent.size.fraction(sizes)
        if wanted != value:
            told = "" if extent.size.constant is not None else f" = {extent.size} with {text_of(sizes)}"
            raise ValueError(f"{extent.where} is {value}, where {wanted}{told} is needed")
    for condition in constraints:
        if not condition.holds(sizes):
            raise ValueError(f"the sizes {text_of(sizes)} break the constraint {condition}")
    return sizes


def _solution(extent: Extent, value: int, name: str, sizes: Sizes) -> int:
    """The value of a symbol that an extent is linear in."""
    zero, one = (extent.size.fraction({**sizes, name: n}) for n in (0, 1))
    slope = one - zero
    if not slope:
        raise ValueError(f"{extent.where} does not tell {name}, as {extent.size} does not depend on it for these sizes")
    found = (value - zero) / slope
    if found.denominator != 1 or found < 1:
        raise ValueError(f"{extent.where} is {value}, which no {name} >= 1 makes of {extent.size}")
    return int(found)
