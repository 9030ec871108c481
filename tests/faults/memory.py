"""What happens when memory runs out?  Processes with less and less of it: a call gives its result or raises
`MemoryError`, and once there is memory again the same process goes on.
"""

from __future__ import annotations

import os
import random
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad import lax
from tests.faults.processes import Child
from tests.faults.programs import Broken, check_everything, elementwise, gradient, loop, threads

MIB = 1 << 20


def results(size: int) -> None:
    """A call whose results are large."""
    x, y = fg.jit(lambda x: (x + 1, np.outer(x, x)))(np.ones(size))
    assert x[-1] == 2
    assert y[-1, -1] == 1


def temporaries(size: int) -> None:
    """A call whose temporaries are large."""
    x = np.ones((size, size))
    y = fg.jit(lambda x: np.sum(np.sort(x @ x, axis=0)[::-1] @ x))(x)
    np.testing.assert_allclose(y, float(size) ** 4)


def eager(size: int) -> None:
    """A gradient outside of `jit`."""
    slope = fg.grad(lambda x: np.sum(np.outer(x, x) * 2.0))(np.ones(size))
    np.testing.assert_allclose(slope, 4.0 * size)


def carried(size: int) -> None:
    """A loop that stacks large slices."""
    ys = fg.jit(lambda x: lax.scan(lambda c, k: (c + 1, c * k), x, np.arange(50.0))[1])(np.ones(size))
    assert ys[-1, 0] == 50 * 49


WORK: tuple[Callable[[], Any], ...] = (
    lambda: results(3000),
    lambda: temporaries(1000),
    lambda: eager(3000),
    lambda: carried(200_000),
    lambda: elementwise(77)(),
    lambda: gradient(78)(),
    lambda: loop(79)(),
    lambda: threads(80)(),
)


def used() -> int:
    """Bytes of address space that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def starve(steps: int, seed: int) -> dict[str, int]:
    """Run every kind of work with so much more address space and no more, in processes that are large, then small.

    Raises
    ------
    Broken
        A process crashed, gave something else, or raised something else than `MemoryError`.
    """
    drawn = random.Random(seed)
    counts = {"processes": 0, "calls": 0, "memory errors": 0}
    for step in range(steps):
        spare = int(400 * MIB * (1 - step / steps) ** 2) + drawn.randrange(MIB)
        read, write = os.pipe()
        code = Child(lambda spare=spare, write=write: _hungry(spare, write)).end()  # type: ignore[misc]
        os.close(write)
        told = os.read(read, 1 << 16)
        os.close(read)
        if code:
            raise Broken(f"{spare} spare bytes: a process ended with {code} after {told!r}")
        counts["processes"] += 1
        counts["calls"] += len(told)
        counts["memory errors"] += told.count(b"m")
    return counts


def _hungry(spare: int, write: int) -> None:
    check_everything(3)  # what is loaded once in a process
    before = resource.getrlimit(resource.RLIMIT_AS)
    for work in WORK:
        resource.setrlimit(resource.RLIMIT_AS, (used() + spare, before[1]))
        try:
            work()
            told = b"r"
        except MemoryError:
            told = b"m"
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)
        os.write(write, told)
        work()
    check_everything(4)
