"""How fast are random numbers drawn, ten million at a time, and a million integers, permutations and dropout masks?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.workload import Call, Data, Goal, Workload

MANY, MILLION = 10**7, 10**6
Draw = Callable[[SimpleNamespace, Any, Data], Any]


def data(size: int) -> Data:
    """A key's words, and what dropout is applied to."""
    x = np.ones(size if size == MILLION else 0, np.float32)
    return {"key": np.array([0, 7], np.uint32), "x": x, "size": size}


def traced(draw: Draw, library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the same text, jitted."""
    function = library.api.jit(lambda key, x: draw(library.api.random, key, {**data, "x": x}))
    return partial(function, library.own(data["key"]), library.own(data["x"]))


def by_hand(draw: Callable[[np.random.Generator, Data], Any], library: SimpleNamespace, data: Data) -> Call:
    """NumPy's generator."""
    return partial(draw, np.random.default_rng(7), data)


def dropout(random: Any, key: Any, data: Data) -> Any:
    """Half of the elements, doubled."""
    x = data["x"]
    return random.bernoulli(key, np.float32(0.5), x.shape) * x * np.float32(2)


def moments(data: Data, result: Any) -> dict[str, np.ndarray]:
    """What samples of any generator have in common, to within chance: their mean beside 1."""
    x = np.asarray(result, np.float64)
    return {"mean": 1 + x.mean() / max(float(np.abs(x).max()), 1.0)}


def _workload(name: str, size: int, summary: str, draw: Draw, numpy: Any, goals: tuple[Goal, ...]) -> Workload:
    return Workload(
        f"random_{name}",
        f"{size:,} {summary}",
        partial(data, size),
        {"funcgrad": partial(traced, draw), "jax": partial(traced, draw), "numpy": partial(by_hand, numpy)},
        tolerance=5e-3,
        outcome=moments,
        goals=goals,
    )


def _of_jax(bound: float) -> Goal:
    return Goal("steady", bound, ("jax",))


SMALL_GOALS = (_of_jax(0.1), Goal("steady", 1.2, ("numpy",)))
WORKLOADS = (
    _workload(
        "bits",
        MANY,
        "words of 32 random bits",
        lambda random, key, data: random.bits(key, (data["size"],), np.uint32),
        lambda rng, data: rng.integers(0, 2**32, data["size"], np.uint32),
        (_of_jax(0.15),),
    ),
    _workload(
        "uniform",
        MANY,
        "uniform float32 numbers",
        lambda random, key, data: random.uniform(key, (data["size"],), np.float32),
        lambda rng, data: rng.random(data["size"], np.float32),
        (_of_jax(0.15),),
    ),
    _workload(
        "normal",
        MANY,
        "normal float32 numbers",
        lambda random, key, data: random.normal(key, (data["size"],), np.float32),
        lambda rng, data: rng.standard_normal(data["size"], np.float32),
        (_of_jax(0.15),),
    ),
    _workload(
        "randint",
        MILLION,
        "int32 numbers below 1,000",
        lambda random, key, data: random.randint(key, (data["size"],), 0, 1000, np.int32),
        lambda rng, data: rng.integers(0, 1000, data["size"], np.int32),
        SMALL_GOALS,
    ),
    _workload(
        "permutation",
        MILLION,
        "numbers in random order",
        lambda random, key, data: random.permutation(key, data["size"]),
        lambda rng, data: rng.permutation(data["size"]),
        SMALL_GOALS,
    ),
    _workload(
        "dropout",
        MILLION,
        "float32 numbers, each zeroed with probability 1/2",
        dropout,
        lambda rng, data: (rng.random(data["size"], np.float32) < 0.5) * data["x"] * np.float32(2),
        (_of_jax(0.3),),
    ),
)
