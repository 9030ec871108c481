"""What do SciPy's functions of values share?  Operands in a floating dtype, results as arrays of the caller's own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from funcgrad.dtypes import is_inexact
from funcgrad.errors import at_line
from funcgrad.numpy._common import cast, has_tracer, operand, promoted, wrap
from funcgrad.quiet import quiet
from funcgrad.trace.frame import type_of
from funcgrad.tracebacks import shorten

F = TypeVar("F", bound=Callable[..., Any])


def public(function: F) -> F:
    """The function, whose results on plain arrays are `Array`s that share no memory with the arguments.

    log(0) and the like are meant: no warnings.
    """

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            with quiet():
                out = function(*args, **kwargs)
                return out if has_tracer((out,)) else wrap(out, args)
        except BaseException as error:
            shorten(error)
            raise

    return wrapped  # type: ignore[return-value]


def floating(name: str, *xs: Any) -> list[Any]:
    """Operands in their common dtype, float64 if that is of integers or bools; complex numbers are refused.

    Raises
    ------
    TypeError
        For what is no array of real numbers.
    """
    xs = tuple(promoted(name, *(operand(x, name) for x in xs)))
    if type_of(xs[0]).dtype.kind == "c":
        raise TypeError(f"{name} does not accept complex numbers{at_line()}")
    return inexact(*xs)


def inexact(*xs: Any) -> list[Any]:
    """Operands of one dtype, as float64 if that is of integers or bools."""
    dtype = type_of(xs[0]).dtype
    return [cast(x, dtype if is_inexact(dtype) else np.dtype(np.float64)) for x in xs]
