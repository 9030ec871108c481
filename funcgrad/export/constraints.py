"""How are sizes written, and what is said of them?  Texts: ``b``, ``2*h+1``, and constraints: ``b >= 2``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

from funcgrad.errors import at_line
from funcgrad.export.sizes import HIGHEST, MOST_TERMS, Size, Sizes
from funcgrad.tracebacks import boundary

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

    def whole(self, product: bool) -> Size:
        found = self.signed_product() if product else self.sum()
        if product and self.take("+", "-"):
            raise ValueError(f"a remainder of the sum {self.text!r} needs parentheses: (a + b) % 2{at_line()}")
        if self.place < len(self.tokens):
            raise self.error()
        return found

    def signed_product(self) -> Size:
        sign = self.take("+", "-")
        found: Size = self.product() * (-1 if sign == "-" else 1)
        return found

    def sum(self) -> Size:
        total = self.signed_product()
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


def parsed(text: str, scope: SymbolicScope | None = None, product: bool = False) -> Size:
    """The polynomial that a text says; with `product` a sum must stand in parentheses."""
    if text.count("(") > MOST_TERMS:
        raise ValueError(f"{text!r:.80} has more than {MOST_TERMS} parentheses{at_line()}")
    return _Parser(text, scope).whole(product)


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
    symbol = re.fullmatch(r"(.*?)\s*%\s*(\d{1,9})", left)
    if found := named or symbol:
        left, modulus = found.group(1), int(found.group(2))
        if not modulus:
            raise ValueError(f"{text!r} divides by 0{at_line()}")
    return Constraint(parsed(left, scope, bool(modulus and not named)), modulus, op, parsed(right, scope))


class SymbolicScope:
    """What belongs together: symbols of one name are one size, and constraints hold for all shapes of the scope.

    Parameters
    ----------
    constraints
        Texts such as ``"b >= 2"`` or ``"b % 8 == 0"``.
    """

    @boundary
    def __init__(self, constraints: Iterable[str] = ()) -> None:
        if isinstance(constraints, str):
            raise TypeError(f"constraints must be a sequence of texts, not the text {constraints!r}{at_line()}")
        self.constraints = [constraint(text, self) for text in constraints]

    def __repr__(self) -> str:
        return f"SymbolicScope({[str(c) for c in self.constraints]})"
