"""How fast are ten million cumulative sums, in one line and along the first axis of a matrix?"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np

from benchmarks.workload import Call, Data, Goal, Limit, Workload


def data(shape: tuple[int, ...], dtype: str) -> Data:
    """Numbers between 0 and 1, so that sums do not cancel."""
    return {"x": np.random.default_rng(0).uniform(0, 1, shape).astype(dtype)}


def traced(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the same text."""
    np = library.np
    return partial(library.api.jit(lambda x: np.cumsum(x, axis=0)), library.own(data["x"]))


def torch(library: SimpleNamespace, data: Data) -> Call:
    """PyTorch."""
    return partial(library.torch.cumsum, library.torch.tensor(data["x"]), 0)


def by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy."""
    return partial(np.cumsum, data["x"], axis=0)


def _workload(shape: tuple[int, ...], dtype: str, label: str) -> Workload:
    traffic = 2 * int(np.prod(shape)) * np.dtype(dtype).itemsize
    return Workload(
        f"cumsum_{label}_{dtype.replace('float', 'f')}",
        f"cumulative sums of {' × '.join(f'{n:,}' for n in shape)} {dtype} along the first axis",
        partial(data, shape, dtype),
        {"funcgrad": traced, "jax": traced, "torch": torch, "numpy": by_hand},
        tolerance=1e-4 if dtype == "float32" else 1e-12,  # JAX's and PyTorch's sums in float32 drift
        limit=Limit("triad", dtype, bytes=traffic),
        goals=(Goal("steady", 0.5, ("numpy",)),),
        x64=dtype == "float64",
        quick=False,
    )


WORKLOADS = (
    _workload((10**7,), "float32", "1e7"),
    _workload((10**7,), "float64", "1e7"),
    _workload((1000, 1000), "float32", "matrix"),
)
