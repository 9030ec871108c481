"""Which currents make a neuron fire as it was recorded to?  Hodgkin and Huxley's model, fitted through the simulation.

    python examples/neuron_fit.py [--iterations 300] [--noise 1.0] [--seed 0] [--fast] [--figure neuron_fit.png]

A neuron is driven by a random current for 100 ms, its voltage is recorded with noise. The conductances of sodium,
potassium and leak and the leak's reversal potential are found again by Adam on the gradient through 4,000 steps
of the simulation (Hodgkin & Huxley 1952), from eight wrong starts at once under `vmap`. A model that fires at other
times than the recording has no useful gradient: at first the recording pulls the simulated voltage towards itself,
and lets go little by little (Creveling, Gill & Abarbanel 2008).

Expected, within half a minute on two cores: the best start recovers all conductances to 3 %, and without any pull the
simulated voltage is as far from the recording as the noise is, 1 mV.
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

STEP, STEPS, FAST_STEPS = 0.025, 4000, 1200  # ms
STARTS, ITERATIONS, FAST_ITERATIONS = 8, 300, 120
SODIUM, POTASSIUM = 50.0, -77.0  # reversal potentials, mV
PULL = 1.0  # of the recording at first, 1 / ms
FIGURE_FORMATS = (".png", ".pdf", ".svg")


class BadInputError(Exception):
    """An option cannot be used; the message is the one line that is shown."""


class Membrane(NamedTuple):
    """Logarithms of the conductances of sodium, potassium and leak in mS/cm²; the leak's reversal potential in mV."""

    sodium: Any
    potassium: Any
    leak: Any
    rest: Any


TRUE = Membrane(math.log(120.0), math.log(36.0), math.log(0.3), -54.4)
NAMES = ("sodium", "potassium", "leak", "leak reversal")
SPREAD = Membrane(0.5, 0.5, 0.7, 8.0)  # of the starts around values that are wrong themselves
SCALE = Membrane(1.0, 1.0, 1.0, 10.0)  # what a step of the optimiser is a part of


# The neuron ---------------------------------------------------------------------------------------------------------


def ratio(x: Any) -> Any:
    """``x / (1 - exp(-x))``, by its series where that is 0 / 0."""
    small = np.abs(x) < 1e-4
    safe = np.where(small, 1.0, x)
    return np.where(small, 1 + x / 2, safe / (1 - np.exp(-safe)))


def rates(v: Any) -> tuple[tuple[Any, Any], ...]:
    """How fast the gates m, h and n open and close at voltage `v`, in 1/ms."""
    return (
        (ratio((v + 40) / 10), 4 * np.exp(-(v + 65) / 18)),
        (0.07 * np.exp(-(v + 65) / 20), 1 / (1 + np.exp(-(v + 35) / 10))),
        (0.1 * ratio((v + 55) / 10), 0.125 * np.exp(-(v + 65) / 80)),
    )


def currents(membrane: Membrane, state: Any) -> tuple[Any, Any, Any]:
    """The currents of sodium, potassium and leak, in µA/cm²."""
    v, m, h, n = state
    return (
        np.exp(membrane.sodium) * m**3 * h * (v - SODIUM),
        np.exp(membrane.potassium) * n**4 * (v - POTASSIUM),
        np.exp(membrane.leak) * (v - membrane.rest),
    )


def simulate(membrane: Membrane, drive: Any, recorded: Any, pull: Any) -> Any:
    """The voltage after every step, (steps,), and the three currents, (steps, 3), for a capacity of 1 µF/cm².

    Gates by exponential Euler, the voltage by Euler; `pull`, in 1/ms, draws it towards the `recorded` one.
    """

    def tick(state: Any, given: Any) -> Any:
        current, seen = given
        v, gates = state[0], []
        for x, (opening, closing) in zip(state[1:], rates(v), strict=True):
            steady = opening / (opening + closing)
            gates.append(steady + (x - steady) * np.exp(-STEP * (opening + closing)))
        flows = currents(membrane, (v, *gates))
        v = v + STEP * (current - flows[0] - flows[1] - flows[2] + pull * (seen - v))
        return (v, *gates), (v, np.stack(flows))

    v = -65.0 + 0.0 * membrane.rest
    start = (v, *(opening / (opening + closing) for opening, closing in rates(v)))
    return fg.lax.scan(tick, start, (drive, recorded))[1]


def loss(membrane: Membrane, drive: Any, recorded: Any, pull: Any) -> Any:
    """The mean square distance of the simulated voltage from the recorded one, in mV²."""
    return np.mean((simulate(membrane, drive, recorded, pull)[0] - recorded) ** 2)


# The fit ------------------------------------------------------------------------------------------------------------


class History(NamedTuple):
    """Each iteration's losses, (starts,), and parameters, (starts, 4)."""

    losses: list[np.ndarray]
    parameters: list[np.ndarray]


def fit(starts: Membrane, drive: np.ndarray, recorded: np.ndarray, iterations: int) -> tuple[Membrane, History]:
    """Adam for every start at once, while the recording lets go of the voltage."""
    optimizer = fg.optim.adam(fg.optim.cosine_decay_schedule(0.05, iterations, alpha=0.02))

    @fg.jit
    def step(membranes: Membrane, state: Any, pull: Any) -> Any:
        values, slopes = fg.vmap(fg.value_and_grad(loss), (0, None, None, None))(membranes, drive, recorded, pull)
        slopes = fg.tree.map(lambda g, s: g * s, slopes, SCALE)
        updates, state = optimizer.update(slopes, state)
        membranes = fg.tree.map(lambda p, u, s: p + s * u, membranes, updates, SCALE)
        return membranes, state, values

    membranes, state, history = starts, optimizer.init(starts), History([], [])
    for k in tqdm(range(iterations), unit="iteration", leave=False):
        pull = PULL * max(0.0, 1 - k / (0.7 * iterations)) ** 2
        membranes, state, values = step(membranes, state, pull)
        history.losses.append(np.asarray(values))
        history.parameters.append(np.stack(membranes, axis=1))
    return membranes, history


def random_drive(rng: np.random.Generator, steps: int) -> np.ndarray:
    """A current that changes every 5 ms, in µA/cm², smoothed over a millisecond."""
    block = int(5 / STEP)
    levels = np.repeat(rng.uniform(0, 20, -(-steps // block)), block)[:steps]
    return np.convolve(levels, np.full(40, 1 / 40), mode="same")


def plain(parameters: np.ndarray) -> np.ndarray:
    """Conductances from their logarithms; the reversal potential as it is."""
    return np.concatenate([np.exp(parameters[..., :3]), parameters[..., 3:]], axis=-1)


# The figure ---------------------------------------------------------------------------------------------------------

INK, GRID = "#22313f", "#d8dde2"
COLOURS = ("#2f6f9f", "#d9722e", "#3c8d5a", "#8a4f9e")


def draw(
    path: Path, best: Membrane, start: Membrane, drive: np.ndarray, recorded: np.ndarray, history: History
) -> None:
    """Write the figure: voltages, currents, losses and parameters."""
    simulated = fg.jit(simulate)
    clock = STEP * np.arange(1, len(drive) + 1)
    figure = Figure(figsize=(13, 9), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.7, 1))
    voltage, flows, driving = left.subplots(3, 1, sharex=True, height_ratios=(3, 2, 1))
    found, parts = simulated(best, drive, recorded, 0.0)
    voltage.plot(clock, recorded, color=GRID, linewidth=2.5, label="recorded")
    voltage.plot(clock, simulated(start, drive, recorded, 0.0)[0], ":", color=COLOURS[1], label="worst start")
    voltage.plot(clock, found, color=INK, linewidth=1, label="fitted")
    voltage.legend(frameon=False, fontsize=8, loc="upper right")
    styled(voltage, "Voltage, mV")
    for k, name in enumerate(NAMES[:3]):
        flows.plot(clock, parts[:, k], color=COLOURS[k], linewidth=1, label=name)
    flows.legend(frameon=False, fontsize=8, loc="upper right")
    styled(flows, "Fitted currents, µA/cm²")
    driving.plot(clock, drive, color=INK, linewidth=1)
    styled(driving, "Current into the neuron, µA/cm²")
    driving.set_xlabel("ms")
    falling, converging = right.subplots(2, 1)
    falling.semilogy(np.array(history.losses), linewidth=0.9)
    styled(falling, "Mean square error of each start, mV²")
    parameters, true = plain(np.array(history.parameters)), plain(np.array(TRUE))
    for k, name in enumerate(NAMES):
        lines = converging.plot(parameters[..., k] / true[k], color=COLOURS[k], linewidth=0.8)
        lines[0].set_label(name)
    converging.axhline(1, color=INK, linewidth=0.8, linestyle="--")
    converging.set_ylim(0, min(3, 1.1 * np.max(parameters / true)))
    converging.legend(frameon=False, fontsize=8)
    converging.set_xlabel("iteration")
    styled(converging, "Parameters of each start, as shares of the true ones")
    try:
        figure.savefig(path, dpi=130)
    except OSError as error:
        raise BadInputError(f"--figure {path}: cannot be written: {error.strerror or error}") from error


def styled(axes: Any, text: str) -> None:
    axes.set_title(text, loc="left", fontweight="bold", color=INK, fontsize=10)
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
    parser.add_argument("--iterations", type=number(int, 1, 10**6), help="of gradient descent (300; fast 120)")
    parser.add_argument("--noise", type=number(float, 0, 50), default=1.0, help="of the recording, mV (%(default)s)")
    parser.add_argument("--seed", type=number(int, 0, 2**31 - 1), default=0, help="of drive and starts (%(default)s)")
    parser.add_argument("--fast", action="store_true", help="30 ms and few iterations, for a try")
    parser.add_argument("--figure", type=figure_path, default="neuron_fit.png", help="where to draw (%(default)s)")
    return parser.parse_args(arguments)


def run(arguments: Sequence[str] | None) -> None:
    begin = time.perf_counter()
    options = parse(arguments)
    steps = FAST_STEPS if options.fast else STEPS
    iterations = options.iterations or (FAST_ITERATIONS if options.fast else ITERATIONS)
    rng = np.random.default_rng(options.seed)
    drive = random_drive(rng, steps)
    exact = np.asarray(fg.jit(simulate)(TRUE, drive, np.zeros(steps), 0.0)[0])
    recorded = exact + options.noise * rng.standard_normal(steps)
    print(f"{steps * STEP:g} ms in {steps:,} steps, {STARTS} starts; noise {options.noise:g} mV")
    starts = Membrane(*(t + s * rng.uniform(-1, 1, STARTS) for t, s in zip(TRUE, SPREAD, strict=True)))
    membranes, history = fit(starts, drive, recorded, iterations)
    free = np.asarray(fg.jit(fg.vmap(loss, (0, None, None, None)))(membranes, drive, recorded, 0.0))
    if not np.isfinite(free).any():
        raise BadInputError("every start went astray: take less noise, or another seed")
    best = int(np.nanargmin(free))
    chosen, first = (Membrane(*(float(x[best]) for x in group)) for group in (membranes, starts))
    found, guess, true = (plain(np.array(group)) for group in (chosen, first, TRUE))
    for name, f, g, t in zip(NAMES, found, guess, true, strict=True):
        print(f"{name:14} {f:9.4f}  (start {g:9.4f}, true {t:9.4f}: {f / t - 1:+.2%})")
    farthest = int(np.argmax(history.losses[0]))
    draw(options.figure, chosen, Membrane(*(float(x[farthest]) for x in starts)), drive, recorded, history)
    worst = np.max(np.abs(found[:3] / true[:3] - 1))
    print(
        f"{math.sqrt(free[best]):.3f} mV from the recording, conductances within {worst:.2%} "
        f"after {time.perf_counter() - begin:.1f} s; figure in {options.figure}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the example; the exit status is 2, with one line on stderr, where options cannot be used."""
    try:
        run(arguments)
    except BadInputError as error:
        print(f"neuron_fit: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
