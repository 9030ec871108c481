"""How are whole trainings run and compared?  Each in a fresh process, with empty caches and then with filled ones."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from benchmarks.machine import describe
from benchmarks.peers import PEERS
from benchmarks.processes import ROOT, ProcessFailed, Task, environment
from benchmarks.report import aligned, quantity
from benchmarks.trainings import data
from benchmarks.workload import BASELINE

SEED, TIME_LIMIT = 0, 900
FIRST_STEPS, LATE = 5, 0.01  # how many losses are compared one by one; and how far the last epoch's mean may be
LIBRARIES = {"funcgrad": "funcgrad", "jax": "jax", "jax_scan": "jax", "torch": "torch"}
"""The library of each peer; ``jax_scan`` has one compiled `lax.scan` for an epoch, ``jax`` a loop over jitted steps."""


@dataclass(frozen=True)
class Run:
    """What came out of one process.

    Attributes
    ----------
    whole
        Seconds from before its start until after its end.
    first
        Seconds from the same moment to the first step's end: that of the first epoch less its other steps at `step`.
    step
        Seconds: the median over the later epochs, by their steps.
    cpu
        Seconds, of all threads and of the processes that it started.
    losses, accuracies
        Of each step, and after each epoch.
    steps
        In an epoch.
    rss
        Peak memory in bytes.
    """

    whole: float
    first: float
    step: float
    cpu: float
    losses: list[float]
    accuracies: list[float]
    steps: int
    rss: int

    @property
    def loss(self) -> float:
        """The mean over the last epoch."""
        return float(np.mean(self.losses[-self.steps :]))


@dataclass
class Row:
    """One peer's runs, one per round; a peer without a disk cache has none in `warm`."""

    peer: str
    cold: list[Run] = field(default_factory=list)
    warm: list[Run] = field(default_factory=list)
    failure: str = ""

    def runs(self, cache: str) -> list[Run]:
        """With an empty (``"cold"``) or a filled cache, which is all the same where there is none."""
        return self.cold if cache == "cold" else self.warm or self.cold


# Running --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Settings:
    """Who takes part, with how many threads and fresh processes, and where files are put."""

    peers: Sequence[str]
    threads: int
    rounds: int
    folder: Path
    epochs: int | None = None
    fast: bool = False


def measure(training: data.Training, settings: Settings) -> list[Row]:
    """All rounds; the peers take turns."""
    file, cache = settings.folder / "data.npz", settings.folder / "cache"
    data.save(file, training.make(np.random.default_rng(SEED), settings.epochs or training.epochs, settings.fast))
    rows = [Row(peer) for peer in settings.peers]
    for _ in range(settings.rounds):
        for row in rows:
            shutil.rmtree(cache, ignore_errors=True)
            cache.mkdir()
            try:
                row.cold.append(launch(training.name, row.peer, settings, file, cache))
                if PEERS[LIBRARIES[row.peer]].cache:
                    row.warm.append(launch(training.name, row.peer, settings, file, cache))
            except ProcessFailed as error:
                row.failure = str(error)
    return rows


def launch(training: str, peer: str, settings: Settings, file: Path, cache: Path) -> Run:
    """One run in a fresh process.

    Raises
    ------
    ProcessFailed
        If the process fails or takes longer than `TIME_LIMIT` seconds.
    """
    out = settings.folder / "answer.json"
    out.unlink(missing_ok=True)
    begin, used = time.monotonic(), _cpu_of_children()
    task = {"training": training, "peer": peer, "data": str(file), "out": str(out), "start": begin}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.trainings.child", json.dumps(task)],
            cwd=ROOT,
            env=environment(Task(training, LIBRARIES[peer], settings.threads, cache=str(cache)), os.environ),
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ProcessFailed(f"took longer than {TIME_LIMIT} s") from None
    whole, cpu = time.monotonic() - begin, _cpu_of_children() - used
    if done.returncode or not out.exists():
        raise ProcessFailed((done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1])
    return read(json.loads(out.read_text(encoding="utf-8")), whole, cpu)


def read(answer: dict[str, Any], whole: float, cpu: float) -> Run:
    """The answer of `benchmarks.trainings.child`."""
    steps = answer["steps"]
    taken = np.subtract(answer["trained"], answer["begun"])
    step = float(np.median(taken[1:] if len(taken) > 1 else taken)) / steps
    first = answer["trained"][0] - (steps - 1) * step
    return Run(whole, first, step, cpu, answer["losses"], answer["accuracies"], steps, answer["rss"])


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


# The report -----------------------------------------------------------------------------------------------------------


def header(threads: int) -> str:
    """Machine, versions and load."""
    machine = describe(threads)
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    load = ", ".join(f"{value:.1f}" for value in machine["load"])
    return (
        f"{machine['date']}: {machine['processor']}, {machine['cores']} cores, {threads} used, load {load}; "
        f"Python {machine['python']}, {versions}\n"
        f"A cell is the median over the rounds; ×r is {BASELINE} / peer, the median of the rounds' ratios."
    )


class Column(NamedTuple):
    """A number of each run with empty (``"cold"``) or filled (``"warm"``) caches, and its unit."""

    title: str
    cache: str
    number: Callable[[Run], float]
    unit: str = "steady"


WHOLE = (
    Column("whole run, empty caches", "cold", attrgetter("whole")),
    Column("whole run, filled caches", "warm", attrgetter("whole")),
)
COLUMNS = (
    *WHOLE,
    Column("to the first step, empty", "cold", attrgetter("first")),
    Column("to the first step, filled", "warm", attrgetter("first")),
    Column("a step", "cold", attrgetter("step")),
    Column("CPU time, empty", "cold", attrgetter("cpu")),
    Column("CPU time, filled", "warm", attrgetter("cpu")),
    Column("peak memory", "cold", attrgetter("rss"), "rss"),
)


def ratio(ours: Row, theirs: Row, column: Column) -> float | None:
    """funcgrad / peer: the median of the ratios of the rounds."""
    pairs = zip(ours.runs(column.cache), theirs.runs(column.cache), strict=False)
    found = [column.number(a) / column.number(b) for a, b in pairs]
    return median(found) if found else None


def table(training: data.Training, rows: Sequence[Row]) -> str:
    """One training in Markdown: times, results, and what they mean."""
    ours = next(row for row in rows if row.peer == BASELINE)
    titles = ["peer", *(column.title for column in COLUMNS), "loss of the last epoch", "test accuracy"]
    body = []
    for row in rows:
        if row.cold:
            last = row.cold[0]
            cells = (_cell(ours, row, column) for column in COLUMNS)
            body.append([row.peer, *cells, f"{last.loss:.5f}", f"{last.accuracies[-1]:.2%}"])
    epochs = len(ours.cold[0].accuracies) if ours.cold else 0
    lines = [f"## {training.name}: {training.summary}; {epochs} epochs", "", *aligned([titles, *body]), ""]
    return "\n".join([*lines, *notes(training, rows)])


def _cell(ours: Row, row: Row, column: Column) -> str:
    if column.cache == "warm" and not row.warm:
        return "–"
    text, quotient = quantity(median(map(column.number, row.runs(column.cache))), column.unit), ratio(ours, row, column)
    return text if row is ours or quotient is None else f"{text} ×{quotient:.2f}"


def notes(training: data.Training, rows: Sequence[Row]) -> Iterator[str]:
    """Failures, disagreements, how equal the results are, and whether funcgrad is the faster one."""
    ours = next(row for row in rows if row.peer == BASELINE)
    for row in rows:
        if row.failure:
            yield f"FAILED {row.peer}: {row.failure}"
        elif row is not ours and ours.cold:
            for what, (found, allowed) in differences(training, ours.cold[0], row.cold[0]).items():
                verdict = "equal" if found <= allowed else "DISAGREES"
                yield f"{verdict}: {what} of {row.peer} within {found:.1e} of {BASELINE}'s, at most {allowed:.0e}"
            for column in WHOLE:
                if (quotient := ratio(ours, row, column)) is not None:
                    verdict = "reached" if quotient < 1 else "MISSED"
                    yield f"{verdict}: {column.title}, {quotient:.2f} × {row.peer}, below 1"


def differences(training: data.Training, ours: Run, theirs: Run) -> dict[str, tuple[float, float]]:
    """How far results are apart, and how far they may be."""
    a, b = np.array(ours.losses[:FIRST_STEPS]), np.array(theirs.losses[:FIRST_STEPS])
    return {
        f"losses of the first {FIRST_STEPS} steps": (float(np.max(np.abs(a - b) / np.abs(a))), training.early),
        "mean loss of the last epoch, by that of the first,": (
            abs(theirs.loss - ours.loss) / float(np.mean(ours.losses[: ours.steps])),
            LATE,
        ),
        "test accuracy": (abs(theirs.accuracies[-1] - ours.accuracies[-1]), training.accuracy),
    }


def clean(training: data.Training, rows: Sequence[Row]) -> bool:
    """Whether every peer came to its end and to the same results."""
    return not any(line.startswith(("FAILED", "DISAGREES")) for line in notes(training, rows))
