"""How fast are a million numbers added where indices say, the gradient of an embedding, and a matrix turned?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import numpy as np

from benchmarks.workload import Call, Data, Goal, Workload

MILLION, SEGMENTS = 10**6, 10**4
WORDS, WIDTH, READ = 50_000, 64, 4_096
SIDE = 4_096


def updates(count: int, places: int, width: tuple[int, ...]) -> Data:
    """Numbers to be added, and where: int32 suits JAX best, int64 PyTorch."""
    rng = np.random.default_rng(0)
    where = rng.integers(0, places, count).astype(np.int32)
    return {"values": rng.standard_normal((count, *width)).astype(np.float32), "where": where}


def segment_sum(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: added to zeros."""

    def f(values, where):
        return library.np.zeros(SEGMENTS, values.dtype).at[where].add(values)

    return partial(library.api.jit(f), library.own(data["values"]), library.own(data["where"]))


def at_add(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: added to an array that stays as it is."""

    def f(x, where):
        return x.at[where].add(x)

    return partial(library.api.jit(f), library.own(data["values"]), library.own(data["where"]))


def embedding(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the gradient of a table of which rows were read."""
    table = library.own(np.zeros((WORDS, WIDTH), data["values"].dtype))

    def f(table, values, where):
        return library.np.sum(library.np.take(table, where, axis=0) * values)

    return partial(library.api.jit(library.api.grad(f)), table, library.own(data["values"]), library.own(data["where"]))


def torch_add(shape: tuple[int, ...] | None, library: SimpleNamespace, data: Data) -> Call:
    """PyTorch's index_add, which the gradient of an embedding is as well."""
    torch = library.torch
    values, where = torch.tensor(data["values"]), torch.tensor(data["where"].astype(np.int64))
    return lambda: (values if shape is None else torch.zeros(shape, dtype=values.dtype)).index_add(0, where, values)


def numpy_add(shape: tuple[int, ...] | None, library: SimpleNamespace, data: Data) -> Call:
    """NumPy's add.at."""
    values, where = data["values"], data["where"].astype(np.int64)

    def add():
        out = values.copy() if shape is None else np.zeros(shape, values.dtype)
        np.add.at(out, where, values)
        return out

    return add


def matrix(side: int) -> Data:
    """A square matrix."""
    return {"x": np.random.default_rng(0).standard_normal((side, side)).astype(np.float32)}


def turned(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX."""
    return partial(library.api.jit(library.np.transpose), library.own(data["x"]))


def torch_turned(library: SimpleNamespace, data: Data) -> Call:
    """PyTorch, the result stored in order."""
    x = library.torch.tensor(data["x"])
    return lambda: x.t().contiguous()


def numpy_turned(library: SimpleNamespace, data: Data) -> Call:
    """NumPy, the result stored in order."""
    return lambda: np.ascontiguousarray(data["x"].T)


def _additions(
    name: str, summary: str, build: Callable[..., Call], data: Callable[[], Data], shape: tuple[int, ...] | None
) -> Workload:
    return Workload(
        name,
        summary,
        data,
        {
            "funcgrad": build,
            "jax": build,
            "torch": partial(torch_add, shape),
            "numpy": partial(numpy_add, shape),
        },
        tolerance=2e-6,
        goals=(Goal("steady", 0.9, ("jax",)),),
    )


WORKLOADS = (
    _additions(
        "segment_sum",
        f"{MILLION:,} float32 added up in {SEGMENTS:,} segments",
        segment_sum,
        partial(updates, MILLION, SEGMENTS, ()),
        (SEGMENTS,),
    ),
    _additions(
        "at_add",
        f"x.at[i].add(x): {MILLION:,} updates of as many float32",
        at_add,
        partial(updates, MILLION, MILLION, ()),
        None,
    ),
    _additions(
        "embedding_gradient",
        f"gradient of a table of {WORDS:,} × {WIDTH} float32, {READ:,} rows of which were read",
        embedding,
        partial(updates, READ, WORDS, (WIDTH,)),
        (WORDS, WIDTH),
    ),
    Workload(
        "transpose",
        f"a matrix of {SIDE:,} × {SIDE:,} float32 transposed",
        partial(matrix, SIDE),
        {"funcgrad": turned, "jax": turned, "torch": torch_turned, "numpy": numpy_turned},
        tolerance=1e-7,
        goals=(Goal("steady", 1.0, ("torch",)),),
        quick=False,
    ),
)
