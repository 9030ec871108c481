"""NumPy's functions that fold axes as if NaN were not there.

Where there is nothing but NaN the results are those of an empty array, without NumPy's warning; `nanargmax` and
`nanargmin`, for which NumPy raises, give -1 there, as in JAX.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.dtypes import is_inexact
from funcgrad.errors import at_line
from funcgrad.numpy._common import broadcast_to, cast, dtype_of, implements, operand
from funcgrad.numpy._cumulative import without_nan
from funcgrad.numpy._folds import truth
from funcgrad.numpy._reductions import _plain, deviation
from funcgrad.trace.frame import type_of

_ABSENT: Any = np._NoValue


def _given(**options: Any) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not _ABSENT and value is not None}


def _is_inexact(a: Any) -> bool:
    return is_inexact(type_of(a).dtype)


@implements(np.nansum)
def nansum(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    keepdims: Any = _ABSENT,
    initial: Any = _ABSENT,
    where: Any = _ABSENT,
) -> Any:
    """The sum, NaN counting as 0."""
    _plain("nansum", out)
    a = without_nan(operand(a, "nansum"), 0)
    return np.sum(a, axis, dtype, **_given(keepdims=keepdims, initial=initial, where=where))


@implements(np.nanprod)
def nanprod(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    keepdims: Any = _ABSENT,
    initial: Any = _ABSENT,
    where: Any = _ABSENT,
) -> Any:
    """The product, NaN counting as 1."""
    _plain("nanprod", out)
    a = without_nan(operand(a, "nanprod"), 1)
    return np.prod(a, axis, dtype, **_given(keepdims=keepdims, initial=initial, where=where))


def _extremum(name: str, reduce: Any, worst: float) -> Any:
    def extremum(
        a: Any,
        axis: Any = None,
        out: None = None,
        keepdims: Any = _ABSENT,
        initial: Any = _ABSENT,
        where: Any = _ABSENT,
    ) -> Any:
        _plain(name, out)
        a = operand(a, name)
        options = _given(keepdims=keepdims, initial=initial, where=where)
        if not _is_inexact(a):
            return reduce(a, axis, **options)
        missing = np.isnan(a)
        if options.get("where", True) is not True:
            missing = missing | ~truth(operand(where, name))
        found = reduce(without_nan(a, worst), axis, **options)
        if "initial" in options:
            return found
        nothing = np.all(missing, axis, **_given(keepdims=keepdims))
        return np.where(nothing, type_of(a).dtype.type(np.nan), found)

    return extremum


nanmax = implements(np.nanmax)(_extremum("nanmax", np.max, -np.inf))
nanmin = implements(np.nanmin)(_extremum("nanmin", np.min, np.inf))


def _position(name: str, search: Any, worst: float) -> Any:
    def position(a: Any, axis: int | None = None, out: None = None, *, keepdims: bool = False) -> Any:
        _plain(name, out)
        a = operand(a, name)
        if not _is_inexact(a):
            return search(a, axis, keepdims=keepdims)
        found = search(without_nan(a, worst), axis, keepdims=keepdims)
        return np.where(np.all(np.isnan(a), axis, keepdims=keepdims), np.int64(-1), found)

    return position


nanargmax = implements(np.nanargmax)(_position("nanargmax", np.argmax, -np.inf))
nanargmin = implements(np.nanargmin)(_position("nanargmin", np.argmin, np.inf))


def _present(a: Any, where: Any) -> Any:
    """Which elements count."""
    mask = ~np.isnan(a)
    return mask if where is _ABSENT or where is None else mask & truth(operand(where, "where"))


def _result_dtype(name: str, a: Any, dtype: Any) -> np.dtype:
    found = type_of(a).dtype if dtype is None else dtype_of(dtype)
    if not is_inexact(found):
        raise TypeError(f"{name}: if a is inexact, then dtype must be inexact, not {found.name}{at_line()}")
    return found


def _sum_and_count(a: Any, present: Any, axis: Any, keepdims: bool, dtype: np.dtype) -> tuple[Any, Any]:
    kept = np.where(present, cast(a, dtype), dtype.type(0))
    present = broadcast_to(present, type_of(kept).shape)
    return np.sum(kept, axis, keepdims=keepdims), np.sum(cast(present, dtype), axis, keepdims=keepdims)


@implements(np.nanmean)
def nanmean(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: Any = _ABSENT, where: Any = _ABSENT
) -> Any:
    """The mean of what is not NaN."""
    _plain("nanmean", out)
    a = operand(a, "nanmean")
    options = _given(keepdims=keepdims, where=where)
    if not _is_inexact(a):
        return np.mean(a, axis, dtype, **options)
    kind = _result_dtype("nanmean", a, dtype)
    total, count = _sum_and_count(a, _present(a, where), axis, bool(options.get("keepdims", False)), kind)
    return total / count


@implements(np.nanvar)
def nanvar(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    ddof: float = 0,
    keepdims: Any = _ABSENT,
    where: Any = _ABSENT,
    mean: Any = _ABSENT,
    correction: Any = _ABSENT,
) -> Any:
    """The variance of what is not NaN."""
    _plain("nanvar", out)
    a = operand(a, "nanvar")
    if correction is not _ABSENT:
        if ddof != 0:
            raise ValueError(f"nanvar: ddof and correction can't be provided simultaneously.{at_line()}")
        ddof = correction
    if not _is_inexact(a):
        return np.var(a, axis, dtype, None, ddof, **_given(keepdims=keepdims, where=where, mean=mean))
    kind = _result_dtype("nanvar", a, dtype)
    present = _present(a, where)
    keep = bool(_given(keepdims=keepdims).get("keepdims", False))
    total, count = _sum_and_count(a, present, axis, True, kind)
    distance = np.where(present, a - (total / count if mean is _ABSENT else mean), type_of(a).dtype.type(0))
    square = np.real(distance * np.conjugate(distance)) if type_of(a).dtype.kind == "c" else distance * distance
    folded = np.sum(square, axis, dtype, keepdims=keep)
    count = np.real(count) if keep else np.reshape(np.real(count), type_of(folded).shape)
    number = type_of(count).dtype.type
    freedom = count - number(ddof)
    return np.where(freedom > 0, folded / np.where(freedom > 0, freedom, number(1)), type_of(folded).dtype.type(np.nan))


@implements(np.nanstd)
def nanstd(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    ddof: float = 0,
    keepdims: Any = _ABSENT,
    where: Any = _ABSENT,
    mean: Any = _ABSENT,
    correction: Any = _ABSENT,
) -> Any:
    """The standard deviation of what is not NaN."""
    return deviation(nanvar(a, axis, dtype, out, ddof, keepdims, where, mean, correction))
