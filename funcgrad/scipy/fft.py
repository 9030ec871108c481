"""SciPy's Fourier transforms, differentiable: those of `numpy.fft`, and cosine transforms of types 1, 2 and 3."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.errors import at_line
from funcgrad.numpy import fft as _numpy
from funcgrad.numpy._common import axis_number, cast, operand
from funcgrad.numpy.fft import (
    fft,
    fft2,
    fftfreq,
    fftn,
    fftshift,
    hfft,
    ifft,
    ifft2,
    ifftn,
    ifftshift,
    ihfft,
    irfft,
    irfft2,
    irfftn,
    rfft,
    rfft2,
    rfftfreq,
    rfftn,
)
from funcgrad.ops import complex as cx
from funcgrad.scipy._public import public
from funcgrad.trace.frame import type_of

INVERSE = {1: 1, 2: 3, 3: 2}
OPPOSITE = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


def _first(x: Any) -> Any:
    """Type 1: the spectrum of the even continuation."""
    return cx.real(np.fft.rfft(np.concatenate([x, x[..., -2:0:-1]], axis=-1)))


def _order(n: int) -> np.ndarray:
    """Even elements, then odd ones backwards."""
    return np.concatenate([np.arange(0, n, 2), np.arange(1, n, 2)[::-1]])


def _phases(x: Any, sign: int) -> np.ndarray:
    t = type_of(x)
    n = t.shape[-1]
    line = np.exp(sign * 0.5j * np.pi * np.arange(n) / n).astype(cx.to_complex(t.dtype))
    return np.broadcast_to(line, t.shape)


def _second(x: Any) -> Any:
    """Type 2 by one transform of the same length (Makhoul 1980)."""
    return 2 * cx.real(np.fft.fft(np.take(x, _order(type_of(x).shape[-1]), axis=-1)) * _phases(x, -1))


def _third(x: Any) -> Any:
    """Type 3, the inverse of type 2 but for its scale."""
    n, dtype = type_of(x).shape[-1], type_of(x).dtype
    halved = x * np.where(np.arange(n) == 0, 0.5, 1).astype(dtype)
    y = cx.real(np.fft.ifft(halved * _phases(x, 1), norm="forward"))
    return np.take(2 * y, np.argsort(_order(n)), axis=-1)


_TYPES: dict[int, Callable[[Any], Any]] = {1: _first, 2: _second, 3: _third}


def _ends(n: int, kind: int, factor: float, dtype: np.dtype) -> np.ndarray:
    """What the elements are weighed with that an orthonormal transform treats apart."""
    apart = np.arange(n) == 0
    if kind == 1:
        apart = apart | (np.arange(n) == n - 1)
    return np.where(apart, factor, 1).astype(dtype)


def _transform(name: str, x: Any, kind: int, n: Any, axis: int, norm: str | None) -> Any:
    """One cosine transform, in SciPy's normalisation `norm` for the forward direction."""
    norm = norm or "backward"
    if kind not in _TYPES:
        raise ValueError(f"{name}: types 1, 2 and 3 are there, not {kind!r}{at_line()}")
    if norm not in OPPOSITE:
        raise ValueError(f"{name}: Invalid norm value {norm!r}; should be 'backward', 'ortho' or 'forward'{at_line()}")
    x = operand(x, name)
    dtype = type_of(x).dtype
    x = cast(x, np.dtype(np.float64) if dtype.kind in "biu" else np.result_type(dtype, np.float32))
    if cx.is_complex(x):
        return cx.complex_(*(_transform(name, part, kind, n, axis, norm) for part in (cx.real(x), cx.imag(x))))
    along = axis_number(axis, type_of(x).ndim, name)
    size = _numpy.length_of(name, type_of(x).shape[along] if n is None else n)
    if kind == 1 and size < 2:
        raise ValueError(f"{name}: type 1 needs two elements or more, not {size}{at_line()}")
    x = np.moveaxis(_numpy.fitted(x, along, size), along, -1)
    dtype, count = type_of(x).dtype, 2 * (size - 1) if kind == 1 else 2 * size
    if norm == "ortho" and kind in (1, 3):
        x = x * _ends(size, kind, np.sqrt(2), dtype)
    y = _TYPES[kind](x)
    if norm == "ortho" and kind in (1, 2):
        y = y * _ends(size, kind, np.sqrt(0.5), dtype)
    scale = {"backward": 1.0, "ortho": 1 / np.sqrt(count), "forward": 1 / count}[norm]
    return np.moveaxis(y if norm == "backward" else y * dtype.type(scale), -1, along)


@public
def dct(x: Any, type: int = 2, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    """The discrete cosine transform along an axis.

    Returns
    -------
    Array
        Floats, of the shape of `x` but for the lengths asked for.

    Examples
    --------
    >>> dct([1.0, 1.0])
    Array([4., 0.])
    """
    return _transform("dct", x, type, n, axis, norm)


@public
def idct(x: Any, type: int = 2, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    """The inverse of `dct`.

    Returns
    -------
    Array
        Floats, of the shape of `x` but for the lengths asked for.

    Raises
    ------
    ValueError
        There is no such type.

    Examples
    --------
    >>> idct([4.0, 0.0])
    Array([1., 1.])
    """
    if type not in INVERSE:
        raise ValueError(f"idct: types 1, 2 and 3 are there, not {type!r}{at_line()}")
    return _transform("idct", x, INVERSE[type], n, axis, OPPOSITE.get(norm or "backward", norm))


def _several(one: Callable[..., Any], x: Any, kind: int, s: Sequence[int] | None, axes: Any, norm: str | None) -> Any:
    x = operand(x, one.__name__ + "n")
    ndim = type_of(x).ndim
    if axes is None:
        axes = range(ndim) if s is None else range(-len(s), 0)
    given = [axes] if isinstance(axes, int) else list(axes)
    sizes = [None] * len(given) if s is None else list(s)
    if len(sizes) != len(given):
        raise ValueError(f"{one.__name__}n: {len(sizes)} lengths do not fit {len(given)} axes{at_line()}")
    for axis, n in zip(given, sizes, strict=True):
        x = one(x, kind, n, axis, norm)
    return x


@public
def dctn(x: Any, type: int = 2, s: Sequence[int] | None = None, axes: Any = None, norm: str | None = None) -> Any:
    """The discrete cosine transform along several axes.

    Returns
    -------
    Array
        Floats, of the shape of `x` but for the lengths asked for.

    Examples
    --------
    >>> dctn([[1.0, 1.0]])
    Array([[8., 0.]])
    """
    return _several(dct, x, type, s, axes, norm)


@public
def idctn(x: Any, type: int = 2, s: Sequence[int] | None = None, axes: Any = None, norm: str | None = None) -> Any:
    """The inverse of `dctn`.

    Returns
    -------
    Array
        Floats, of the shape of `x` but for the lengths asked for.

    Examples
    --------
    >>> idctn([[8.0, 0.0]])
    Array([[1., 1.]])
    """
    return _several(idct, x, type, s, axes, norm)


__all__ = [
    "dct", "dctn", "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "idct", "idctn", "ifft", "ifft2", "ifftn",
    "ifftshift", "ihfft", "irfft", "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip
