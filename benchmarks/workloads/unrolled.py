"""How long do long programs without loops compile?  First calls with nothing on disk: chains of hundreds of functions,
and of thousands of cheap operations, most of them with their gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.workload import Call, Data, Goal, Workload

Step = Callable[[Any, Any, int], Any]
SIDE = 300


def sine(np: Any, x: Any, k: int) -> Any:
    """One of the long functions, and its neighbour in the gradient; numbers stay small, and rounding with them."""
    return np.sin(x) * x * 0.3 + 0.01 * k


def hyperbolic(np: Any, x: Any, k: int) -> Any:
    """One of the short functions."""
    return np.tanh(x) + 0.01 * k


def softmax(np: Any, x: Any, k: int) -> Any:
    """A fold of each row, which the next step needs: k stands for nothing."""
    return x - 0.1 * np.log(np.sum(np.exp(x), axis=1, keepdims=True))


def arithmetic(np: Any, x: Any, k: int) -> Any:
    """No function at all."""
    return x * 1.01 + 0.1 * (k % 7)


def chain(np: Any, step: Step, times: int, x: Any) -> Any:
    """The sum after so many steps."""
    for k in range(times):
        x = step(np, x, k)
    return np.sum(x)


def first_call(step: Step, times: int, gradient: bool, library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX; the runtime has started before the first call is timed."""
    fg, x = library.api, library.own(data["x"])
    fg.jit(lambda x: x * 0.5)(x)
    value = partial(chain, library.np, step, times)
    return partial(fg.jit(fg.value_and_grad(value) if gradient else value), x)


def by_hand(step: Step, times: int, library: SimpleNamespace, data: Data) -> Call:
    """NumPy."""
    return partial(chain, np, step, times, data["x"])


def _data() -> Data:
    return {"x": np.random.default_rng(0).random((SIDE, SIDE))}


def _value(data: Data, result: Any) -> dict[str, np.ndarray]:
    """The value, which all have."""
    return {"value": np.asarray(result[0] if isinstance(result, tuple | list) else result)}


def _workload(name: str, summary: str, step: Step, times: int, gradient: bool = True) -> Workload:
    ours = partial(first_call, step, times, gradient)
    builders = {"funcgrad": ours, "jax": ours, "numpy": partial(by_hand, step, times)}
    goals = (Goal("cold", 1.0, ("jax",)),)
    shape = f"of {SIDE} × {SIDE} float64"
    text = f"the first call of {'the gradient of ' if gradient else ''}{times:,} {summary}, {shape}"
    return Workload(name, text, _data, builders, 1e-9, _value, goals=goals, repeated=False, x64=True, quick=False)


WORKLOADS = (
    _workload("compile_sines50", "sines, one of the other", sine, 50),
    _workload("compile_sines200", "sines, one of the other", sine, 200),
    _workload("compile_tanh200", "hyperbolic tangents, one of the other", hyperbolic, 200),
    _workload("compile_rows50", "folds of rows, one after the other", softmax, 50),
    _workload("compile_cheap1e4", "multiplications and additions, one of the other", arithmetic, 10_000, False),
)
