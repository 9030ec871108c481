"""How fast are a million numbers put in order, or the middle one where it belongs, and many short lines?"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np

from benchmarks.workload import Call, Data, Goal, Workload


def data(shape: tuple[int, ...]) -> Data:
    """Standard normal numbers, of which some are equal."""
    return {"x": np.random.default_rng(0).standard_normal(shape).astype(np.float32)}


def traced(name: str, library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the same text."""
    return partial(library.api.jit(getattr(library.np, name)), library.own(data["x"]))


def torch(name: str, library: SimpleNamespace, data: Data) -> Call:
    """PyTorch's sort, which gives values and order at once."""
    x = library.torch.tensor(data["x"])
    which = {"sort": 0, "argsort": 1}[name]
    return lambda: library.torch.sort(x)[which]


def by_hand(name: str, library: SimpleNamespace, data: Data) -> Call:
    """NumPy's."""
    return partial(getattr(np, name), data["x"])


def outcome(name: str, data: Data, result: np.ndarray) -> dict[str, np.ndarray]:
    """The numbers in order: where some are equal, there are several orders."""
    return {"sorted": result if name == "sort" else np.take_along_axis(data["x"], result, -1)}


def _workload(name: str, shape: tuple[int, ...], label: str, goals: tuple[Goal, ...]) -> Workload:
    builders = {"funcgrad": traced, "jax": traced, "torch": torch, "numpy": by_hand}
    return Workload(
        f"{name}_{label}",
        f"{name} of {' × '.join(f'{n:,}' for n in shape)} float32 along the last axis",
        partial(data, shape),
        {peer: partial(build, name) for peer, build in builders.items()},
        tolerance=1e-7,
        outcome=partial(outcome, name),
        goals=goals,
    )


MILLION, LINES = (10**6,), (10**4, 100)
MIDDLE = MILLION[0] // 2


def partition(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the same text."""
    return partial(library.api.jit(lambda x: library.np.partition(x, MIDDLE)), library.own(data["x"]))


def partition_by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy's."""
    return partial(np.partition, data["x"], MIDDLE)


def parts(data: Data, result: np.ndarray) -> dict[str, np.ndarray]:
    """The element in the middle, and those on either side of it in order."""
    return {"middle": result[MIDDLE], "below": np.sort(result[:MIDDLE]), "above": np.sort(result[MIDDLE:])}


WORKLOADS = (
    _workload("sort", MILLION, "1e6", (Goal("steady", 1.1, ("numpy",)), Goal("steady", 0.05, ("jax",)))),
    _workload("argsort", MILLION, "1e6", (Goal("steady", 1.1, ("numpy",)), Goal("steady", 0.4, ("jax",)))),
    _workload("sort", LINES, "lines", (Goal("steady", 1.1, ("numpy",)),)),
    _workload("argsort", LINES, "lines", (Goal("steady", 1.1, ("numpy",)),)),
    Workload(
        "partition_1e6",
        "partition of 1,000,000 float32 at the middle",
        partial(data, MILLION),
        {"funcgrad": partition, "jax": partition, "numpy": partition_by_hand},
        tolerance=1e-7,
        outcome=parts,
        goals=(Goal("steady", 1.1, ("numpy",)),),
        why="NumPy's own routine selects, on a copy, in either",
    ),
)
