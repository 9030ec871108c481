"""How is a call timed?  Samples of at least 0.3 ms each, after a warm-up, with the garbage collector off."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from benchmarks.workload import Call

SAMPLE = 3e-4  # seconds: the clock's own cost and jitter are far below 1 % of a sample
FEWEST, MOST = 3, 5000


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Collects once, then keeps the collector off."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def first(call: Call, clock: Callable[[], float] = time.perf_counter) -> tuple[float, object]:
    """Seconds of one call, and its result."""
    with no_garbage_collection():
        start = clock()
        result = call()
        return clock() - start, result


def samples(call: Call, seconds: float, clock: Callable[[], float] = time.perf_counter) -> np.ndarray:
    """Seconds per call, sampled for about ``seconds``.

    A tenth of the time goes to warming up, which also says how many calls make one sample.
    """
    with no_garbage_collection():
        inner = _calls_per_sample(call, seconds / 10, clock)
        taken: list[float] = []
        begin = clock()
        while len(taken) < FEWEST or (clock() - begin < seconds and len(taken) < MOST):
            start = clock()
            for _ in range(inner):
                call()
            taken.append((clock() - start) / inner)
        return np.array(taken)


def _calls_per_sample(call: Call, seconds: float, clock: Callable[[], float]) -> int:
    calls, elapsed, begin = 0, 0.0, clock()
    while calls < 2 or elapsed < seconds:
        call()
        calls += 1
        elapsed = clock() - begin
    return max(1, int(np.ceil(SAMPLE * calls / elapsed)))


def summary(taken: np.ndarray) -> dict[str, float]:
    """Median, 10th and 90th percentile in seconds, and the number of samples."""
    low, middle, high = np.percentile(taken, [10, 50, 90])
    return {"median": float(middle), "p10": float(low), "p90": float(high), "samples": len(taken)}
