"""Which numbers does a dtype have?  `finfo` and `iinfo`, as the Array API standard wants them, of bfloat16 too."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from funcgrad.dtypes import BFLOAT16
from funcgrad.errors import at_line
from funcgrad.numpy._common import dtype_of
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer
from funcgrad.tracebacks import boundary

LIMITS = "eps epsneg max min tiny smallest_normal smallest_subnormal resolution".split()
VALUES = (np.ndarray, np.generic, int, float, complex, Tracer)
COUNTS = "bits iexp machep maxexp minexp negep nexp nmant precision".split()


class finfo:
    """The limits of a floating-point dtype, or of an array's; of a complex one those of its parts.

    Attributes
    ----------
    eps, epsneg, max, min, tiny, smallest_normal, smallest_subnormal, resolution
        Python floats (NumPy's `finfo` has numbers of the dtype).
    bits, iexp, machep, maxexp, minexp, negep, nexp, nmant, precision
        Python integers.
    dtype
        The dtype of real numbers.

    Raises
    ------
    ValueError
        For what has no floating-point dtype.

    Examples
    --------
    >>> import funcgrad.numpy as np
    >>> np.finfo(np.complex64).bits, np.finfo(np.float32).eps == 2.0**-23
    (32, True)
    """

    eps: float
    epsneg: float
    max: float
    min: float
    tiny: float
    smallest_normal: float
    smallest_subnormal: float
    resolution: float
    bits: int
    iexp: int
    machep: int
    maxexp: int
    minexp: int
    negep: int
    nexp: int
    nmant: int
    precision: int
    dtype: np.dtype

    def __init__(self, type: Any, /) -> None:
        dtype = _dtype(type)
        if dtype != BFLOAT16 and dtype.kind not in "fc":
            raise ValueError(f"finfo: data type {dtype.name} not inexact{at_line()}")
        of: Any = ml_dtypes.finfo if dtype == BFLOAT16 else np.finfo
        limits = of(dtype)
        self.dtype = np.dtype(limits.dtype)
        self._text = repr(limits)
        for name in LIMITS:
            setattr(self, name, float(getattr(limits, name)))
        for name in COUNTS:
            setattr(self, name, int(getattr(limits, name)))

    def __repr__(self) -> str:
        return self._text


@boundary
def iinfo(type: Any, /) -> np.iinfo:
    """The limits of an integer dtype, or of an array's: NumPy's `numpy.iinfo`.

    Returns
    -------
    numpy.iinfo
        With the attributes `bits`, `max`, `min` and `dtype`.

    Raises
    ------
    ValueError
        For what has no integer dtype.

    Examples
    --------
    >>> import funcgrad.numpy as np
    >>> np.iinfo(np.int8).max
    127
    """
    dtype = _dtype(type)
    if dtype.kind not in "iu":
        raise ValueError(f"iinfo: data type {dtype.name} is no integer type{at_line()}")
    return np.iinfo(dtype)


def _dtype(type: Any) -> np.dtype:
    """A dtype, or the one of a number, an array or a traced array."""
    return type_of(type).dtype if isinstance(type, VALUES) else dtype_of(type)
