"""How are updates applied at index arrays?  By the primitive of their kind, with those out of bounds left out.

`funcgrad.numpy`'s ``x.at[index]`` and `scatter`, `scatter_add`, ... both end here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.lax._reductions import greatest, least
from funcgrad.ops.comparison import select
from funcgrad.ops.indexing import scatter_add
from funcgrad.ops.scatter import scatter, scatter_max, scatter_min, scatter_mul
from funcgrad.ops.shape import broadcast_in_dim
from funcgrad.trace.frame import type_of

__all__: list[str] = []


class Update(NamedTuple):
    """One way to write.

    Attributes
    ----------
    apply
        ``(x, updates, *lines, axes=, unique=)`` with primitives.
    neutral
        From a dtype, what an update that is to be left out is replaced by (None: it must be skipped).
    ufunc
        What joins old and new (None: the new one stays).
    """

    apply: Callable[..., Any]
    neutral: Callable[[np.dtype], Any] | None
    ufunc: np.ufunc | None


def _set(x: Any, updates: Any, *lines: Any, axes: Any, unique: bool, drop: bool = False) -> Any:
    return scatter(x, updates, *lines, axes=axes, unique=unique, drop=drop)


def _mul(x: Any, updates: Any, *lines: Any, axes: Any, unique: bool) -> Any:
    return scatter_mul(x, updates, *lines, axes=axes, unique=unique)


def _plain(primitive: Any) -> Callable[..., Any]:
    return lambda x, updates, *lines, axes, unique: primitive(x, updates, *lines, axes=axes)


UPDATES: dict[str, Update] = {
    "set": Update(_set, None, None),
    "add": Update(_plain(scatter_add), lambda dtype: -0.0 if dtype.kind == "f" else 0, np.add),  # x + -0.0 is x
    "multiply": Update(_mul, lambda dtype: 1, np.multiply),
    "min": Update(_plain(scatter_min), greatest, np.minimum),
    "max": Update(_plain(scatter_max), least, np.maximum),
}


def scattered(
    kind: str, x: Any, updates: Any, lines: Sequence[Any], axes: tuple[int, ...], inside: Any, unique: bool
) -> Any:
    """`x` with updates applied at index arrays, all within bounds; those where `inside` is False are left out."""
    rule = UPDATES[kind]
    if inside is None:
        return rule.apply(x, updates, *lines, axes=axes, unique=unique)
    if rule.neutral is None:
        outside = [select(inside, np.int64(-1), line) for line in lines]
        return rule.apply(x, updates, *outside, axes=axes, unique=unique, drop=True)
    dtype = type_of(x).dtype
    kept = select(over_windows(inside, type_of(updates).shape), dtype.type(rule.neutral(dtype)), updates)
    return rule.apply(x, kept, *lines, axes=axes, unique=False)


def over_windows(per_index: Any, shape: tuple[int, ...]) -> Any:
    """What is known per index, for every element that the index stands for."""
    have = type_of(per_index).shape
    if have == shape:
        return per_index
    return broadcast_in_dim(per_index, shape=shape, broadcast_dimensions=tuple(range(len(have))))


def missing(dtype: np.dtype, value: Any) -> Any:
    """What stands where nothing can be read: NaN, the smallest integer, the largest unsigned one, or True."""
    if value is not None:
        return np.asarray(value).astype(dtype)[()]
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return dtype.type(limits.min if dtype.kind == "i" else limits.max)
    return dtype.type(True if dtype.kind == "b" else np.nan)
