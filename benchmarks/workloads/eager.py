"""What does it cost without compiled code?  Eager gradients, operations on small arrays, tracing a long program."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.workload import Call, Data, Goal, Workload, map_leaves

ROUNDS = 10  # of five operations each
SIZES, BATCH = (64, 32, 10), 32
EQUATIONS = 10_000
# A gradient is to be traced here while JAX traces the function: a sixth of what it takes for the gradient.
TRACING = 0.16


# A scalar function of fifty operations -------------------------------------------------------------------------------


def scalar_data() -> Data:
    """One number."""
    return {"x": np.float64(0.3)}


def scalar(library: SimpleNamespace, data: Data) -> Call:
    """The same text for every library that differentiates NumPy code."""
    np = library.np

    def f(x):
        y = x
        for _ in range(ROUNDS):
            y = np.exp(-(np.sin(y) * x + 0.5))
        return y

    return partial(library.api.grad(f), library.own(data["x"]))


def scalar_by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy: value and derivative side by side."""
    x = data["x"]

    def derivative():
        y, slope = x, 1.0
        for _ in range(ROUNDS):
            inner = np.cos(y) * slope * x + np.sin(y)
            y = np.exp(-(np.sin(y) * x + 0.5))
            slope = -y * inner
        return slope

    return derivative


# A small network, as in autograd's examples --------------------------------------------------------------------------


def network_data() -> Data:
    """Weights, inputs, and targets with a one for each label."""
    random = np.random.default_rng(0)
    params = [(random.standard_normal((m, n)) / np.sqrt(m), np.zeros(n)) for m, n in itertools.pairwise(SIZES)]
    return {
        "params": params,
        "x": random.standard_normal((BATCH, SIZES[0])),
        "targets": np.eye(SIZES[-1])[random.integers(0, SIZES[-1], BATCH)],
    }


def network(library: SimpleNamespace, data: Data) -> Call:
    """Cross-entropy of tanh layers, written out."""
    np = library.np
    x, targets = (map_leaves(library.own, data[name]) for name in ("x", "targets"))

    def loss(params):
        h = x
        for w, b in params:
            z = np.dot(h, w) + b
            h = np.tanh(z)
        top = np.max(z, axis=1, keepdims=True)
        scores = z - top - np.log(np.sum(np.exp(z - top), axis=1, keepdims=True))
        return -np.sum(scores * targets) / BATCH

    return partial(library.api.grad(loss), map_leaves(library.own, data["params"]))


def network_by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy: slopes from the last layer back."""
    params, x, targets = (data[name] for name in ("params", "x", "targets"))

    def gradient():
        inputs = [x]
        for w, b in params[:-1]:
            inputs.append(np.tanh(inputs[-1] @ w + b))
        w, b = params[-1]
        z = inputs[-1] @ w + b
        e = np.exp(z - z.max(axis=1, keepdims=True))
        slope = (e / e.sum(axis=1, keepdims=True) - targets) / BATCH
        found = []
        for h, (w, _) in zip(reversed(inputs), reversed(params), strict=True):
            found.append((h.T @ slope, slope.sum(axis=0)))
            slope = slope @ w.T * (1 - h * h)
        return found[::-1]

    return gradient


# Operations one by one -----------------------------------------------------------------------------------------------


def operations_data() -> Data:
    """Two vectors of ten numbers, and a small matrix."""
    random = np.random.default_rng(0)
    return {"a": random.standard_normal(10), "b": random.standard_normal(10), "m": random.standard_normal((4, 4))}


def operations(library: SimpleNamespace, data: Data) -> Call:
    """A dozen of NumPy's functions."""
    np = library.np
    a, b, m = (library.own(data[name]) for name in ("a", "b", "m"))

    def dozen():
        return (
            np.sin(a), np.exp(a), np.add(a, b), np.multiply(a, b), np.sum(a), np.max(a), np.reshape(a, (2, 5)),
            np.where(a > 0, a, b), np.concatenate([a, b]), np.dot(m, m), np.transpose(m), np.cumsum(a),
        )  # fmt: skip

    return dozen


def operations_by_numpy(library: SimpleNamespace, data: Data) -> Call:
    """NumPy itself, the same text."""
    return operations(SimpleNamespace(np=np, own=library.own), data)


# Tracing -------------------------------------------------------------------------------------------------------------


class Program:
    """A traced program; as an array, its value at a point (so that tracing alone is timed)."""

    def __init__(self, evaluate: Callable[[], Any]) -> None:
        self.evaluate = evaluate

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.evaluate(), dtype)


def unrolled_data() -> Data:
    """Eight numbers."""
    return {"x": np.linspace(0.1, 0.8, 8).astype(np.float32)}


def unrolled(np: Any) -> Callable[[Any], Any]:
    """A function of so many equations, five to a round."""

    def f(x):
        for _ in range(EQUATIONS // 5):
            x = np.sin(x) * 0.5 + np.cos(x) * x
        return np.sum(x)

    return f


def traced(library: SimpleNamespace, data: Data, derived: bool) -> Call:
    """The program of the function, or of its gradient."""
    api, x = library.api, library.own(data["x"])

    def call():
        function = unrolled(library.np)  # a new one: JAX keeps the program of a function that it has seen
        program = api.make_jaxpr(api.grad(function) if derived else function)(x)
        return Program(lambda: library.evaluate(program, x))

    return call


def by_funcgrad(library: SimpleNamespace, data: Data, derived: bool) -> Call:
    """funcgrad, with its interpreter of programs."""
    from funcgrad.ir.interpret import interpret

    def evaluate(program: Any, x: Any) -> Any:
        return interpret(program, [x])[0]

    return traced(SimpleNamespace(**vars(library), evaluate=evaluate), data, derived)


def by_jax(library: SimpleNamespace, data: Data, derived: bool) -> Call:
    """JAX, with its own."""

    def evaluate(program: Any, x: Any) -> Any:
        return library.api.core.eval_jaxpr(program.jaxpr, program.consts, x)[0]

    return traced(SimpleNamespace(**vars(library), evaluate=evaluate), data, derived)


def unrolled_by_numpy(library: SimpleNamespace, data: Data, derived: bool) -> Call:
    """NumPy: the value, or the derivative (element by element), without a program."""
    x = data["x"]

    def value():
        y, slope = x, np.ones_like(x)
        for _ in range(EQUATIONS // 5):
            slope = slope * (1.5 * np.cos(y) - np.sin(y) * y)
            y = np.sin(y) * 0.5 + np.cos(y) * y
        return slope if derived else np.sum(y)

    return value


def _tracing(name: str, summary: str, derived: bool, bound: float) -> Workload:
    builders = {"funcgrad": by_funcgrad, "jax": by_jax, "numpy": unrolled_by_numpy}
    return Workload(
        name,
        summary,
        unrolled_data,
        {peer: partial(build, derived=derived) for peer, build in builders.items()},
        tolerance=1e-3,
        goals=(Goal("steady", bound, ("jax",)),),
        checks=("numpy",),
    )


BY_HAND = "NumPy's is the derivative, written by hand: nothing is recorded, nothing derived at run time"

WORKLOADS = (
    Workload(
        "eager_scalar",
        "gradient of a scalar function of 50 operations, not compiled",
        scalar_data,
        {"funcgrad": scalar, "jax": scalar, "autograd": scalar, "numpy": scalar_by_hand},
        tolerance=1e-13,
        goals=(Goal("steady", 1.0, ("autograd",)),),
        x64=True,
        why=BY_HAND,
    ),
    Workload(
        "eager_network",
        "gradient of an MLP 64-32-10, batch 32, float64, not compiled",
        network_data,
        {"funcgrad": network, "jax": network, "autograd": network, "numpy": network_by_hand},
        tolerance=1e-13,
        goals=(Goal("steady", 1.0, ("autograd",)),),
        x64=True,
        why=BY_HAND,
    ),
    Workload(
        "eager_operations",
        "a dozen operations on arrays of ten numbers, not compiled",
        operations_data,
        {"funcgrad": operations, "jax": operations, "numpy": operations_by_numpy},
        tolerance=1e-13,
        goals=(Goal("steady", 3.0, ("numpy",)),),
        x64=True,
        why="NumPy computes here, too; around each call one looks for traced values and gives the result its class",
    ),
    _tracing("trace_1e4", "make_jaxpr of an unrolled function of 10,000 operations", False, 1.0),
    _tracing("trace_gradient_1e4", "make_jaxpr of the gradient of a function of 10,000 operations", True, TRACING),
)
