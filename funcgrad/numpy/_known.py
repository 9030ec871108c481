"""Which of NumPy's names are handed on as they are?  Types, constants, printing, files, and makers of known arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad import dlpack
from funcgrad.array import Array
from funcgrad.dtypes import BFLOAT16
from funcgrad.numpy._common import implements, kind_of, operand
from funcgrad.numpy._creation import eager
from funcgrad.numpy._extended import sharing
from funcgrad.numpy._limits import finfo, iinfo
from funcgrad.tracebacks import boundary

TYPES = (
    "bool bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128 "
    "byte ubyte short ushort intc uintc int_ uint intp uintp long ulong longlong ulonglong half single double csingle "
    "cdouble generic number integer signedinteger unsignedinteger inexact floating complexfloating flexible character "
    "object_ dtype ndarray"
)
CONSTANTS = "e euler_gamma inf nan newaxis pi True_ False_ little_endian"
QUESTIONS = (
    "broadcast_shapes isdtype issubdtype iterable promote_types min_scalar_type mintypecode typename shares_memory "
    "may_share_memory isfortran"
)
TEXT = (
    "array2string array_repr array_str base_repr binary_repr format_float_positional format_float_scientific "
    "get_printoptions set_printoptions printoptions"
)
FILES = "load save savez savez_compressed savetxt loadtxt genfromtxt fromregex fromfile"
LOOPS = "ndindex ndenumerate errstate geterr seterr"


@boundary
def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> Array:
    """The array of another library in the same memory; see `funcgrad.dlpack.from_dlpack` for the parameters.

    Returns
    -------
    Array
        The memory of the other library's array, with its shape and dtype.
    """
    return dlpack.from_dlpack(x, device, copy)


ComplexWarning = np.exceptions.ComplexWarning
names = {name: getattr(np, name) for name in " ".join((TYPES, CONSTANTS, QUESTIONS, TEXT, FILES, LOOPS)).split()}
names["ComplexWarning"] = ComplexWarning
names["finfo"], names["iinfo"] = finfo, iinfo
names["bfloat16"] = BFLOAT16.type
names["from_dlpack"] = from_dlpack

frombuffer, fromiter, fromstring = map(eager, (np.frombuffer, np.fromiter, np.fromstring))


@implements(np.can_cast)
def can_cast(from_: Any, to: Any, casting: str = "safe") -> bool:
    """Whether values of one dtype may be cast to another."""
    sides = [kind_of(operand(v, "can_cast")).dtype if hasattr(v, "frame") else v for v in (from_, to)]
    decide: Any = np.can_cast
    return bool(decide(*sides, casting=casting))


@implements(np.common_type)
def common_type(*arrays: Any) -> Any:
    """The inexact scalar type that all arrays can be cast to."""
    kinds = (kind_of(operand(x, "common_type")).dtype for x in arrays)
    return np.common_type(*(np.empty(0, kind) for kind in kinds))


@sharing(np.astype)
@implements(np.astype)
def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: str | None = None) -> Any:
    """The array with another dtype."""
    return x.astype(dtype)
