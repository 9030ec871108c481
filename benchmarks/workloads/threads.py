"""Do the caller's own threads run side by side?  Sixteen calls that do not wait for each other, from a pool of two.

The peer ``one`` is funcgrad too: the same calls one after the other, on one thread. In the second row funcgrad itself
may use the threads of the run as well, so that two callers share its workers.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.workload import Call, Data, Goal, Workload

CALLS, LENGTH, CALLERS = 16, 100_000, 2


def data() -> Data:
    """Sixteen arrays."""
    return {"x": list(np.random.default_rng(0).standard_normal((CALLS, LENGTH)))}


def _side_by_side(function: Any, inputs: list[Any]) -> Call:
    pool = ThreadPoolExecutor(CALLERS)
    return lambda: list(pool.map(function, inputs))


def _compiled(library: SimpleNamespace, data: Data) -> tuple[Any, list[Any]]:
    np = library.np

    def bump(x: Any) -> Any:
        return np.sum(np.sin(x) * np.exp(-x * x))

    return library.api.jit(library.api.value_and_grad(bump)), list(map(library.own, data["x"]))


def threaded(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad, whose own threads the run decides on, and JAX."""
    return _side_by_side(*_compiled(library, data))


def threaded_alone(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad on no threads but the callers'."""
    library.api.set_num_threads(1)
    return threaded(library, data)


def in_turn(library: SimpleNamespace, data: Data) -> Call:
    """One call after the other, on one thread."""
    library.api.set_num_threads(1)
    function, inputs = _compiled(library, data)
    return lambda: list(map(function, inputs))


def by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy, which lets go of Python's lock too."""

    def value_and_grad(x: np.ndarray) -> tuple[Any, np.ndarray]:
        s, e = np.sin(x), np.exp(-x * x)
        return np.sum(s * e), e * (np.cos(x) - 2 * x * s)

    return _side_by_side(value_and_grad, data["x"])


def _workload(name: str, summary: str, ours: Any) -> Workload:
    return Workload(
        name,
        f"value and gradient of sum(sin(x)·exp(-x²)), {CALLS} float64[{LENGTH}] from {CALLERS} threads{summary}",
        data,
        {"funcgrad": ours, "one": in_turn, "jax": threaded, "numpy": by_hand},
        tolerance=1e-12,
        goals=(Goal("steady", 1 / 1.8, ("one",)),),
        x64=True,
    )


WORKLOADS = (
    _workload("threads_independent", ", funcgrad's own number of threads 1", threaded_alone),
    _workload("threads_sharing", ", funcgrad's own number of threads that of the run", threaded),
)
