"""Where do CPython's and NumPy's objects keep their fields?  Offsets for the fast call, held against reality once.

The offsets are those of every CPython with a GIL from 3.11 on and of NumPy 2.  Nothing relies on that:
`matches` compares each with what Python says about real objects, and where one differs there is no fast call.
"""

from __future__ import annotations

import ctypes
import sys
import sysconfig

import numpy as np

OBJECT_TYPE = 8
LIST_SIZE, LIST_ITEMS = 16, 24
FLOAT_VALUE = 16
SCALAR_VALUE = 16
ARRAY_DATA, ARRAY_NDIM, ARRAY_DIMS, ARRAY_BASE, ARRAY_DESCR, ARRAY_FLAGS = 16, 24, 32, 48, 56, 64

C_CONTIGUOUS, ALIGNED, WRITEABLE = 0x1, 0x100, 0x400

NEW_FROM_DESCR, SET_BASE_OBJECT = 94, 282
"""Indices into NumPy's C function table: part of its stable binary interface."""


_NUMBER = 1.5 - 2.5j


def matches() -> bool:
    """Whether this interpreter's objects look as the offsets say."""
    standard = sys.implementation.name == "cpython" and not _is_free_threaded()
    if not standard or sys.byteorder != "little" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return False
    return _lists_match() and _numbers_match() and all(map(_array_matches, _sample_arrays()))


def _is_free_threaded() -> bool:
    if hasattr(sys, "abiflags"):  # absent on some systems; reading the configuration takes a millisecond
        return "t" in sys.abiflags
    return bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def _word(owner: object, offset: int) -> int:
    return ctypes.c_int64.from_address(id(owner) + offset).value


def _type_matches(value: object) -> bool:
    return _word(value, OBJECT_TYPE) == id(type(value))


def _lists_match() -> bool:
    items = [object() for _ in range(5)]
    first = _word(items, LIST_ITEMS)
    return (
        _type_matches(items)
        and _word(items, LIST_SIZE) == 5
        and [ctypes.c_int64.from_address(first + 8 * i).value for i in range(5)] == [id(item) for item in items]
    )


def _numbers_match() -> bool:
    scalars = (np.float64(-2.5), np.float32(1.25), np.int64(-7), np.uint8(200), np.bool_(True), np.complex128(1 + 2j))
    return (
        all(ctypes.c_double.from_address(id(v) + FLOAT_VALUE).value == v for v in (1.5, -3e300))
        and all(ctypes.string_at(id(s) + SCALAR_VALUE, s.nbytes) == s.tobytes() for s in scalars)
        and ctypes.string_at(id(_NUMBER) + SCALAR_VALUE, 16) == np.complex128(_NUMBER).tobytes()
        and all(type(s).__basicsize__ >= SCALAR_VALUE + 8 for s in scalars)
        and all(map(_type_matches, (1.5, 3, True, *scalars)))
    )


def _sample_arrays() -> list[np.ndarray]:
    base = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    return [np.array(1.5), base, base.T, base[::2, 1:], np.empty((0, 7), np.int8), base.astype(">f8")]


def _array_matches(array: np.ndarray) -> bool:
    dims = _word(array, ARRAY_DIMS)
    flags = array.flags
    expected = C_CONTIGUOUS * flags.c_contiguous | ALIGNED * flags.aligned | WRITEABLE * flags.writeable
    return (
        _type_matches(array)
        and _word(array, ARRAY_DATA) == array.ctypes.data
        and _word(array, ARRAY_NDIM) & 0xFFFFFFFF == array.ndim
        and tuple(ctypes.c_int64.from_address(dims + 8 * i).value for i in range(array.ndim)) == array.shape
        and _word(array, ARRAY_BASE) == (0 if array.base is None else id(array.base))
        and _word(array, ARRAY_DESCR) == id(array.dtype)
        and _word(array, ARRAY_FLAGS) & (C_CONTIGUOUS | ALIGNED | WRITEABLE) == expected
    )
