"""How does a sampler in Numba use gradients?  Hamiltonian Monte Carlo and Newton's method in `@njit`, around ours.

    python examples/numba_sampler.py [--draws 2000] [--seed 0] [--fast]

The sampler and the solver are functions of Numba's that take any function with a gradient (or Hessian) as an argument.
Each runs with funcgrad's derivatives and with derivatives that were written by hand, as fast loops in Numba: the draws
are the same up to rounding, and the times are printed side by side. The models are a logistic regression (500 rows, 20
weights) and the eight schools of Rubin (1981), whose ten numbers cost next to nothing, so that the time is the call's.

Expected, in a quarter of a minute on two cores: the schools take 1.2 to 1.5 times as long as by hand, the regression a
third as long, Newton's method no longer.
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numba
import numpy as np

import funcgrad as fg

ROWS, COLUMNS = 500, 20
EFFECTS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
ROUNDS = 5  # of timing, one after the other


class BadInputError(Exception):
    """An option cannot be used; the message is the one line that is shown."""


# The algorithms, for any function with derivatives ------------------------------------------------------------------


@numba.njit
def sample(
    value_and_grad: Any, x: np.ndarray, draws: int, leaps: int, step: float, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean and variance of Hamiltonian Monte Carlo's draws from ``exp(-value)``, and the share of accepted ones."""
    n = len(x)
    u, g = value_and_grad(x)
    total, squares, accepted = np.zeros(n), np.zeros(n), 0
    for _ in range(draws):
        p = random.normal(0.0, 1.0, n)
        before = u + 0.5 * np.sum(p * p)
        y, v, h = x.copy(), u, g
        for _ in range(leaps):
            for k in range(n):
                p[k] -= 0.5 * step * h[k]
                y[k] += step * p[k]
            v, h = value_and_grad(y)
            for k in range(n):
                p[k] -= 0.5 * step * h[k]
        if np.log(random.random()) < before - v - 0.5 * np.sum(p * p):
            x, u, g = y, v, h
            accepted += 1
        for k in range(n):
            total[k] += x[k]
            squares[k] += x[k] * x[k]
    mean = total / draws
    return mean, squares / draws - mean * mean, accepted / draws


@numba.njit
def minimise(grad: Any, hessian: Any, x: np.ndarray, iterations: int) -> np.ndarray:
    """Newton's method."""
    for _ in range(iterations):
        x = x - np.linalg.solve(hessian(x), grad(x))
    return x


# The models ---------------------------------------------------------------------------------------------------------


def data(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A regression's data."""
    random = np.random.default_rng(seed)
    X, truth = random.standard_normal((ROWS, COLUMNS)), random.standard_normal(COLUMNS)
    return X, (random.random(ROWS) < 1 / (1 + np.exp(-X @ truth))).astype(float)


def regression(X: np.ndarray, y: np.ndarray) -> Callable[[Any], Any]:
    """The negative log-density of its weights."""

    def energy(w: Any) -> Any:
        logits = X @ w
        return np.sum(np.logaddexp(0.0, logits) - y * logits) + 0.5 * w @ w

    return energy


def schools(x: Any) -> Any:
    """The negative log-density of the schools' effects, their mean, and the logarithm of their spread."""
    effects, mean, log_spread = x[:8], x[8], x[9]
    spread = np.exp(log_spread)
    likelihood = np.sum(((EFFECTS - effects) / ERRORS) ** 2) / 2
    prior = np.sum(((effects - mean) / spread) ** 2) / 2 + 8 * log_spread
    return likelihood + prior + (mean / 5) ** 2 / 2 + np.log1p((spread / 5) ** 2) - log_spread


# Derivatives by hand ------------------------------------------------------------------------------------------------


def regression_by_hand(X: np.ndarray, y: np.ndarray) -> tuple[Any, Any, Any]:
    """Value and gradient, gradient, and Hessian, in loops that Numba may vectorise as it likes."""
    XT = np.ascontiguousarray(X.T)

    @numba.njit(fastmath=True)
    def value_and_grad(w: np.ndarray) -> tuple[float, np.ndarray]:
        z, g, u = np.zeros(ROWS), np.empty(COLUMNS), 0.0
        for k in range(COLUMNS):
            for i in range(ROWS):
                z[i] += w[k] * XT[k, i]
        for i in range(ROWS):
            e = np.exp(-abs(z[i]))
            u += max(z[i], 0.0) + np.log(1 + e) - y[i] * z[i]
            z[i] = (1.0 if z[i] > 0 else e) / (1 + e) - y[i]
        for k in range(COLUMNS):
            total = 0.0
            for i in range(ROWS):
                total += XT[k, i] * z[i]
            g[k] = total + w[k]
            u += 0.5 * w[k] * w[k]
        return u, g

    @numba.njit
    def grad(w: np.ndarray) -> np.ndarray:
        return value_and_grad(w)[1]

    @numba.njit(fastmath=True)
    def hessian(w: np.ndarray) -> np.ndarray:
        p = 1 / (1 + np.exp(-np.dot(X, w)))
        return np.dot(XT * (p * (1 - p)), X) + np.eye(COLUMNS)

    return value_and_grad, grad, hessian


@numba.njit(fastmath=True)
def schools_by_hand(x: np.ndarray) -> tuple[float, np.ndarray]:
    """Value and gradient of `schools`."""
    mean, spread = x[8], np.exp(x[9])
    g = np.zeros(10)
    u = 8 * x[9] + (mean / 5) ** 2 / 2 + np.log1p((spread / 5) ** 2) - x[9]
    g[8], g[9] = mean / 25, 7 + 2 * spread**2 / (25 + spread**2)
    for k in range(8):
        r, s = (x[k] - EFFECTS[k]) / ERRORS[k], (x[k] - mean) / spread
        u += 0.5 * r * r + 0.5 * s * s
        g[k] = r / ERRORS[k] + s / spread
        g[8] -= s / spread
        g[9] -= s * s
    return u, g


# The comparison -----------------------------------------------------------------------------------------------------


def compared(name: str, ours: Callable[[], Any], by_hand: Callable[[], Any]) -> float:
    """Run both by turns, print the best times, and hold the results against each other; the ratio."""
    results, times = [ours(), by_hand()], [np.inf, np.inf]  # which compiles
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8)
    for _ in range(ROUNDS):
        for k, run in enumerate((ours, by_hand)):
            begun = time.perf_counter()
            run()
            times[k] = min(times[k], time.perf_counter() - begun)
    ratio = times[0] / times[1]
    print(f"{name:<38} funcgrad {times[0] * 1e3:8.2f} ms   by hand {times[1] * 1e3:8.2f} ms   ratio {ratio:.2f}")
    return ratio


def run(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Sample and solve with both kinds of derivatives; the ratio of times of each."""
    options = parsed(arguments)
    X, y = data(options.seed)
    energy = regression(X, y)
    slope, by_hand = fg.value_and_grad(energy), regression_by_hand(X, y)
    few, many = options.draws // 4, options.draws
    w, effects = np.zeros(COLUMNS), np.zeros(10)
    generator = functools.partial(np.random.default_rng, options.seed)
    slope_of_schools = fg.value_and_grad(schools)
    ratios = {
        "regression": compared(
            f"regression: {few} draws of 10 steps",
            lambda: sample(slope, w, few, 10, 0.05, generator()),
            lambda: sample(by_hand[0], w, few, 10, 0.05, generator()),
        ),
        "schools": compared(
            f"eight schools: {many} draws of 20 steps",
            lambda: sample(slope_of_schools, effects, many, 20, 0.02, generator()),
            lambda: sample(schools_by_hand, effects, many, 20, 0.02, generator()),
        ),
    }
    gradient, hessian = fg.grad(energy), fg.hessian(energy)
    ratios["newton"] = compared(
        "regression: 8 steps of Newton's",
        lambda: (minimise(gradient, hessian, w, 8),),
        lambda: (minimise(by_hand[1], by_hand[2], w, 8),),
    )
    best = minimise(gradient, hessian, w, 8)
    print(f"largest slope at the minimum: {np.max(np.abs(gradient(best))):.1e}")
    return ratios


class Parser(argparse.ArgumentParser):
    """Tells of mistakes in one line."""

    def error(self, message: str) -> NoReturn:
        """Raise what `main` shows."""
        raise BadInputError(message)


def whole(low: int) -> Callable[[str], int]:
    """What an option that is a whole number from `low` on accepts."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < low:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, {low} or more")
        return int(text)

    return number


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = Parser(prog="numba_sampler", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=whole(8), default=2000, help="of the schools; a quarter of it of the weights")
    parser.add_argument("--seed", type=whole(0), default=0, help="of the data and of the draws")
    parser.add_argument("--fast", action="store_true", help="200 draws")
    options = parser.parse_args(arguments)
    if options.fast:
        options.draws = 200
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the example; the exit status is 2, with one line on stderr, where options cannot be used."""
    try:
        run(arguments)
    except BadInputError as error:
        print(f"numba_sampler: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
