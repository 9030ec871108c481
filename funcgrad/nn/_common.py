"""How do functions of networks take their arguments?  As floats, narrow ones computed in float32, and no warnings."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from funcgrad.dtypes import is_inexact, promote, widened
from funcgrad.errors import at_line
from funcgrad.numpy._common import cast, operand, wrap
from funcgrad.quiet import quiet
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer

F = TypeVar("F", bound=Callable[..., Any])


def public(function: F) -> F:
    """The function, whose results on plain arrays are `Array`s that share no memory with the arguments.

    log(0) and the like are meant: no warnings.
    """

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        with quiet():
            return wrap(function(*args, **kwargs), (*args, *kwargs.values()))

    return called  # type: ignore[return-value]


def is_array(x: Any) -> bool:
    """Whether `x` is an array, a NumPy scalar or a tracer."""
    return type(x) is Tracer or isinstance(x, (np.ndarray, np.generic))


def array(x: Any, name: str) -> Any:
    """`x` as an array or tracer."""
    x = operand(x, name)
    return x if type(x) is Tracer else np.asarray(x)


def activation(function: F) -> F:
    """A function of floats: integers become float64, narrow floats are computed in float32 and rounded once.

    The result has the common dtype of the first argument and of the arrays among the others.
    """
    name = function.__name__

    @functools.wraps(function)
    def called(x: Any, *args: Any, **kwargs: Any) -> Any:
        x = array(x, name)
        others = [type_of(v) for v in (*args, *kwargs.values()) if is_array(v)]
        own = type_of(x).dtype
        if own.kind == "c":
            raise TypeError(f"{name} does not accept complex numbers{at_line()}")
        own = own if is_inexact(own) else np.dtype(np.float64)
        dtype, _ = promote([(own, False), *((t.dtype, t.weak) for t in others)])
        with quiet():
            out = function(cast(x, widened(dtype)), *args, **kwargs)
            out = tuple(cast(y, dtype) for y in out) if isinstance(out, tuple) else cast(out, dtype)
            return wrap(out, (x, *args, *kwargs.values()))

    return called  # type: ignore[return-value]
