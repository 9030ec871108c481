"""``python -m tests.load --calls 1000000``: many calls, many programs, deep nests, long programs, large arrays."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from tests.load import arrays, calls, nests


def _nests(given: argparse.Namespace) -> dict[str, Any]:
    with nests.room(nests.ROOM):
        return {
            f"{kind}, {form}": round(nests.nested(kind, form, given.depth), 2)
            for kind in nests.NESTS
            for form in nests.FORMS
        }


CAMPAIGNS: dict[str, Callable[[argparse.Namespace], Any]] = {
    "calls": lambda given: {name: calls.flat(name, given.calls // calls.COSTLY.get(name, 1)) for name in calls.CALLS},
    "programs": lambda given: calls.distinct(given.programs, 1_000_000),
    "notebook": lambda given: calls.notebook(2 * given.programs),
    "threads": lambda given: calls.at_once(32, 9_000_000),
    "nests": _nests,
    "equations": lambda given: nests.long_program(given.equations),
    "mathematics": lambda given: nests.long_program(given.equations, mathematics=True),
    "arrays": lambda given: {name: arrays.check(name) for name in arrays.KINDS},
}


def main() -> int:
    """Run the campaigns that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CAMPAIGNS)}")
    for name, number in (("calls", 1_000_000), ("programs", 1000), ("depth", 200), ("equations", 100_000)):
        parser.add_argument(f"--{name}", type=int, default=number)
    given = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FUNCGRAD_CACHE_DIR"] = folder
        for name in given.names or CAMPAIGNS:
            try:
                found = CAMPAIGNS[name](given)
            except (AssertionError, RecursionError, MemoryError) as error:
                failed += 1
                found = f"{type(error).__name__}: {error}"
            print(f"{name}: {found}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
