"""How long does the gradient of a loop compile, beside the loop?  First calls with nothing on disk, large bodies."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.workload import Call, Data, Goal, Workload
from benchmarks.workloads.simulations import LEAP, SOFTENING, planets

STEPS, SINES = 10, 40


def force(np: Any, x: Any, m: Any) -> Any:
    """The accelerations of bodies that attract each other."""
    d = x[None] - x[:, None]
    return np.sum(d * (m * (np.sum(d * d, axis=-1) + SOFTENING) ** -1.5)[..., None], axis=1)


def kicked(np: Any, x: Any, v: Any, m: Any) -> tuple[Any, Any]:
    """A leapfrog step that begins and ends with half a kick: two forces."""
    v = v + LEAP / 2 * force(np, x, m)
    x = x + LEAP * v
    return x, v + LEAP / 2 * force(np, x, m)


def leaps(fg: Any, np: Any, x: Any, data: dict[str, Any]) -> Any:
    """The weighed positions after some steps."""
    body = partial(kicked, np)
    (x, _), _ = fg.lax.scan(lambda s, _: (body(*s, data["m"]), None), (x, data["v"]), None, length=STEPS)
    return np.sum(data["weight"] * x)


def waves(fg: Any, np: Any, x: Any, data: dict[str, Any]) -> Any:
    """Forty sines, one of the other, in every iteration."""

    def body(x: Any, _: Any) -> Any:
        for k in range(SINES):
            x = np.sin(x) * 1.01 + 0.1 * k
        return x, None

    return np.sum(fg.lax.scan(body, x, None, length=STEPS)[0])


def calls(function: Callable[..., Any], gradient: bool, library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX; the runtime has started before the first call is timed."""
    fg, own = library.api, {name: library.own(value) for name, value in data.items()}
    fg.jit(lambda x: fg.lax.scan(lambda c, _: (c * 0.5, None), x, None, length=2)[0])(own["x"])
    value = partial(function, fg, library.np)
    return partial(fg.jit(fg.value_and_grad(value) if gradient else value), own["x"], own)


def leaps_by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy."""

    def value() -> Any:
        x, v = data["x"], data["v"]
        for _ in range(STEPS):
            x, v = kicked(np, x, v, data["m"])
        return np.sum(data["weight"] * x)

    return value


def waves_by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy."""

    def value() -> Any:
        x = data["x"]
        for _ in range(STEPS):
            for k in range(SINES):
                x = np.sin(x) * 1.01 + 0.1 * k
        return np.sum(x)

    return value


def _value(data: Data, result: Any) -> dict[str, np.ndarray]:
    """The value, which all have."""
    return {"value": np.asarray(result[0] if isinstance(result, tuple | list) else result)}


def _workload(name: str, summary: str, data: Callable[[], Data], function: Any, by_hand: Any) -> Workload:
    gradient, value = partial(calls, function, True), partial(calls, function, False)
    builders = {"funcgrad": gradient, "jax": gradient, "forward": value, "numpy": by_hand}
    goals = (Goal("cold", 3.0, ("forward",)),)
    return Workload(name, summary, data, builders, 1e-9, _value, goals=goals, repeated=False, x64=True, quick=False)


WORKLOADS = (
    _workload(
        "loop_compile_nbody",
        "the first call of the gradient of an N-body loop with two forces, beside that of the loop, float64",
        planets,
        leaps,
        leaps_by_hand,
    ),
    _workload(
        "loop_compile_waves",
        "the same of a loop with forty sines, one of the other",
        lambda: {"x": np.array([0.3, -0.7, 1.1])},
        waves,
        waves_by_hand,
    ),
)
