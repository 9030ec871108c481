"""At which sizes is a function traced, so that one program for all sizes can be told from those for some?

Sizes for which polynomials of a degree are determined, and more to check them; apart from each other and from small
numbers, so that no size is taken for another one or for a constant.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from fractions import Fraction

from funcgrad.errors import at_line
from funcgrad.export.constraints import Constraint
from funcgrad.export.container import ExportError
from funcgrad.export.sizes import Monomial, Sizes

SPARE = 4  # samples that a polynomial is not made from, but checked by
FIRST = 19  # larger than what kernels and Python code treat as small
TRIED = 20_000
SMALL = (1, 2, 3, 4, 5, 8, 16, 33)  # where the program is compared with the function's own
LARGER = (100, 1000)  # and the first ones from there on
LARGE = (4_000, 70_000, 1_100_000)  # where one size is, while the others are small
EQUAL = (1, 3, 33)  # all of them
BESIDE = (3, 2, 1, 8, 20)
MOST_SYMBOLS = 6


def monomials(names: Sequence[str], degree: int) -> list[Monomial]:
    """All products of powers of symbols up to a degree."""
    found: list[Monomial] = []
    for total in range(degree + 1):
        for combination in itertools.combinations_with_replacement(sorted(names), total):
            powers = tuple((name, combination.count(name)) for name in sorted(set(combination)))
            found.append(powers)
    return found


def candidates(name: str, constraints: Sequence[Constraint], first: int, count: int) -> list[int]:
    """Sizes of one symbol that its own constraints allow: the first ones from `first` on, then smaller ones."""
    own = [c for c in constraints if c.names == {name}]
    order = itertools.chain(range(first, first + TRIED), range(first - 1, 0, -1))
    return list(itertools.islice((n for n in order if all(c.holds({name: n}) for c in own)), count))


def samples(
    names: Sequence[str], constraints: Sequence[Constraint], count: int, basis: Sequence[Monomial]
) -> list[Sizes]:
    """So many sizes, the first of which determine a polynomial of the `basis`.

    Raises
    ------
    ExportError
        If constraints leave too few.
    """
    rng = random.Random(count)
    pools = {name: candidates(name, constraints, FIRST + 37 * k, 4 * count + 8) for k, name in enumerate(names)}
    found: list[Sizes] = []
    rows: list[list[Fraction]] = []
    seen = set()
    for _ in range(TRIED if all(pools.values()) else 0):
        sizes = {name: rng.choice(pool) for name, pool in pools.items()}
        key = tuple(sizes.values())
        if key in seen or not all(c.holds(sizes) for c in constraints):
            continue
        seen.add(key)
        row = [_value(m, sizes) for m in basis]
        if len(rows) < len(basis):
            reduced = _reduced(rows, row)
            if not any(reduced):
                continue
            rows.append(reduced)
            found.insert(len(rows) - 1, sizes)
        else:
            found.append(sizes)
        if len(found) >= count and len(rows) == len(basis):
            return found
    equal = next((c for c in constraints if c.op == "==" and not c.modulus and len(c.names) > 1), None)
    advice = (
        f"write the extents that {equal} tells as such polynomials" if equal else "export the function for each size"
    )
    raise ExportError(
        f"export: the constraints ({'; '.join(map(str, constraints))}) leave too few sizes to tell a program for all "
        f"of them: {advice}{at_line()}"
    )


def _value(monomial: Monomial, sizes: Sizes) -> Fraction:
    value = Fraction(1)
    for name, power in monomial:
        value *= sizes[name] ** power
    return value


def _reduced(rows: Sequence[list[Fraction]], row: list[Fraction]) -> list[Fraction]:
    """What is left of a row that others are subtracted from."""
    row = list(row)
    for other in rows:
        pivot = next(k for k, x in enumerate(other) if x)
        factor = row[pivot] / other[pivot]
        if factor:
            row = [x - factor * y for x, y in zip(row, other, strict=True)]
    return row


class Fitter:
    """Polynomials through values at samples."""

    def __init__(self, points: Sequence[Sizes], basis: Sequence[Monomial]) -> None:
        self.basis = basis
        self.points = points
        n = len(basis)
        self.table = [[_value(m, sizes) for m in basis] for sizes in points]
        self._inverse = _inverted([row[:] for row in self.table[:n]])

    def fit(self, values: Sequence[Fraction]) -> dict[Monomial, Fraction] | None:
        """The polynomial with these values at all samples, if there is one."""
        n = len(self.basis)
        coefficients = [_product(row, values[:n]) for row in self._inverse]
        for row, value in zip(self.table[n:], values[n:], strict=True):
            if _product(row, coefficients) != value:
                return None
        return {m: c for m, c in zip(self.basis, coefficients, strict=True) if c}


def _product(row: Sequence[Fraction], column: Sequence[Fraction]) -> Fraction:
    return sum((a * b for a, b in zip(row, column, strict=True)), Fraction(0))


def _inverted(matrix: list[list[Fraction]]) -> list[list[Fraction]]:
    n = len(matrix)
    full = [row + [Fraction(i == k) for k in range(n)] for i, row in enumerate(matrix)]
    for k in range(n):
        pivot = next(i for i in range(k, n) if full[i][k])
        full[k], full[pivot] = full[pivot], full[k]
        scale = full[k][k]
        full[k] = [x / scale for x in full[k]]
        for i in range(n):
            if i != k and full[i][k]:
                factor = full[i][k]
                full[i] = [x - factor * y for x, y in zip(full[i], full[k], strict=True)]
    return [row[n:] for row in full]


def small_samples(names: Sequence[str], constraints: Sequence[Constraint]) -> Iterator[Sizes]:
    """Sizes at which library and user may take other ways: small ones, powers of two and their neighbours."""
    choices = {}
    for name in names:
        own = [c for c in constraints if c.names == {name}]
        order = itertools.chain(range(1, 100), *(range(least, 2 * least) for least in LARGER))
        allowed = [n for n in order if all(c.holds({name: n}) for c in own)]
        near = [n for n in SMALL if n in allowed] or allowed[:3]
        larger = [next((n for n in allowed if n >= least), 0) for least in LARGER]
        choices[name] = near + [n for n in larger if n and n not in near]
    for k in range(max(map(len, choices.values()), default=0)):
        sizes = {name: values[(k + 3 * i) % len(values)] for i, (name, values) in enumerate(choices.items()) if values}
        if len(sizes) == len(choices) and all(c.holds(sizes) for c in constraints):
            yield sizes
    for n in EQUAL if len(names) > 1 else ():
        sizes = dict.fromkeys(names, n)
        if all(c.holds(sizes) for c in constraints):
            yield sizes


def large_samples(name: str, names: Sequence[str], constraints: Sequence[Constraint]) -> Iterator[Sizes]:
    """Sizes of which one is larger and larger: library code may take other ways there too."""
    own = [c for c in constraints if c.names == {name}]
    for least in LARGE:
        large = next((n for n in range(least, 2 * least) if all(c.holds({name: n}) for c in own)), None)
        if large is None:
            return
        tried = (dict.fromkeys(names, n) | {name: large} for n in (*BESIDE, large))
        yield from itertools.islice((sizes for sizes in tried if all(c.holds(sizes) for c in constraints)), 1)
