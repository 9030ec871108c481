"""``python -m tests.fuzz --programs 1000``: random programs, in every way in which they can be run."""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import gc
import importlib
import os
import sys
import time
from pathlib import Path

from tests.fuzz import campaign
from tests.fuzz.report import Report, Tally


def main() -> int:
    """Run the campaign that the command line asks for."""
    os.environ.setdefault("FUNCGRAD_CACHE", "0")  # thousands of kernels that nobody wants to keep
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
    with contextlib.suppress(ImportError):
        importlib.import_module("jax")
    gc.freeze()  # whatever is collected from here on was made here,
    gc.set_threshold(20_000, 20, 20)  # and little of it is in circles
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--programs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first program")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument(
        "--native",
        type=float,
        default=campaign.NATIVE,
        help="the share of programs that LLVM compiles: most of the time",
    )
    parser.add_argument("--tally", type=Path, help="a file to add the counts to; what it has of this seed is not run")
    given = parser.parse_args()
    faulthandler.enable()
    end = time.monotonic() + 60 * given.minutes
    tally = Tally(given.tally) if given.tally else None

    def note(number: int, part: Report) -> None:
        if tally is not None:
            tally.note(given.seed, number, part)

    campaign.NATIVE = given.native
    report = campaign.campaign(
        given.seed,
        given.first if tally is None else max(given.first, tally.end(given.seed)),
        given.programs,
        lambda: time.monotonic() > end,
        lambda text: print(text, flush=True),
        note,
    )
    print(report)
    for reason, times in report.refusals.most_common(8):
        print(f"  refused {times} times: {reason}")
    if tally is not None:
        print(f"all runs of {given.tally}: {tally.total()}")
    return bool(report.found)


if __name__ == "__main__":
    sys.exit(main())
