"""Which dtypes are there, and what does mixing them give?  NumPy 2's promotion (NEP 50), weak Python scalars included.

A value is *weak* when it stems from Python scalars alone: it takes the dtype of what it meets.

bfloat16 is that of ml_dtypes, whose ufuncs promote as follows: beside bool, int8, uint8 and Python's bool and int it
stays; beside anything else, Python's float included, it counts as float32. (NumPy tells user-defined dtypes no kind, so
that a Python float is not weak for them.)
"""

from __future__ import annotations

from collections.abc import Iterable

import ml_dtypes
import numpy as np

DType = np.dtype
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
BOOL = frozenset({np.dtype(np.bool_)})
SIGNED = frozenset(map(np.dtype, ("i1", "i2", "i4", "i8")))
UNSIGNED = frozenset(map(np.dtype, ("u1", "u2", "u4", "u8")))
INTEGERS = SIGNED | UNSIGNED
STANDARD_FLOATS = frozenset(map(np.dtype, ("f2", "f4", "f8")))
FLOATS = STANDARD_FLOATS | {BFLOAT16}
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
_SINGLE = np.dtype(np.float32)
_BESIDE_BFLOAT16 = BOOL | {np.dtype(np.int8), np.dtype(np.uint8), BFLOAT16}
_EXAMPLE: dict[str, bool | int | float | complex] = {"b": True, "i": 1, "u": 1, "f": 1.0, "c": 1j}


def code(dtype: DType) -> str:
    """NumPy's short code without the byte order: ``"f4"``, ``"i8"``, ``"b1"``."""
    found = _CODES.get(dtype)
    return dtype.str[1:] if found is None else found


def is_inexact(dtype: DType) -> bool:
    """Whether the dtype is floating or complex, so that derivatives make sense."""
    return dtype.kind in "fc" or dtype == BFLOAT16


def kind_of(dtype: DType) -> str:
    """NumPy's letter for a kind of dtype: ``"f"`` for bfloat16 as well."""
    return "f" if dtype == BFLOAT16 else dtype.kind


def widened(dtype: DType) -> DType:
    """float32 for floats of half precision, so that a chain of operations rounds once; others as they are."""
    return _SINGLE if kind_of(dtype) == "f" and dtype.itemsize == 2 else dtype


def largest(dtype: DType) -> float:
    """The largest finite number of a float dtype, or of the parts of a complex one."""
    return float((ml_dtypes if dtype == BFLOAT16 else np).finfo(dtype).max)


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
    if BFLOAT16 in strong:
        if _BESIDE_BFLOAT16.issuperset(strong) and all(dtype.kind in "bi" for dtype in weak):
            return BFLOAT16, False
        strong = [_SINGLE if dtype == BFLOAT16 else dtype for dtype in strong]
    return np.result_type(*strong, *(_EXAMPLE[dtype.kind] for dtype in weak)), False


def to_inexact(dtype: DType) -> DType:
    """The float dtype in which NumPy evaluates ``np.sin`` and its like for an argument of `dtype`."""
    if is_inexact(dtype):
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
