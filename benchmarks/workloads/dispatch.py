"""What does a call cost when there is hardly any work?  A scalar function, and a pytree of 20 arrays in and out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.workload import Builder, Call, Data, Goal, Workload, map_leaves


def scalar_data() -> Data:
    """One number."""
    return {"x": np.float32(3)}


def tree_data() -> Data:
    """A dict of ten pairs of small arrays."""
    random = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return random.standard_normal(shape).astype(np.float32)

    return {"x": {f"layer{i}": (draw(16), draw(4, 4)) for i in range(10)}}


def affine(x: Any) -> Any:
    """The scalar function."""
    return x * 2.0 + 1.0


def affine_leaf(x: Any) -> Any:
    """The function of one array of the pytree."""
    return x * 0.5 + 1.0


def affine_tree(tree: Any) -> Any:
    """The function of the pytree, for the peers that have no ``tree.map`` of their own."""
    return {name: (affine_leaf(a), affine_leaf(b)) for name, (a, b) in tree.items()}


def traced_scalar(library: SimpleNamespace, data: Data, own: bool) -> Call:
    """funcgrad and JAX: the same text, from arrays that the library made or from NumPy's."""
    return partial(library.api.jit(affine), library.own(data["x"]) if own else data["x"])


def traced_tree(library: SimpleNamespace, data: Data, own: bool) -> Call:
    """The same of the pytree."""
    tree_map = library.api.tree.map
    function = library.api.jit(lambda tree: tree_map(affine_leaf, tree))
    return partial(function, map_leaves(library.own, data["x"]) if own else data["x"])


def plain(library: SimpleNamespace, data: Data) -> Call:
    """NumPy and PyTorch, eager or compiled."""
    function = affine_tree if isinstance(data["x"], dict) else affine
    return partial(getattr(library, "compiled", lambda f: f)(function), map_leaves(library.own, data["x"]))


def numba(library: SimpleNamespace, data: Data) -> Call:
    """Numba on the scalar."""
    return partial(library.numba.njit(affine), data["x"])


def _builders(traced: Callable[..., Call], own: bool) -> dict[str, Builder]:
    return {"funcgrad": partial(traced, own=own), "jax": partial(traced, own=own)}


GOALS = (Goal("steady", 0.3, ("jax",)),)
WHY = "NumPy computes with two scalars in the time that Python takes to call an object of a class written in Python"
EAGER: dict[str, Builder] = {"torch": plain, "tcompile": plain, "numpy": plain}

WORKLOADS = (
    Workload(
        "dispatch_scalar",
        "jit(x*2 + 1) on the library's own 0-d array",
        scalar_data,
        _builders(traced_scalar, own=True) | EAGER | {"numba": numba},
        tolerance=0.0,
        goals=GOALS,
        why=WHY,
    ),
    Workload(
        "dispatch_scalar_numpy",
        "jit(x*2 + 1) on np.float32",
        scalar_data,
        _builders(traced_scalar, own=False) | {"numpy": plain},
        tolerance=0.0,
        goals=GOALS,
        why=WHY,
    ),
    Workload(
        "dispatch_tree20",
        "jit(a*0.5 + 1) on a dict of ten pairs of the library's own small arrays",
        tree_data,
        _builders(traced_tree, own=True) | EAGER,
        tolerance=1e-7,
        goals=GOALS,
    ),
    Workload(
        "dispatch_tree20_numpy",
        "jit(a*0.5 + 1) on a dict of ten pairs of small NumPy arrays",
        tree_data,
        _builders(traced_tree, own=False) | {"numpy": plain},
        tolerance=1e-7,
        goals=GOALS,
    ),
)
