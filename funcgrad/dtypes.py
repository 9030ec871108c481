"""Which dtypes are there, and what does mixing them give?  NumPy 2's promotion (NEP 50), weak Python scalars included.

A value is *weak* when it stems from Python scalars alone: it takes the dtype of what it meets.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

DType = np.dtype
BOOL = frozenset({np.dtype(np.bool_)})
SIGNED = frozenset(map(np.dtype, ("i1", "i2", "i4", "i8")))
UNSIGNED = frozenset(map(np.dtype, ("u1", "u2", "u4", "u8")))
INTEGERS = SIGNED | UNSIGNED
FLOATS = frozenset(map(np.dtype, ("f2", "f4", "f8")))
COMPLEX = frozenset(map(np.dtype, ("c8", "c16")))
INEXACT = FLOATS | COMPLEX
REALS = INTEGERS | FLOATS
NUMBERS = REALS | COMPLEX
ALL = BOOL | NUMBERS

WEAK = {
    bool: np.dtype(np.bool_),
    int: np.dtype(np.int64),
    float: np.dtype(np.float64),
    complex: np.dtype(np.complex128),
}
_CODES = {dtype: dtype.str[1:] for dtype in ALL}  # `dtype.str` makes a string each time
_EXAMPLE: dict[str, bool | int | float | complex] = {"b": True, "i": 1, "u": 1, "f": 1.0, "c": 1j}


def code(dtype: DType) -> str:
    """NumPy's short code without the byte order: ``"f4"``, ``"i8"``, ``"b1"``."""
    found = _CODES.get(dtype)
    return dtype.str[1:] if found is None else found


def is_inexact(dtype: DType) -> bool:
    """Whether the dtype is floating or complex, so that derivatives make sense."""
    return dtype.kind in "fc"


def promote(operands: Iterable[tuple[DType, bool]]) -> tuple[DType, bool]:
    """The common dtype of ``(dtype, weak)`` operands and whether it is weak.

    >>> import numpy as np
    >>> promote([(np.dtype("f4"), False), (np.dtype("f8"), True)])
    (dtype('float32'), False)
    """
    strong: list[DType] = []
    weak: list[DType] = []
    for dtype, is_weak in operands:
        (weak if is_weak else strong).append(dtype)
    if not strong:
        return np.result_type(*weak), True
    return np.result_type(*strong, *(_EXAMPLE[dtype.kind] for dtype in weak)), False


def to_inexact(dtype: DType) -> DType:
    """The float dtype in which NumPy evaluates ``np.sin`` and its like for an argument of `dtype`."""
    if dtype.kind in "fc":
        return dtype
    return np.result_type(dtype, np.float16) if dtype.itemsize == 1 else np.result_type(dtype, np.float32)


def check_supported(dtype: DType) -> DType:
    """The dtype in native byte order, or a `TypeError` for one that programs cannot hold."""
    if dtype in ALL:
        return dtype
    native = dtype.newbyteorder("=")
    if native not in ALL:
        raise TypeError(f"dtype {dtype} is not supported: arrays of bool, integers, floats or complex numbers are")
    return native
