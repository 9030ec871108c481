"""NumPy's functions of elements that are no ufuncs: where, clip, sinc, nan_to_num, round, real, imag, angle."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import at_line
from funcgrad.numpy._common import broadcast, cast, implements, operand, promoted
from funcgrad.numpy._extended import completed
from funcgrad.numpy._folds import truth
from funcgrad.numpy._ufunc import no_output
from funcgrad.numpy._ufuncs import _beyond, namespace
from funcgrad.ops import arithmetic as ar
from funcgrad.ops import comparison as co
from funcgrad.ops import complex as cx
from funcgrad.ops import transcendental as tr
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import ufuncs


@implements(np.where)
def where(condition: Any, x: Any = None, y: Any = None, /) -> Any:
    """Choose elements from `x` where `condition` holds, else from `y`."""
    if x is None and y is None:
        return np.nonzero(condition)
    if x is None or y is None:
        raise ValueError(f"either both or neither of x and y should be given{at_line()}")
    x, y = promoted("where", x, y)
    return co.select(*broadcast("where", truth(operand(condition, "where")), y, x))


def _upper_limit(count: int, named: dict[str, Any]) -> dict[str, Any]:
    """``clip(x, low)`` has none, though NumPy wants it said; ``clip(x, low, max=high)`` mixes NumPy's names."""
    if count != 2 or named.keys() & {"a_max", "min"}:
        return named
    others = {name: value for name, value in named.items() if name != "max"}
    return others | {"a_max": named.get("max")}


@completed(_upper_limit)
@implements(np.clip)
def clip(a: Any, a_min: Any = None, a_max: Any = None, out: None = None, *, min: Any = None, max: Any = None) -> Any:
    """Limit the elements to an interval."""
    no_output("numpy.clip", out)
    a = operand(a, "clip")
    a = cast(a, np.dtype(np.float32)) if type_of(a).dtype == dtypes.BFLOAT16 else a  # as NumPy has it
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    low = None if _beyond(a, low) < 0 else low  # as in NumPy: a Python int beyond the dtype limits nothing
    high = None if _beyond(a, high) > 0 else high
    if low is not None:
        a = ufuncs[np.maximum](a, low)
    return a if high is None else ufuncs[np.minimum](a, high)


@implements(np.sinc)
def sinc(x: Any) -> Any:
    """sin(pi x) / (pi x), and 1 at 0 (the derivatives there are right too: the quotient is never formed)."""
    x = operand(x, "sinc")
    x = cast(x, np.dtype(np.float64)) if type_of(x).dtype.kind in "biu" else x
    x = cast(x, np.dtype(np.float32)) if type_of(x).dtype == dtypes.BFLOAT16 else x
    dtype = type_of(x).dtype
    void = co.eq(x, dtype.type(0))
    y = dtype.type(np.pi) * co.select(void, x, dtype.type(1))
    near = x * x * dtype.type(-(np.pi**2) / 6) + dtype.type(1)
    return co.select(void, tr.sin(y) / y, near)


@implements(np.nan_to_num)
def nan_to_num(
    x: Any, copy: bool = True, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Any:
    """NaN and infinities replaced by numbers."""
    kind = type_of(x)
    if kind.dtype.kind in "biu":
        return x
    if cx.is_complex(x):
        return cx.complex_(*(nan_to_num(part(x), nan=nan, posinf=posinf, neginf=neginf) for part in (cx.real, cx.imag)))
    largest, of = dtypes.largest(kind.dtype), kind.dtype.type
    x = co.select(co.ne(x, x), x, of(nan))
    x = co.select(co.eq(x, of(np.inf)), x, of(largest if posinf is None else posinf))
    return co.select(co.eq(x, of(-np.inf)), x, of(-largest if neginf is None else neginf))


@implements(np.round)
def round(a: Any, decimals: int = 0, out: None = None) -> Any:
    """Round to `decimals` places, halves to even."""
    no_output("numpy.round", out)
    kind = type_of(a)
    if kind.dtype == np.bool_:
        if decimals:
            raise TypeError(f"round: booleans have no decimal places{at_line()}")
        return ar.round_(cast(a, np.dtype(np.float16)))
    if kind.dtype.kind in "iu":
        rounded = round(cast(a, np.dtype(np.float64)), decimals) if decimals < 0 else a
        return cast(rounded, kind.dtype)
    if not decimals:
        return ar.round_(a)
    scale = kind.dtype.type(10.0 ** abs(decimals))
    return ar.round_(a * scale) / scale if decimals > 0 else ar.round_(a / scale) * scale


@implements(np.real)
def real(val: Any) -> Any:
    """The real part."""
    val = operand(val, "real")
    return cx.real(val) if cx.is_complex(val) else val


@implements(np.imag)
def imag(val: Any) -> Any:
    """The imaginary part."""
    val = operand(val, "imag")
    return cx.imag(val) if cx.is_complex(val) else np.zeros(type_of(val).shape, type_of(val).dtype)


@implements(np.angle)
def angle(z: Any, deg: bool = False) -> Any:
    """The argument of complex numbers, counterclockwise from the positive real axis."""
    z = operand(z, "angle")
    found = namespace["arctan2"](*((cx.imag(z), cx.real(z)) if cx.is_complex(z) else (0, z)))
    return found * type_of(found).dtype.type(180 / np.pi) if deg else found
