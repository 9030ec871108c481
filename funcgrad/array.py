"""What do calls return?  `Array`: a NumPy array with a short repr, nothing hidden."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.capsules import exported
from funcgrad.errors import TracerError

indexing: dict[str, Callable[..., Any]] = {}  # what `funcgrad.numpy` lends: "at", "getitem", "array_namespace"


SHORT, USUAL = 200, 1000  # elements from which a repr leaves some out: ours, and NumPy's usual number


class Array(np.ndarray):
    """A NumPy array that the caller owns; everything that takes an `ndarray` takes it.

    Examples
    --------
    >>> import funcgrad as fg
    >>> fg.jit(lambda x: x + 1)(1.0)
    Array(2.)
    >>> fg.numpy.zeros(3).at[1].set(5.0)
    Array([0., 5., 0.])
    """

    __slots__ = ()

    @property
    def at(self) -> Any:
        """What ``x.at[index].set(values)`` and the like begin with (see `funcgrad.numpy`): a new array, x stays."""
        return indexing["at"](self)

    def __getitem__(self, index: Any) -> Any:
        """NumPy's, and traced indices too."""
        try:
            return super().__getitem__(index)
        except TracerError:
            return indexing["getitem"](np.asarray(self), index)

    def __array_namespace__(self, /, *, api_version: str | None = None) -> Any:
        """The functions for such arrays, by the names of the Array API standard: `funcgrad.numpy`."""
        return indexing["array_namespace"](api_version)

    def __dlpack__(self, **options: Any) -> Any:
        """NumPy's capsule for other libraries, of bfloat16 too (see `funcgrad.dlpack`)."""
        return exported(self, **options)

    def __repr__(self) -> str:
        """NumPy's repr under this class's name; of a few hundred elements it shows the first and the last ones."""
        if self.size > SHORT and np.get_printoptions()["threshold"] == USUAL:  # unless the user has chosen
            with np.printoptions(threshold=SHORT):
                return np.array_repr(self)
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
