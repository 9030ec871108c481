"""What runs in a measured process?  One peer's calls of one workload; the parent has set cores and threads already."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import limits
from benchmarks.memory import peak_rss
from benchmarks.peers import PEERS
from benchmarks.timing import first, samples, summary
from benchmarks.workload import Workload, in_float64, map_leaves
from benchmarks.workloads import CALLS

REFERENCE, LIMIT = "reference", "limit"


def main(text: str) -> None:
    """Does the task of the JSON ``text`` (see `benchmarks.processes`) and writes its answer to the file it names."""
    task = json.loads(text)
    if task["peer"] == LIMIT:
        limit = limits.MACHINE.get(task["limit"]) or CALLS[task["workload"]].limit
        assert limit is not None
        call, times = limits.build(limit)
        answer: dict[str, Any] = {"steady": summary(samples(call, task["seconds"]) / times)}
    elif task["peer"] == REFERENCE:
        answer = reference(CALLS[task["workload"]], task["save"])
    else:
        answer = measure(CALLS[task["workload"]], task)
    Path(task["out"]).write_text(json.dumps(answer), encoding="utf-8")


def measure(workload: Workload, task: dict[str, Any]) -> dict[str, Any]:
    """First call, then steady calls, then the peak of memory; the first result goes to ``task["save"]``."""
    library = PEERS[task["peer"]].load(task["threads"])
    data = workload.data()
    call = library.waiting(workload.builders[task["peer"]](library, data))
    seconds, result = first(call)
    answer: dict[str, Any] = {"first": seconds}
    if task["save"]:
        # At once: the next call may overwrite this result in place.
        np.savez(task["save"], **workload.outcome(data, map_leaves(library.to_numpy, result)))
    del result
    if task["seconds"]:
        answer["steady"] = summary(samples(call, task["seconds"]))
    answer["rss"] = peak_rss()
    return answer


def reference(workload: Workload, save: str) -> dict[str, Any]:
    """The arbiter: the hand-written NumPy function on the same data in float64."""
    data = in_float64(workload.data())
    result = workload.builders["numpy"](PEERS["numpy"].load(1), data)()
    np.savez(save, **workload.outcome(data, result))
    return {}


if __name__ == "__main__":
    main(sys.argv[1])
