"""How does a profile look on paper?  Two panels: the time of each step, and the roofline plot (by matplotlib)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from funcgrad.errors import at_line
from funcgrad.runtime.profiling.svg import BLUE, GRID, INK, LABELLED, NAMES, ORANGE, counted, limits
from funcgrad.runtime.profiling.text import headline, short, time

if TYPE_CHECKING:
    from funcgrad.runtime.profiling import Profile

MOST = 40  # bars: the longest times


def draw(profile: Profile, path: str | Path) -> None:
    """Draw and save."""
    figure_type = figure_class("Profile.to_png", "to_html needs nothing")
    rows = sorted(profile.rows, key=lambda row: -row.seconds)[:MOST]
    figure = figure_type(figsize=(15, max(5.0, 1.6 + 0.3 * len(rows))), layout="constrained")
    figure.suptitle("\n".join(headline(profile)), x=0.01, ha="left", fontsize=10, color=INK)
    bars, plot = figure.subplots(1, 2, width_ratios=(3, 4))
    _bars(bars, rows)
    _roofline(plot, profile)
    figure.savefig(path, dpi=120)


def figure_class(function: str, instead: str) -> Any:
    """Matplotlib's `Figure`, or an error that says who needs it, and what does without."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "matplotlib":
            raise
        raise ModuleNotFoundError(
            f"{function} needs the package matplotlib, which is not installed: pip install matplotlib "
            f"({instead}){at_line()}",
            name="matplotlib",
        ) from None
    return Figure


def _bars(axes: Any, rows: Any) -> None:
    colours = [ORANGE if "product" in row.name else BLUE for row in rows]
    axes.barh(range(len(rows)), [1e6 * row.seconds for row in rows], color=colours)
    for k, row in enumerate(rows):
        axes.annotate(f" {time(row.seconds)}  {row.share:.0%}", (1e6 * row.seconds, k), va="center", fontsize=8)
    axes.set_yticks(range(len(rows)), [short(f"{row.name}: {row.computes}") for row in rows], fontsize=8)
    axes.set_ylim(max(len(rows), 1) - 0.4, -0.6)
    axes.margins(x=0.25)
    axes.set_xlabel("µs per call")
    axes.set_title("Time of each step", loc="left", color=INK, fontsize=11)


def _roofline(axes: Any, profile: Profile) -> None:
    (x_low, x_high), (y_low, y_high) = limits(profile)
    bandwidth = profile.machine.bandwidth(profile.footprint)
    axes.set(
        xscale="log", yscale="log", xlim=(10.0**x_low, 10.0**x_high), ylim=(10.0 ** (y_low - 9), 10.0 ** (y_high - 9))
    )
    for dtype, peak in profile.machine.peaks.items():
        points = [10.0**x_low, peak / bandwidth, 10.0**x_high]
        axes.plot(points, [min(p * bandwidth, peak) / 1e9 for p in points], color=INK, linewidth=1.4)
        axes.annotate(f"products, {NAMES[dtype]}", (10.0**x_high, peak / 1e9), ha="right", va="bottom", fontsize=8)
    for row in counted(profile):
        colour = ORANGE if "product" in row.name else BLUE
        axes.plot(row.intensity, row.gigaflops, "o", color=colour, alpha=0.6, markersize=4 + 18 * math.sqrt(row.share))
        if row.share >= LABELLED:
            axes.annotate(row.name, (row.intensity, row.gigaflops), ha="center", va="bottom", fontsize=8)
    axes.set_xlabel("FLOPs per byte")
    axes.set_ylabel("GFLOP/s")
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_title(f"Roofline ({bandwidth / 1e9:.3g} GB/s)", loc="left", color=INK, fontsize=11)
