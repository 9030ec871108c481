"""How does funcgrad compare at a glance?  ``python -m benchmarks.chart FILE.json FILE.png`` draws every ratio of a run
or of a kept record.

Calls have a line for each workload, those that gain most first; of the other metrics all ratios to a peer stand in
order, which shows how many are ahead, and how far.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis

from benchmarks.records import Record, record
from benchmarks.report import METRICS
from benchmarks.workload import BASELINE

LINES, LINE = 50, 0.155  # workloads in a column, and the inches of one
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


def draw(kept: Record, file: Path) -> bool:
    """The picture of a record; False, and no file, where there is no ratio to draw."""
    found = {metric: points for metric in METRICS if metric != "size" and (points := ratios(kept, metric))}
    if not found:
        return False
    calls = sorted(found.pop("steady", {}).items(), key=lambda item: max(item[1].values()))
    lines = -(-len(calls) // -(-len(calls) // LINES)) if calls else 1
    columns = [calls[k : k + lines] for k in range(0, len(calls), lines)]
    tall = LINE * max(map(len, columns), default=0)
    sizes = [size for size, wanted in ((tall + 0.6, columns), (2.6, found)) if wanted]
    figure = plt.figure(figsize=(5 * max(len(columns), 2), sum(sizes) + 1), layout="constrained")
    parts = list(figure.subfigures(len(sizes), height_ratios=sizes, squeeze=False).flat)
    panels = []
    if columns:
        above = parts.pop(0)
        above.suptitle(f"{METRICS['steady']}: left of 1, {BASELINE} needs less", fontsize=10)
        for axis, column in zip(above.subplots(1, len(columns), squeeze=False).flat, columns, strict=True):
            _workloads(axis, column, len(columns[0]))
            panels.append(axis)
        for axis in panels:
            axis.set_xlim(_limits([ratio for _, peers in calls for ratio in peers.values()]))
    if found:
        for axis, (metric, points) in zip(
            parts[0].subplots(1, len(found), squeeze=False).flat, found.items(), strict=True
        ):
            _in_order(axis, METRICS[metric], points)
            panels.append(axis)
    handles = dict(pair for axis in panels for pair in zip(*axis.get_legend_handles_labels()[::-1], strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles), fontsize=9)
    machine = kept["machine"]
    where = f"{machine['processor']}, {machine['threads']} thread(s), {machine['date'][:10]}"
    figure.suptitle(f"{BASELINE} / peer, {where}")
    figure.savefig(file, dpi=110)
    plt.close(figure)
    return True


def ratios(kept: Record, metric: str) -> dict[str, dict[str, float]]:
    """Workload to peer to funcgrad / peer."""
    result = {}
    for workload, each in kept["workloads"].items():
        points = {peer: row["ratios"][metric] for peer, row in each["peers"].items() if metric in row["ratios"]}
        points.pop(BASELINE, None)
        if points:
            result[workload] = points
    return result


def _limits(values: list[float]) -> tuple[float, float]:
    return min(*values, 0.5) / 1.3, max(*values, 2.0) * 1.3


def _workloads(axis: Axes, column: list[tuple[str, dict[str, float]]], lines: int) -> None:
    """A line for each workload, from its best ratio to its worst, and a dot for each peer."""
    for position, (_, peers) in enumerate(column):
        axis.plot([min(peers.values()), max(peers.values())], [position] * 2, color="#dddddd", linewidth=2, zorder=1)
    for peer in dict.fromkeys(peer for _, peers in column for peer in peers):
        rows = [(peers[peer], position) for position, (_, peers) in enumerate(column) if peer in peers]
        axis.scatter(*zip(*rows, strict=True), s=16, color=COLOURS[peer], label=peer, zorder=2)
    axis.set_yticks(range(len(column)), [name for name, _ in column], fontsize=7)
    axis.set_ylim(lines - 0.4, -0.6)
    _by_factors(axis, axis.xaxis)
    axis.axvline(1, color="black", linewidth=0.8)


def _in_order(axis: Axes, title: str, points: dict[str, dict[str, float]]) -> None:
    """The ratios to each peer, the smallest first."""
    for peer in dict.fromkeys(peer for peers in points.values() for peer in peers):
        values = sorted(peers[peer] for peers in points.values() if peer in peers)
        places = [(k + 0.5) / len(values) for k in range(len(values))]
        axis.plot(places, values, color=COLOURS[peer], marker=".", linewidth=1, label=peer)
    axis.set_xticks([])
    axis.set_title(f"{title}: below 1, less", fontsize=9)
    _by_factors(axis, axis.yaxis)
    axis.axhline(1, color="black", linewidth=0.8)


def _by_factors(axis: Axes, ruler: Axis) -> None:
    """A logarithmic scale with plain numbers."""
    (axis.set_xscale if ruler is axis.xaxis else axis.set_yscale)("log")
    ruler.set_major_formatter("{x:g}")
    ruler.set_minor_formatter("")
    axis.grid(axis="x" if ruler is axis.xaxis else "y", alpha=0.3)


def main(source: str, target: str) -> int:
    """Draws what the JSON file ``source`` holds into ``target``."""
    mpl.use("Agg")
    found = json.loads(Path(source).read_text(encoding="utf-8"))
    if not draw(record(found) if isinstance(found["workloads"], list) else found, Path(target)):
        print(f"no chart: {BASELINE} and another peer have no figure in common")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
