"""How sure is a classifier of its weights?  Hamiltonian Monte Carlo of a logistic regression on real data.

    python examples/hmc_logistic.py [--draws 1000] [--chains 4] [--seed 0] [--fast] [--figure hmc_logistic.png]

The data are scikit-learn's: 30 measurements of cell nuclei from 569 breast tumours, benign or malignant, a fifth of
them held out. All chains run at once under `vmap`, each a loop of native code: leapfrog steps on the gradient of
the log-density (Neal 2011), with the length of a step tuned during the warm-up (Hoffman & Gelman 2014) and the
weights' scales taken from it.

Expected, in half a minute on two cores: R-hat below 1.01 for every weight (Vehtari et al. 2021: split chains), and some
97 % of the held-out tumours told right.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_breast_cancer
from tqdm import tqdm

import funcgrad as fg

LEAPS, TARGET, PIECES = 24, 0.8, 10  # leapfrog steps per draw at most; share of accepted draws; tqdm's steps per phase
PRIOR = 2.0  # standard deviation of every weight
FIGURE_FORMATS = (".png", ".pdf", ".svg")


class BadInputError(Exception):
    """An option cannot be used; the message is the one line that is shown."""


class Data(NamedTuple):
    """Standardised measurements with a column of ones in front, and 1 for malignant."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    names: list[str]


def tumours(seed: int) -> Data:
    """The data, a fifth of them held out at random."""
    found = load_breast_cancer()
    order = np.random.default_rng(seed).permutation(len(found.data))
    test, train = np.split(order, [len(order) // 5])
    x = (found.data - found.data[train].mean(axis=0)) / found.data[train].std(axis=0)
    x, y = np.hstack([np.ones((len(x), 1)), x]), 1.0 - found.target
    return Data(x[train], y[train], x[test], y[test], ["intercept", *map(str, found.feature_names)])


# The sampler --------------------------------------------------------------------------------------------------------


def log_density(w: Any, x: Any, y: Any) -> Any:
    """The logarithm of the posterior density, up to a constant: a Bernoulli likelihood and a normal prior."""
    z = x @ w
    return np.sum(y * z - fg.nn.softplus(z)) - np.sum((w / PRIOR) ** 2) / 2


class Tuning(NamedTuple):
    """The dual averaging of a step's length: its logarithm, the mean of that, the mean error, and the draws so far."""

    log_step: Any
    mean: Any
    error: Any
    count: Any


def tuned(state: Tuning, accepted: Any) -> Tuning:
    """After a draw that was accepted with this probability (Hoffman & Gelman 2014, section 3.2)."""
    count = state.count + 1
    error = state.error + (TARGET - accepted - state.error) / (count + 10)
    log_step = math.log(0.5) - np.sqrt(count) / 0.05 * error
    mean = state.mean + count**-0.75 * (log_step - state.mean)
    return Tuning(log_step, mean, error, count)


def draw(key: Any, w: Any, step: Any, scale: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """The next draw, and the probability that the proposal was accepted."""
    momentum, uniform, length = fg.random.split(key, 3)
    slope = fg.value_and_grad(log_density)
    p0 = fg.random.normal(momentum, w.shape)
    value0, g0 = slope(w, x, y)
    # the number of steps varies, so that no direction is walked through in whole periods
    leaps = fg.random.randint(length, (), LEAPS // 2, LEAPS + 1)

    def leap(_: Any, state: Any) -> Any:
        w, p, _, g = state
        p = p + step / 2 * scale * g
        w = w + step * scale * p
        value, g = slope(w, x, y)
        return w, p + step / 2 * scale * g, value, g

    other, p, value, _ = fg.lax.fori_loop(0, leaps, leap, (w, p0, value0, g0))
    gain = value - p @ p / 2 - (value0 - p0 @ p0 / 2)
    gain = np.where(np.isnan(gain), -np.inf, gain)
    accepted = np.exp(np.minimum(gain, 0.0))
    take = fg.random.uniform(uniform) < accepted
    return np.where(take, other, w), accepted


def warm(key: Any, w: Any, tuning: Tuning, scale: Any, x: Any, y: Any, draws: int) -> Any:
    """Draws that tune the step: (last draw, tuning, draws)."""

    def body(state: Any, key: Any) -> Any:
        w, tuning = state
        w, accepted = draw(key, w, np.exp(tuning.log_step), scale, x, y)
        return (w, tuned(tuning, accepted)), w

    (w, tuning), ws = fg.lax.scan(body, (w, tuning), fg.random.split(key, draws))
    return w, tuning, ws


def sample(key: Any, w: Any, step: Any, scale: Any, x: Any, y: Any, draws: int) -> Any:
    """Draws with a fixed step: (last draw, draws, share accepted)."""

    def body(w: Any, key: Any) -> Any:
        w, accepted = draw(key, w, step, scale, x, y)
        return w, (w, accepted)

    w, (ws, accepted) = fg.lax.scan(body, w, fg.random.split(key, draws))
    return w, ws, np.mean(accepted)


class Draws(NamedTuple):
    """The weights, (chains, draws, weights), the lengths of steps, (chains,), and the share of accepted draws."""

    weights: np.ndarray
    steps: np.ndarray
    accepted: float


def run_chains(data: Data, chains: int, draws: int, seed: int) -> Draws:
    """All chains side by side: half as many draws to warm up, twice, then those that count."""
    key, first = fg.random.split(fg.random.key(seed))
    x, y = data.x_train, data.y_train
    w = 0.5 * fg.random.normal(first, (chains, x.shape[1]))
    scale = np.full((chains, x.shape[1]), 0.1)
    warming = fg.jit(fg.vmap(warm, (0, 0, 0, 0, None, None, None)), static_argnums=6)
    sampling = fg.jit(fg.vmap(sample, (0, 0, 0, 0, None, None, None)), static_argnums=6)
    piece = max(1, draws // PIECES)
    with tqdm(total=3 * PIECES, unit="piece", leave=False) as bar:
        for _ in range(2):
            zeros = np.zeros(chains)
            tuning, walked = Tuning(zeros + math.log(0.5), zeros, zeros, zeros), []
            for _ in range(PIECES):
                key, own = fg.random.split(key)
                w, tuning, ws = warming(fg.random.split(own, chains), w, tuning, scale, x, y, max(1, piece // 2))
                walked.append(ws)
                bar.update()
            late = np.concatenate(walked[PIECES // 2 :], axis=1)
            scale = np.broadcast_to(late.std(axis=(0, 1)) + 1e-3, scale.shape).copy()
        found, shares = [], []
        for _ in range(PIECES):
            key, own = fg.random.split(key)
            w, ws, share = sampling(fg.random.split(own, chains), w, np.exp(tuning.mean), scale, x, y, piece)
            found.append(ws)
            shares.append(share)
            bar.update()
    return Draws(np.concatenate(found, axis=1), np.exp(tuning.mean), float(np.mean(shares)))


# What the draws say -------------------------------------------------------------------------------------------------


def r_hat(weights: np.ndarray) -> np.ndarray:
    """Split R-hat of every weight: the spread of all half chains over that within them."""
    chains, draws, count = weights.shape
    halves = weights[:, : draws // 2 * 2].reshape(2 * chains, draws // 2, count)
    within = halves.var(axis=1, ddof=1).mean(axis=0)
    between = halves.mean(axis=1).var(axis=0, ddof=1)
    return np.sqrt((draws // 2 - 1) / (draws // 2) + between / within)


def effective(weights: np.ndarray) -> np.ndarray:
    """The effective number of draws of every weight: autocorrelations added up in pairs while positive (Geyer 1992)."""
    chains, draws, _ = weights.shape
    centred = weights - weights.mean(axis=(0, 1))
    power = np.abs(np.fft.rfft(centred, 2 * draws, axis=1)) ** 2
    together = np.fft.irfft(power, axis=1)[:, :draws].mean(axis=0)
    rho = together / together[0]
    pairs = rho[: draws // 2 * 2].reshape(draws // 2, 2, -1).sum(axis=1)
    kept = np.cumprod(pairs > 0, axis=0)
    return chains * draws / np.maximum(2 * np.sum(pairs * kept, axis=0) - 1, 1 / math.log10(chains * draws + 1))


def predicted(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The probability that each tumour is malignant, averaged over the draws."""
    z = weights.reshape(-1, weights.shape[-1]) @ x.T
    return np.mean(1 / (1 + np.exp(-np.clip(z, -500, 500))), axis=0)


# The figure ---------------------------------------------------------------------------------------------------------

INK, GRID = "#22313f", "#d8dde2"
COLOURS = ("#2f6f9f", "#d9722e", "#3c8d5a", "#8a4f9e")


def draw_figure(path: Path, data: Data, draws: Draws) -> None:
    """Write the figure: traces and densities of three weights, all weights with their spread, R-hat."""
    weights, means = draws.weights, draws.weights.mean(axis=(0, 1))
    chosen = [0, *np.argsort(-np.abs(means[1:]))[:2] + 1]
    figure = Figure(figsize=(14, 8.5), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.5, 1))
    grid = left.subplots(len(chosen), 2, width_ratios=(3, 1), sharey="row")
    for (trace, density), k in zip(grid, chosen, strict=True):
        for c, chain in enumerate(weights[..., k]):
            colour = COLOURS[c % len(COLOURS)]
            trace.plot(chain, color=colour, linewidth=0.5, alpha=0.8)
            density.hist(chain, bins=30, orientation="horizontal", histtype="step", color=colour)
        styled(trace, f"{data.names[k]} by draw")
        styled(density, "by chain")
    forest, convergence = right.subplots(1, 2, sharey=True)
    rows = np.arange(len(data.names))
    low, high = np.quantile(weights, [0.05, 0.95], axis=(0, 1))
    forest.hlines(rows, low, high, color=COLOURS[0], linewidth=2)
    forest.plot(means, rows, "o", color=INK, markersize=3)
    forest.axvline(0, color=INK, linewidth=0.6)
    forest.set_yticks(rows, data.names, fontsize=7)
    forest.invert_yaxis()
    styled(forest, "Weights: mean, 90 %")
    convergence.plot(r_hat(weights), rows, "o", color=COLOURS[1], markersize=3)
    convergence.axvline(1.01, color=INK, linewidth=0.8, linestyle="--")
    styled(convergence, "Split R-hat")
    try:
        figure.savefig(path, dpi=130)
    except OSError as error:
        raise BadInputError(f"--figure {path}: cannot be written: {error.strerror or error}") from error


def styled(axes: Any, text: str) -> None:
    axes.set_title(text, loc="left", fontweight="bold", color=INK, fontsize=9)
    axes.grid(color=GRID, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


# The command line ---------------------------------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, without the usage above it."""

    def error(self, message: str) -> NoReturn:
        raise BadInputError(message)


def number(kind: type, least: float, most: float) -> Callable[[str], float]:
    """A reader of numbers within ``least..most``."""

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            what = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} is not {what} within {least:g}..{most:g}")
        return value

    return read


def figure_path(text: str) -> Path:
    path = Path(text)
    if path.suffix not in FIGURE_FORMATS:
        raise argparse.ArgumentTypeError(f"{text!r} does not end with {' or '.join(FIGURE_FORMATS)}")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {str(path.parent)!r}")
    return path


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(description=(__doc__ or "").splitlines()[0], allow_abbrev=False)
    parser.add_argument("--draws", type=number(int, 20, 10**6), help="of each chain (1000; fast 100)")
    parser.add_argument("--chains", type=number(int, 2, 1000), default=4, help="side by side (%(default)s)")
    parser.add_argument("--seed", type=number(int, 0, 2**31 - 1), default=0, help="of split and draws (%(default)s)")
    parser.add_argument("--fast", action="store_true", help="few draws, for a try")
    parser.add_argument("--figure", type=figure_path, default="hmc_logistic.png", help="where to draw (%(default)s)")
    return parser.parse_args(arguments)


def run(arguments: Sequence[str] | None) -> None:
    start = time.perf_counter()
    options = parse(arguments)
    data = tumours(options.seed)
    wanted = options.draws or (100 if options.fast else 1000)
    print(f"{len(data.x_train)} tumours to learn from, {len(data.x_test)} held out, {len(data.names)} weights")
    draws = run_chains(data, options.chains, wanted, options.seed)
    draw_figure(options.figure, data, draws)
    right = np.mean((predicted(draws.weights, data.x_test) > 0.5) == data.y_test)
    steps = ", ".join(f"{s:.3f}" for s in draws.steps)
    print(f"{draws.weights.shape[1]} draws of {options.chains} chains, {draws.accepted:.0%} accepted; steps {steps}")
    print(
        f"R-hat at most {r_hat(draws.weights).max():.4f}, "
        f"effective draws at least {effective(draws.weights).min():.0f}, "
        f"held-out accuracy {right:.2%} after {time.perf_counter() - start:.1f} s; figure in {options.figure}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the example; the exit status is 2, with one line on stderr, where options cannot be used."""
    try:
        run(arguments)
    except BadInputError as error:
        print(f"hmc_logistic: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
