"""How is a gradient report seen at a glance?  Three panels over the layers and the parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from funcgrad.training._measures import LayerReport, ParameterReport
from funcgrad.training._optional import needed

INK, BLUE, ORANGE, GREEN, GRID = "#22313f", "#2f6f9f", "#d9722e", "#4b8b4b", "#d8dde2"
LONGEST = 28  # characters of a name beside an axis


def figure(loss: float, layers: Sequence[LayerReport], parameters: Sequence[ParameterReport], path: Any) -> Any:
    """The figure; saved to `path` too, if that is not None."""
    with needed("matplotlib", "GradientReport.plot"):
        from matplotlib.figure import Figure
    height = max(4.0, 1.2 + 0.28 * max(len(layers), len(parameters)))
    drawn = Figure(figsize=(15, height), layout="constrained")
    drawn.suptitle(f"Gradient report: loss {loss:.6g}", x=0.01, ha="left", fontweight="bold", color=INK)
    signal, shares, leaves = drawn.subplots(1, 3, width_ratios=(4, 2.4, 4))
    names = [layer.name for layer in layers]
    _sizes(
        signal,
        "Through the layers: root mean squares",
        names,
        {
            "activation": (BLUE, [layer.rms for layer in layers]),
            "derivative of the loss by it": (ORANGE, [layer.gradient_rms for layer in layers]),
        },
    )
    _shares(shares, names, layers)
    series = {
        "parameter": (BLUE, [p.norm for p in parameters]),
        "gradient": (ORANGE, [p.gradient for p in parameters]),
    }
    if any(p.update is not None for p in parameters):
        series["update"] = (GREEN, [math.nan if p.update is None else p.update for p in parameters])
    _sizes(leaves, "Parameters: norms", [p.name for p in parameters], series)
    if path is not None:
        drawn.savefig(path, dpi=130)
    return drawn


def _sizes(axes: Any, title: str, names: Sequence[str], series: dict[str, tuple[str, list[float]]]) -> None:
    """Sizes on a logarithmic axis, the first name at the top; what is not finite stands at the edge."""
    for label, (colour, values) in series.items():
        shown = [v if 0 < v < math.inf else math.nan for v in values]
        axes.plot(shown, range(len(values)), "o-", color=colour, label=label, linewidth=1.6, markersize=4)
    if any(0 < v < math.inf for _, values in series.values() for v in values):
        axes.set_xscale("log")
    for colour, values in series.values():
        for k, v in enumerate(values):
            if not math.isfinite(v):
                text = "NaN" if math.isnan(v) else "∞"
                axes.annotate(text, (1, k), xycoords=("axes fraction", "data"), color=colour, fontsize=8)
    _style(axes, title, names)
    axes.legend(frameon=False, fontsize=9, loc="best")


def _shares(axes: Any, names: Sequence[str], layers: Sequence[LayerReport]) -> None:
    rows = range(len(layers))
    axes.barh([k - 0.2 for k in rows], [layer.dead for layer in layers], 0.36, color=INK, label="dead units")
    saturated = [layer.saturated or 0.0 for layer in layers]
    axes.barh([k + 0.2 for k in rows], saturated, 0.36, color=ORANGE, label="saturated")
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    _style(axes, "Dead and saturated", names)
    axes.tick_params(labelleft=False)
    axes.legend(frameon=False, fontsize=9, loc="best")


def _style(axes: Any, title: str, names: Sequence[str]) -> None:
    axes.set_title(title, loc="left", color=INK, fontsize=11)
    short = [name if len(name) <= LONGEST else "…" + name[1 - LONGEST :] for name in names]
    axes.set_yticks(range(len(names)), short, fontsize=8)
    axes.set_ylim(max(len(names), 1) - 0.4, -0.6)
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
