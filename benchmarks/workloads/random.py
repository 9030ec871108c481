"""How fast are random numbers drawn, ten million at a time, and a million integers, permutations and dropout masks?

And those with a distribution given by arrays: categories, gamma, Poisson and binomial numbers, weighted choices.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.workload import Call, Data, Goal, Workload

MANY, MILLION = 10**7, 10**6
Draw = Callable[[SimpleNamespace, Any, Data], Any]


def data(size: int, given: Callable[[int], np.ndarray] = lambda size: np.ones(0, np.float32)) -> Data:
    """A key's words, and what dropout is applied to or the parameters of a distribution."""
    return {"key": np.array([0, 7], np.uint32), "x": given(size), "size": size}


def ones(size: int) -> np.ndarray:
    """What dropout is applied to."""
    return np.ones(size, np.float32)


def positive(size: int) -> np.ndarray:
    """Parameters of distributions."""
    return np.random.default_rng(0).uniform(0.5, 5, size).astype(np.float32)


def square(size: int) -> np.ndarray:
    """Logarithms of weights of as many categories as there are rows."""
    side = int(size**0.5)
    return np.random.default_rng(0).standard_normal((side, side)).astype(np.float32)


def covariance(size: int) -> np.ndarray:
    """Of vectors of 50 numbers."""
    root = np.random.default_rng(0).standard_normal((50, 50))
    return (root @ root.T + np.eye(50)).astype(np.float32)


def shares(x: np.ndarray) -> np.ndarray:
    """Probabilities of the elements."""
    return x / x.sum()


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
    """What samples of any generator have in common, to within chance: their mean in standard deviations, beside 1."""
    x = np.asarray(result, np.float64)
    return {"mean": 1 + x.mean() / x.std()}


def categories(rng: np.random.Generator, data: Data) -> np.ndarray:
    """By the largest of logarithms with Gumbel's noise, one per row."""
    return np.argmax(data["x"] + rng.gumbel(size=data["x"].shape), axis=-1)


def truncated(rng: np.random.Generator, data: Data) -> np.ndarray:
    """By SciPy, which is imported here: a process that times a first call must not have it loaded."""
    from scipy.stats import truncnorm

    drawn: np.ndarray = truncnorm.rvs(-2, 2, size=data["size"], random_state=rng)
    return drawn


def _workload(
    name: str,
    size: int,
    summary: str,
    draw: Draw,
    numpy: Any,
    goals: tuple[Goal, ...],
    given: Any = None,
    tolerance: float = 5e-3,
) -> Workload:
    return Workload(
        f"random_{name}",
        f"{size:,} {summary}",
        partial(data, size, given) if given else partial(data, size),
        {"funcgrad": partial(traced, draw), "jax": partial(traced, draw), "numpy": partial(by_hand, numpy)},
        tolerance=tolerance,
        outcome=moments,
        goals=goals,
        why="the order is that of random keys, sorted, as JAX's is; NumPy exchanges" if name == "permutation" else "",
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
        ones,
    ),
    _workload(
        "categorical",
        MILLION,
        "float32 logits, a category for each of 1,000 rows",
        lambda random, key, data: random.categorical(key, data["x"]),
        categories,
        (_of_jax(0.5),),
        square,
        tolerance=0.1,  # of a thousand draws only
    ),
    _workload(
        "gamma",
        MILLION // 10,
        "gamma numbers in float32, each with its own parameter",
        lambda random, key, data: random.gamma(key, data["x"], dtype=np.float32),
        lambda rng, data: rng.gamma(data["x"]),
        (_of_jax(0.5),),
        positive,
    ),
    _workload(
        "poisson",
        MILLION,
        "Poisson numbers, each with its own mean below 5",
        lambda random, key, data: random.poisson(key, data["x"], dtype=np.int32),
        lambda rng, data: rng.poisson(data["x"]),
        (_of_jax(0.5),),
        positive,
    ),
    _workload(
        "binomial",
        MILLION,
        "binomial numbers of 100 trials, each with its own probability",
        lambda random, key, data: random.binomial(key, np.float32(100), data["x"] / 6, dtype=np.float32),
        lambda rng, data: rng.binomial(100, data["x"] / 6),
        (_of_jax(0.5),),
        positive,
    ),
    _workload(
        "choice",
        MILLION,
        "of as many float32 numbers, with equal probabilities",
        lambda random, key, data: random.choice(key, data["x"], (data["size"],)),
        lambda rng, data: rng.choice(data["x"], data["size"]),
        (_of_jax(1.0),),
        positive,
    ),
    _workload(
        "choice_weighted",
        MILLION,
        "of as many float32 numbers, each with its own probability",
        lambda random, key, data: random.choice(key, data["x"], (data["size"],), p=shares(data["x"])),
        lambda rng, data: rng.choice(data["x"], data["size"], p=shares(data["x"].astype(np.float64))),
        (_of_jax(0.5),),
        positive,
    ),
    _workload(
        "truncated_normal",
        MILLION,
        "normal float32 numbers between -2 and 2",
        lambda random, key, data: random.truncated_normal(
            key, np.float32(-2), np.float32(2), (data["size"],), np.float32
        ),
        truncated,
        (_of_jax(0.5),),
    ),
    _workload(
        "multivariate_normal",
        MILLION,
        "float32 numbers in vectors of 50 with a given covariance",
        lambda random, key, data: random.multivariate_normal(
            key, np.zeros(50, np.float32), data["x"], (data["size"] // 50,), np.float32
        ),
        lambda rng, data: rng.multivariate_normal(np.zeros(50), data["x"], data["size"] // 50),
        (_of_jax(0.5),),
        covariance,
    ),
)
