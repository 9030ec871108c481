"""How fast are special functions over a million numbers?

log Γ with its derivative, the normal quantile, and the incomplete gamma function; float64.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.workload import Call, Data, Goal, Workload

SIZE = 10**6
Formula = Callable[[Any, SimpleNamespace], Callable[..., Any]]


def shapes(size: int) -> Data:
    """Numbers from 0.1 to 60, and others about as large."""
    rng = np.random.default_rng(4)
    a = rng.uniform(0.1, 60, size)
    return {"a": a, "x": a * rng.uniform(0.3, 2, size)}


def probabilities(size: int) -> Data:
    """Uniform numbers, some of them close to 0."""
    p = np.random.default_rng(5).uniform(0, 1, size)
    return {"p": np.where(np.arange(size) % 10 == 0, p**20, p)}


def lgamma(special: Any, library: SimpleNamespace) -> Callable[..., Any]:
    """log Γ and ψ at the same points."""
    return lambda a, x: (special.gammaln(a), special.digamma(x))


def quantile(special: Any, library: SimpleNamespace) -> Callable[..., Any]:
    """The normal quantile."""
    return special.ndtri


def incomplete(special: Any, library: SimpleNamespace) -> Callable[..., Any]:
    """The regularised incomplete gamma function."""
    return special.gammainc


def traced(package: str, formula: Formula, library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the same text."""
    special = importlib.import_module(f"{package}.scipy.special")
    return partial(library.api.jit(formula(special, library)), *map(library.own, data.values()))


def by_hand(formula: Formula, library: SimpleNamespace, data: Data) -> Call:
    """SciPy's loops."""
    return partial(formula(importlib.import_module("scipy.special"), library), *data.values())


def _workload(
    name: str, title: str, build: Callable[[int], Data], formula: Formula, goals: tuple[Goal, ...]
) -> Workload:
    return Workload(
        f"{name}_1e6",
        f"{title}, {SIZE:,} × float64",
        partial(build, SIZE),
        {
            "funcgrad": partial(traced, "funcgrad", formula),
            "jax": partial(traced, "jax", formula),
            "numpy": partial(by_hand, formula),
        },
        tolerance=1e-9,
        goals=goals,
        x64=True,
        why="SciPy's own loop runs in either" if name == "gammainc" else "",
    )


WORKLOADS = (
    _workload("lgamma_digamma", "log Γ(a) and ψ(x)", shapes, lgamma, (Goal("steady", 0.5, ("jax", "numpy")),)),
    _workload("ndtri", "the normal quantile", probabilities, quantile, (Goal("steady", 0.8, ("jax", "numpy")),)),
    _workload(
        "gammainc", "P(a, x)", shapes, incomplete, (Goal("steady", 0.9, ("jax",)), Goal("steady", 1.1, ("numpy",)))
    ),
)
