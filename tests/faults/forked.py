"""What does a process inherit that is forked in the middle?  Children go on with old programs, and compile new ones,
while other threads of the parent were tracing, compiling, reading the disk, or in the middle of a call.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
import warnings
from collections.abc import Callable

from tests.faults.processes import Child
from tests.faults.programs import PROGRAMS, Broken, check_nothing_is_held


def campaign(rounds: int, seed: int, over: Callable[[], bool] = lambda: False) -> dict[str, int]:
    """Fork at random moments while two threads run new programs; how many children came to their end.

    Raises
    ------
    Broken
        A child hangs, fails or crashes, or the parent does.
    """
    drawn, stop = random.Random(seed), threading.Event()
    numbers = itertools.count(5_000_000 * (seed + 1))
    kinds = [
        make for name, make in PROGRAMS.items() if name != "from_disk"
    ]  # which forgets what others are to do again
    old = [make(next(numbers)) for make in kinds]
    failures: list[BaseException] = []

    def busy(first: int) -> None:
        for turn in itertools.count(first):
            if stop.is_set():
                return
            check = kinds[turn % len(kinds)](next(numbers))
            try:
                check()
                check()
            except BaseException as error:
                failures.append(error)

    def child(number: int) -> None:
        for check in (old[number % len(old)], kinds[number % len(kinds)](7_000_000 + number)):
            check()
        check_nothing_is_held()

    threads = [threading.Thread(target=busy, args=(first,)) for first in (0, 3)]
    children = 0
    try:
        for check in old:
            check()
        for thread in threads:
            thread.start()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python 3.12 warns of forks in processes with threads
            for number in range(rounds):
                if over():
                    break
                time.sleep(drawn.uniform(0, 0.02))
                code = Child(lambda number=number: child(number)).end()  # type: ignore[misc]
                if code:
                    raise Broken(f"child {number} ended with {code}")
                children += 1
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if failures:
        raise Broken(f"{len(failures)} calls of the parent failed") from failures[0]
    check_nothing_is_held()
    return {"children": children}
