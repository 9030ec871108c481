"""Which programs do tests of lowering look at?  Each with its arguments, and how many kernels and library products it takes."""
# ruff: noqa: E501 - a row of the table is a line

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import funcgrad as fg
from funcgrad.ops.shape import pad

SIZES = (0, 1, 2, 3, 7, 40)


class Case(NamedTuple):
    """`arguments(m, n)` are the arguments for a size; `kernels` and `products` count steps at size (40, 7)."""

    function: Callable[..., Any]
    arguments: Callable[[int, int], tuple[Any, ...]]
    kernels: int
    products: int = 0
    exact: bool = False
    sizes: tuple[int, ...] = SIZES


def floats(*shape: int, dtype: str = "f4", seed: int = 0) -> np.ndarray:
    """Normal numbers."""
    return np.random.default_rng((seed, *shape)).normal(size=shape).astype(dtype)


def labels(count: int, classes: int) -> np.ndarray:
    """Class numbers, negative ones too."""
    return np.random.default_rng(count).integers(-classes, classes, count) if classes else np.zeros(count, int)


def matrix(m: int, n: int) -> tuple[np.ndarray]:
    return (floats(m, n),)


def cross_entropy(z: Any, y: Any) -> Any:
    """The mean of -log softmax(z)[y]."""
    return -np.mean(fg.nn.log_softmax(z)[np.arange(z.shape[0]), y])


def logistic_loss(w: Any, X: Any, y: Any) -> Any:
    """Of a linear classifier."""
    z = X @ w
    return np.mean(np.logaddexp(0.0, z) - y * z)


def dense(w: Any, x: Any, t: Any) -> Any:
    """A squared error of one layer."""
    return np.sum((np.tanh(x @ w) - t) ** 2)


def ranked(x: Any) -> Any:
    return np.argmax(x, 1), np.argmin(x, 1), np.argmax(x, 0), np.argmax(x)


def special_rows(m: int, n: int) -> tuple[np.ndarray]:
    x = np.round(floats(m, n), 0)
    if x.size:
        x[::2, n // 2] = np.nan
        x[1::3] = -np.inf
        x[2::5] = np.inf
    return (x,)


def gathered(x: Any, i: Any) -> Any:
    return x[i], x[:, i], x[i, i], x[i][:, ::-1]


def scattered(x: Any, i: Any) -> Any:
    return fg.grad(lambda x: np.sum(np.sin(x[i]) * np.arange(1.0, 4.0)[:, None]))(x)


CASES: dict[str, Case] = {
    "chain": Case(lambda x: np.tanh(x) * np.exp(-x * x) + 1, matrix, 1),
    "sum": Case(np.sum, matrix, 1),
    "mean": Case(np.mean, matrix, 2, sizes=SIZES[1:]),
    "rows": Case(lambda x: (x.sum(1), (x * x).sum(1)), matrix, 1),
    "columns": Case(lambda x: (x.sum(0), np.max(np.abs(x), 0, initial=0) if 0 in x.shape else x.max(0)), matrix, 1, sizes=SIZES[1:]),
    "softmax": Case(fg.nn.softmax, matrix, 1, sizes=SIZES[1:]),
    "cross_entropy": Case(fg.value_and_grad(cross_entropy), lambda m, n: (floats(m, n), labels(m, n)), 2, sizes=SIZES[1:]),
    "logistic": Case(
        fg.value_and_grad(logistic_loss), lambda m, n: (floats(n), floats(m, n, seed=1), floats(m) > 0), 2, sizes=SIZES[1:]
    ),
    "bias_relu": Case(lambda x, b: np.maximum(x + b, 0), lambda m, n: (floats(m, n), floats(n)), 1, exact=True),
    "x @ w.T": Case(lambda x, w: x @ w.T, lambda m, n: (floats(m, n), floats(m + 1, n)), 0, 1),
    "x.T @ y": Case(lambda x, y: x.T @ y, lambda m, n: (floats(m, n), floats(m, n + 2)), 0, 1),
    "dense": Case(fg.value_and_grad(dense), lambda m, n: (floats(n, 5), floats(m, n), floats(m, 5)), 1, 2),
    "argmax": Case(ranked, special_rows, 3, exact=True, sizes=SIZES[1:]),
    "concatenate": Case(
        lambda x, y: (np.concatenate([x, y, x[:1]], 0), np.concatenate([x * 2, x], 1)), lambda m, n: (floats(m, n), floats(2, n)), 3, exact=True
    ),
    "pad": Case(
        lambda x: (
            pad(x, np.float32(9), padding_config=((1, 2, 0), (0, 3, 1))),
            pad(x * 2, np.float32(9), padding_config=((-1, 2, 2), (1, -1, 0))),
        ),
        matrix, 4, exact=True, sizes=SIZES[2:],
    ),
    "slices": Case(lambda x: (x[::-1], x[::2, ::-3], x[-1:0:-2], x[1:, :-1] - x[:-1, 1:]), matrix, 4, exact=True),
    "gather": Case(gathered, lambda m, n: (floats(m, n), np.array([0, -1, 0])), 3, exact=True, sizes=SIZES[1:]),
    "scatter": Case(scattered, lambda m, n: (floats(m, n), np.array([0, -1, 0])), 2, sizes=SIZES[1:]),
    "batched": Case(
        lambda x, y: np.matmul(x, y), lambda m, n: (floats(3, m, n), floats(n, m)), 0, 1
    ),
    "tiny batch": Case(lambda x, y: np.matmul(x, y), lambda m, n: (floats(m, 3, n), floats(m, n, 2)), 1),
    "odd axes": Case(np.dot, lambda m, n: (floats(2, m, n), floats(2, n, 3)), 1, 1),
    "reshape": Case(lambda x: (x.reshape(-1) + 1, x.T.reshape(-1) * 2), matrix, 2, exact=True),
    "scalars": Case(lambda a, b: (a * b, np.sin(a) + b, a), lambda m, n: (1.5, np.float32(2.0)), 1, sizes=(1,)),
}  # fmt: skip
