"""Do the peers take turns, with empty and filled caches, and is a failing or disagreeing peer reported?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.processes import ProcessFailed, Task
from benchmarks.schedule import Settings, measure, measure_machine
from benchmarks.workload import InstalledSize, Limit, Startup, Workload


def unused(*_: Any) -> Any:
    raise AssertionError("the parent neither makes data nor calls peers")


WORKLOAD = Workload(
    "w",
    "summary",
    unused,
    dict.fromkeys(("funcgrad", "jax", "numpy"), unused),
    tolerance=0.01,
    limit=Limit("read", bytes=8),
)
ANSWER = {"first": 1.0, "steady": {"median": 0.5, "p10": 0.4, "p90": 0.6, "samples": 9}, "rss": 1000, "result": [1.0]}


class Recorder:
    """Stands in for processes: keeps the tasks, writes results, answers the same each time."""

    def __init__(self, values: dict[str, float] | None = None, broken: str = "") -> None:
        self.tasks: list[Task] = []
        self.filled: list[bool] = []
        self.values, self.broken = values or {}, broken

    def __call__(self, task: Task, folder: Path) -> dict[str, Any]:
        self.tasks.append(task)
        if task.peer == self.broken:
            raise ProcessFailed("it broke")
        if task.save:
            np.savez(task.save, x=np.float64(self.values.get(task.peer, 1.0)))
        if task.cache:
            mark = Path(task.cache) / "mark"
            self.filled.append(mark.exists())
            mark.touch()
        return ANSWER if task.seconds or task.peer == "limit" else ANSWER | {"first": 0.25} if task.cache else ANSWER


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(("funcgrad", "jax", "numpy"), threads=1, rounds=3, seconds=0.5, folder=tmp_path)


def test_peers_take_turns_and_warm_processes_follow_cold_ones(settings: Settings) -> None:
    launch = Recorder()
    outcome = measure(WORKLOAD, settings, launch)
    one_round = [("funcgrad", 0.5), ("funcgrad", 0.0), ("jax", 0.5), ("jax", 0.0), ("numpy", 0.5), ("limit", 0.5)]
    assert [(task.peer, task.seconds) for task in launch.tasks] == [("reference", 0.0), *one_round * 3]
    assert launch.filled == [False, True, False, True, False] * 3
    assert [row.peer for row in outcome.rows] == ["funcgrad", "jax", "numpy"]
    assert outcome.limit == [0.5] * 3
    assert outcome.rows[1].cold == [1.0] * 3
    assert outcome.rows[1].warm == [0.25] * 3
    assert outcome.rows[2].warm == []


def test_results_are_compared_once_and_removed(settings: Settings) -> None:
    launch = Recorder(values={"jax": 1.1, "numpy": 1.009})
    outcome = measure(WORKLOAD, settings, launch)
    assert [row.peer for row in outcome.disagreements] == ["jax"]
    assert outcome.rows[1].error == pytest.approx(0.1)
    assert [task.peer for task in launch.tasks if task.save] == ["reference", "funcgrad", "jax", "numpy"]
    assert not list(settings.folder.glob("*.npz"))


def test_a_nan_disagrees(settings: Settings) -> None:
    outcome = measure(WORKLOAD, settings, Recorder(values={"jax": float("nan")}))
    assert [row.peer for row in outcome.disagreements] == ["jax"]


def test_a_failing_peer_stops_alone(settings: Settings) -> None:
    launch = Recorder(broken="jax")
    outcome = measure(WORKLOAD, settings, launch)
    assert [row.failure for row in outcome.rows] == ["", "it broke", ""]
    assert sum(task.peer == "jax" for task in launch.tasks) == 1
    assert len(outcome.rows[2].cold) == 3


def test_without_repetition_there_is_only_the_first_call(settings: Settings) -> None:
    launch = Recorder()
    once = Workload("w", "summary", unused, {"jax": unused}, tolerance=0.0, repeated=False)
    outcome = measure(once, settings, launch)
    assert [task.seconds for task in launch.tasks[1:]] == [0.0] * 3
    assert outcome.rows[0].warm == []


def test_startups_run_source_text(settings: Settings) -> None:
    launch = Recorder()
    startup = Startup("s", "summary", {"jax": "import jax", "numpy": "import numpy"}, reference="r", cached=True)
    outcome = measure(startup, settings, launch)
    assert [task.source for task in launch.tasks[:4]] == ["r", "import jax", "import jax", "import numpy"]
    assert [row.error for row in outcome.rows] == [0.0, 0.0]


def test_sizes_need_no_process(settings: Settings) -> None:
    sizes = InstalledSize("d", "summary", {"numpy": "numpy", "jax": "no-such-distribution"})
    outcome = measure(sizes, settings, unused)
    assert outcome.row("numpy").size[0] > 1_000_000
    assert outcome.row("jax").failure == "no-such-distribution is not installed"


def test_the_machine_is_measured_in_units_per_second(settings: Settings) -> None:
    found = measure_machine(settings, Recorder())
    assert found["sgemm 1024"] == {"seconds": 0.5, "rate": 2 * 1024**3 / 0.5}
    assert found["read"]["rate"] == 16e7 / 0.5
