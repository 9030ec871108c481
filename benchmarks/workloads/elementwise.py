"""How fast are the value and gradient of a sum of elementwise mathematics?

f(x) = Σ tanh(x)·exp(−x²) + log1p(x²), from 1,000 elements (overhead) over 1e6 (arithmetic) to 1e7 (fresh memory).
"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np

from benchmarks.workload import Call, Data, Goal, Limit, Workload


def data(size: int, dtype: str) -> Data:
    """Standard normal numbers."""
    return {"x": np.random.default_rng(1).standard_normal(size).astype(dtype)}


def traced(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the same text."""
    np = library.np

    def f(x):
        return np.sum(np.tanh(x) * np.exp(-x * x) + np.log1p(x * x))

    return partial(library.api.jit(library.api.value_and_grad(f)), library.own(data["x"]))


def torch(library: SimpleNamespace, data: Data) -> Call:
    """PyTorch, eager or compiled."""
    torch = library.torch
    x = torch.tensor(data["x"], requires_grad=True)

    @library.compiled
    def f(x):
        return torch.sum(torch.tanh(x) * torch.exp(-x * x) + torch.log1p(x * x))

    def value_and_grad():
        value = f(x)
        return value, torch.autograd.grad(value, x)[0]

    return value_and_grad


def autograd(library: SimpleNamespace, data: Data) -> Call:
    """autograd: the same text, not compiled."""
    np = library.np

    def f(x):
        return np.sum(np.tanh(x) * np.exp(-x * x) + np.log1p(x * x))

    return partial(library.api.value_and_grad(f), data["x"])


def by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy with the derivative written by hand."""
    x = data["x"]

    def value_and_grad():
        tanh, square = np.tanh(x), x * x
        bell = np.exp(-square)
        product = tanh * bell
        value = np.sum(product + np.log1p(square))
        return value, (1 - tanh * tanh) * bell - 2 * x * product + 2 * x / (1 + square)

    return value_and_grad


def numba(library: SimpleNamespace, data: Data) -> Call:
    """Numba: one hand-written loop, with unsafe mathematics allowed."""
    prange, x = library.numba.prange, data["x"]
    one, two = x.dtype.type(1), x.dtype.type(2)

    @library.numba.njit(parallel=library.threads > 1, fastmath=True)
    def value_and_grad(x):
        total, gradient = 0.0, np.empty_like(x)
        for i in prange(x.size):
            tanh, square = np.tanh(x[i]), x[i] * x[i]
            bell = np.exp(-square)
            total += tanh * bell + np.log1p(square)
            gradient[i] = (one - tanh * tanh) * bell - two * x[i] * tanh * bell + two * x[i] / (one + square)
        return total, gradient

    return partial(value_and_grad, x)


def _workload(size: int, dtype: str, goal: float) -> Workload:
    traffic = 2 * size * np.dtype(dtype).itemsize
    return Workload(
        f"elementwise_1e{len(str(size)) - 1}_{dtype.replace('float', 'f')}",
        f"value and gradient of Σ tanh(x)·exp(-x²) + log1p(x²), {size:,} × {dtype}",
        partial(data, size, dtype),
        {
            "funcgrad": traced,
            "jax": traced,
            "torch": torch,
            "tcompile": torch,
            "autograd": autograd,
            "numpy": by_hand,
            "numba": numba,
        },
        tolerance=1e-5 if dtype == "float32" else 1e-13,
        limit=Limit("triad", dtype, bytes=traffic) if size >= 10**7 else None,
        goals=(Goal("steady", goal, ("jax",)),),
        x64=dtype == "float64",
        quick=size < 10**7,
    )


WORKLOADS = tuple(
    _workload(size, dtype, goal)
    for size, goal in ((10**3, 0.2), (10**6, 0.7), (10**7, 0.2))
    for dtype in ("float32", "float64")
)
