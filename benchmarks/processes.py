"""How is a measured process started?  With its cores, threads and caches, and no inherited setting of a library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers import PEERS

ROOT = Path(__file__).resolve().parents[1]
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "FUNCGRAD_NUM_THREADS",
)
SETTINGS = "FUNCGRAD_ JAX_ XLA_ TORCH NUMBA_ OMP_ KMP_ GOMP_ MKL_ OPENBLAS_ MALLOC_".split()
"""How the names of environment variables begin that measured processes do not inherit."""
TIME_LIMIT = 600


@dataclass(frozen=True)
class Task:
    """What one process measures.

    Attributes
    ----------
    workload, peer
        Names; the peer may be ``"reference"`` or ``"limit"`` (see `benchmarks.child`).
    threads
        Of every library in the process.
    cache
        Folder of the peer's disk cache.
    seconds
        Of steady calls; 0 for the first call only.
    save
        File for the first result, or empty.
    source
        Text to run in place of a workload's calls.
    limit
        One of the machine's own limits in place of a workload's.
    x64
        Whether JAX must keep float64.
    """

    workload: str
    peer: str
    threads: int
    cache: str = ""
    seconds: float = 0.0
    save: str = ""
    source: str = ""
    limit: str = ""
    x64: bool = False


class ProcessFailed(Exception):
    """A measured process ended without an answer; the message is the last line that it wrote."""


def environment(task: Task, inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment of the process of ``task``."""
    result = {name: value for name, value in inherited.items() if not name.startswith(tuple(SETTINGS))}
    result |= {name: str(task.threads) for name in THREAD_VARIABLES}
    peer = PEERS.get(task.peer, PEERS["numpy"])
    result |= peer.environment | {name: value.format(cache=task.cache) for name, value in peer.cache.items()}
    if task.peer == "jax":
        result["JAX_ENABLE_X64"] = str(int(task.x64))
        if task.threads == 1:
            result["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    return result


def launch(task: Task, folder: Path) -> dict[str, Any]:
    """Runs ``task`` in a fresh process and returns its answer.

    Raises
    ------
    ProcessFailed
        If the process fails or takes longer than `TIME_LIMIT` seconds.
    """
    out = folder / "answer.json"
    out.unlink(missing_ok=True)
    if task.source:
        command = ["benchmarks.startup", str(out), task.source]
    else:
        command = ["benchmarks.child", json.dumps(asdict(task) | {"out": str(out)})]
    try:
        done = subprocess.run(
            [PEERS[task.peer].python if task.peer in PEERS else sys.executable, "-m", *command],
            cwd=ROOT,
            env=environment(task, os.environ),
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ProcessFailed(f"took longer than {TIME_LIMIT} s") from None
    if done.returncode or not out.exists():
        raise ProcessFailed((done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1])
    answer: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return answer


def hold_to_cores(threads: int) -> None:
    """Pins this process, and with it every process that it starts, to the first ``threads`` cores that it may use.

    Raises
    ------
    ValueError
        If there are fewer cores than threads.
    """
    cores = sorted(os.sched_getaffinity(0))
    if threads > len(cores):
        raise ValueError(f"--threads {threads} asks for more than the {len(cores)} cores that this process may use")
    os.sched_setaffinity(0, cores[:threads])
