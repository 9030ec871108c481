"""How does a primitive call `scipy.special`?  Late, since loading it takes 0.3 s, and in the dtype of its operands."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.dtypes import is_inexact
from funcgrad.quiet import quiet

Reference = Callable[..., Any]


def scipy_special() -> Any:
    """The module `scipy.special`."""
    return importlib.import_module("scipy.special")


def from_scipy(name: str, output: int | None = None) -> Reference:
    """A function of `scipy.special` (one output of it), loaded when it is first called; computed in float64."""

    def reference(*operands: Any, **params: Any) -> Any:
        function = getattr(scipy_special(), name)
        return in_double(lambda *xs: function(*params.values(), *xs), operands, output)

    return reference


def from_series(function: Reference) -> Reference:
    """A function of float64 arrays, in the dtype of its operands."""
    return lambda *operands, **params: in_double(functools.partial(function, **params), operands)


def in_double(function: Reference, operands: tuple[Any, ...], output: int | None = None) -> Any:
    """The results of a function of float64, complex128 and int64 arrays, in the dtype of the last operand."""
    dtype = np.result_type(operands[-1])
    wide = [np.asarray(x, np.result_type(x, np.float64) if is_inexact(np.result_type(x)) else None) for x in operands]
    with quiet():
        result = function(*wide)
        return np.asarray(result if output is None else result[output]).astype(dtype, copy=False)[()]
