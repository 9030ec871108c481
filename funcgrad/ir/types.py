"""What is known of a value before it is computed?  Its shape, its dtype, and whether it is weak."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from funcgrad import dtypes

SHORT = {"bool": "bool", "int": "i", "uint": "u", "float": "f", "bfloat": "bf", "complex": "c"}


class ArrayType(NamedTuple):
    """The type of an array (a 0-d one for a scalar).

    Attributes
    ----------
    shape
        The extents.
    dtype
        In native byte order.
    weak
        Whether the value stems from Python scalars alone, so that it takes the dtype of what it meets.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    weak: bool = False

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The number of bytes."""
        return self.size * self.dtype.itemsize

    def with_shape(self, shape: tuple[int, ...]) -> ArrayType:
        """This type with another shape (and not weak)."""
        return _of_array((shape, self.dtype, False))

    def __str__(self) -> str:
        """JAX's notation: ``f32[3,4]``; a weak type has a ``*``: ``f64[]*``."""
        name = NAMES.get(self.dtype) or _short(self.dtype)
        return f"{name}[{','.join(map(str, self.shape))}]{'*' if self.weak else ''}"


def _short(dtype: np.dtype) -> str:
    kind = dtype.name.rstrip("0123456789")
    return SHORT.get(kind, kind) + ("" if kind == "bool" else str(dtype.itemsize * 8))


NAMES = {dtype: _short(dtype) for dtype in dtypes.ALL}
"""The names of dtypes in types."""
_of_array = functools.partial(tuple.__new__, ArrayType)  # three times as fast as a named tuple's own constructor
# Of NumPy's and Python's scalars: their class says it all
_SCALARS: dict[type, ArrayType] = {dtype.type: ArrayType((), dtype) for dtype in dtypes.ALL}
_SCALARS |= {kind: ArrayType((), dtype, weak=dtype.kind != "b") for kind, dtype in dtypes.WEAK.items()}


def type_of_value(value: Any) -> ArrayType:
    """The type of a NumPy array or scalar, or of a Python scalar (a weak type).

    Raises
    ------
    TypeError
        For anything else, and for arrays of objects, strings, dates, ...
    """
    kind = _SCALARS.get(type(value))
    if kind is not None:
        return kind
    if isinstance(value, (np.ndarray, np.generic)):
        dtype = value.dtype
        return _of_array((value.shape, dtype if dtype in dtypes.ALL else dtypes.check_supported(dtype), False))
    name = type(value).__name__
    if hasattr(value, "__dlpack__"):  # a tensor of PyTorch's, an array of JAX's ...
        library = type(value).__module__.split(".")[0]
        whole = "; fg.to_torch_function(f) is a function of tensors" if library == "torch" else ""
        raise TypeError(
            f"an array of another library, {library}'s {name}, must come in by fg.dlpack.from_dlpack(x), which shares "
            f"its memory{whole}"
        )
    raise TypeError(f"{value!r} of type {name} is not an array or a number")
