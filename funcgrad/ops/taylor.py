"""How are derivatives by parameters computed that have no closed form?  Truncated Taylor series as numbers.

A `Taylor` number holds, for one to four variables, the Taylor coefficients of an expression up to a given order in
each; arithmetic on such numbers carries every derivative along (A. Griewank, A. Walther, Evaluating Derivatives,
chapter 13).  What computes a function by a series or a continued fraction then computes its derivatives as well.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Orders = tuple[int, ...]
State = tuple[Any, ...]
EPS = float(np.finfo(np.float64).eps)


class Taylor:
    """Coefficients ``c[k]`` of the powers ``k <= orders`` of the variables' increments, each an array of float64."""

    __slots__ = ("c", "orders")
    __array_ufunc__: None = None  # so that an array on the left leaves the operation to this class

    def __init__(self, orders: Orders, c: dict[Orders, Any]) -> None:
        self.orders, self.c = orders, c

    @classmethod
    def variable(cls, value: Any, number: int, orders: Orders) -> Taylor:
        """The variable of this number at `value`."""
        c = {(0,) * len(orders): value}
        if orders[number]:
            c[tuple(int(k == number) for k in range(len(orders)))] = 1.0
        return cls(orders, c)

    def lift(self, x: Any) -> Taylor:
        """A constant as a Taylor number."""
        return x if isinstance(x, Taylor) else Taylor(self.orders, {(0,) * len(self.orders): x})

    @property
    def value(self) -> Any:
        """The term of order 0."""
        return self.c[(0,) * len(self.orders)]

    def derivative(self) -> Any:
        """The derivative of the full orders."""
        return self.c.get(self.orders, 0.0) * math.prod(map(math.factorial, self.orders))

    def __add__(self, other: Any) -> Taylor:
        other = self.lift(other)
        return Taylor(self.orders, {k: self.c.get(k, 0.0) + other.c.get(k, 0.0) for k in {**self.c, **other.c}})

    def __mul__(self, other: Any) -> Taylor:
        c: dict[Orders, Any] = {}
        for (j, x), (k, y) in itertools.product(self.c.items(), self.lift(other).c.items()):
            power = tuple(a + b for a, b in zip(j, k, strict=True))
            if all(p <= order for p, order in zip(power, self.orders, strict=True)):
                c[power] = c[power] + x * y if power in c else x * y
        return Taylor(self.orders, c)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> Taylor:
        return self * -1.0

    def __sub__(self, other: Any) -> Taylor:
        return self + (-self.lift(other))

    def __rsub__(self, other: Any) -> Taylor:
        return self.lift(other) + (-self)

    def __truediv__(self, other: Any) -> Taylor:
        return self.__mul__(other.reciprocal() if isinstance(other, Taylor) else 1.0 / other)

    def __rtruediv__(self, other: Any) -> Taylor:
        return self.reciprocal().__mul__(other)

    def apply(self, coefficients: Sequence[Any]) -> Taylor:
        """f of this number, from the Taylor coefficients of f at its value (as many as `depth` says)."""
        rest = Taylor(self.orders, {k: v for k, v in self.c.items() if any(k)})
        result = self.lift(coefficients[-1])
        for c in reversed(coefficients[:-1]):
            result = result * rest + c
        return result

    @property
    def depth(self) -> int:
        """How many Taylor coefficients of a function matter."""
        return sum(self.orders) + 1

    def reciprocal(self) -> Taylor:
        """1 / self."""
        x = self.value
        return self.apply([(-1.0) ** k * x ** (-k - 1.0) for k in range(self.depth)])

    def exp(self) -> Taylor:
        """The exponential."""
        value = np.exp(self.value)
        return self.apply([value / math.factorial(k) for k in range(self.depth)])

    def log(self) -> Taylor:
        """The logarithm."""
        x = self.value
        return self.apply([np.log(x), *((-1.0) ** (k + 1) / (k * x**k) for k in range(1, self.depth))])

    def largest(self) -> Any:
        """The largest magnitude among the coefficients, for each element."""
        return np.max(np.broadcast_arrays(*(np.abs(v) for v in self.c.values())), axis=0)

    def map(self, function: Callable[[Any], Any]) -> Taylor:
        """A linear function of every coefficient that is an array."""
        return Taylor(self.orders, {k: function(v) if np.ndim(v) else v for k, v in self.c.items()})


def converged(
    operands: tuple[Taylor, ...], begin: Callable[..., State], advance: Callable[..., State], most: int = 3000
) -> Taylor:
    """The limit of a sum, each element for itself: neighbours in an array do not matter.

    Parameters
    ----------
    operands
        Numbers whose coefficients are 1-d arrays (or scalars).
    begin, advance
        ``begin(*operands)`` and ``advance(n, state, *operands)``, n = 1, 2 ..., return a state: the sum so far, the
        last term, and whatever else is needed.
    most
        After so many terms the result is NaN.
    """
    size = max(np.size(x.value) for x in operands)
    state, index = begin(*operands), np.arange(size)
    out = {key: np.full(size, np.nan) for key in np.ndindex(*(order + 1 for order in operands[0].orders))}
    for n in range(1, most):
        state = advance(n, state, *operands)
        if n % 8 and n != most - 1:
            continue
        total, term = state[:2]
        left = np.broadcast_to(term.largest() > 0.25 * EPS * total.largest(), index.shape)
        for key, place in out.items():
            place[index[~left]] = np.broadcast_to(total.c.get(key, 0.0), index.shape)[~left]
        if not np.any(left):
            break
        if not np.all(left):
            index = index[left]
            operands, state = (tuple(x.map(lambda v: v[left]) for x in xs) for xs in (operands, state))  # noqa: B023
    return Taylor(operands[0].orders, dict(out))
