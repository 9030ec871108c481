"""How does a pytree become one vector?  `ravel_pytree`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.arguments import owned
from funcgrad.dtypes import promote
from funcgrad.errors import at_line
from funcgrad.ops.comparison import convert
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer
from funcgrad.tracebacks import boundary

__all__ = ["ravel_pytree"]


@boundary
def ravel_pytree(pytree: Any) -> tuple[Any, Callable[[Any], Any]]:
    """All elements of a pytree as one vector, and the way back.

    Parameters
    ----------
    pytree
        Arrays and numbers; their dtypes are promoted to one.

    Returns
    -------
    tuple
        The vector, and ``unravel(vector)``, which gives a tree with the shapes and dtypes of `pytree`.

    Raises
    ------
    ValueError
        By ``unravel``, for a vector of another shape or dtype.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> flat, unravel = fg.flatten_util.ravel_pytree({"b": 1.0, "w": np.array([[2.0, 3.0]])})
    >>> flat
    Array([1., 2., 3.])
    >>> unravel(2 * flat)
    {'b': Array(2.), 'w': Array([[4., 6.]])}
    """
    leaves, structure = tree.flatten(pytree)
    types = [type_of(x) for x in leaves]
    dtype = promote((t.dtype, t.weak) for t in types)[0] if types else np.dtype(np.float64)
    parts = [np.reshape(_converted(x, dtype), (-1,)) for x in leaves]
    if not parts:
        flat: Any = np.zeros(0, dtype)
    else:
        flat = parts[0] if len(parts) == 1 else np.concatenate(parts)
    total = sum(t.size for t in types)

    def unravel(vector: Any) -> Any:
        """The tree whose elements are those of `vector`."""
        have = type_of(vector)
        if have.shape != (total,) or have.dtype != dtype:
            raise ValueError(
                f"unravel function given array of type {have}, but expected type {dtype.name}[{total}]{at_line()}"
            )
        pieces, first = [], 0
        for t in types:
            piece = np.reshape(vector[first : first + t.size], t.shape)
            pieces.append(_converted(piece, t.dtype))
            first += t.size
        return tree.unflatten(structure, owned(pieces, [vector]))

    return owned([flat], leaves)[0], unravel


def _converted(x: Any, dtype: np.dtype) -> Any:
    if type(x) is Tracer:
        return x if x.type.dtype == dtype and not x.type.weak else convert(x, dtype=dtype)
    return np.asarray(x, dtype)
