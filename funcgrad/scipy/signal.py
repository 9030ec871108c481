"""Signals, as `scipy.signal` has them: convolution, correlation, trends, and spectra of segments; differentiable."""

from __future__ import annotations

import math
from typing import Any

import numpy as _np

from funcgrad import numpy as np
from funcgrad.errors import at_line
from funcgrad.numpy import fft as _fft
from funcgrad.numpy._common import axis_numbers, cast, operand, promoted
from funcgrad.ops.convolution import conv_general_dilated
from funcgrad.scipy._spectra import csd, detrend, istft, stft, welch
from funcgrad.scipy._values import public
from funcgrad.trace.frame import type_of

__all__ = [
    "convolve",
    "convolve2d",
    "correlate",
    "correlate2d",
    "csd",
    "detrend",
    "fftconvolve",
    "istft",
    "stft",
    "welch",
]

Shape = tuple[int, ...]
MODES = ("full", "same", "valid")
DIRECT = 30  # multiplications that take as long as one step of a fast Fourier transform for one element


# Convolution ----------------------------------------------------------------------------------------------------------


def _operands(name: str, in1: Any, in2: Any, mode: Any, ndim: int | None = None) -> tuple[Any, Any]:
    """Two arrays of one dtype and number of axes; for ``"valid"`` the larger one first."""
    if mode not in MODES:
        raise ValueError(f"{name}: mode must be 'full', 'same' or 'valid', not {mode!r}{at_line()}")
    a, b = promoted(name, operand(in1, name), operand(in2, name))
    left, right = type_of(a).shape, type_of(b).shape
    if len(left) != len(right) or ndim not in (None, len(left)):
        wanted = "the same number of" if ndim is None else str(ndim)
        raise ValueError(f"{name}: arrays of shapes {left} and {right} must have {wanted} axes{at_line()}")
    if mode == "valid" and any(n < m for n, m in zip(left, right, strict=True)):
        if any(n > m for n, m in zip(left, right, strict=True)):
            message = f"{name}: for 'valid', one of shapes {left} and {right} must be the larger one along every axis"
            raise ValueError(f"{message}{at_line()}")
        a, b = b, a
    return a, b


def _reversed(x: Any) -> Any:
    """An array from its end, conjugated: a convolution with it is a correlation."""
    flipped = np.flip(x)
    return np.conjugate(flipped) if type_of(x).dtype.kind == "c" else flipped


def _direct(a: Any, b: Any, mode: str) -> Any:
    """By windows of `a` under the reversed `b`."""
    left, right = type_of(a).shape, type_of(b).shape
    kind = type_of(a).dtype
    if 0 in (*left, *right):
        return _np.zeros(tuple(_extent(n, m, mode) for n, m in zip(left, right, strict=True)), kind)
    if kind.kind == "b":
        wide = _np.dtype(_np.int64)
        return _direct(cast(a, wide), cast(b, wide), mode) != 0
    ones = (1,) * len(left)
    out = conv_general_dilated(
        np.reshape(a, (1, 1, *left, 1)),
        np.reshape(np.flip(b), (1, *right, 1, 1)),
        window_strides=ones,
        padding=tuple(_pads(m, mode) for m in right),
        lhs_dilation=ones,
        rhs_dilation=ones,
    )
    return np.reshape(out, type_of(out).shape[2:-1])


def _pads(m: int, mode: str) -> tuple[int, int]:
    """What a window of m needs around what it moves over; ``"same"`` is the middle of ``"full"``."""
    return {"full": (m - 1, m - 1), "same": (m // 2, (m - 1) // 2), "valid": (0, 0)}[mode]


def _extent(n: int, m: int, mode: str) -> int:
    return {"full": n + m - 1, "same": n, "valid": n - m + 1}[mode] if n and m else 0


def _middle(full: Any, shape: Shape, axes: Shape) -> Any:
    """The middle of an array along axes."""
    index = [slice(None)] * len(type_of(full).shape)
    for axis in axes:
        start = (type_of(full).shape[axis] - shape[axis]) // 2
        index[axis] = slice(start, start + shape[axis])
    return full[tuple(index)]


@public
def convolve(in1: Any, in2: Any, mode: str = "full", method: str = "auto", precision: Any = None) -> Any:
    """The convolution of two arrays with equally many axes.

    Parameters
    ----------
    in1, in2
        Arrays of any numbers.
    mode
        ``"full"``; ``"same"``: its middle, of the shape of `in1`; ``"valid"``: where the arrays overlap fully.
    method
        ``"direct"``, ``"fft"`` (see `fftconvolve`), or ``"auto"``: whatever takes less.
    precision
        Ignored, as is JAX's parameter.

    Returns
    -------
    Array
        The shape that `mode` says, in the operands' promoted dtype.

    Examples
    --------
    >>> convolve(_np.array([1.0, 2.0, 3.0]), _np.array([0.0, 1.0, 0.5]))
    Array([0. , 1. , 2.5, 4. , 1.5])
    """
    return _by_method("convolve", *_operands("convolve", in1, in2, mode), mode, method)


def _by_method(name: str, a: Any, b: Any, mode: str, method: str) -> Any:
    kinds = type_of(a), type_of(b)
    if method not in ("auto", "direct", "fft"):
        raise ValueError(f"{name}: method must be 'auto', 'direct' or 'fft', not {method!r}{at_line()}")
    size = math.prod(n + m for n, m in zip(kinds[0].shape, kinds[1].shape, strict=True))
    slow = kinds[0].size * kinds[1].size > DIRECT * size * math.log2(size + 2)
    wide = kinds[0].dtype.kind in "fc" and kinds[0].dtype.itemsize > 2
    if method == "direct" or (method == "auto" and not (slow and wide)):
        return _direct(a, b, mode)
    if wide:
        return _by_fft(a, b, mode, tuple(range(kinds[0].ndim)))
    left, right = (cast(x, _np.dtype(_np.float64)) for x in (a, b))
    found = _by_fft(left, right, mode, tuple(range(kinds[0].ndim)))
    return cast(found if kinds[0].dtype.kind == "f" else np.rint(found), kinds[0].dtype)


def _by_fft(a: Any, b: Any, mode: str, axes: Shape) -> Any:
    left, right = type_of(a).shape, type_of(b).shape
    if 0 in (*left, *right):
        return _direct(a, b, mode)
    full = tuple(left[k] + right[k] - 1 for k in axes)
    if not axes:
        out = a * b
    elif type_of(a).dtype.kind == "c":
        out = _fft.ifftn(_fft.fftn(a, full, axes) * _fft.fftn(b, full, axes), full, axes)
    else:
        out = _fft.irfftn(_fft.rfftn(a, full, axes) * _fft.rfftn(b, full, axes), full, axes)
    if mode == "full":
        return out
    if mode == "same":
        return _middle(out, left, tuple(range(len(left))))
    return _middle(out, tuple(n - m + 1 for n, m in zip(left, right, strict=True)), axes)


@public
def fftconvolve(in1: Any, in2: Any, mode: str = "full", axes: Any = None) -> Any:
    """`convolve` by fast Fourier transforms, along all axes or some (the others broadcast, and axes of extent 1).

    Returns
    -------
    Array
        The shape that `mode` says, in the operands' promoted dtype.

    Raises
    ------
    ValueError
        `mode` is something else, or the shapes do not fit.

    Examples
    --------
    >>> _np.round(fftconvolve(_np.ones(3), _np.array([1.0, 2.0])), 12).tolist()
    [1.0, 3.0, 3.0, 2.0]
    """
    a, b = _operands("fftconvolve", in1, in2, "full")
    if mode not in MODES:
        raise ValueError(f"fftconvolve: mode must be 'full', 'same' or 'valid', not {mode!r}{at_line()}")
    kind = type_of(a)
    if kind.dtype.kind not in "fc":
        a, b = (cast(x, _np.dtype(_np.float64)) for x in (a, b))
    left, right = kind.shape, type_of(b).shape
    along = tuple(k for k in axis_numbers(axes, kind.ndim, "fftconvolve") if 1 not in (left[k], right[k]))
    if any(n != m and 1 not in (n, m) for k, (n, m) in enumerate(zip(left, right, strict=True)) if k not in along):
        raise ValueError(f"fftconvolve: shapes {left} and {right} do not broadcast beside axes {along}{at_line()}")
    if mode == "valid" and any(left[k] < right[k] for k in along):
        if any(left[k] > right[k] for k in along):
            raise ValueError(f"fftconvolve: for 'valid', one of shapes {left} and {right} must be larger{at_line()}")
        a, b = b, a
    return _by_fft(a, b, mode, along)


@public
def correlate(in1: Any, in2: Any, mode: str = "full", method: str = "auto", precision: Any = None) -> Any:
    """The correlation of two arrays: `convolve` with `in2` reversed and conjugated; the same parameters.

    Returns
    -------
    Array
        The shape that `mode` says, in the operands' promoted dtype.

    Examples
    --------
    >>> correlate(_np.array([1.0, 2.0, 3.0]), _np.array([0.0, 1.0, 0.5]))
    Array([0.5, 2. , 3.5, 3. , 0. ])
    """
    a, b = promoted("correlate", operand(in1, "correlate"), operand(in2, "correlate"))
    return _by_method("correlate", *_operands("correlate", a, _reversed(b), mode), mode, method)


# Two dimensions -------------------------------------------------------------------------------------------------------

BOUNDARIES = {"fill": "constant", "wrap": "wrap", "symm": "symmetric"}


def _plane(name: str, in1: Any, in2: Any, mode: str, boundary: str, fillvalue: Any) -> Any:
    """A convolution; `in2` comes reversed for a correlation, whose middle is one of two places further on."""
    a, b = _operands(name, in1, in2, mode, 2)
    if boundary not in BOUNDARIES:
        raise ValueError(f"{name}: boundary must be 'fill', 'wrap' or 'symm', not {boundary!r}{at_line()}")
    left, right = type_of(a).shape, type_of(b).shape
    if 0 in right or (0 in left and boundary != "fill"):
        raise ValueError(f"{name}: arrays of shapes {left} and {right} must not be empty{at_line()}")
    pads = [_pads(m, mode) for m in right]
    if name == "correlate2d" and mode == "same":
        pads = [(high, low) for low, high in pads]
    if not any(map(any, pads)):
        return _direct(a, b, "valid")
    options = {"constant_values": _filling(name, fillvalue, type_of(a).dtype)} if boundary == "fill" else {}
    return _direct(np.pad(a, pads, BOUNDARIES[boundary], **options), b, "valid")


def _filling(name: str, value: Any, dtype: _np.dtype) -> Any:
    """One number around a matrix of some dtype."""
    kind = type_of(operand(value, name))
    if kind.size != 1 or (kind.dtype.kind == "c" and dtype.kind != "c"):
        raise ValueError(f"{name}: fillvalue must be one number that fits {dtype.name}, not {kind}{at_line()}")
    return np.reshape(value, ())


@public
def convolve2d(
    in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0, precision: Any = None
) -> Any:
    """The convolution of two matrices.

    Parameters
    ----------
    in1, in2, mode
        As in `convolve`.
    boundary, fillvalue
        What is around `in1`: ``"fill"``: `fillvalue`; ``"wrap"``: the other side; ``"symm"``: its mirror image.
    precision
        Without meaning: products are done in the dtype of the operands.

    Returns
    -------
    Array
        The shape that `mode` says, in the operands' promoted dtype.

    Examples
    --------
    >>> convolve2d(_np.eye(2), _np.ones((2, 2)), "same")
    Array([[1., 1.],
           [1., 2.]])
    """
    return _plane("convolve2d", in1, in2, mode, boundary, fillvalue)


@public
def correlate2d(
    in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0, precision: Any = None
) -> Any:
    """The correlation of two matrices: `convolve2d` with `in2` reversed and conjugated, places counted as SciPy does.

    Returns
    -------
    Array
        The shape that `mode` says, in the operands' promoted dtype.

    Examples
    --------
    >>> correlate2d(_np.eye(2), _np.ones((2, 2)), "valid")
    Array([[2.]])
    """
    a, b = promoted("correlate2d", operand(in1, "correlate2d"), operand(in2, "correlate2d"))
    swapped = mode == "valid" and any(n < m for n, m in zip(type_of(a).shape, type_of(b).shape, strict=False))
    if swapped:
        return _reversed(_plane("correlate2d", b, _reversed(a), mode, boundary, fillvalue))
    return _plane("correlate2d", a, _reversed(b), mode, boundary, fillvalue)
