"""What do calls return?  `Array`: a NumPy array with a short repr, nothing hidden."""

from __future__ import annotations

from typing import Any

import numpy as np


class Array(np.ndarray):
    """A NumPy array that the caller owns; everything that takes an `ndarray` takes it.

    Examples
    --------
    >>> import funcgrad as fg
    >>> fg.jit(lambda x: x + 1)(1.0)
    Array(2.)
    """

    __slots__ = ()

    def __repr__(self) -> str:
        """NumPy's repr under this class's name."""
        return np.array_repr(self)

    def __array_wrap__(self, array: np.ndarray, context: Any = None, return_scalar: bool = False) -> Any:
        """Results of NumPy functions are plain NumPy arrays and scalars."""
        plain = array.view(np.ndarray)
        return plain[()] if return_scalar else plain


def as_array(value: Any) -> Array:
    """`value` (array or scalar) as an `Array` that shares no memory
    with anything a caller can reach, if it is fresh.
    """
    return np.asarray(value).view(Array)
