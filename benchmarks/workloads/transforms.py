"""How fast are transformations beyond a gradient?  Per-example gradients, a Hessian, a Hessian-vector product."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.workload import Builder, Call, Data, Goal, Workload, map_leaves
from benchmarks.workloads import elementwise, mlp

SIZES, BATCH = mlp.TINY, 256
UNKNOWNS = 20


def _loss(library: SimpleNamespace) -> Callable[..., Any]:
    """The cross-entropy of one example, or the mean over a batch: the same text."""
    np, nn = library.np, library.nn

    def loss(params, x, y):
        for w, b in params[:-1]:
            x = nn.relu(x @ w + b)
        w, b = params[-1]
        scores = nn.log_softmax(x @ w + b)
        return -np.mean(np.take_along_axis(scores, y[..., None], axis=-1))

    return loss


def per_example(library: SimpleNamespace, data: Data) -> Call:
    """The gradient of every example's loss."""
    fg = library.api
    function = fg.jit(fg.vmap(fg.grad(_loss(library)), in_axes=(None, 0, 0)))
    return partial(function, *(map_leaves(library.own, data[name]) for name in ("params", "x", "y")))


def _forward(params, x):
    """The inputs of every layer, and the class probabilities."""
    inputs = [x]
    for w, b in params[:-1]:
        inputs.append(np.maximum(inputs[-1] @ w + b, 0))
    w, b = params[-1]
    scores = inputs[-1] @ w + b
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return inputs, e / e.sum(axis=1, keepdims=True)


def per_example_by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy: outer products of every example's inputs and slopes."""
    params, x, y = (data[name] for name in ("params", "x", "y"))

    def gradients():
        inputs, slope = _forward(params, x)
        slope[np.arange(len(y)), y] -= 1
        found = []
        for a, (w, _) in zip(reversed(inputs), reversed(params), strict=True):
            found.append((a[:, :, None] * slope[:, None, :], slope))
            slope = slope @ w.T * (a > 0)
        return found[::-1]

    return gradients


def product_by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy: the gradient and its derivative along v, side by side (Pearlmutter 1994)."""
    params, direction, x, y = (data[name] for name in ("params", "v", "x", "y"))

    def hvp():
        inputs, p = _forward(params, x)
        moved = [np.zeros_like(x)]
        for a, (w, _), (v, c), after in zip(inputs, params, direction, [*inputs[1:], None], strict=True):
            t = moved[-1] @ w + a @ v + c
            moved.append(t if after is None else t * (after > 0))
        t = moved.pop()
        slope, turn = p.copy(), p * (t - np.sum(p * t, axis=1, keepdims=True)) / len(y)
        slope[np.arange(len(y)), y] -= 1
        slope /= len(y)
        found = []
        for a, da, (w, _), (v, _) in zip(*map(reversed, (inputs, moved, params, direction)), strict=True):
            found.append((da.T @ slope + a.T @ turn, turn.sum(axis=0)))
            slope, turn = slope @ w.T * (a > 0), (turn @ w.T + slope @ v.T) * (a > 0)
        return found[::-1]

    return hvp


def product_data() -> Data:
    """The network of the training step, and a direction like its parameters."""
    data = dict(mlp.data(mlp.BIG, 128))
    random = np.random.default_rng(1)
    data["v"] = map_leaves(lambda a: random.standard_normal(a.shape).astype(a.dtype), data["params"])
    return data


def product(library: SimpleNamespace, data: Data) -> Call:
    """Forward over reverse mode."""
    fg, loss = library.api, _loss(library)

    @fg.jit
    def function(params, v, x, y):
        return fg.jvp(lambda p: fg.grad(loss)(p, x, y), (params,), (v,))[1]

    return partial(function, *(map_leaves(library.own, data[name]) for name in ("params", "v", "x", "y")))


def rosenbrock_data() -> Data:
    """A point off the valley."""
    return {"x": np.random.default_rng(0).uniform(-1, 1, UNKNOWNS).astype(np.float32)}


def hessian(library: SimpleNamespace, data: Data) -> Call:
    """All second derivatives of Rosenbrock's function."""
    fg, np = library.api, library.np

    def rosenbrock(x):
        return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    return partial(fg.jit(fg.hessian(rosenbrock)), library.own(data["x"]))


def hessian_by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy: the three diagonals."""
    x = data["x"]

    def matrix():
        diagonal = np.zeros_like(x)
        diagonal[:-1] = 1200 * x[:-1] ** 2 - 400 * x[1:] + 2
        diagonal[1:] += 200
        beside = np.diag(-400 * x[:-1], 1)
        return np.diag(diagonal) + beside + beside.T

    return matrix


def chain_forward(library: SimpleNamespace, data: Data) -> Call:
    """The compiled function alone; the gradient that comes with it was there before."""
    np = library.np
    function = library.api.jit(lambda x: np.sum(np.tanh(x) * np.exp(-x * x) + np.log1p(x * x)))
    x, (_, gradient) = library.own(data["x"]), elementwise.by_hand(library, data)()
    return lambda: (function(x), gradient)


def _builders(build: Builder, by_hand: Builder) -> dict[str, Builder]:
    return {"funcgrad": build, "jax": build, "numpy": by_hand}


WORKLOADS = (
    Workload(
        "per_example",
        "per-example gradients of an MLP 64-32-10, batch 256, float32",
        partial(mlp.data, SIZES, BATCH),
        _builders(per_example, per_example_by_hand),
        tolerance=1e-3,
        goals=(Goal("steady", 0.5, ("jax",)),),
    ),
    Workload(
        "hessian",
        "Hessian of a 20-dimensional Rosenbrock function, float32",
        rosenbrock_data,
        _builders(hessian, hessian_by_hand),
        tolerance=1e-4,
        goals=(Goal("steady", 0.3, ("jax",)),),
    ),
    Workload(
        "hvp784",
        "Hessian-vector product of the MLP 784-512-256-10, batch 128, float32",
        product_data,
        _builders(product, product_by_hand),
        tolerance=1e-3,
        goals=(Goal("steady", 0.85, ("jax",)),),
    ),
    Workload(
        "chain_gradient",
        "value and gradient of a chain of elementwise functions beside its value alone, 1,000,000 × float32",
        partial(elementwise.data, 10**6, "float32"),
        _builders(elementwise.traced, elementwise.by_hand) | {"forward": chain_forward},
        tolerance=1e-5,
        goals=(Goal("steady", 3.0, ("forward",)),),
    ),
)
