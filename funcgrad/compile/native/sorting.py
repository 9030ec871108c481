"""How does a program sort values?  A kernel that calls NumPy's own sorting functions, line by line, without Python.

NumPy sorts with the widest vectors that the machine has. The functions are in the table that the C interface
``PyDataType_GetArrFuncs`` gives for a dtype; for numbers they need neither the interpreter nor the array. They sort in
place, so the kernel copies first.

The integers of ``fg_sort`` are those of `Parameter`; its range is that of pieces: `PIECES` of every line, each of
`LENGTH` elements (the last one of a line of what is left). `STATUS` tells that NumPy's function failed.
"""

from __future__ import annotations

import ctypes
import functools
from enum import IntEnum

import numpy as np

from funcgrad.compile import cpus
from funcgrad.compile.compiler import native_library
from funcgrad.compile.engine import Address, Symbol
from funcgrad.compile.native.blas import NUMPY_CORE, capsule_pointer
from funcgrad.compile.native.text import Module

Parameter = IntEnum("Parameter", "SLOT_X SLOT_OUT FUNCTION N PIECES LENGTH ITEMSIZE STATUS", start=0)

_GET_ARR_FUNCS = 365  # in the table of NumPy 2's C interface
_SORT = 33  # the place of `sort` in PyArray_ArrFuncs: 21 casts and 12 functions come before
_QUICK, _STABLE = 0, 2
_RADIX_FROM = 64  # elements from which on small integers are sorted by digits, which NumPy calls stable


def function_for(dtype: np.dtype, length: int) -> int | None:
    """The address of ``int sort(void *first, intptr_t count, void *unused)``; None where NumPy has none."""
    small = dtype.itemsize <= 2 and dtype.kind in "biu"
    found = _functions(dtype).get(_STABLE if small and length >= _RADIX_FROM else _QUICK)
    return None if found is None else Address(found, Symbol("", f"fg_sort_{dtype.kind}{dtype.itemsize}"))


def vectorised() -> bool:
    """Whether NumPy's functions for numbers of 32 and 64 bits use vectors on this CPU."""
    return cpus.platform().split("-")[0] in ("aarch64", "arm64") or "+avx2" in cpus.features()


@functools.cache
def _functions(dtype: np.dtype) -> dict[int, int]:
    if dtype.kind not in "biuf" or int(np.__version__.split(".")[0]) != 2:
        return {}
    table = capsule_pointer(NUMPY_CORE._ARRAY_API)
    address = ctypes.c_int64.from_address(table + 8 * _GET_ARR_FUNCS).value
    get = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.py_object)(address)
    functions = get(dtype) + 8 * _SORT
    found = {which: ctypes.c_int64.from_address(functions + 8 * which).value for which in (_QUICK, _STABLE)}
    return {which: address for which, address in found.items() if address}


@functools.cache
def sort_address() -> int:
    """The address of the kernel."""
    module = Module()
    define(module)
    library = native_library("sorting", str(module))
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
    return library.address("fg_sort")


def define(module: Module) -> None:
    """Define ``fg_sort``."""
    with module.function("fg_sort", "void", bufs="ptr", ints="ptr", first="i64", last="i64") as f:
        word = {which: f.load(f.ints, 8 * which) for which in Parameter}
        x, out = (f.load(f.bufs, word[slot] * 8, "ptr") for slot in (Parameter.SLOT_X, Parameter.SLOT_OUT))
        n, pieces, length, size = (
            word[p] for p in (Parameter.N, Parameter.PIECES, Parameter.LENGTH, Parameter.ITEMSIZE)
        )
        function = f.pointer(word[Parameter.FUNCTION])
        with f.range(f.last - f.first) as step:
            task = f.first + step
            line = task // pieces
            start = (task - line * pieces) * length
            rest = n - start
            count = f.select(rest < length, rest, length)
            offset = (line * n + start) * size
            f.call("llvm.memcpy.p0.p0.i64", out + offset, x + offset, count * size, f.constant("i1", 0), returns="void")
            failed = f.call(function, out + offset, count, f.constant("ptr", 0), returns="i32").is_not(0)
            with f.if_(failed):  # no memory, which sorting by digits takes
                f.store(word[Parameter.STATUS], f.load(f.bufs, 0, "ptr"))
        f.ret()
