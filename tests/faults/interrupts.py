"""What does Ctrl-C leave behind, whenever it comes?  Programs are interrupted at random moments, thousands of times in
one process: while they are traced, lowered, compiled, written to the disk, read from it, and while they run.
"""

from __future__ import annotations

import collections
import faulthandler
import gc
import random
import signal
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.faults.programs import PATIENCE, PROGRAMS, Broken, Check, check_nothing_is_held


class Alarm:
    """An interval timer that raises `KeyboardInterrupt`, as Ctrl-C does; a context in which it may."""

    def __enter__(self) -> Alarm:
        self.arrived = False
        self._before = signal.signal(signal.SIGALRM, self._arrive)
        return self

    def __exit__(self, *error: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)

    def _arrive(self, number: int, frame: Any) -> None:
        self.arrived = True
        raise KeyboardInterrupt

    def interrupted(self, check: Check, after: float) -> bool:
        """Run a program and interrupt it; whether the interrupt ended it (in the middle of a destructor none does)."""
        done = self.arrived = False
        try:
            signal.setitimer(signal.ITIMER_REAL, after)
            check()
            done = True
            fired = not signal.setitimer(signal.ITIMER_REAL, 0)[0]  # or was less than a microsecond off
            end = time.monotonic() + 1
            while fired and not self.arrived and time.monotonic() < end:  # another thread received it, and tells this
                time.sleep(0.001)
        except KeyboardInterrupt:
            return not done
        return False


def campaign(rounds: int, seed: int, over: Callable[[], bool] = lambda: False) -> collections.Counter[str]:
    """Interrupt programs of all kinds; how often each was.

    Raises
    ------
    Broken
        A lock is held afterwards, or a setting has changed.
    AssertionError
        The same function gives something else afterwards.
    """
    drawn, found = random.Random(seed), collections.Counter[str]()
    kinds = list(PROGRAMS)
    numbers = iter(range(10_000_000 * seed + 1, 1 << 62))
    for name in kinds:  # what is done once in a process takes longer
        PROGRAMS[name](next(numbers))()
    lengths = {name: _length(PROGRAMS[name](next(numbers))) for name in kinds}
    errors = np.geterr()
    with Alarm() as alarm:
        for number in range(rounds):
            if over():
                break
            name = kinds[number % len(kinds)]
            check = PROGRAMS[name](next(numbers))
            faulthandler.dump_traceback_later(PATIENCE, exit=True)
            for after in (drawn.uniform(0, 1.2), drawn.uniform(0, 1.2) * drawn.random()):
                found[name] += alarm.interrupted(check, max(1e-6, after * lengths[name]))
            found["moments"] += 2
            check_nothing_is_held()
            if not gc.isenabled():
                raise Broken("garbage is no longer collected")
            if np.geterr()["divide"] != errors["divide"]:
                raise Broken("NumPy's warnings stay off")
            if np.geterr() != errors:  # what `np.isclose` leaves, with which results are compared here
                found["np.errstate left by NumPy"] += 1
                np.seterr(**errors)
            check()
            faulthandler.cancel_dump_traceback_later()
    return found


def _length(check: Check) -> float:
    begin = time.perf_counter()
    check()
    return time.perf_counter() - begin
