"""Which losses are there?  Arguments and a formula in plain NumPy for each; float arguments come first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.special as sp

RANDOM = np.random.default_rng(0)
ROWS, CLASSES = 4, 5
X = RANDOM.standard_normal((ROWS, CLASSES)) * 2
T = RANDOM.standard_normal((ROWS, CLASSES))
P = sp.softmax(T, -1)
CODES = np.eye(CLASSES)[[2, 0, 4, 2]]
LABELS = np.array([2, 0, 4, 2])
BITS = (T > 0).astype(float)
SIGNS = 2 * BITS - 1
WHERE = np.array([[1, 1, 0, 1, 1], [1, 1, 1, 1, 0], [1, 0, 1, 1, 1], [1, 1, 1, 1, 1]], bool)


@dataclass(frozen=True)
class Case:
    """A call, its value by a formula of the arguments, how many of them are floats, and whether optax has it."""

    args: tuple[Any, ...]
    formula: Callable[..., Any]
    options: dict[str, Any] = field(default_factory=dict)
    floats: int = 1
    optax: bool = True


def cross_entropy(x: Any, p: Any) -> Any:
    return -np.sum(p * sp.log_softmax(x, -1), -1)


def focal(x: Any, y: Any, alpha: Any = None, gamma: float = 2.0) -> Any:
    p = sp.expit(x)
    right = p * y + (1 - p) * (1 - y)
    loss = -(y * np.log(p) + (1 - y) * np.log1p(-p)) * (1 - right) ** gamma
    return loss if alpha is None else (alpha * y + (1 - alpha) * (1 - y)) * loss


def sparsemax(x: Any, labels: Any) -> Any:
    out = []
    for row, k in zip(x, labels, strict=True):
        z = np.sort(row)[::-1]
        support = max(n for n in range(1, len(z) + 1) if 1 + n * z[n - 1] > z[:n].sum())
        tau = (z[:support].sum() - 1) / support
        kept = z[:support]
        out.append(-row[k] + 0.5 * np.sum(kept**2 - tau**2) + 0.5)
    return np.array(out)


def huber(e: Any, delta: float = 1.0) -> Any:
    return np.where(np.abs(e) <= delta, e**2 / 2, delta * (np.abs(e) - delta / 2))


def cosine(a: Any, b: Any) -> Any:
    return np.sum(a * b, -1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def dice(x: Any, t: Any, smooth: float = 1.0, alpha: float = 0.5, beta: float = 0.5) -> Any:
    p = sp.softmax(x, -1)
    both = (p * t).sum(1)
    return 1 - (both + smooth) / (both + alpha * (p.sum(1) - both) + beta * (t.sum(1) - both) + smooth)


def sparse_plus(z: Any) -> Any:
    return np.where(np.abs(z) < 1, (z + 1) ** 2 / 4, np.maximum(z, 0))


def rarity(t: Any) -> Any:
    w = 1 / (t.sum((0, 1)) ** 2 + 1e-7)
    return w / w.mean()


def contrast(x: Any, labels: Any, temperature: float = 0.07) -> Any:
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    similar = unit @ unit.T / temperature
    terms = []
    for i, j in np.argwhere((labels[:, None] == labels) & ~np.eye(len(x), dtype=bool)):
        others = similar[i, labels != labels[i]]
        terms.append(sp.logsumexp([similar[i, j], *others]) - similar[i, j])
    return np.mean(terms)


IMAGES = RANDOM.standard_normal((2, 6, 3))
REGIONS = np.eye(3)[RANDOM.integers(0, 3, (2, 6))]
LOG_P = sp.log_softmax(X, -1)
PAIRS = np.array([0, 0, 1, 1])
OTHER = (X + T, X - T * 0.3)

CASES: dict[str, Case] = {
    "squared_error": Case((X, T), lambda x, t: (x - t) ** 2, floats=2),
    "l2_loss": Case((X, T), lambda x, t: (x - t) ** 2 / 2, floats=2),
    "absolute_error": Case((X, T), lambda x, t: np.abs(x - t), floats=2, optax=False),
    "huber_loss": Case((X, T), lambda x, t: huber(x - t), floats=2),
    "huber_loss, delta": Case((X,), lambda x: huber(x, 0.3), {"delta": 0.3}),
    "log_cosh": Case((X, T), lambda x, t: np.log(np.cosh(x - t)), floats=2),
    "quantile_loss": Case(
        (X, T), lambda x, t: np.maximum(0.8 * (t - x), -0.2 * (t - x)), {"quantile": 0.8}, 2, optax=False
    ),
    "poisson_nll_loss": Case((X, np.abs(T)), lambda x, t: np.exp(x) - t * x, floats=2, optax=False),
    "poisson_nll_loss, rates": Case(
        (np.abs(X), np.abs(T) * 3),
        lambda x, t: (
            x - t * np.log(x + 1e-8) + np.where(t > 1, t * np.log(t) - t + np.log(2 * np.pi * t) / 2, 0)
        ),
        {"log_input": False, "full": True},
        2,
        optax=False,
    ),
    "gaussian_nll_loss": Case(
        (X, T, P),
        lambda x, t, v: np.log(2 * np.pi * v) / 2 + (x - t) ** 2 / (2 * v),
        {"full": True},
        3,
        optax=False,
    ),
    "cosine_similarity": Case((X, T), cosine, floats=2),
    "cosine_distance": Case((X, T), lambda a, b: 1 - cosine(a, b), floats=2),
    "softmax_cross_entropy": Case((X, P), cross_entropy, floats=2),
    "softmax_cross_entropy, axis": Case((X, P), lambda x, p: cross_entropy(x.T, p.T), {"axis": 0}, 2),
    "softmax_cross_entropy, where": Case(
        (X, P),
        lambda x, p: -np.sum(np.where(WHERE, p * sp.log_softmax(np.where(WHERE, x, -1e9), -1), 0), -1),
        {"where": WHERE},
        2,
    ),
    "softmax_cross_entropy, smoothing": Case(
        (X, CODES), lambda x, p: cross_entropy(x, 0.9 * p + 0.02), {"label_smoothing": 0.1}, optax=False
    ),
    "softmax_cross_entropy, weights": Case(
        (X, P), lambda x, p: cross_entropy(x, p * np.arange(5)), {"weights": np.arange(5)}, optax=False
    ),
    "safe_softmax_cross_entropy": Case((X, P), cross_entropy, floats=2),
    "softmax_cross_entropy_with_integer_labels": Case((X, LABELS), lambda x, y: cross_entropy(x, CODES)),
    "softmax_cross_entropy_with_integer_labels, axis": Case(
        (X.T, LABELS), lambda x, y: cross_entropy(x.T, CODES), {"axis": 0}
    ),
    "softmax_cross_entropy_with_integer_labels, axes": Case(
        (X.reshape(2, 2, 5), np.array([3, 8])),
        lambda x, y: sp.logsumexp(x, (1, 2)) - np.array([x[0, 0, 3], x[1, 1, 3]]),
        {"axis": (1, 2)},
    ),
    "softmax_cross_entropy_with_integer_labels, where": Case(
        (X[2:], LABELS[2:]),
        lambda x, y: cross_entropy(np.where(WHERE[2:], x, -1e9), CODES[2:]),
        {"where": WHERE[2:]},
    ),
    "softmax_cross_entropy_with_integer_labels, rows": Case(
        (X, LABELS), lambda x, y: cross_entropy(x, CODES) * [1, 0, 1, 1], {"where": np.array([True, False, True, True])}
    ),
    "softmax_cross_entropy_with_integer_labels, smoothing": Case(
        (X, LABELS), lambda x, y: cross_entropy(x, 0.9 * CODES + 0.02), {"label_smoothing": 0.1}, optax=False
    ),
    "softmax_cross_entropy_with_integer_labels, weights": Case(
        (X, LABELS),
        lambda x, y: cross_entropy(x, (0.9 * CODES + 0.02) * np.arange(5)),
        {"weights": np.arange(5), "label_smoothing": 0.1},
        optax=False,
    ),
    "softmax_cross_entropy_with_integer_labels, ignored": Case(
        (X, np.array([2, -1, 4, -1])),
        lambda x, y: cross_entropy(x, CODES) * [1, 0, 1, 0],
        {"ignore_index": -1},
        optax=False,
    ),
    "smooth_labels": Case((P, 0.1), lambda p, a: 0.9 * p + 0.02),
    "poly_loss_cross_entropy": Case(
        (X, P), lambda x, p: cross_entropy(x, p) + 2 * np.sum(p * (1 - sp.softmax(x, -1)), -1), floats=2
    ),
    "softmax_focal_loss": Case(
        (X, LABELS),
        lambda x, y: cross_entropy(x, CODES) * (1 - np.sum(CODES * sp.softmax(x, -1), -1)) ** 1.5,
        {"gamma": 1.5},
        optax=False,
    ),
    "sigmoid_binary_cross_entropy": Case(
        (X, P), lambda x, y: -y * sp.log_expit(x) - (1 - y) * sp.log_expit(-x), floats=2
    ),
    "sigmoid_binary_cross_entropy, bits": Case((X, BITS), lambda x, y: np.logaddexp(0, (1 - 2 * y) * x)),
    "sigmoid_focal_loss": Case((X, P), focal, floats=2),
    "sigmoid_focal_loss, bits": Case((X, BITS), lambda x, y: focal(x, y, 0.25, 1.5), {"alpha": 0.25, "gamma": 1.5}),
    "hinge_loss": Case((X, SIGNS), lambda x, y: np.maximum(0, 1 - x * y)),
    "perceptron_loss": Case((X, SIGNS), lambda x, y: np.maximum(0, -x * y)),
    "sparsemax_loss": Case(
        (X, BITS), lambda x, y: sparse_plus((1 - 2 * y) * x)
    ),
    "multiclass_hinge_loss": Case(
        (X, LABELS), lambda x, y: np.max(x + 1 - CODES, -1) - np.sum(CODES * x, -1)
    ),
    "multiclass_perceptron_loss": Case((X, LABELS), lambda x, y: np.max(x, -1) - np.sum(CODES * x, -1)),
    "multiclass_sparsemax_loss": Case((X, LABELS), sparsemax),
    "ranking_softmax_loss": Case((X, BITS), lambda x, y: np.mean(cross_entropy(x, y))),
    "ranking_softmax_loss, where": Case(
        (X, BITS),
        lambda x, y: -np.mean(np.sum(np.where(WHERE, y * P * sp.log_softmax(np.where(WHERE, x, -1e9), -1), 0), -1)),
        {"where": WHERE, "weights": P},
    ),
    "triplet_margin_loss": Case(
        (X, *OTHER),
        lambda a, p, n: np.maximum(
            np.sqrt(np.sum((a - p) ** 2, -1) + 1e-6) - np.sqrt(np.sum((a - n) ** 2, -1) + 1e-6) + 1, 0
        ),
        floats=3,
    ),
    "triplet_margin_loss, sums": Case(
        (X, *OTHER),
        lambda a, p, n: np.maximum(np.sum(np.abs(a - p), -1) - np.sum(np.abs(a - n), -1) + 1, 0),
        {"norm_degree": 1},
        3,
        optax=False,
    ),
    "ntxent": Case((X, PAIRS), contrast),
    "kl_divergence": Case((LOG_P, P), lambda q, p: np.sum(p * (np.log(p) - q), -1), floats=2),
    "kl_divergence, where": Case(
        (LOG_P, P), lambda q, p: np.sum(np.where(WHERE, p * (np.log(p) - q), 0), -1), {"where": WHERE}, 2
    ),
    "kl_divergence_with_log_targets": Case((LOG_P, T), lambda q, p: np.sum(np.exp(p) * (p - q), -1), floats=2),
    "generalized_kl_divergence": Case(
        (LOG_P, P), lambda q, p: np.sum(p * (np.log(p) - q) + np.exp(q) - p, -1), floats=2
    ),
    "dice_loss": Case((IMAGES, REGIONS), lambda x, t: dice(x, t).mean(-1)),
    "dice_loss, options": Case(
        (IMAGES, REGIONS),
        lambda x, t: (dice(x, t, 0.5, 0.3, 0.7) * np.arange(3))[:, 1:],
        {
            "class_weights": np.arange(3.0), "smooth": 0.5, "alpha": 0.3, "beta": 0.7,
            "reduction": "none", "ignore_background": True,
        },
    ),
    "multiclass_generalized_dice_loss": Case(
        (IMAGES, REGIONS),
        lambda x, t: np.mean(dice(x, t) * rarity(t)),
    ),
    "binary_dice_loss": Case(
        (X, BITS), lambda x, t: 1 - (np.sum(sp.expit(x) * t, 1) + 1) / (0.5 * np.sum(sp.expit(x) + t, 1) + 1)
    ),
}  # fmt: skip
