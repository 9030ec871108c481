"""How fast is a log-density with its gradient, called from native code?  What a sampler does: 1,000 calls, no Python.

funcgrad's is the pointer of `fg.logp_and_grad_cfunc`, Numba's is written by hand, PyTensor's is the function that its
Numba linker makes; all are called in a loop that Numba compiled. PyTensor may need a Python of its own, which the
environment variable ``BENCHMARKS_PYTENSOR`` names (it holds Numba to a range of versions that funcgrad's is not in).
"""

from __future__ import annotations

import ctypes
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.workload import Call, Data, Goal, Workload

ROWS, COLUMNS, CALLS = 500, 20, 1000
STEP = 1e-6  # between the places of two calls


def data() -> Data:
    """A regression's data and a place."""
    random = np.random.default_rng(0)
    X, truth = random.standard_normal((ROWS, COLUMNS)), random.standard_normal(COLUMNS)
    y = (random.random(ROWS) < 1 / (1 + np.exp(-X @ truth))).astype(float)
    return {"q": random.standard_normal(COLUMNS) * 0.1, "X": X, "y": y}


def pointer(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad: the function's address, called as C would."""
    import numba

    fg, softplus = library.api, library.nn.softplus
    X, y = data["X"], data["y"]

    def logp(q):
        z = X @ q
        return -np.sum(softplus(z) - y * z) - 0.5 * q @ q

    native = fg.logp_and_grad_cfunc(logp, COLUMNS)
    density = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int64, *[ctypes.c_void_p] * 4)(native.address)

    @numba.njit
    def calls(q):
        q, gradient, value = q.copy(), np.empty(COLUMNS), np.empty(1)
        total, slopes = 0.0, np.zeros(COLUMNS)
        for _ in range(CALLS):
            q += STEP
            density(COLUMNS, q.ctypes.data, gradient.ctypes.data, value.ctypes.data, 0)
            total += value[0]
            slopes += gradient
        return total / CALLS, slopes / CALLS

    def called():
        assert native.address  # the code lives as long as this object
        return calls(data["q"])

    return called


def numba(library: SimpleNamespace, data: Data) -> Call:
    """Numba: the gradient by hand, in loops over the transposed matrix, with unsafe mathematics allowed."""
    njit = library.numba.njit(fastmath=True)

    @njit
    def density(q, XT, y, z, gradient):
        z[:] = 0
        for k in range(len(q)):
            for i in range(len(y)):
                z[i] += q[k] * XT[k, i]
        value = 0.0
        for i in range(len(y)):
            e = np.exp(-abs(z[i]))
            value -= max(z[i], 0.0) + np.log(1 + e) - y[i] * z[i]
            z[i] = y[i] - (1.0 if z[i] > 0 else e) / (1 + e)
        for k in range(len(q)):
            total = 0.0
            for i in range(len(y)):
                total += XT[k, i] * z[i]
            gradient[k] = total - q[k]
            value -= 0.5 * q[k] * q[k]
        return value

    @njit
    def calls(q, XT, y):
        q, gradient, z = q.copy(), np.empty_like(q), np.empty_like(y)
        total, slopes = 0.0, np.zeros_like(q)
        for _ in range(CALLS):
            q += STEP
            total += density(q, XT, y, z, gradient)
            slopes += gradient
        return total / CALLS, slopes / CALLS

    return partial(calls, data["q"], np.ascontiguousarray(data["X"].T), data["y"])


def pytensor(library: SimpleNamespace, data: Data) -> Call:
    """PyTensor: the function behind its Numba mode."""
    import numba

    pt, X, y = library.tensor, data["X"], data["y"]
    q = pt.dvector("q")
    z = pt.dot(pt.constant(X), q)
    logp = -pt.sum(pt.softplus(z) - y * z) - 0.5 * pt.dot(q, q)
    density = library.pytensor.function([q], [logp, library.pytensor.grad(logp, q)], mode="NUMBA").vm.jit_fn

    @numba.njit
    def calls(q):
        q, total, slopes = q.copy(), 0.0, np.zeros(COLUMNS)
        for _ in range(CALLS):
            q += STEP
            value, gradient = density(q)
            total += value.item()
            slopes += gradient
        return total / CALLS, slopes / CALLS

    return partial(calls, data["q"])


def by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy, by hand."""
    X, y = data["X"], data["y"]

    def calls():
        q, total, slopes = data["q"].copy(), 0.0, np.zeros(COLUMNS)
        for _ in range(CALLS):
            q += STEP
            z = X @ q
            e = np.exp(-np.abs(z))
            total -= np.sum(np.maximum(z, 0) + np.log1p(e) - y * z) + 0.5 * q @ q
            slopes += (y - np.where(z > 0, 1, e) / (1 + e)) @ X - q
        return total / CALLS, slopes / CALLS

    return calls


def outcome(data: Data, result: Any) -> dict[str, np.ndarray]:
    """The means of the values and of the gradients."""
    return {"value": np.asarray(result[0]), "gradient": np.asarray(result[1])}


WORKLOADS = (
    Workload(
        "native_density",
        "1,000 calls of a log-density with gradient from native code, 500 × 20",
        data,
        {"funcgrad": pointer, "numba": numba, "pytensor": pytensor, "numpy": by_hand},
        1e-9,
        outcome,
        goals=(Goal("steady", 1.2, ("numba",)), Goal("steady", 1.0, ("pytensor",))),
    ),
)
