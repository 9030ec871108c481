"""What do SciPy's solvers gain from exact derivatives?  Six of them, with functions of ours as they are.

    python examples/scipy_interop.py [--size 20] [--seed 0] [--fast] [--figure scipy_interop.png]

Each problem is solved twice by the same call of SciPy's and the same compiled function: with derivatives by `grad`,
`jvp` or `jacfwd`, and with SciPy's own finite differences. A minimal surface is found by `minimize`, with gradients and
with products with the Hessian; the Bratu equation by `root`; a sum of exponentials by `least_squares`; a stiff reaction
with diffusion by `solve_ivp`; an integral by `quad`, which calls native code through a `LowLevelCallable`. Lastly a
Poisson regression becomes an estimator of scikit-learn's, which copies it, sends it to other processes, and
cross-validates it.

Expected, within half a minute on two cores: both ways end at the same point, but that L-BFGS with finite differences
stops 1e-4 short of the minimum. Those take 60 to 85 times as long there (380 times as many evaluations), some 100
times for Newton's method, 2 to 3 times for `least_squares`, `solve_ivp` and `quad`; for `root`, whose function costs
nothing, as long (8 times as many evaluations).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from options import parser, whole
from scipy import LowLevelCallable, integrate, optimize
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.model_selection import cross_val_score
from threadpoolctl import threadpool_limits

import funcgrad as fg


class Counted:
    """A function that knows how often it was called."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.calls = function, 0

    def __call__(self, *args: Any) -> Any:
        self.calls += 1
        return self.function(*args)


class Solved(NamedTuple):
    """Where a solver ended, and what it asked for on its way."""

    point: np.ndarray
    evaluations: int
    derivatives: int


Solver = Callable[[bool], Solved]  # with derivatives, or by finite differences


# The problems -------------------------------------------------------------------------------------------------------


def frame(size: int) -> np.ndarray:
    """The edge of a surface over the unit square, with zeros inside."""
    t = np.linspace(0.0, 1.0, size + 2)
    z = np.zeros((size + 2, size + 2))
    z[0], z[-1], z[:, 0], z[:, -1] = np.sin(np.pi * t), np.sin(np.pi * t), -np.sin(np.pi * t), -np.sin(np.pi * t)
    return z


def area(edge: np.ndarray) -> Callable[[Any], Any]:
    """The area of the surface with inner heights x."""
    size = len(edge) - 2

    def function(x: Any) -> Any:
        z = edge + np.pad(np.reshape(x, (size, size)), 1)
        across = ((z[1:, :-1] - z[:-1, :-1]) ** 2 + (z[1:, 1:] - z[1:, :-1]) ** 2) * (size + 1) ** 2
        along = ((z[:-1, 1:] - z[:-1, :-1]) ** 2 + (z[1:, 1:] - z[:-1, 1:]) ** 2) * (size + 1) ** 2
        return np.sum(np.sqrt(1 + across) + np.sqrt(1 + along)) / (2 * (size + 1) ** 2)

    return function


def surface(size: int) -> tuple[Solver, Solver]:
    """The minimal surface by quasi-Newton steps, and by Newton's with conjugate gradients."""
    energy = area(frame(size))
    start = np.zeros(size * size)
    value, both = fg.jit(energy), fg.jit(fg.value_and_grad(energy))
    gradient = fg.jit(fg.grad(energy))
    curvature = fg.jit(lambda x, v: fg.jvp(fg.grad(energy), (x,), (v,))[1])

    def by_gradients(exact: bool) -> Solved:
        function = Counted(both if exact else value)
        options = {"maxfun": 10**7, "maxiter": 10**4, "ftol": 1e-13}
        found = optimize.minimize(function, start, jac=exact or None, method="L-BFGS-B", options=options)
        return Solved(found.x, function.calls, function.calls if exact else 0)

    def by_curvature(exact: bool) -> Solved:
        products, slopes = Counted(curvature), Counted(gradient)
        hessp = products if exact else None  # else SciPy takes differences of gradients
        function = Counted(value)
        options = {"xtol": 1e-10}
        found = optimize.minimize(function, start, jac=slopes, hessp=hessp, method="Newton-CG", options=options)
        return Solved(found.x, function.calls, slopes.calls + products.calls)

    return by_gradients, by_curvature


def bratu(size: int) -> Solver:
    """u'' + exp(u) = 0 between two zeros."""
    h = 1.0 / (size + 1)

    def residual(u: Any) -> Any:
        inner = np.pad(u, 1)
        return (inner[2:] - 2 * u + inner[:-2]) / h**2 + np.exp(u)

    function, jacobian = fg.jit(residual), fg.jit(fg.jacfwd(residual))

    def solve(exact: bool) -> Solved:
        counted, slopes = Counted(function), Counted(jacobian)
        found = optimize.root(counted, np.zeros(size), jac=slopes if exact else None, method="hybr")
        return Solved(found.x, counted.calls, slopes.calls)

    return solve


def decay(points: int, seed: int) -> Solver:
    """The rates and amounts of three exponentials in noisy data."""
    random = np.random.default_rng(seed)
    t = np.linspace(0.0, 10.0, points)
    truth = np.array([1.0, 2.0, 3.0, 0.2, 1.0, 4.0])

    def model(p: Any) -> Any:
        return np.sum(p[:3, None] * np.exp(-p[3:, None] * t), axis=0)

    data = model(truth) + 1e-3 * random.standard_normal(points)
    residual = fg.jit(lambda p: model(p) - data)
    jacobian = fg.jit(fg.jacfwd(lambda p: model(p) - data))

    def solve(exact: bool) -> Solved:
        counted, slopes = Counted(residual), Counted(jacobian)
        start = np.array([1.0, 1.0, 1.0, 0.1, 1.0, 5.0])
        tight: dict[str, Any] = {"xtol": 1e-12, "ftol": 1e-12, "gtol": 1e-12}
        found = optimize.least_squares(counted, start, jac=slopes if exact else "2-point", **tight)
        return Solved(found.x, counted.calls, slopes.calls)

    return solve


def brusselator(size: int) -> Solver:
    """A reaction of two substances that diffuse along a line, which is stiff."""
    coupling = 0.02 * (size + 1) ** 2

    def rates(t: Any, y: Any) -> Any:
        u, v = y[:size], y[size:]
        wide_u, wide_v = np.pad(u, 1, constant_values=1.0), np.pad(v, 1, constant_values=3.0)
        du = 1 + u * u * v - 4 * u + coupling * (wide_u[2:] - 2 * u + wide_u[:-2])
        dv = 3 * u - u * u * v + coupling * (wide_v[2:] - 2 * v + wide_v[:-2])
        return np.concatenate([du, dv])

    function, jacobian = fg.jit(rates), fg.jit(fg.jacfwd(rates, argnums=1))
    place = np.arange(1, size + 1) / (size + 1)
    start = np.concatenate([1 + np.sin(2 * np.pi * place), np.full(size, 3.0)])

    def solve(exact: bool) -> Solved:
        counted, slopes = Counted(function), Counted(jacobian)
        tight: dict[str, Any] = {"method": "Radau", "rtol": 1e-5, "atol": 1e-7}
        found = integrate.solve_ivp(counted, (0.0, 5.0), start, jac=slopes if exact else None, **tight)
        return Solved(found.y[:, -1], counted.calls, slopes.calls)

    return solve


def integral(native: bool) -> Solved:
    """∫ x² exp(-x²) cos(3 x) over the line: by native code, or with a Python function around the same code."""

    def integrand(x: Any) -> Any:
        return x * x * np.exp(-x * x) * np.cos(3 * x)

    if native:
        compiled = fg.cfunc(integrand, (0.0,), form="value")
        function: Any = LowLevelCallable(compiled.ctypes)
    else:
        function = fg.jit(integrand)
    value, calls = 0.0, 0
    for _ in range(20):
        value, _, told = integrate.quad(function, -np.inf, np.inf, full_output=True, epsabs=1e-12)[:3]
        calls += told["neval"]
    return Solved(np.array([value]), calls, 0)


# An estimator -------------------------------------------------------------------------------------------------------


@fg.jit
def poisson_loss(w: Any, X: Any, y: Any, penalty: Any) -> Any:
    """Half the mean deviance of counts y, up to a constant, and a ridge."""
    logits = X @ w[:-1] + w[-1]
    return np.mean(np.exp(logits) - y * logits) + 0.5 * penalty * np.sum(w[:-1] ** 2)


class PoissonRegression(RegressorMixin, BaseEstimator):
    """Counts whose logarithm is linear in the features, as scikit-learn takes it."""

    def __init__(self, penalty: float = 1e-3) -> None:
        self.penalty = penalty

    def fit(self, X: np.ndarray, y: np.ndarray) -> PoissonRegression:
        """Find the weights by Newton's method."""
        self.loss_ = fg.jit(fg.value_and_grad(poisson_loss))  # an attribute that travels with the estimator
        curvature = fg.jit(fg.hessian(poisson_loss))
        start = np.zeros(X.shape[1] + 1)
        self.weights_ = optimize.minimize(
            self.loss_, start, args=(X, y, self.penalty), jac=True, hess=curvature, method="trust-exact"
        ).x
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The expected counts."""
        return np.exp(X @ self.weights_[:-1] + self.weights_[-1])


def cross_validated(seed: int, processes: int) -> tuple[np.ndarray, float]:
    """The scores of the estimator, computed in so many processes, and how far its weights are from the truth."""
    random = np.random.default_rng(seed)
    X, truth = random.standard_normal((2000, 8)), 0.3 * random.standard_normal(8)
    y = random.poisson(np.exp(X @ truth + 0.5)).astype(float)
    scores = cross_val_score(PoissonRegression(), X, y, cv=4, n_jobs=processes)
    weights = PoissonRegression().fit(X, y).weights_
    return scores, float(np.max(np.abs(weights - np.append(truth, 0.5))))


# The comparison -----------------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """Both ways of one problem: CPU seconds, evaluations of the function and of derivatives, how far they end apart."""

    seconds: tuple[float, float]
    evaluations: tuple[int, int]
    derivatives: tuple[int, int]
    apart: float


def compared(solve: Solver) -> Row:
    """Solve a problem by both ways, compiled before; times are the processor's."""
    solved, seconds = [], []
    for exact in (True, False):
        if exact:
            solve(exact)
        begun = time.process_time()
        solved.append(solve(exact))
        seconds.append(time.process_time() - begun)
    first, second = solved
    apart = float(np.max(np.abs(first.point - second.point)) / np.max(np.abs(first.point)))
    return Row(
        (seconds[0], seconds[1]),
        (first.evaluations, second.evaluations),
        (first.derivatives, second.derivatives),
        apart,
    )


def problems(size: int, seed: int) -> dict[str, Solver]:
    """All of them, by name."""
    by_gradients, by_curvature = surface(size)
    return {
        "minimize, jac=True": by_gradients,
        "minimize, hessp": by_curvature,
        "root, jac": bratu(5 * size),
        "least_squares, jac": decay(10 * size, seed),
        "solve_ivp, jac": brusselator(3 * size),
        "quad, LowLevelCallable": integral,
    }


INK, BLUE, ORANGE, GRID = "#22313f", "#2f6f9f", "#d9722e", "#d8dde2"


def draw(rows: dict[str, Row], file: Any) -> None:
    """Bars from 1, where both ways are alike: how many times as long and as many evaluations without derivatives."""
    figure = Figure(figsize=(9, 4.8), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(rows))
    times = np.array([row.seconds[1] / row.seconds[0] for row in rows.values()])
    totals = [[sum(pair) for pair in zip(row.evaluations, row.derivatives, strict=True)] for row in rows.values()]
    counts = np.array([without / exact for exact, without in totals])
    for offset, values, colour, label in ((-0.2, times, BLUE, "time"), (0.2, counts, ORANGE, "evaluations")):
        axes.barh(places + offset, values - 1, 0.38, left=1, color=colour, label=label)
        for place, value in zip(places + offset, values, strict=True):
            to, side = (4, "left") if value >= 1 else (-4, "right")
            style = {"textcoords": "offset points", "ha": side, "va": "center", "color": INK, "fontsize": 8}
            axes.annotate(f"{value:.2g}×" if value < 10 else f"{value:.0f}×", (value, place), (to, 0), **style)
    axes.axvline(1.0, color=INK, linewidth=0.8)
    axes.set(xscale="log", xlabel="finite differences / derivatives", yticks=places, yticklabels=list(rows))
    axes.set_xlim(0.7 * min(times.min(), counts.min(), 0.9), 1.8 * max(times.max(), counts.max()))
    axes.set_title("What finite differences cost", loc="left", fontweight="bold", color=INK)
    axes.grid(axis="x", color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.invert_yaxis()
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(file, dpi=120)


def run(arguments: Sequence[str] | None = None) -> dict[str, Row]:
    """Solve everything twice; a row for each problem."""
    reader = parser(__file__, __doc__, "scipy_interop.png")
    reader.add_argument("--size", type=whole(4, 60), default=20, help="of a side of the surface (%(default)s)")
    options = reader.parse_args(arguments)
    size, processes = (6, 1) if options.fast else (options.size, 2)
    rows = {}
    print(f"{'':24}{'with derivatives':^30}{'finite differences':^30}")
    for name, solve in problems(size, options.seed).items():
        with threadpool_limits(1):  # BLAS's own threads get in the way of vectors this short
            row = rows[name] = compared(solve)
        ways = (
            f"{s * 1e3:9.1f} ms {n:7d} + {d:5d}"
            for s, n, d in zip(row.seconds, row.evaluations, row.derivatives, strict=True)
        )
        print(f"{name:24}{'   '.join(ways)}   {row.seconds[1] / row.seconds[0]:6.1f}x, {row.apart:.0e} apart")
    scores, apart = cross_validated(options.seed, processes)
    print(f"scikit-learn: R² of four folds {np.round(scores, 3)} in {processes} processes, weights to {apart:.3f}")
    draw(rows, options.figure)
    print(f"figure in {options.figure}")
    return rows


if __name__ == "__main__":
    run()
    sys.exit(0)
