"""How many sunspots will there be next year?  A recurrent network forecasts them from the last thirty-three years.

    python examples/forecast_lstm.py [--steps 300] [--hidden 8] [--figure forecast_lstm.png]

The data are those of statsmodels: the mean number of sunspots of each year, 1700 to 2008.  Eight networks, each an LSTM
(Hochreiter and Schmidhuber 1997) and a dense layer, learn the change from the last value, all at once under `vmap`,
and are averaged.  They learn from the years before 1929, where their size and the number of steps were chosen too; each
later year is forecast from those before it.  Two naive forecasts have to be beaten: the last value stays, and the value
of eleven years ago, the mean length of a cycle, comes again.

Expected, in a quarter of a minute: a root mean squared error of some 22 sunspots from 1929 to 2008, where the last
value has 31.6 and that of eleven years ago 35.4.
The figure shows the series with the forecasts, their errors year by year, and how large the errors are.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.lib.stride_tricks import sliding_window_view
from options import parser, whole
from statsmodels.datasets import sunspots

import funcgrad as fg
from funcgrad import optim, training
from funcgrad.nn import layers

PAST, CYCLE = 33, 11  # years that are read, and the mean length of a cycle
FIRST_TEST = 1929  # the first year that is forecast without having been learnt from
MEMBERS, RATE, PIECES = 8, 5e-3, 20  # networks; Adam's rate in the beginning; steps of the progress bar at most
SCALE = 100.0  # sunspots in the networks' unit

LSTM, LAST, AGO = "LSTM", "last value", "eleven years ago"


class Windows(NamedTuple):
    """The sunspots that are read, (windows, PAST), those of the year after, (windows,), and which year that is."""

    past: np.ndarray
    spots: np.ndarray
    year: np.ndarray


def windows(years: np.ndarray, spots: np.ndarray) -> Windows:
    """A window for every year that has enough years before it."""
    return Windows(sliding_window_view(spots[:-1], PAST), spots[PAST:], years[PAST:])


def split(every: Windows, year: int) -> tuple[Windows, Windows]:
    """The windows whose forecast is for a year before `year`, and the others."""
    early = every.year < year
    return Windows(*(part[early] for part in every)), Windows(*(part[~early] for part in every))


# The networks ---------------------------------------------------------------------------------------------------------


def network(hidden: int) -> layers.Layer:
    return layers.serial(layers.lstm(hidden, return_sequences=False), layers.dense(1), name="forecast")


def scaled(spots: np.ndarray) -> np.ndarray:
    return (spots / SCALE).astype(np.float32)


def forecast(net: layers.Layer, params: Any, past: Any) -> Any:
    """The next year's value of each window, in the networks' unit."""
    return past[:, -1] + net.apply(params, past[..., None])[:, 0]


def train(net: layers.Layer, data: Windows, steps: int, seed: int) -> Any:
    """Parameters of all members, with an axis of them in front."""
    past, spots = scaled(data.past), scaled(data.spots)
    pieces = max(count for count in range(1, PIECES + 1) if steps % count == 0)  # all of the same length
    optimizer = optim.adam(optim.cosine_decay_schedule(RATE, steps))

    def loss(params: Any) -> Any:
        return np.mean((forecast(net, params, past) - spots) ** 2)

    def begin(key: Any) -> Any:
        params = net.init(key, (1, PAST, 1))
        return params, optimizer.init(params)

    def step(carry: Any, _: None) -> tuple[Any, Any]:
        params, state = carry
        value, gradient = fg.value_and_grad(loss)(params)
        updates, state = optimizer.update(gradient, state, params)
        return (optim.apply_updates(params, updates), state), value

    advance = fg.jit(fg.vmap(lambda carry: fg.lax.scan(step, carry, None, steps // pieces)))
    carry = fg.vmap(begin)(fg.random.split(fg.random.key(seed), MEMBERS))
    with training.progress(range(pieces), description="training", unit="piece") as bar:
        for _ in bar:
            carry, values = advance(carry)
            bar.show(loss=float(values[:, -1].mean()))
    return carry[0]


def each_forecast(net: layers.Layer, params: Any, past: np.ndarray) -> np.ndarray:
    """Every member's forecasts, in sunspots, of which there are no fewer than none: (members, windows)."""
    x = scaled(past)
    return SCALE * np.maximum(fg.jit(fg.vmap(lambda params: forecast(net, params, x)))(params), 0.0)


def error(forecasts: np.ndarray, truth: np.ndarray) -> float:
    """The root of the mean squared error."""
    return float(np.sqrt(np.mean((forecasts - truth) ** 2)))


# The figure -----------------------------------------------------------------------------------------------------------

INK, GRID = "#22313f", "#d8dde2"
COLOURS = {LSTM: "#d9722e", LAST: "#2f6f9f", AGO: "#3c8d5a"}


def draw_figure(years: np.ndarray, spots: np.ndarray, test: Windows, each: np.ndarray, found: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(14, 9), layout="constrained")
    grid = figure.add_gridspec(3, 3, height_ratios=(1, 1.3, 1.1))
    whole_series, series = figure.add_subplot(grid[0, :]), figure.add_subplot(grid[1, :])
    errors, sizes = figure.add_subplot(grid[2, :2]), figure.add_subplot(grid[2, 2])
    whole_series.plot(years, spots, color=INK, linewidth=1)
    whole_series.plot(test.year, found[LSTM], color=COLOURS[LSTM], linewidth=1.2)
    whole_series.axvspan(test.year[0] - 0.5, years[-1] + 0.5, color=GRID, alpha=0.5, linewidth=0)
    whole_series.set_ylim(top=1.25 * spots.max())
    above = {"textcoords": "offset points", "va": "top", "color": INK, "fontsize": 9}
    whole_series.annotate("forecast, never learnt from", (test.year[0], 1.25 * spots.max()), (4, -4), **above)
    styled(whole_series, "Sunspots, yearly mean")

    series.fill_between(test.year, each.min(axis=0), each.max(axis=0), color=COLOURS[LSTM], alpha=0.25, linewidth=0)
    series.plot(test.year, test.spots, "o-", color=INK, linewidth=0.8, markersize=3.5, label="observed")
    for name, values in found.items():
        strong = name == LSTM
        style = {"linewidth": 2 if strong else 1, "linestyle": "-" if strong else "--", "zorder": 3 if strong else 1}
        series.plot(test.year, values, color=COLOURS[name], label=name, **style)
    series.legend(frameon=False, ncols=4, loc="upper right", fontsize=9)
    series.set_ylim(0, 1.15 * max(test.spots.max(), *(values.max() for values in found.values())))
    styled(series, "Forecasts one year ahead (shaded: all eight networks)")

    for name, values in found.items():
        missed = np.abs(values - test.spots)
        errors.plot(test.year, np.cumsum(missed), color=COLOURS[name], linewidth=2 if name == LSTM else 1.2, label=name)
        errors.annotate(
            name, (test.year[-1], missed.sum()), (4, 0), textcoords="offset points", color=COLOURS[name], va="center"
        )
    errors.set_xlim(test.year[0] - 1, test.year[-1] + 12)
    styled(errors, "Errors, added up over the years")

    rows = np.arange(len(found))
    size = [error(values, test.spots) for values in found.values()]
    sizes.barh(rows, size, color=[COLOURS[name] for name in found], height=0.6)
    for row, value in zip(rows, size, strict=True):
        sizes.annotate(f"{value:.1f}", (value, row), (4, 0), textcoords="offset points", va="center", color=INK)
    sizes.set_yticks(rows, list(found))
    sizes.set_xlim(0, 1.15 * max(size))
    sizes.invert_yaxis()
    styled(sizes, "Root mean squared error")
    return figure


def styled(axes: Any, text: str) -> None:
    axes.set_title(text, loc="left", fontweight="bold", color=INK)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def main(arguments: Sequence[str] | None = None) -> None:
    start = time.perf_counter()
    reader = parser(__file__, __doc__, "forecast_lstm.png")
    reader.add_argument("--steps", type=whole(1, 100_000), default=300, help="of Adam (%(default)s)")
    reader.add_argument("--hidden", type=whole(1, 256), default=8, help="units of each LSTM (%(default)s)")
    options = reader.parse_args(arguments)
    table = sunspots.load_pandas().data
    years, spots = table["YEAR"].to_numpy().astype(int), table["SUNACTIVITY"].to_numpy()
    learnt, test = split(windows(years, spots), FIRST_TEST)
    print(f"{len(learnt.year)} windows of {PAST} years to learn from, {len(test.year)} later years to forecast")
    net = network(options.hidden)
    params = train(net, learnt, 100 if options.fast else options.steps, options.seed)
    each = each_forecast(net, params, test.past)
    found = {LSTM: each.mean(axis=0), LAST: test.past[:, -1], AGO: test.past[:, -CYCLE]}
    draw_figure(years, spots, test, each, found).savefig(options.figure, dpi=120)
    sizes = ", ".join(f"{name} {error(values, test.spots):.1f}" for name, values in found.items())
    print(f"error in sunspots: {sizes}; after {time.perf_counter() - start:.1f} s; figure in {options.figure}")


if __name__ == "__main__":
    main()
