"""What does a call of a compiled gradient inside `@njit` cost?  Calls of a number and of three numbers, and by hand.

The function is a cube, which costs next to nothing. By hand its gradient is inlined, and costs its work and, for three
numbers, a new array; what funcgrad takes beyond that, divided by `CALLS`, is the cost of a call.
"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.workload import Call, Data, Goal, Workload

CALLS = 100_000
STEP = 1e-6  # between the places of two calls


def number() -> Data:
    """A place."""
    return {"x": np.float64(0.3)}


def three() -> Data:
    """A place of three coordinates."""
    return {"x": np.array([0.3, -0.7, 1.1])}


def calls_of(njit: Any, both: Any) -> Any:
    """A compiled loop over calls."""

    @njit
    def calls(x):
        total, slopes = 0.0, 0.0 * x
        for _ in range(CALLS):
            x = x + STEP
            value, gradient = both(x)
            total += value
            slopes = slopes + gradient
        return total / CALLS, slopes / CALLS

    return calls


def inside(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad: value and gradient, called in the loop."""
    import numba

    both = library.api.value_and_grad(lambda x: np.sum(x * x * x))
    return partial(calls_of(numba.njit, both), data["x"])


def by_hand_of_number(library: SimpleNamespace, data: Data) -> Call:
    """Numba: the derivative by hand."""
    njit = library.numba.njit

    @njit
    def both(x):
        return x * x * x, 3 * x * x

    return partial(calls_of(njit, both), data["x"])


def by_hand_of_three(library: SimpleNamespace, data: Data) -> Call:
    """Numba: the gradient by hand, in an array of its own for each call."""
    njit = library.numba.njit

    @njit
    def both(x):
        value, gradient = 0.0, np.empty_like(x)
        for k in range(len(x)):
            value += x[k] * x[k] * x[k]
            gradient[k] = 3 * x[k] * x[k]
        return value, gradient

    return partial(calls_of(njit, both), data["x"])


def outcome(data: Data, result: Any) -> dict[str, np.ndarray]:
    """The means of the values and of the gradients."""
    return {"value": np.asarray(result[0]), "gradient": np.asarray(result[1])}


def by_numpy(library: SimpleNamespace, data: Data) -> Call:
    """NumPy, all calls at once."""

    def calls():
        x = data["x"] + STEP * np.arange(1, CALLS + 1).reshape(-1, *[1] * np.ndim(data["x"]))
        return np.sum(x * x * x) / CALLS, np.mean(3 * x * x, axis=0)

    return calls


WORKLOADS = tuple(
    Workload(
        name,
        f"{CALLS:,} calls of a value and gradient in an `@njit` loop, of {what}",
        data,
        {"funcgrad": inside, "numba": by_hand, "numpy": by_numpy},
        1e-9,
        outcome,
        goals=(Goal("steady", most, ("numba",)),),
        why="NumPy computes all numbers at once; the loop calls a function for each",
    )
    for name, what, data, by_hand, most in (
        ("njit_number", "a number", number, by_hand_of_number, 30.0),  # 30 ns, of which by hand takes one
        ("njit_three", "three numbers", three, by_hand_of_three, 1.4),  # by hand takes 74 ns, 30 more are allowed
    )
)
