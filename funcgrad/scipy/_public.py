"""What do SciPy's functions share?  Operands in a floating dtype, results as arrays of the caller's own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from funcgrad.errors import at_line
from funcgrad.numpy._common import cast, has_tracer, operand, wrap
from funcgrad.trace.frame import type_of
from funcgrad.tracebacks import shorten

F = TypeVar("F", bound=Callable[..., Any])


def public(function: F) -> F:
    """The function, whose results on plain arrays are `Array`s that share no memory with the arguments."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            out = function(*args, **kwargs)
            return out if has_tracer((out,)) else wrap(out, args)
        except BaseException as error:
            shorten(error)
            raise

    return wrapped  # type: ignore[return-value]


def inexact(name: str, *xs: Any) -> list[Any]:
    """Operands in one floating or complex dtype; integers count as float64."""
    operands = [operand(x, name) for x in xs]
    kinds = [type_of(x).dtype for x in operands]
    if np.dtype(np.float16) in kinds:
        raise TypeError(f"{name}: float16 has no linear algebra{at_line()}")
    dtype = np.result_type(*(d if d.kind in "fc" else np.dtype(np.float64) for d in kinds))
    return [cast(x, dtype) for x in operands]


def matrix(name: str, x: Any, square: bool = False) -> Any:
    """An operand as (stacks of) matrices."""
    (x,) = inexact(name, x)
    shape = type_of(x).shape
    if len(shape) < 2:
        raise ValueError(f"{name}: a matrix is needed, not an array of shape {shape}{at_line()}")
    if square and shape[-1] != shape[-2]:
        raise ValueError(f"{name}: a square matrix is needed, not one of shape {shape}{at_line()}")
    return x
