"""``python -m tests.fuzz --programs 1000``: random programs, in every way in which they can be run."""

from __future__ import annotations

import argparse
import faulthandler
import os
import sys
import time

from tests.fuzz.campaign import campaign


def main() -> int:
    """Run the campaign that the command line asks for."""
    os.environ.setdefault("FUNCGRAD_CACHE", "0")  # thousands of kernels that nobody wants to keep
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--programs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first program")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    given = parser.parse_args()
    faulthandler.enable()
    end = time.monotonic() + 60 * given.minutes
    report = campaign(
        given.seed, given.first, given.programs, lambda: time.monotonic() > end, lambda text: print(text, flush=True)
    )
    print(report)
    for reason, times in report.refusals.most_common(8):
        print(f"  refused {times} times: {reason}")
    return bool(report.found)


if __name__ == "__main__":
    sys.exit(main())
