"""What may `funcgrad.lax` functions be called with?  Operands of one dtype and fitting shapes: nothing is promoted."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np

from funcgrad.array import as_array
from funcgrad.dtypes import DType, check_supported
from funcgrad.errors import TracerIntegerConversionError, at_line
from funcgrad.ops.comparison import convert
from funcgrad.ops.shape import broadcast_in_dim, reshape
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer
from funcgrad.tracebacks import shorten

__all__: list[str] = []
F = TypeVar("F", bound=Callable[..., Any])
Shape = tuple[int, ...]
_PYTHON = (bool, int, float, complex)


def operand(x: Any, name: str) -> Any:
    """A tracer, an array, or a Python number."""
    if type(x) is Tracer or type(x) in _PYTHON:
        return x
    if isinstance(x, (np.ndarray, np.generic)):
        return np.asarray(x)
    raise TypeError(
        f"lax.{name} takes arrays and numbers, not {x!r} of type {type(x).__name__}: make an array of it with "
        f"numpy.asarray{at_line()}"
    )


def strong(x: Any) -> Any:
    """An operand whose dtype is its own: Python numbers as NumPy's, int64, float64, ..."""
    if type(x) is Tracer:
        return convert(x, dtype=x.type.dtype) if x.type.weak else x
    return np.asarray(x)


def finished(x: Any) -> Any:
    """A known result as an array that nobody else holds."""
    if type(x) is Tracer:
        return x
    x = np.asarray(x)
    return as_array(x if x.base is None and x.flags.owndata and x.flags.writeable else x.copy())


def public(function: F) -> F:
    """The function with results that are `finished`, one by one where there are several."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            out = function(*args, **kwargs)
            return type(out)(map(finished, out)) if isinstance(out, tuple | list) else finished(out)
        except BaseException as error:
            shorten(error)
            raise

    return wrapped  # type: ignore[return-value]


def same_dtype(name: str, *xs: Any, tip: str = "") -> list[Any]:
    """Operands of one dtype: a Python number takes that of the arrays where it is of the same kind."""
    xs = tuple(operand(x, name) for x in xs)
    types = [type_of(x) for x in xs]
    given = {t.dtype for t in types if not t.weak}
    if not given and len({t.dtype for t in types}) == 1:
        return [strong(x) for x in xs]
    (dtype,) = given if len(given) == 1 else (None,)
    weak = {t.dtype.kind for t in types if t.weak}
    if dtype is None or not weak <= {dtype.kind, "i" if dtype.kind == "u" else dtype.kind}:
        listed = ", ".join(f"{t.dtype.name} (a Python number)" if t.weak else t.dtype.name for t in types)
        also = f", or use funcgrad.numpy.{tip}, which promotes" if tip else ""
        raise TypeError(
            f"lax.{name} requires arguments of the same dtype, got {listed}: convert them with "
            f"lax.convert_element_type{also}{at_line()}"
        )
    return [converted(x, dtype) if t.weak else x for x, t in zip(xs, types, strict=True)]


def converted(x: Any, dtype: DType) -> Any:
    """`x` with another dtype."""
    return convert(x, dtype=dtype) if type(x) is Tracer else np.asarray(x, dtype)


def check_dtype(name: str, x: Any, allowed: frozenset[DType], accepted: str) -> None:
    """A `TypeError` for an operand whose dtype is not among `allowed`."""
    dtype = type_of(x).dtype
    if dtype not in allowed:
        raise TypeError(f"lax.{name} does not accept dtype {dtype.name}: it takes {accepted}{at_line()}")


def same_shape(name: str, *xs: Any, tip: str = "") -> list[Any]:
    """Operands of equal shapes; 0-d ones and axes of extent 1 are repeated, ranks are not changed."""
    shapes = [type_of(x).shape for x in xs]
    wide = {s for s in shapes if s}
    if len(wide) <= 1:
        return list(xs)
    full = tuple(max(extents, key=lambda n: (n != 1, n)) for extents in zip(*wide, strict=False))
    if len(set(map(len, wide))) > 1 or any(n not in (1, m) for s in wide for n, m in zip(s, full, strict=True)):
        also = f": use funcgrad.numpy.{tip}, which broadcasts, or lax.broadcast_in_dim" if tip else ""
        listed = ", ".join(map(str, shapes))
        raise TypeError(f"lax.{name}: arguments have shapes {listed}, which do not fit{also}{at_line()}")
    return [x if not s or s == full else repeated(x, full) for x, s in zip(xs, shapes, strict=True)]


def repeated(x: Any, shape: Shape) -> Any:
    """`x` of the same rank (or a 0-d one) repeated along axes of extent 1."""
    have = type_of(x).shape
    return broadcast_in_dim(x, shape=shape, broadcast_dimensions=tuple(range(len(have))))


def reshaped(x: Any, shape: Shape) -> Any:
    """`x` in another shape of the same size."""
    return x if type_of(x).shape == shape else reshape(x, shape=shape)


def integers(values: Any, name: str, what: str) -> Shape:
    """A sequence of known integers."""
    try:
        return tuple(operator.index(v) for v in values)
    except TracerIntegerConversionError:
        raise
    except TypeError:
        raise TypeError(f"lax.{name}: {what} must be a sequence of integers, not {values!r}{at_line()}") from None


def axes_of(values: Iterable[int], ndim: int, name: str, what: str = "axes") -> Shape:
    """Distinct axes in order; negative ones are not taken."""
    axes = integers(values, name, what)
    if len(set(axes)) != len(axes):
        raise ValueError(f"lax.{name}: {what} {axes} are not distinct{at_line()}")
    if any(not 0 <= k < ndim for k in axes):
        raise ValueError(f"lax.{name}: {what} {axes} do not fit an array with {ndim} axes{at_line()}")
    return axes


def dtype_named(dtype: Any) -> DType:
    """A supported dtype from whatever NumPy takes for one."""
    return check_supported(np.dtype(dtype))
