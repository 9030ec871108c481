"""How far along a direction?  A step that satisfies the strong Wolfe conditions.

One loop brackets such a step by doubling and then closes in by cubic interpolation (Nocedal and Wright, Numerical
Optimization, 2nd edition, algorithms 3.5 and 3.6).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from funcgrad.lax._control import while_loop

DECREASE, CURVATURE = 1e-4, 0.9
MOST_STEPS = 25


class Point(NamedTuple):
    """A step, the function's value there, and its slope along the direction."""

    a: Any
    value: Any
    slope: Any


class Search(NamedTuple):
    """The state of a search: the bracket, the step to be tried, and the best so far with its gradient."""

    count: Any
    low: Point
    high: Point
    bracketed: Any
    a: Any
    found: Any
    step: Any
    value: Any
    gradient: Any


def line_search(
    evaluate: Callable[[Any], tuple[Any, Any]], x: Any, direction: Any, value: Any, gradient: Any, first: Any
) -> Search:
    """The search from `x`, where the function has `value` and `gradient`; ``evaluate(x) -> (value, gradient)``.

    `first` is the step that is tried first.
    """
    zero = np.zeros_like(value)
    start = Point(zero, value, np.sum(gradient * direction))
    state = Search(0, start, start, False, first, False, zero, value, gradient)

    def trying(s: Search) -> Any:
        return ~s.found & (s.count < MOST_STEPS)

    def attempt(s: Search) -> Search:
        f, g = evaluate(x + s.a * direction)
        here = Point(s.a, f, np.sum(g * direction))
        too_high = ~(f <= start.value + DECREASE * s.a * start.slope) | (
            (f >= s.low.value) & (s.bracketed | (s.count > 0))
        )
        flat = ~too_high & (np.abs(here.slope) <= -CURVATURE * start.slope)
        turned = np.where(s.bracketed, here.slope * (s.high.a - s.low.a) >= 0, here.slope >= 0)
        high = _either(too_high, here, _either(turned, s.low, s.high))
        low = _either(too_high, s.low, here)
        bracketed = s.bracketed | too_high | turned
        a = np.where(bracketed, _between(low, high), 2 * s.a)
        better = ~too_high & (f < s.value)
        return Search(
            s.count + 1, low, high, bracketed, a, flat, np.where(better | flat, s.a, s.step),
            np.where(better | flat, f, s.value), np.where(better | flat, g, s.gradient),
        )  # fmt: skip

    return while_loop(trying, attempt, state)  # type: ignore[no-any-return]


def _either(condition: Any, one: Point, other: Point) -> Point:
    return Point(*(np.where(condition, a, b) for a, b in zip(one, other, strict=True)))


def _between(low: Point, high: Point) -> Any:
    """The minimum of the cubic through both ends, kept off them, or the middle where it does not exist."""
    width = high.a - low.a
    safe = np.where(width == 0, 1.0, width)
    d1 = low.slope + high.slope - 3 * (high.value - low.value) / safe
    square = d1 * d1 - low.slope * high.slope
    d2 = np.sign(width) * np.sqrt(np.where(square > 0, square, 0.0))
    denominator = high.slope - low.slope + 2 * d2
    fraction = 1 - (high.slope + d2 - d1) / np.where(denominator == 0, 1.0, denominator)
    good = (square > 0) & (denominator != 0) & (fraction > 0) & (fraction < 1)
    return low.a + width * np.where(good, np.clip(fraction, 0.1, 0.9), 0.5)
