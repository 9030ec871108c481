"""Which options does ``python -m benchmarks.trainings`` have, and what does it do with them?"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

from benchmarks.peers import PEERS
from benchmarks.processes import hold_to_cores
from benchmarks.trainings import runs
from benchmarks.trainings.data import TRAININGS
from benchmarks.workload import BASELINE


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        prog="python -m benchmarks.trainings", description="Whole trainings, from the interpreter's start to the end."
    )
    result.add_argument("--peers", default="jax,torch", help=f"of {', '.join(runs.LIBRARIES)} (default jax,torch)")
    result.add_argument("--only", default=",".join(TRAININGS), help="trainings (default %(default)s)")
    result.add_argument("--rounds", type=int, default=2, help="of fresh processes (default 2)")
    result.add_argument("--threads", type=int, default=2, help="cores and threads of every process (default 2)")
    result.add_argument("--epochs", type=int, help="default: as many as the example has")
    result.add_argument("--fast", action="store_true", help="a small share of the data, to see that it runs")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and reports; 1 if a peer failed or disagreed, 2 if an option is wrong."""
    options = parser().parse_args(arguments)
    try:
        peers = chosen("--peers", f"{BASELINE},{options.peers}", runs.LIBRARIES)
        names = chosen("--only", options.only, TRAININGS)
        for name in ("rounds", "epochs"):
            if (value := getattr(options, name)) is not None and value < 1:
                raise ValueError(f"--{name}: at least 1 is needed, not {value}")
        hold_to_cores(options.threads)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    for peer in peers:
        if not PEERS[runs.LIBRARIES[peer]].installed:
            print(f"{peer} is left out: no module named {PEERS[runs.LIBRARIES[peer]].module}")
    present = [peer for peer in peers if PEERS[runs.LIBRARIES[peer]].installed]
    print(runs.header(options.threads), flush=True)
    result = 0
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            settings = runs.Settings(
                present, options.threads, options.rounds, Path(folder), options.epochs, options.fast
            )
            rows = runs.measure(TRAININGS[name], settings)
        print(f"\n{runs.table(TRAININGS[name], rows)}", flush=True)
        result |= not runs.clean(TRAININGS[name], rows)
    return result


def chosen(option: str, text: str, known: Collection[str]) -> list[str]:
    """The names in `text`, each once.

    Raises
    ------
    ValueError
        If one is unknown.
    """
    names = list(dict.fromkeys(filter(None, text.split(","))))
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"{option}: there is no {', '.join(unknown)}; there are {', '.join(known)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
