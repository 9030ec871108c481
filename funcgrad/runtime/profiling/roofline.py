"""How fast could this machine be?  Its bandwidth by the size of what is worked on, and its rate of products.

Both are measured once per process and number of threads, in a few hundred milliseconds, with programs of our own: the
sum of two arrays, and a product of matrices.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from funcgrad.runtime.dispatch import jit
from funcgrad.runtime.profiling.measure import TimedExecutable
from funcgrad.runtime.threads import get_num_threads

SIZES = (1 << 18, 1 << 22, 3 << 25)  # bytes: the inner caches, the outer one, memory
WIDTH = 384  # of the matrices
SECONDS = 0.05  # for each of the measurements
ITEM = {"f4": np.float32, "f8": np.float64}


class Machine(NamedTuple):
    """What the machine can do.

    Attributes
    ----------
    threads
        How many threads it was measured with.
    bandwidths
        Bytes per second for programs that work on so many bytes: pairs, the sizes ascending.
    peaks
        FLOPs per second by dtype (``"f4"``, ``"f8"``).

    Examples
    --------
    >>> machine = Machine(1, ((1_000, 8e10), (1_000_000, 2e10)), {"f8": 1e10})
    >>> round(machine.bandwidth(1_000_000)), machine.least_seconds(1e9, 1e6, "f8", 1_000_000)
    (20000000000, 0.1)
    """

    threads: int
    bandwidths: tuple[tuple[int, float], ...]
    peaks: dict[str, float]

    def bandwidth(self, footprint: int) -> float:
        """How quickly memory is read and written.

        Parameters
        ----------
        footprint
            On how many bytes a program works: in the caches or not.

        Returns
        -------
        float
            Bytes per second.
        """
        sizes, rates = zip(*self.bandwidths, strict=True)
        return math.exp(np.interp(math.log(max(footprint, 1)), np.log(sizes), np.log(rates)))

    def least_seconds(self, flops: float, nbytes: float, dtype: str, footprint: int) -> float:
        """How long a step must take at least.

        Parameters
        ----------
        flops
            What it computes.
        nbytes
            What it reads and writes.
        dtype
            Of the arithmetic, a key of `peaks`.
        footprint
            As in `bandwidth`.

        Returns
        -------
        float
            Seconds: for the arithmetic or for the memory, whichever takes longer.
        """
        return max(flops / self.peaks[dtype], nbytes / self.bandwidth(footprint))


def machine() -> Machine:
    """This machine, with as many threads as programs use now."""
    return _measured(get_num_threads())


@functools.cache
def _measured(threads: int) -> Machine:
    return Machine(threads, tuple((size, _bandwidth(size)) for size in SIZES), {d: _peak(d) for d in ITEM})


def _bandwidth(size: int) -> float:
    x = np.ones(size // 24)
    return 3 * x.nbytes / _seconds(jit(lambda x, y: x + y).lower(x, x).program, [x, x.copy()])


def _peak(dtype: str) -> float:
    x = np.ones((WIDTH, WIDTH), ITEM[dtype])
    return 2 * WIDTH**3 / _seconds(jit(lambda x, y: x @ y).lower(x, x).program, [x, x])


def _seconds(program: object, arrays: list[np.ndarray]) -> float:
    """Of the fastest run."""
    return float(TimedExecutable(program).measure(arrays, seconds=SECONDS).samples.sum(axis=1).min())  # type: ignore[arg-type]
