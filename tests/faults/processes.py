"""What does the disk cache make of processes that are killed, and of many that write at once?

Children are forks of this process, which has loaded everything and compiled nothing: a kill costs milliseconds.
"""

from __future__ import annotations

import faulthandler
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.faults.programs import PATIENCE, Broken, check_everything, elementwise, gradient, loop


class Child:
    """A forked process that does some work and ends."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.number = os.fork()
        if not self.number:
            faulthandler.dump_traceback_later(PATIENCE, exit=True)
            try:
                work()
            except BaseException as error:
                os.write(2, f"in a child: {type(error).__name__}: {error}\n".encode())
                os._exit(1)
            os._exit(0)

    def kill(self) -> bool:
        """End it, as a machine that runs out of memory would; whether it was still at work."""
        os.kill(self.number, signal.SIGKILL)
        return self.end() == -signal.SIGKILL

    def end(self) -> int:
        """Wait for it; its exit code."""
        return os.waitstatus_to_exitcode(os.waitpid(self.number, 0)[1])


def kills(rounds: int, seed: int, over: Callable[[], bool] = lambda: False) -> dict[str, int]:
    """Kill processes that compile and write, then let a healthy one use what they left.

    Raises
    ------
    Broken
        The healthy process fails, or something that is no kernel has the name of one.
    """
    drawn = random.Random(seed)
    directory = Path(os.environ["FUNCGRAD_CACHE_DIR"])
    length = _seconds(lambda: _compile(seed, 0))
    counts = {"processes": 0, "killed": 0, "unfinished files": 0, "files": 0}
    for number in range(1, rounds + 1):
        if over():
            break
        child = Child(lambda number=number: _compile(seed, number))  # type: ignore[misc]
        time.sleep(drawn.uniform(0, length))
        counts["killed"] += child.kill()
        counts["processes"] += 1
        if number % 50 == 0 or number == rounds:
            _check_healthy(lambda number=number: _compile(seed, number))  # type: ignore[misc]
    _check_healthy(lambda: check_everything(seed + 1))
    names = [path.name for path in directory.iterdir()]
    counts["unfinished files"] = sum(name.endswith(".tmp") for name in names)
    counts["files"] = len(names) - counts["unfinished files"]
    return counts


def crowd(processes: int, seed: int) -> dict[str, int]:
    """Let many processes compile the same programs and others at once, into an empty cache.

    Raises
    ------
    Broken
        One of them fails, or leaves something unfinished.
    """
    directory = Path(os.environ["FUNCGRAD_CACHE_DIR"])
    read, write = os.pipe()

    def work(number: int) -> None:
        os.close(write)
        os.read(read, 1)  # until everybody is there
        _compile(seed, 0)
        _compile(seed, 1 + number)
        _compile(seed, 0)

    children = [Child(lambda k=k: work(k)) for k in range(processes)]  # type: ignore[misc]
    os.close(write)
    codes = [child.end() for child in children]
    os.close(read)
    if any(codes):
        raise Broken(f"processes ended with {codes}")
    unfinished = [path.name for path in directory.iterdir() if path.suffix == ".tmp"]
    if unfinished:
        raise Broken(f"nobody finished {unfinished}")
    return {"processes": processes, "files": len(list(directory.iterdir()))}


def _compile(seed: int, number: int) -> None:
    """Programs of its own, and some that all have."""
    for make in (elementwise, gradient, loop):
        make(1000 * seed + number)()
        make(1000 * seed)()


def _check_healthy(work: Callable[[], object]) -> None:
    code = Child(work).end()
    if code:
        raise Broken(f"a healthy process ended with {code}")


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    _check_healthy(work)
    return time.perf_counter() - begin
