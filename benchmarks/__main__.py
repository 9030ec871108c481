"""Which options does ``python -m benchmarks`` have, and what does it do with them?"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import records, report
from benchmarks.machine import describe
from benchmarks.peers import PEERS
from benchmarks.processes import ROOT, ProcessFailed, hold_to_cores, launch
from benchmarks.schedule import Settings, measure, measure_machine
from benchmarks.workload import BASELINE, AnyWorkload, Workload
from benchmarks.workloads import WORKLOADS

DEFAULT_PEERS = "jax,torch,autograd,forward,hand,one,numpy"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python -m benchmarks", description="funcgrad beside its peers, timed here.")
    result.add_argument("-k", metavar="NAME", action="append", help="workloads with NAME in their name (repeatable)")
    result.add_argument("--peers", default=DEFAULT_PEERS, help=f"of {', '.join(PEERS)} (default {DEFAULT_PEERS})")
    result.add_argument("--threads", type=int, default=2, help="cores and threads of every process (default 2)")
    result.add_argument("--rounds", type=int, help="fresh processes per peer and workload (default 3; quick 1)")
    result.add_argument("--seconds", type=float, help="of steady calls per process (default 0.5; quick 0.1)")
    result.add_argument("--quick", action="store_true", help="one short round, without the largest workloads")
    result.add_argument("--json", type=Path, help="default benchmarks/results/threadsN.json")
    result.add_argument("--chart", type=Path, help="default: beside the JSON file, as PNG")
    result.add_argument("--save", action="store_true", help="keep a dated record under docs/benchmarks/")
    result.add_argument(
        "--compare",
        metavar="RECORD",
        nargs="?",
        const="",
        help="print what moved since a record (default: the newest one of as many threads)",
    )
    result.add_argument("--list", action="store_true", help="name the workloads and stop")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and reports; 1 if a peer failed or disagreed, 2 if an option is wrong."""
    options = parser().parse_args(arguments)
    if options.list:
        print("\n".join(f"{name:24} {workload.summary}" for name, workload in WORKLOADS.items()))
        return 0
    try:
        peers, workloads = chosen_peers(options.peers), chosen_workloads(options.k, options.quick)
        before = chosen_record(options.compare, options.threads)
        hold_to_cores(options.threads)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        rounds = options.rounds or (1 if options.quick else 3)
        seconds = options.seconds or (0.1 if options.quick else 0.5)
        settings = Settings(peers, options.threads, rounds, seconds, Path(folder))
        file = options.json or ROOT / "benchmarks" / "results" / f"threads{options.threads}.json"
        clean = True
        try:
            for results, sound in _run(workloads, settings):
                clean &= sound
                _write(results, file)  # after every workload: a run that is cut off keeps what it has measured
                kept = records.save(results) if options.save else None
        except ProcessFailed as error:
            print(f"the harness cannot measure: {error}", file=sys.stderr)
            return 1
    _draw(file, options.chart or file.with_suffix(".png"))
    if before is not None:
        print(f"\n{records.comparison(before, records.record(results))}")
    if kept:
        print(f"\nkept in {kept}")
    return 0 if clean else 1


def chosen_record(name: str | None, threads: int) -> records.Record | None:
    """What ``--compare`` names: a record, the newest one for an empty name, None without the option.

    Raises
    ------
    ValueError
        If there is none.
    """
    if name is None:
        return None
    return records.load(Path(name) if name else records.latest(threads))


def chosen_peers(names: str) -> tuple[str, ...]:
    """funcgrad and the named peers, without those that are not installed (a line says so).

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    wanted = list(dict.fromkeys([BASELINE, *filter(None, names.split(","))]))
    if unknown := [name for name in wanted if name not in PEERS]:
        raise ValueError(f"--peers: no peer is called {', '.join(unknown)}; there are {', '.join(PEERS)}")
    for name in wanted:
        if not PEERS[name].installed:
            print(f"{name} is left out: no module named {PEERS[name].module}")
    return tuple(name for name in wanted if PEERS[name].installed)


def chosen_workloads(parts: Sequence[str] | None, quick: bool) -> list[AnyWorkload]:
    """The workloads with one of ``parts`` in the name, all but those of a series by default.

    Raises
    ------
    ValueError
        If there is none.
    """
    named = [each for name, each in WORKLOADS.items() if _named(name, each, parts or [""])]
    result = [each for each in named if each.quick or not quick]
    if not result:
        raise ValueError(f"-k: no workload matches; there are {', '.join(WORKLOADS)}")
    return result


def _named(name: str, workload: AnyWorkload, parts: Sequence[str]) -> bool:
    series = workload.series if isinstance(workload, Workload) else ""
    return any(part in name and part.startswith(series) for part in parts)


def _run(workloads: Sequence[AnyWorkload], settings: Settings) -> Iterator[tuple[dict[str, Any], bool]]:
    """After every workload: the results so far, and whether no peer failed or disagreed in it."""
    machine, limits = describe(settings.threads), measure_machine(settings, launch)
    print(report.header(machine, limits), flush=True)
    options = {"rounds": settings.rounds, "seconds": settings.seconds, "peers": settings.peers}
    results: dict[str, Any] = {"machine": machine, "limits": limits, "options": options, "workloads": []}
    for workload in workloads:
        outcome = measure(workload, settings, launch)
        print(f"\n{report.table(outcome)}", flush=True)
        results["workloads"].append(report.as_json(outcome))
        yield results, not outcome.disagreements and not any(row.failure for row in outcome.rows)


def _write(results: dict[str, Any], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(results, indent=1), encoding="utf-8")


def _draw(file: Path, chart: Path) -> None:
    """In a process of its own: drawing needs matplotlib, measuring does not."""
    command = [sys.executable, "-m", "benchmarks.chart", str(file.resolve()), str(chart.resolve())]
    subprocess.run(command, cwd=ROOT, check=False)


if __name__ == "__main__":
    sys.exit(main())
