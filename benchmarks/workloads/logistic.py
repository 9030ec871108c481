"""How fast are the loss and gradient of logistic regression?  Both need X; one pass over it is enough."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np

from benchmarks.workload import Call, Data, Goal, Limit, Workload

ROWS, COLUMNS = 100_000, 100


def data(rows: int = ROWS, columns: int = COLUMNS) -> Data:
    """Normal features and small weights, random 0/1 labels."""
    random = np.random.default_rng(0)
    return {
        "X": random.standard_normal((rows, columns)).astype(np.float32),
        "w": (random.standard_normal(columns) * 0.1).astype(np.float32),
        "y": (random.random(rows) < 0.5).astype(np.float32),
    }


def traced(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the same text."""
    np, softplus = library.np, library.nn.softplus

    def loss(w, X, y):
        return np.mean(softplus(X @ w) - y * (X @ w))

    function = library.api.jit(library.api.value_and_grad(loss))
    return partial(function, *(library.own(data[name]) for name in "wXy"))


def torch(library: SimpleNamespace, data: Data) -> Call:
    """PyTorch, eager or compiled: its own fused loss is this function."""
    torch = library.torch
    X, y, w = torch.tensor(data["X"]), torch.tensor(data["y"]), torch.tensor(data["w"], requires_grad=True)

    @library.compiled
    def loss(w, X, y):
        return torch.nn.functional.binary_cross_entropy_with_logits(X @ w, y)

    def value_and_grad():
        value = loss(w, X, y)
        return value, torch.autograd.grad(value, w)[0]

    return value_and_grad


def autograd(library: SimpleNamespace, data: Data) -> Call:
    """autograd: softplus is ``logaddexp(0, z)``."""
    np = library.np

    def loss(w, X, y):
        z = np.dot(X, w)
        return np.mean(np.logaddexp(z.dtype.type(0), z) - y * z)

    return partial(library.api.value_and_grad(loss), *(data[name] for name in "wXy"))


def by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy with the gradient written by hand."""
    w, X, y = (data[name] for name in "wXy")

    def value_and_grad():
        z = X @ w
        e = np.exp(-np.abs(z))
        value = np.mean(np.maximum(z, 0) + np.log1p(e) - y * z)
        residual = np.where(z > 0, 1, e) / (1 + e) - y
        return value, residual @ X / len(y)

    return value_and_grad


def numba(library: SimpleNamespace, data: Data) -> Call:
    """Numba: one pass over X, hand-written, with unsafe mathematics allowed."""
    prange, threads = library.numba.prange, library.threads
    zero, one = np.float32(0), np.float32(1)

    @library.numba.njit(parallel=threads > 1, fastmath=True)
    def value_and_grad(w, X, y):
        rows, columns = X.shape
        partial_sums = np.zeros((threads, columns), np.float32)
        total = 0.0
        for t in prange(threads):
            mine, loss = np.zeros(columns, np.float32), 0.0
            for i in range(t * rows // threads, (t + 1) * rows // threads):
                z = zero
                for j in range(columns):
                    z += X[i, j] * w[j]
                e = np.exp(-abs(z))
                loss += max(z, zero) + np.log1p(e) - y[i] * z
                residual = (one if z > zero else e) / (one + e) - y[i]
                for j in range(columns):
                    mine[j] += residual * X[i, j]
            partial_sums[t] = mine
            total += loss
        return total / rows, partial_sums.sum(axis=0) / np.float32(rows)

    return partial(value_and_grad, *(data[name] for name in "wXy"))


WORKLOADS = (
    Workload(
        "logistic",
        "logistic regression, loss and gradient, 100,000 × 100, float32",
        data,
        {
            "funcgrad": traced,
            "jax": traced,
            "torch": torch,
            "tcompile": torch,
            "autograd": autograd,
            "numpy": by_hand,
            "numba": numba,
        },
        tolerance=1e-4,
        limit=Limit("read", bytes=4 * ROWS * COLUMNS),
        goals=(Goal("steady", 0.6, ("jax",)), Goal("steady", 1.0, ("numpy",))),
    ),
)
