"""JAX's module of the same name: functions with batching rules of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad import tree
from funcgrad.control.vmap_rules import custom_vmap
from funcgrad.lax._control import map as _map
from funcgrad.tracebacks import boundary

__all__ = ["custom_vmap", "sequential_vmap"]


@boundary
def sequential_vmap(f: Callable[..., Any]) -> custom_vmap:
    """`f`, whose batches are loops: one example after the other.

    Returns
    -------
    custom_vmap
        A function with the parameters and results of `f`.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.vmap(fg.custom_batching.sequential_vmap(lambda x: 2 * x))(np.arange(3.0))
    Array([0., 2., 4.])
    """
    wrapped = custom_vmap(f)

    @wrapped.def_vmap
    def rule(axis_size: int, in_batched: list[Any], *args: Any) -> Any:
        leaves, structure = tree.flatten(args)
        flags = tree.leaves(in_batched)
        moving = [x for x, b in zip(leaves, flags, strict=True) if b]

        def example(own: list[Any]) -> Any:
            given = iter(own)
            full = [next(given) if b else x for x, b in zip(leaves, flags, strict=True)]
            return f(*tree.unflatten(structure, full))

        outputs = _map(example, moving)
        return outputs, tree.map(lambda leaf: True, outputs)

    return wrapped
