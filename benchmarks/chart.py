"""How does funcgrad compare at a glance?  ``python -m benchmarks.chart FILE.json FILE.png`` draws every ratio."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from benchmarks.report import METRICS
from benchmarks.workload import BASELINE

COLOURS = {
    "jax": "#4477aa",
    "torch": "#ee6677",
    "tcompile": "#aa3377",
    "autograd": "#ccbb44",
    "numpy": "#228833",
    "numba": "#66ccee",
    "pytensor": "#9955aa",
    "forward": "#bbbbbb",
    "hand": "#777777",
    "one": "#444444",
}


def draw(report: dict[str, Any], file: Path) -> bool:
    """A panel per metric, a group of bars per workload; False, and no file, where there is no ratio to draw."""
    panels = {metric: bars for metric in METRICS if (bars := ratios(report, metric))}
    if not panels:
        return False
    rows = {metric: sum(len(peers) + 1 for peers in bars.values()) for metric, bars in panels.items()}
    figure, axes = plt.subplots(
        len(panels),
        figsize=(9, 1.2 * len(panels) + 0.16 * sum(rows.values())),
        height_ratios=list(rows.values()),
        squeeze=False,
        layout="constrained",
    )
    for axis, (metric, bars) in zip(axes.flat, panels.items(), strict=True):
        _panel(axis, METRICS[metric], bars)
    machine = report["machine"]
    handles = dict(pair for axis in axes.flat for pair in zip(*axis.get_legend_handles_labels()[::-1], strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles), fontsize=8)
    where = f"{machine['processor']}, {machine['threads']} thread(s), {machine['date'][:10]}"
    figure.suptitle(f"{BASELINE} / peer, {where}")
    figure.savefig(file, dpi=120)
    plt.close(figure)
    return True


def ratios(report: dict[str, Any], metric: str) -> dict[str, dict[str, float]]:
    """Workload to peer to funcgrad / peer."""
    result = {}
    for workload in report["workloads"]:
        bars = {
            row["peer"]: row["funcgrad_over_peer"][metric]
            for row in workload["rows"]
            if row["peer"] != BASELINE and row["funcgrad_over_peer"][metric] is not None
        }
        if bars:
            result[workload["workload"]] = bars
    return result


def _panel(axis: Axes, title: str, bars: dict[str, dict[str, float]]) -> None:
    position, ticks, seen = 0.0, [], set()
    for peers in bars.values():
        ticks.append(position + (len(peers) - 1) / 2)
        for peer, ratio in peers.items():
            # Bars start at 1, equal times: to the left funcgrad is faster.
            axis.barh(position, ratio - 1, left=1, color=COLOURS[peer], label=None if peer in seen else peer)
            axis.annotate(
                f"{ratio:.2g}",
                (ratio, position),
                xytext=(-2 if ratio < 1 else 2, 0),
                textcoords="offset points",
                ha="right" if ratio < 1 else "left",
                va="center",
                fontsize=6,
            )
            seen.add(peer)
            position += 1
        position += 1
    axis.set_xscale("log")
    axis.margins(x=0.1, y=0.01)
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set_yticks(ticks, list(bars), fontsize=8)
    axis.invert_yaxis()
    axis.set_title(f"{title}: left of 1, {BASELINE} needs less", fontsize=9)
    axis.grid(axis="x", which="both", alpha=0.2)
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter("")


def main(source: str, target: str) -> int:
    """Draws the report of the JSON file ``source`` into ``target``."""
    mpl.use("Agg")
    if not draw(json.loads(Path(source).read_text(encoding="utf-8")), Path(target)):
        print(f"no chart: {BASELINE} and another peer have no figure in common")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
