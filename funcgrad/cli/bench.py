"""Does this machine compute the right numbers, and how fast?  The command ``bench``: a dozen workloads beside NumPy.

Each is a function for funcgrad and one that does the same in NumPy, by hand where that is a gradient.  Their results
are compared; the times are the smallest of several calls, which take turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import funcgrad as fg
from funcgrad.cli.info import information

Arrays = tuple[np.ndarray, ...]
SECONDS, QUICK_SECONDS = 7.0, 0.2  # for a workload
LARGE, SMALL = 1.0, 0.1  # of the sizes below
FEWEST = 3  # calls of each
STEPS = 10_000
AGREE = {"f": 2e-5, "d": 1e-11}  # of the largest element, by the dtype's letter


class Workload(NamedTuple):
    """What is computed; `arguments` makes them for a scale of sizes."""

    name: str
    ours: Callable[..., Any]
    numpys: Callable[..., Any]
    arguments: Callable[[np.random.Generator, float], Arrays]


class Row(NamedTuple):
    """A line of the table: seconds of the first call and of later ones, and the difference by what it may be."""

    name: str
    first: float
    ours: float
    numpys: float
    difference: float

    @property
    def agrees(self) -> bool:
        """Whether the difference is rounding."""
        return self.difference <= 1


def run(quick: bool) -> int:
    """Print the table; 1 if a result is wrong."""
    known = information()
    print(f"funcgrad {known['funcgrad']}, numpy {known['numpy']}, {known['threads']} threads, {known['processor']}")
    print(f"\n{'':34}{'first call':>12}{'funcgrad':>12}{'NumPy':>12}{'ratio':>8}  agree")
    if quick:
        print("(a tenth of each size that is named)")
    wrong = []
    for workload in WORKLOADS:
        row = measure(workload, SMALL if quick else LARGE, QUICK_SECONDS if quick else SECONDS)
        times = "".join(f"{_milliseconds(t):>12}" for t in (row.first, row.ours, row.numpys))
        print(f"{row.name:34}{times}{row.numpys / row.ours:>7.1f}x  {'yes' if row.agrees else 'NO'}", flush=True)
        wrong += [] if row.agrees else [row]
    for row in wrong:
        print(f"\n{row.name}: the results differ, by {row.difference:.3g} times what rounding explains")
    print(f"\n{len(WORKLOADS) - len(wrong)} of {len(WORKLOADS)} workloads agree with NumPy")
    return 1 if wrong else 0


def measure(workload: Workload, scale: float, seconds: float) -> Row:
    """Run a workload for about so many seconds."""
    arguments = workload.arguments(np.random.default_rng(0), scale)
    function = fg.jit(workload.ours)
    first, got = _timed(function, arguments)
    least, want = _timed(workload.numpys, arguments)
    times: list[list[float]] = [[], [least]]
    end = time.perf_counter() + seconds
    while len(times[0]) < FEWEST or time.perf_counter() < end:
        times[0].append(_timed(function, arguments)[0])
        times[1].append(_timed(workload.numpys, arguments)[0])
    return Row(workload.name, first, min(times[0]), min(times[1]), difference(got, want))


def _timed(function: Callable[..., Any], arguments: Arrays) -> tuple[float, Any]:
    start = time.perf_counter()
    value = function(*arguments)
    return time.perf_counter() - start, value


def difference(got: Any, want: Any) -> float:
    """The largest difference of two results (arrays, or tuples of them), as a multiple of what rounding explains."""
    pairs = zip(_arrays(got), _arrays(want), strict=True)
    return max(_apart(a, b) for a, b in pairs)


def _arrays(value: Any) -> Sequence[np.ndarray]:
    return [np.asarray(x) for x in (value if isinstance(value, tuple | list) else (value,))]


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    if a.shape != b.shape or a.dtype != b.dtype:
        return float("inf")
    if a.dtype.kind != "f":
        return 0.0 if np.array_equal(a, b) else float("inf")
    worst = np.max(np.abs(a - b), initial=0) / (np.max(np.abs(b), initial=0) or 1)
    return float(worst / AGREE[a.dtype.char]) if np.isfinite(worst) else float("inf")


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:,.3g} ms" if seconds < 1 else f"{seconds * 1e3:,.0f} ms"


# What is computed -----------------------------------------------------------------------------------------------------


def _drawn(*shapes: tuple[int, ...], dtype: Any = np.float32) -> Callable[[np.random.Generator, float], Arrays]:
    """Normal numbers; the first extent of the first array, and of those that share it, is scaled."""
    common = shapes[0][0]

    def draw(rng: np.random.Generator, scale: float) -> Arrays:
        sizes = [tuple(max(2, int(n * scale)) if n == common else n for n in shape) for shape in shapes]
        return tuple(rng.standard_normal(shape).astype(dtype) for shape in sizes)

    return draw


def _chain(x: Any) -> Any:
    return np.tanh(x) * np.exp(-x * x) + 1


def _softmax(x: Any) -> Any:
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


def _moments(x: Any) -> Any:
    return np.mean(x), np.sqrt(np.mean((x - np.mean(x)) ** 2)), np.max(x)


def _product(a: Any, b: Any) -> Any:
    return a @ b


def _distances(x: Any) -> Any:
    return np.sqrt(np.sum((x[:, None, :] - x[None, :, :]) ** 2, axis=-1))


def _logistic_loss(w: Any, x: Any) -> Any:
    return np.mean(np.log1p(np.exp(-(x @ w))))


def _logistic_gradient(w: np.ndarray, x: np.ndarray) -> np.ndarray:
    margins = x @ w
    return np.asarray(-(x.T @ (1 / (1 + np.exp(margins)))) / x.shape[0])


def _network_loss(weights: Any, x: Any) -> Any:
    hidden = np.tanh(x @ weights[0])
    return np.mean((hidden @ weights[1]) ** 2)


def _network_gradient(x: np.ndarray, first: np.ndarray, second: np.ndarray) -> Arrays:
    hidden = np.tanh(x @ first)
    out = hidden @ second
    slope = 2 * out / out.size
    back = (slope @ second.T) * (1 - hidden * hidden)
    return x.T @ back, hidden.T @ slope


def _swing(i: Any, state: Any) -> Any:
    place, speed = state
    speed = speed - 0.01 * place
    return place + 0.01 * speed, speed


def _orbit(x: Any) -> Any:
    return fg.lax.fori_loop(0, STEPS, _swing, (x, x * 0))


def _orbit_by_hand(x: np.ndarray) -> Any:
    state = x, x * 0
    for i in range(STEPS):
        state = _swing(i, state)
    return state


def _filtered(x: Any) -> Any:
    return fg.lax.scan(lambda c, v: (0.9 * c + v, 0.9 * c + v), x[0] * 0, x)[1]


def _filtered_by_hand(x: np.ndarray) -> np.ndarray:
    out, c = np.empty_like(x), x[0] * 0
    for k, v in enumerate(x):
        out[k] = c = 0.9 * c + v
    return out


def _stencil(x: Any) -> Any:
    return x[1:-1, 1:-1] + 0.1 * (x[2:, 1:-1] + x[:-2, 1:-1] + x[1:-1, 2:] + x[1:-1, :-2] - 4 * x[1:-1, 1:-1])


def _solved(a: Any, b: Any) -> Any:
    return np.linalg.solve(a + 4 * np.eye(3), b[..., None])[..., 0]


def _counted(x: Any) -> Any:
    return fg.numpy.zeros(64).at[np.clip(x * 8 + 32, 0, 63).astype(np.int64)].add(1.0)


def _counted_by_hand(x: np.ndarray) -> np.ndarray:
    return np.bincount(np.clip(x * 8 + 32, 0, 63).astype(np.int64), minlength=64).astype(np.float64)


WORKLOADS = (
    Workload("a chain of functions, 1e6", _chain, _chain, _drawn((1_000_000,))),
    Workload("softmax of 2000 x 500", _softmax, _softmax, _drawn((2000, 500))),
    Workload("mean, deviation, maximum of 4e6", _moments, _moments, _drawn((4_000_000,), dtype=np.float64)),
    Workload("matrix product 800 x 800", _product, _product, _drawn((800, 801), (801, 800))),
    Workload("distances of 1000 points", _distances, _distances, _drawn((1000, 3), dtype=np.float64)),
    Workload(
        "gradient, logistic, 20000 x 100",
        lambda x, w: fg.grad(_logistic_loss)(w, x),
        lambda x, w: _logistic_gradient(w, x),
        _drawn((20000, 100), (100,), dtype=np.float64),
    ),
    Workload(
        "gradient, network 256-128-10",
        lambda x, first, second: fg.grad(_network_loss)((first, second), x),
        _network_gradient,
        _drawn((1000, 256), (256, 128), (128, 10)),
    ),
    Workload("10000 steps of 8 pendulums", _orbit, _orbit_by_hand, _drawn((8,), dtype=np.float64)),
    Workload("a recurrence of 1e5 steps", _filtered, _filtered_by_hand, _drawn((100_000,), dtype=np.float64)),
    Workload("five-point stencil, 1500 x 1500", _stencil, _stencil, _drawn((1500, 1499))),
    Workload("20000 systems of 3 x 3", _solved, _solved, _drawn((20000, 3, 3), (20000, 3), dtype=np.float64)),
    Workload("sort 1e6", np.sort, np.sort, _drawn((1_000_000,), dtype=np.float64)),
    Workload("histogram of 1e6", _counted, _counted_by_hand, _drawn((1_000_000,), dtype=np.float64)),
)
