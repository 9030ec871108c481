"""NumPy's Fourier transforms, differentiable: ``numpy.fft`` by name, signature and meaning, along any axes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.errors import TracerIntegerConversionError, at_line
from funcgrad.numpy._common import axis_number, cast, dtype_of, implements, operand
from funcgrad.numpy._extended import extends
from funcgrad.ops import complex as cx
from funcgrad.ops.fft import fft as transform
from funcgrad.ops.shape import pad, slice_
from funcgrad.trace.frame import type_of

Shape = tuple[int, ...]
INVERSE_NORM = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


def _operand(name: str, a: Any, real: bool) -> Any:
    """The operand in single or double precision, complex unless `real`; float16 is computed in single precision."""
    dtype = type_of(a).dtype
    if real and dtype.kind == "c":
        raise TypeError(f"{name}: a real array is needed, not {dtype}{at_line()}")
    dtype = np.dtype(np.float64) if dtype.kind in "biu" else np.result_type(dtype, np.float32)
    return cast(a, dtype if real else np.result_type(dtype, np.complex64))


def length_of(name: str, n: Any) -> int:
    try:
        n = int(operator.index(n))
    except TracerIntegerConversionError:
        raise
    except TypeError:
        raise TypeError(f"{name}: a length is an integer, not {n!r}{at_line()}") from None
    if n < 1:
        raise ValueError(f"{name}: Invalid number of FFT data points ({n}) specified.{at_line()}")
    return int(n)


def fitted(a: Any, axis: int, n: int) -> Any:
    """Cut, or padded with zeros, to `n` elements along an axis."""
    t = type_of(a)
    have = t.shape[axis]
    if have > n:
        ends = tuple(n if k == axis else m for k, m in enumerate(t.shape))
        return slice_(a, start_indices=(0,) * t.ndim, limit_indices=ends, strides=(1,) * t.ndim)
    config = tuple((0, n - have if k == axis else 0, 0) for k in range(t.ndim))
    return pad(a, t.dtype.type(0), padding_config=config) if have < n else a


def _check_norm(name: str, norm: str | None) -> str:
    if norm not in (None, *INVERSE_NORM):
        raise ValueError(f"{name}: Invalid norm value {norm}; should be 'backward', 'ortho' or 'forward'.{at_line()}")
    return norm or "backward"


def _scaled(name: str, x: Any, norm: str | None, inverse: bool, sizes: Sequence[int]) -> Any:
    """The result in the normalisation that is asked for; transforms come with 1/n on the inverse."""
    norm = _check_norm(name, norm)
    n = float(np.prod(sizes))
    factor = {"backward": 1.0, "ortho": np.sqrt(n) if inverse else 1 / np.sqrt(n), "forward": n if inverse else 1 / n}
    if norm == "backward":
        return x
    number = cx.to_real(type_of(x).dtype).type(factor[norm])
    if not cx.is_complex(x):
        return x * number
    return cx.complex_(cx.real(x) * number, cx.imag(x) * number)  # a product of complex numbers makes NaN of infinities


def _axes(name: str, a: Any, s: Any, axes: Any) -> tuple[Shape, list[int | None]]:
    """Which axes are transformed, and their lengths (None: as they are)."""
    ndim = type_of(a).ndim
    if axes is None:
        axes = range(ndim) if s is None else range(-len(s), 0)
    numbers = [axis_number(k, ndim, name) for k in axes]
    lengths = [None] * len(numbers) if s is None else list(s)
    if len(lengths) != len(numbers):
        raise ValueError(f"{name}: Shape and axes have different lengths: {s} and {tuple(axes)}{at_line()}")
    shape = type_of(a).shape
    return tuple(numbers), [shape[k] if n == -1 else n for k, n in zip(numbers, lengths, strict=True)]


def _transform(name: str, kind: str, a: Any, s: Any, axes: Any, norm: str | None, out: Any) -> Any:
    """All the transforms."""
    if out is not None:
        raise TypeError(f"{name}: out= would write into an array: traced functions are pure{at_line()}")
    a = operand(a, name)
    numbers, lengths = _axes(name, a, s, axes)
    half = type_of(a).dtype == np.float16 and kind == "irfftn" and len(numbers) == 1  # NumPy rounds what is float32
    if not numbers and kind in ("rfftn", "irfftn"):
        raise IndexError(f"{name}: at least one axis must be transformed{at_line()}")
    sizes = []
    for k, (axis, n) in enumerate(zip(numbers, lengths, strict=True)):
        have = type_of(a).shape[axis]
        last = kind == "irfftn" and k == len(numbers) - 1
        sizes.append(length_of(name, n if n is not None else 2 * (have - 1) if last else have))
    _check_norm(name, norm)
    if not numbers:
        return a
    x = _operand(name, a, kind == "rfftn")
    for part, which in _parts(kind, numbers):
        for k in which:
            half_spectrum = part == "irfftn" and k == which[-1]
            x = fitted(x, numbers[k], sizes[k] // 2 + 1 if half_spectrum else sizes[k])
        x = transform(x, kind=part, axes=tuple(numbers[k] for k in which), length=sizes[which[-1]])
    x = _scaled(name, x, norm, kind in ("ifftn", "irfftn"), sizes)
    return cast(x, np.dtype(np.float16)) if half else x


def _parts(kind: str, numbers: Shape) -> list[tuple[str, list[int]]]:
    """The transforms to be done and by which of the axes: all at once, or one by one where an axis is repeated."""
    every = list(range(len(numbers)))
    if len(set(numbers)) == len(numbers):
        return [(kind, every)]
    if kind == "irfftn":
        return [*(("ifftn", [k]) for k in every[:-1]), ("irfftn", every[-1:])]
    inner = "fftn" if kind == "rfftn" else kind
    return [(kind, every[-1:]), *((inner, [k]) for k in reversed(every[:-1]))]


def _one_axis(name: str, kind: str) -> Callable[..., Any]:
    @implements(getattr(np.fft, name))
    def function(a: Any, n: Any = None, axis: int = -1, norm: str | None = None, out: None = None) -> Any:
        return _transform(name, kind, a, None if n is None else (n,), (axis,), norm, out)

    return function


def _several_axes(name: str, kind: str, default: Any) -> Callable[..., Any]:
    @implements(getattr(np.fft, name))
    def function(a: Any, s: Any = None, axes: Any = default, norm: str | None = None, out: None = None) -> Any:
        return _transform(name, kind, a, s, axes, norm, out)

    return function


fft, ifft = _one_axis("fft", "fftn"), _one_axis("ifft", "ifftn")
rfft, irfft = _one_axis("rfft", "rfftn"), _one_axis("irfft", "irfftn")
fft2, ifft2 = _several_axes("fft2", "fftn", (-2, -1)), _several_axes("ifft2", "ifftn", (-2, -1))
rfft2, irfft2 = _several_axes("rfft2", "rfftn", (-2, -1)), _several_axes("irfft2", "irfftn", (-2, -1))
fftn, ifftn = _several_axes("fftn", "fftn", None), _several_axes("ifftn", "ifftn", None)
rfftn, irfftn = _several_axes("rfftn", "rfftn", None), _several_axes("irfftn", "irfftn", None)


def _inverted(name: str, norm: str | None) -> str:
    return INVERSE_NORM[_check_norm(name, norm)]


@implements(np.fft.hfft)
def hfft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None, out: None = None) -> Any:
    """The real spectrum of a signal with Hermitian symmetry, of which half is given."""
    return _transform(
        "hfft",
        "irfftn",
        np.conjugate(operand(a, "hfft")),
        None if n is None else (n,),
        (axis,),
        _inverted("hfft", norm),
        out,
    )


@implements(np.fft.ihfft)
def ihfft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None, out: None = None) -> Any:
    """The inverse of `hfft`."""
    return np.conjugate(
        _transform("ihfft", "rfftn", a, None if n is None else (n,), (axis,), _inverted("ihfft", norm), out)
    )


def _shifted(name: str, x: Any, axes: Any, sign: int) -> Any:
    x = operand(x, name)
    shape = type_of(x).shape
    given = range(len(shape)) if axes is None else (axes,) if isinstance(axes, (int, np.integer)) else axes
    numbers = tuple(axis_number(k, len(shape), name) for k in given)
    return np.roll(x, tuple(sign * (shape[k] // 2) for k in numbers), numbers)


@implements(np.fft.fftshift)
def fftshift(x: Any, axes: Any = None) -> Any:
    """The zero frequency moved to the middle."""
    return _shifted("fftshift", x, axes, 1)


@implements(np.fft.ifftshift)
def ifftshift(x: Any, axes: Any = None) -> Any:
    """The inverse of `fftshift`."""
    return _shifted("ifftshift", x, axes, -1)


def _as_dtype(x: Any, dtype: Any) -> Any:
    return x if dtype is None else cast(x, dtype_of(dtype))


@extends(np.fft.fftfreq, dtype=None)
def fftfreq(n: int, d: Any = 1.0, device: None = None, *, dtype: Any = None) -> Any:
    """The frequencies of `fft`'s elements."""
    count = length_of("fftfreq", n)
    return _as_dtype(np.fft.fftfreq(count) / d, dtype)


@extends(np.fft.rfftfreq, dtype=None)
def rfftfreq(n: int, d: Any = 1.0, device: None = None, *, dtype: Any = None) -> Any:
    """The frequencies of `rfft`'s elements."""
    count = length_of("rfftfreq", n)
    return _as_dtype(np.fft.rfftfreq(count) / d, dtype)


__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifft2", "ifftn", "ifftshift", "ihfft", "irfft",
    "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip
