"""``python -m tests.faults --effort 10``: everything that can go wrong around a program, again and again.

With names (``python -m tests.faults interrupts kills``) only those.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from tests.faults import exceptions, files, forked, interrupts, memory, processes

Campaign = Callable[[int, int, Callable[[], bool]], Any]  # what is found for an effort, a seed, and whether to stop
CAMPAIGNS: dict[str, Campaign] = {
    "kills": lambda n, seed, over: processes.kills(40 * n, seed, over),  # first: children of a process without threads
    "crowd": lambda n, seed, over: [processes.crowd(24, seed + k) for k in range(n) if not over()],
    "interrupts": lambda n, seed, over: interrupts.campaign(200 * n, seed, over),
    "exceptions": lambda n, seed, over: exceptions.campaign(max(1, 10 // n)),
    "memory": lambda n, seed, over: memory.starve(6 * n, seed),
    "forks": lambda n, seed, over: forked.campaign(20 * n, seed, over),
    "full disk": lambda n, seed, over: files.full_disk(seed),
    "homes": lambda n, seed, over: files.read_only_homes(seed),
    "refusals": lambda n, seed, over: files.refusals(44 * n, seed),
    "damages": lambda n, seed, over: files.damages(10 * n, seed),
    "exchanges": lambda n, seed, over: files.exchanges(seed),
    "clocks": lambda n, seed, over: files.clocks(seed),
}


def main() -> int:
    """Run the campaigns that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(map(repr, CAMPAIGNS))}")
    parser.add_argument("--effort", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="for each")
    given = parser.parse_args()
    faulthandler.enable()
    failed = 0
    for name in given.names or CAMPAIGNS:
        end = time.monotonic() + 60 * given.minutes
        with tempfile.TemporaryDirectory() as folder:
            os.environ["FUNCGRAD_CACHE_DIR"] = folder
            try:
                found = CAMPAIGNS[name](given.effort, given.seed, lambda end=end: time.monotonic() > end)  # type: ignore[misc]
            except Exception as error:
                failed += 1
                found = f"{type(error).__name__}: {error}"
        print(f"{name}: {found}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
