"""NumPy's grids and short ways to write arrays: logspace, geomspace, indices, mgrid, ogrid, r_, c_, s_."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.errors import at_line
from funcgrad.numpy._common import cast, dtype_of, has_tracer, implements, operand, promoted, wrap
from funcgrad.numpy._creation import eager, linspace
from funcgrad.numpy._shapes import concatenate, moveaxis, reshape, transpose
from funcgrad.trace.frame import type_of

indices = eager(np.indices)
fromfunction = eager(np.fromfunction)


@implements(np.logspace)
def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: int = 0
) -> Any:
    """Numbers evenly spaced on a logarithmic scale, from ``base**start`` to ``base**stop``."""
    if type_of(operand(base, "logspace")).ndim:
        ndim = max(type_of(operand(v, "logspace")).ndim for v in (start, stop, base))
        start, stop, base = (np.reshape(v, (1,) * (ndim - np.ndim(v)) + np.shape(v)) for v in (start, stop, base))
        base = np.expand_dims(base, 0)
    exponents = (
        linspace(start, stop, num, endpoint) if has_tracer((start, stop)) else np.linspace(start, stop, num, endpoint)
    )
    power = np.power(base, exponents)
    power = moveaxis(power, 0, axis) if axis else power
    return power if dtype is None else cast(power, dtype_of(dtype))


@implements(np.geomspace)
def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    """Numbers each of which is a constant multiple of the one before (in float64, or complex128)."""
    start, stop = promoted("geomspace", start, stop)
    dtype_of_ends = np.result_type(type_of(start).dtype, np.float64)
    start, stop = cast(start, dtype_of_ends), cast(stop, dtype_of_ends)
    sign = np.sign(start)
    ends = [np.log10(v / sign) for v in (start, stop)]
    middle = logspace(ends[0], ends[1], num, endpoint) * sign
    place = np.reshape(np.arange(num), (num,) + (1,) * (type_of(middle).ndim - 1))
    middle = np.where(place == 0, start, middle)  # the ends are met exactly
    middle = np.where(place == num - 1, stop, middle) if endpoint and num > 1 else middle
    middle = moveaxis(middle, 0, axis) if axis else middle
    return middle if dtype is None else cast(middle, dtype_of(dtype))


class Concatenator:
    """What `r_` and `c_` are: arrays, numbers and slices between brackets, joined.

    Examples
    --------
    >>> import funcgrad as fg
    >>> fg.jit(lambda x: fg.numpy.r_[0.0, x, 1:3])(fg.numpy.ones(2))
    Array([0., 1., 1., 1., 2.])
    """

    def __init__(self, reference: Any, axis: int, ndmin: int, place: int) -> None:
        self.reference = reference
        self.axis, self.ndmin, self.place = axis, ndmin, place

    def __getitem__(self, key: Any) -> Any:
        if not has_tracer(key if isinstance(key, tuple) else (key,)):
            return wrap(self.reference[key])
        items = key if isinstance(key, tuple) else (key,)
        axis, ndmin, place = self.axis, self.ndmin, self.place
        if items and isinstance(items[0], str):
            axis, ndmin, place = self._directive(items[0])
            items = items[1:]
        parts = [self._shaped(item, ndmin, place) for item in items]
        kinds = [operand(item, "r_") for item in items if not isinstance(item, slice)]
        dtype = type_of(
            promoted("r_", *kinds, *(p for p, i in zip(parts, items, strict=True) if isinstance(i, slice)))[0]
        ).dtype
        return concatenate([cast(part, dtype) for part in parts], axis)

    def _directive(self, text: str) -> tuple[int, int, int]:
        try:
            numbers = [int(n) for n in text.split(",")]
        except ValueError:
            raise ValueError(f"unknown special directive {text!r} on traced arrays{at_line()}") from None
        axis, ndmin, place = (*numbers, *(self.axis, self.ndmin, self.place)[len(numbers) :])
        return axis, ndmin, place

    @staticmethod
    def _shaped(item: Any, ndmin: int, place: int) -> Any:
        x = np.r_[item] if isinstance(item, slice) else operand(item, "r_")
        shape = type_of(x).shape
        if len(shape) >= max(ndmin, 1):
            return x
        if not shape:
            return reshape(x, (1,) * max(ndmin, 1))
        start = place if place >= 0 else ndmin - len(shape) + place + 1
        full = reshape(x, (*shape, *(1,) * (ndmin - len(shape))))
        rest = [k for k in range(ndmin) if not start <= k < start + len(shape)]
        order = [0] * ndmin
        for source, target in zip(range(ndmin), [*range(start, start + len(shape)), *rest], strict=True):
            order[target] = source
        return transpose(full, order)


class Grid:
    """What `mgrid` and `ogrid` are: coordinates from slices between brackets, as arrays of their own."""

    def __init__(self, reference: Any) -> None:
        self.reference = reference

    def __getitem__(self, key: Any) -> Any:
        return wrap(self.reference[key])


r_ = Concatenator(np.r_, 0, 1, -1)
c_ = Concatenator(np.c_, -1, 2, 0)
mgrid, ogrid = Grid(np.mgrid), Grid(np.ogrid)
s_, index_exp = np.s_, np.index_exp
objects = {"r_": r_, "c_": c_, "mgrid": mgrid, "ogrid": ogrid, "s_": s_, "index_exp": index_exp}
