"""What moved since a run that was kept?  Dated records under docs/benchmarks/, and the ratios of one run to another.

A figure moved if its ratio lies further from 1 than both runs scatter by themselves: half the range of the rounds'
medians (where there was one round: of the calls' middle four fifths; of a first call `ONCE`), and `LEAST` at the least.

``python -m benchmarks.records OLD NEW`` compares two records without measuring.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.processes import ROOT
from benchmarks.report import METRICS, aligned
from benchmarks.workload import BASELINE

FOLDER = ROOT / "docs" / "benchmarks"
LEAST, ONCE = 0.05, 0.25

Figure = dict[str, float]
Record = dict[str, Any]


class Move(NamedTuple):
    """One figure beside the older one: their ratio (new / old), and the scatter of both together."""

    workload: str
    peer: str
    metric: str
    ratio: float
    noise: float

    @property
    def beyond(self) -> bool:
        """Whether it moved by more than the runs scatter."""
        return not 1 / (1 + self.noise) <= self.ratio <= 1 + self.noise

    def __str__(self) -> str:
        mark = (" slower" if self.ratio > 1 else " faster") if self.metric not in ("rss", "size") else ""
        mark = mark or (" more" if self.ratio > 1 else " less")
        return f"×{self.ratio:.2f} ± {100 * self.noise:.0f} %{mark + ' !' if self.beyond else ''}"


def figures(row: Mapping[str, Any]) -> dict[str, Figure]:
    """The median and the scatter of each metric of a row of the report."""
    found = {}
    for metric, median in row["medians"].items():
        if median is None:
            continue
        steady = row["steady"] if metric == "steady" else []
        values = [each["median"] for each in steady] or row[metric]
        low, high = min(values), max(values)
        if len(steady) == 1:
            low, high = steady[0]["p10"], steady[0]["p90"]
        once = len(values) == 1 and metric in ("cold", "warm")
        found[metric] = {"median": median, "noise": ONCE if once else (high - low) / 2 / median if median else 0.0}
    return found


def record(results: Mapping[str, Any]) -> Record:
    """What is kept of a run's results: machine, limits, options, and of each workload when it ran, its goals, and the
    figures of each peer, with funcgrad's ratios to it.
    """
    rows = {
        each["workload"]: {
            "date": results["machine"]["date"],
            "summary": each["summary"],
            "goals": each["goals"],
            "peers": {row["peer"]: _kept(row, found) for row in each["rows"] if (found := figures(row))},
        }
        for each in results["workloads"]
    }
    return {name: results[name] for name in ("machine", "limits", "options")} | {"workloads": rows}


def _kept(row: Mapping[str, Any], found: dict[str, Figure]) -> dict[str, Any]:
    """The figures of a peer, the ratios of the rounds that ran side by side, and what else was found."""
    ratios = {metric: ratio for metric, ratio in row["funcgrad_over_peer"].items() if ratio is not None}
    others = {name: row[name] for name in ("error", "share_of_limit") if row[name] is not None}
    return found | {"ratios": ratios} | others


def save(results: Mapping[str, Any], folder: Path = FOLDER) -> Path:
    """Write the record of the day; workloads that an earlier run of that day measured, and this one did not, stay.

    Another processor has a file of its own.
    """
    new = record(results)
    name = f"{new['machine']['date'][:10]}-threads{new['machine']['threads']}"
    for number in count(1):
        file = folder / (f"{name}.json" if number == 1 else f"{name}-{number}.json")
        old = load(file) if file.exists() else None
        if old is None or old["machine"]["processor"] == new["machine"]["processor"]:
            break
    new["workloads"] = (old["workloads"] if old else {}) | new["workloads"]
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(new, indent=1) + "\n", encoding="utf-8")
    return file


def load(file: Path) -> Record:
    """A record.

    Raises
    ------
    ValueError
        If the file is none.
    """
    try:
        found: Record = json.loads(file.read_text(encoding="utf-8"))
        [each["peers"] for each in found["workloads"].values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is no record of benchmarks: {error}") from None
    return found


def latest(threads: int | None = None, folder: Path = FOLDER) -> Path:
    """The newest record (of a run with so many threads).

    Raises
    ------
    ValueError
        If there is none.
    """
    machines = {file: load(file)["machine"] for file in folder.glob("*.json")}
    files = [file for file, machine in machines.items() if threads in (None, machine["threads"])]
    if not files:
        which = "" if threads is None else f" of {threads} threads"
        raise ValueError(f"no record{which} is kept in {folder}; --save writes one")
    return max(files, key=lambda file: machines[file]["date"])


def moves(old: Record, new: Record) -> Iterator[Move]:
    """The figures that both have, funcgrad's first in each workload."""
    for workload, each in new["workloads"].items():
        rows, before = each["peers"], old["workloads"].get(workload, {"peers": {}})["peers"]
        for peer in sorted(rows, key=lambda name: name != BASELINE):
            for metric in METRICS:
                a, b = before.get(peer, {}).get(metric), rows[peer].get(metric)
                if a and b and a["median"]:
                    noise = max(LEAST, a["noise"] + b["noise"])
                    yield Move(workload, peer, metric, b["median"] / a["median"], noise)


def comparison(old: Record, new: Record) -> str:
    """A table of ratios, a row for each workload and peer and a column for each metric; then how many moved."""
    found = list(moves(old, new))
    cells = {(m.workload, m.peer, m.metric): m for m in found}
    metrics = [metric for metric in METRICS if any(m.metric == metric for m in found)]
    rows = list(dict.fromkeys((m.workload, m.peer) for m in found))
    body = [[*row, *(str(cells.get((*row, metric), "–")) for metric in metrics)] for row in rows]
    lines = [f"New / old: {_described(new)} / {_described(old)}"]
    if old["machine"]["processor"] != new["machine"]["processor"]:
        lines.append("The machines differ: ratios are those of the machines too.")
    lines += ["", *aligned([["workload", "peer", *(METRICS[metric] for metric in metrics)], *body]), ""]
    own = [m for m in found if m.peer == BASELINE and m.beyond]
    up, down = (sum((m.ratio > 1) is way for m in own) for way in (True, False))
    return "\n".join([*lines, f"{BASELINE}: {up} figures went up and {down} down, beyond the noise"])


def _described(run: Record) -> str:
    machine = run["machine"]
    return f"{machine['date']} ({machine['processor']}, {machine['threads']} threads)"


def main(arguments: list[str]) -> int:
    """Compares two files; 2 if they are no records."""
    if len(arguments) != 2:
        print("usage: python -m benchmarks.records OLD NEW", file=sys.stderr)
        return 2
    try:
        print(comparison(*(load(Path(name)) for name in arguments)))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
