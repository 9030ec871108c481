"""In which order is it measured?  Rounds over the peers (A B C A B C ...), a fresh process each time."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import limits
from benchmarks.compare import worst_error
from benchmarks.peers import PEERS
from benchmarks.processes import ProcessFailed, Task
from benchmarks.results import Outcome, Row
from benchmarks.size import installed_size
from benchmarks.workload import AnyWorkload, InstalledSize, Startup, Workload

Launch = Callable[[Task, Path], dict[str, Any]]
Values = dict[str, np.ndarray]


@dataclass(frozen=True)
class Settings:
    """What holds for the whole run; ``seconds`` are those of steady calls per process."""

    peers: tuple[str, ...]
    threads: int
    rounds: int
    seconds: float
    folder: Path


def measure(workload: AnyWorkload, settings: Settings, launch: Launch) -> Outcome:
    """All rounds of all peers on one workload.

    Raises
    ------
    ProcessFailed
        If the reference or the machine's limit cannot be measured; a failing peer is reported in its row instead.
    """
    outcome = Outcome(workload, [Row(peer) for peer in settings.peers if peer in workload.peers])
    if isinstance(workload, InstalledSize):
        _measure_sizes(workload, outcome)
        return outcome
    reference = _reference(workload, settings, launch)
    for number in range(settings.rounds):
        for row in outcome.rows:
            if not row.failure:
                try:
                    _one_round(workload, row, number, reference, settings, launch)
                except ProcessFailed as failure:
                    row.failure = str(failure)
        if isinstance(workload, Workload) and workload.limit:
            task = Task(workload.name, "limit", settings.threads, seconds=settings.seconds)
            outcome.limit.append(launch(task, settings.folder)["steady"]["median"])
    return outcome


def measure_machine(settings: Settings, launch: Launch) -> dict[str, dict[str, float]]:
    """The machine's own limits: seconds, and bytes or floating-point operations per second."""
    result = {}
    for name, limit in limits.MACHINE.items():
        task = Task("", "limit", settings.threads, seconds=settings.seconds, limit=name)
        seconds = launch(task, settings.folder)["steady"]["median"]
        result[name] = {"seconds": seconds, "rate": (limit.bytes or limit.flops) / seconds}
    return result


def _reference(workload: Workload | Startup, settings: Settings, launch: Launch) -> Values:
    if isinstance(workload, Startup):
        if not workload.reference:
            return {}
        task = Task(workload.name, "reference", settings.threads, source=workload.reference)
        return {"result": np.asarray(launch(task, settings.folder)["result"])}
    save = settings.folder / "reference.npz"
    launch(Task(workload.name, "reference", settings.threads, save=str(save)), settings.folder)
    return _load(save)


def _load(file: Path) -> Values:
    with np.load(file) as saved:
        values = dict(saved)
    file.unlink()
    return values


def _one_round(
    workload: Workload | Startup, row: Row, number: int, reference: Values, settings: Settings, launch: Launch
) -> None:
    """An empty cache, then, if the peer keeps one on disk, a second process that finds it filled."""
    cache = settings.folder / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir()
    task = Task(workload.name, row.peer, settings.threads, cache=str(cache))
    save = settings.folder / "result.npz"
    if isinstance(workload, Startup):
        task, warm = replace(task, source=workload.sources[row.peer]), workload.cached
    else:
        task, warm = replace(task, seconds=settings.seconds * workload.repeated, x64=workload.x64), workload.repeated
    answer = launch(replace(task, save=str(save)) if number == 0 and not task.source else task, settings.folder)
    if number == 0 and reference:
        values = {"result": np.asarray(answer["result"])} if task.source else _load(save)
        row.error, row.where = worst_error(values, reference)
    row.cold.append(answer["first"])
    row.steady += [answer["steady"]] if "steady" in answer else []
    row.rss.append(answer["rss"])
    if warm and PEERS[row.peer].cache:
        row.warm.append(launch(replace(task, seconds=0.0), settings.folder)["first"])


def _measure_sizes(workload: InstalledSize, outcome: Outcome) -> None:
    for row in outcome.rows:
        try:
            row.size.append(sum(installed_size(workload.distributions[row.peer]).values()))
        except metadata.PackageNotFoundError as missing:
            row.failure = f"{missing.name} is not installed"
