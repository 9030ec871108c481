"""What is a symbolic size?  A polynomial in sizes that are known when an exported function is called.

``symbolic_shape("b, 2*h, 784")`` gives a shape whose extents are such polynomials; symbols stand for integers >= 1.
A call's arguments tell what they are: each symbol must stand in some extent that is linear in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from funcgrad.errors import at_line
from funcgrad.export.container import MOST_BYTES, ExportError, refuse

Monomial = tuple[tuple[str, int], ...]
Terms = dict[Monomial, Fraction]
Sizes = Mapping[str, int]
MOST_TERMS, HIGHEST = 64, 8


class Size:
    """A polynomial with rational coefficients in symbols; immutable. Sizes of two scopes do not go together.

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

    def __init__(self, terms: Terms, scope: Any = None) -> None:
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

        Parameters
        ----------
        sizes
            An integer for each of `names`.

        Returns
        -------
        int
            The polynomial's value.

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
        """The number for given sizes.

        Parameters
        ----------
        sizes
            An integer for each of `names`.

        Returns
        -------
        fractions.Fraction
            The polynomial's value, exactly.

        Examples
        --------
        >>> from funcgrad.export import symbolic_shape
        >>> (n,) = symbolic_shape("n")
        >>> (n * n - n).fraction({"n": 3})
        Fraction(6, 1)
        """
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
