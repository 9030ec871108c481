"""Which masses and which start explain where five bodies were seen?  Gradient descent through 10,000 leapfrog steps.

    python examples/nbody_fit.py [--iterations 2500] [--noise 0.002] [--seed 0] [--fast] [--figure nbody_fit.png]

A star and four planets are watched for three turns of the innermost one: 200 noisy positions of each. The masses (the
guess for the planets' is wrong by up to a half), positions and velocities at the beginning are found again by L-BFGS,
on the gradient of the misfit through the whole simulation. The fit looks at the first tenth of the time, then at
more and more of it: over many turns the misfit has a valley wherever a planet is a whole turn ahead.

Expected, in some twenty seconds on two cores: the misfit falls to that of the noise (reduced chi-square below 1.1), and
every planet's mass is found to 2 %.
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
from tqdm import tqdm

import funcgrad as fg

SIGHTINGS, LEAPS, LEAP, SOFTENING = 200, 50, 1e-3, 1e-4
FAST_SIGHTINGS, FAST_ITERATIONS, ITERATIONS = 30, 80, 2500
SHARES, PARAMETERS, PATIENCE = (0.1, 0.2, 0.4, 0.7, 1.0), 35, 30
MASSES = np.array([1.0, 0.03, 0.02, 0.04, 0.03])
RADII, ANGLES = np.array([0.0, 0.6, 1.0, 1.6, 2.3]), np.array([0.0, 0.3, 2.0, 4.0, 5.0])
FIGURE_FORMATS = (".png", ".pdf", ".svg")


class BadInputError(Exception):
    """An option cannot be used; the message is the one line that is shown."""


class Bodies(NamedTuple):
    """The logarithms of the masses, (5,), and positions and velocities at the beginning, (5, 3)."""

    log_mass: Any
    place: Any
    speed: Any


# The simulation and its misfit --------------------------------------------------------------------------------------


def truth() -> Bodies:
    """Nearly circular orbits, a little tilted."""
    pace = np.divide(1, np.sqrt(RADII), where=RADII > 0, out=np.zeros(5))
    place = np.stack([RADII * np.cos(ANGLES), RADII * np.sin(ANGLES), 0.05 * RADII * np.sin(3 * ANGLES)], 1)
    speed = np.stack([-pace * np.sin(ANGLES), pace * np.cos(ANGLES), 0.05 * pace], 1)
    return Bodies(np.log(MASSES), place, speed - MASSES @ speed / MASSES.sum())


def pulls(x: Any, mass: Any) -> Any:
    """The accelerations, (5, 3), of bodies at `x` (softened gravity, G = 1)."""
    d = x[None] - x[:, None]
    return np.sum(d * (mass * (np.sum(d * d, axis=-1) + SOFTENING) ** -1.5)[..., None], axis=1)


def simulate(bodies: Bodies, sightings: int) -> Any:
    """Positions at the times of the sightings, (sightings, 5, 3), by `LEAPS` leapfrog steps between two of them."""
    mass = np.exp(bodies.log_mass)

    def leap(_: Any, state: Any) -> Any:
        x, v = state
        x = x + LEAP / 2 * v
        v = v + LEAP * pulls(x, mass)
        return x + LEAP / 2 * v, v

    def sighting(state: Any, _: Any) -> Any:
        state = fg.lax.fori_loop(0, LEAPS, leap, state)
        return state, state[0]

    return fg.lax.scan(sighting, (bodies.place, bodies.speed), None, length=sightings)[1]


def misfit(bodies: Bodies, seen: Any, weights: Any, noise: float) -> Any:
    """The mean square of the errors, in units of the noise; `weights`, (sightings,), say which of them count."""
    errors = (simulate(bodies, len(seen)) - seen) / noise
    return np.sum(weights[:, None, None] * errors**2) / (np.sum(weights) * errors[0].size)


class History(NamedTuple):
    """Each iteration's misfit of the sightings that counted, and masses."""

    misfits: list[float]
    masses: list[np.ndarray]


def fit(guess: Bodies, seen: np.ndarray, noise: float, iterations: int) -> tuple[Bodies, History]:
    """L-BFGS on logarithms of masses, positions and velocities, for `SHARES` of the time."""
    optimizer = fg.optim.lbfgs(memory_size=2 * PARAMETERS)

    @fg.jit
    def step(bodies: Bodies, state: Any, weights: Any) -> Any:
        def loss(bodies: Bodies) -> Any:
            return misfit(bodies, seen, weights, noise)

        value, slope = fg.optim.value_and_grad_from_state(loss)(bodies, state=state)
        updates, state = optimizer.update(slope, state, bodies, value=value, grad=slope, value_fn=loss)
        return fg.optim.apply_updates(bodies, updates), state, value

    bodies, history, short = guess, History([], []), max(1, iterations // 40)
    with tqdm(total=iterations, unit="iteration", leave=False) as bar:
        for share in SHARES:
            weights = (np.arange(len(seen)) < share * len(seen)).astype(float)
            state = optimizer.init(bodies)  # what it has learnt about the other misfit does not hold for this one
            while bar.n < iterations and (share == 1 or bar.n < short * (1 + SHARES.index(share))):
                bodies, state, value = step(bodies, state, weights)
                if not math.isfinite(float(value)):
                    raise BadInputError(f"the misfit is {value} at iteration {bar.n + 1}: take less noise")
                history.misfits.append(float(value))
                history.masses.append(np.exp(bodies.log_mass))
                bar.update()
                if share == 1 and settled(history.misfits):
                    break
    return bodies, history


def settled(misfits: Sequence[float]) -> bool:
    """Whether the last `PATIENCE` iterations have changed next to nothing."""
    return len(misfits) > PATIENCE and max(misfits[-PATIENCE:]) < min(misfits[-PATIENCE:]) * (1 + 1e-7)


# The figure ---------------------------------------------------------------------------------------------------------

INK, GRID = "#22313f", "#d8dde2"
COLOURS = ("#e0a100", "#2f6f9f", "#d9722e", "#3c8d5a", "#8a4f9e")
NAMES = ("star", "planet 1", "planet 2", "planet 3", "planet 4")


def draw(path: Path, bodies: Bodies, guess: Bodies, seen: np.ndarray, noise: float, history: History) -> None:
    """Write the figure: orbits, misfit, masses and errors."""
    first, last = (np.asarray(fg.jit(simulate, static_argnums=1)(b, len(seen))) for b in (guess, bodies))
    figure = Figure(figsize=(13, 9), layout="constrained")
    orbits, falling, masses, errors = figure.subplots(2, 2).flat
    for k, colour in enumerate(COLOURS):
        orbits.plot(*seen[:, k, :2].T, ".", color=colour, markersize=3, alpha=0.5)
        orbits.plot(*first[:, k, :2].T, ":", color=colour, linewidth=1)
        orbits.plot(*last[:, k, :2].T, color=colour, linewidth=1.2, label=NAMES[k])
    orbits.set_aspect("equal")
    title(orbits, "Orbits: seen (dots), first guess (dotted), fitted (lines)", "x", "y")
    orbits.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.02, 1))
    falling.semilogy(history.misfits, color=INK, linewidth=1)
    falling.axhline(1, color=COLOURS[2], linewidth=1, linestyle="--")
    title(falling, "Misfit of the sightings that count (noise: 1)", "iteration", "mean square error / noise²")
    for k, colour in enumerate(COLOURS[1:], 1):
        masses.plot([m[k] / MASSES[k] for m in history.masses], color=colour, label=NAMES[k])
    masses.axhline(1, color=INK, linewidth=0.8, linestyle="--")
    title(masses, "Masses of the planets, as shares of the true ones", "iteration", "found / true")
    masses.legend(frameon=False, fontsize=8)
    span = np.arange(1, len(seen) + 1) * LEAPS * LEAP
    errors.semilogy(span, np.sqrt(np.mean((first - seen) ** 2, axis=(1, 2))), color=GRID, label="first guess")
    errors.semilogy(span, np.sqrt(np.mean((last - seen) ** 2, axis=(1, 2))), color=INK, label="fitted")
    errors.axhline(noise, color=COLOURS[2], linewidth=1, linestyle="--", label="noise")
    title(errors, "Distance from what was seen", "time", "root mean square")
    errors.legend(frameon=False, fontsize=8)
    try:
        figure.savefig(path, dpi=130)
    except OSError as error:
        raise BadInputError(f"--figure {path}: cannot be written: {error.strerror or error}") from error


def title(axes: Any, text: str, x: str, y: str) -> None:
    axes.set_title(text, loc="left", fontweight="bold", color=INK, fontsize=10)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
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
    parser.add_argument("--iterations", type=number(int, 1, 10**6), help="of gradient descent at most (2500; fast 80)")
    parser.add_argument("--noise", type=number(float, 1e-6, 0.1), default=0.002, help="of the positions (%(default)s)")
    parser.add_argument("--seed", type=number(int, 0, 2**31 - 1), default=0, help="of noise and guess (%(default)s)")
    parser.add_argument("--fast", action="store_true", help="1,500 leapfrog steps and few iterations, for a try")
    parser.add_argument("--figure", type=figure_path, default="nbody_fit.png", help="where to draw (%(default)s)")
    return parser.parse_args(arguments)


def run(arguments: Sequence[str] | None) -> None:
    start = time.perf_counter()
    options = parse(arguments)
    sightings = FAST_SIGHTINGS if options.fast else SIGHTINGS
    iterations = options.iterations or (FAST_ITERATIONS if options.fast else ITERATIONS)
    keys = fg.random.split(fg.random.key(options.seed), 4)
    true = truth()
    exact = np.asarray(fg.jit(simulate, static_argnums=1)(true, sightings))
    seen = exact + options.noise * np.asarray(fg.random.normal(keys[0], exact.shape))
    wrong = fg.random.uniform(keys[1], (5,), minval=-0.4, maxval=0.4) * np.array([0.1, 1, 1, 1, 1])
    shift, push = (0.01 * np.asarray(fg.random.normal(key, (5, 3))) for key in keys[2:])
    guess = Bodies(true.log_mass + np.asarray(wrong), true.place + shift, true.speed + push)
    print(f"{sightings} sightings of 5 bodies over {sightings * LEAPS:,} leapfrog steps; noise {options.noise:g}")
    bodies, history = fit(guess, seen, options.noise, iterations)
    final = float(fg.jit(misfit)(bodies, seen, np.ones(sightings), options.noise))
    for name, mass, first, true_mass in zip(
        NAMES, np.exp(bodies.log_mass), np.exp(guess.log_mass), MASSES, strict=True
    ):
        print(f"{name:8}  mass {mass:.5f}  (guess {first:.5f}, true {true_mass:.5f}: {mass / true_mass - 1:+.2%})")
    draw(options.figure, bodies, guess, seen, options.noise, history)
    freedom = 1 - PARAMETERS / seen.size
    worst = np.max(np.abs(np.exp(bodies.log_mass[1:]) / MASSES[1:] - 1))
    print(
        f"reduced chi-square {final / freedom:.3f}, planets' masses within {worst:.2%} "
        f"after {time.perf_counter() - start:.1f} s; figure in {options.figure}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the example; the exit status is 2, with one line on stderr, where options cannot be used."""
    try:
        run(arguments)
    except BadInputError as error:
        print(f"nbody_fit: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
