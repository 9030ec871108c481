"""What are a signal's trend and its spectra?  Segments of it, windowed and transformed, as `scipy.signal` has them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as _np
from scipy.signal import get_window as _get_window

from funcgrad import numpy as np
from funcgrad.errors import at_line
from funcgrad.numpy import fft as _fft
from funcgrad.numpy._common import cast, concrete, operand
from funcgrad.scipy._values import public
from funcgrad.trace.frame import type_of

# Trends --------------------------------------------------------------------------------------------------------------


@public
def detrend(data: Any, axis: int = -1, type: str = "linear", bp: Any = 0, overwrite_data: Any = None) -> Any:
    """The data less its mean, or less a straight line for each segment between break points.

    Parameters
    ----------
    data
        An array.
    axis
        Along which the trend goes.
    type
        ``"constant"`` or ``"linear"``.
    bp
        Where segments begin.
    overwrite_data
        Must be None or False.

    Returns
    -------
    Array
        Of the shape of `data`; floats or complex numbers.

    Raises
    ------
    ValueError
        `type` is something else, or a break point lies outside.
    TypeError
        A break point is no integer.
    NotImplementedError
        `overwrite_data` is asked for.

    Examples
    --------
    >>> _np.abs(_np.round(detrend(_np.array([1.0, 2.0, 3.0])), 12)).tolist()
    [0.0, 0.0, 0.0]
    """
    if overwrite_data:
        raise NotImplementedError(f"detrend: arrays are not overwritten{at_line()}")
    if type not in ("constant", "linear", "c", "l"):
        raise ValueError(f"detrend: type must be 'constant' or 'linear', not {type!r}{at_line()}")
    x = operand(data, "detrend")
    if type_of(x).dtype.kind not in "fc" or (type_of(x).dtype.itemsize == 2 and type[0] == "l"):
        x = cast(x, _np.dtype(_np.float64))  # as in SciPy
    if type[0] == "c":
        return x - np.mean(x, axis, keepdims=True)
    moved = np.moveaxis(x, axis, -1)
    n = type_of(moved).shape[-1]
    points = _np.atleast_1d(bp)
    if points.ndim > 1 or points.dtype.kind not in "iu":
        raise TypeError(f"detrend: break points must be integers, not {bp!r}{at_line()}")
    breaks = sorted({0, n, *points.tolist()})
    if breaks[0] < 0 or breaks[-1] > n:
        raise ValueError(f"detrend: break points {bp} lie outside of {n} samples{at_line()}")
    parts = [_without_line(moved[..., a:b]) for a, b in itertools.pairwise(breaks)]
    return np.moveaxis(np.concatenate(parts, -1), -1, axis)


def _without_line(x: Any) -> Any:
    """The residual of a least-squares line along the last axis."""
    kind = type_of(x)
    n = kind.shape[-1]
    lines = _np.stack([_np.arange(1, n + 1) / n, _np.ones(n)])
    solve = _np.linalg.pinv(lines).astype(kind.dtype)
    return x - (x @ solve) @ lines.astype(kind.dtype)


# Spectra of segments --------------------------------------------------------------------------------------------------


def _segments(x: Any, length: int, step: int) -> Any:
    """Segments of the last axis, `step` apart: an axis of segments before one of samples."""
    n = type_of(x).shape[-1]
    count = max((n - length) // step + 1, 0)
    return x[..., step * _np.arange(count)[:, None] + _np.arange(length)]


class _Setting:
    """The parameters that spectra share, checked."""

    def __init__(self, name: str, window: Any, nperseg: Any, noverlap: Any, nfft: Any, samples: int) -> None:
        if isinstance(window, (str, tuple)):
            self.length = min(int(nperseg) if nperseg is not None else 256, samples)
            self.window = _get_window(window, self.length)
        else:
            self.window = _np.asarray(window)
            self.length = self.window.size if nperseg is None else int(nperseg)
            if self.window.shape != (self.length,) or self.length > samples:
                message = f"window of shape {self.window.shape} does not fit nperseg {nperseg} and {samples} samples"
                raise ValueError(f"{name}: {message}{at_line()}")
        if self.length < 1:
            raise ValueError(f"{name}: nperseg must be positive, not {nperseg}{at_line()}")
        self.nfft = self.length if nfft is None else int(nfft)
        self.overlap = self.length // 2 if noverlap is None else int(noverlap)
        if self.nfft < self.length or not 0 <= self.overlap < self.length:
            numbers = f"nfft {self.nfft}, noverlap {self.overlap}, nperseg {self.length}"
            raise ValueError(f"{name}: noverlap must be below nperseg, nfft at least nperseg, not {numbers}{at_line()}")
        self.step = self.length - self.overlap


def _spectra(x: Any, s: _Setting, trend: Any, onesided: bool) -> Any:
    """The transforms of windowed segments of the last axis."""
    parts = _segments(x, s.length, s.step)
    if callable(trend):
        parts = trend(parts)
    elif trend:
        parts = detrend(parts, -1, trend)
    real = _np.dtype(_np.float32) if type_of(x).dtype in (_np.float32, _np.complex64) else _np.dtype(_np.float64)
    parts = parts * s.window.astype(real)
    return _fft.rfft(parts, s.nfft) if onesided else _fft.fft(parts, s.nfft)


def _frequencies(s: _Setting, fs: float, onesided: bool) -> Any:
    return (_np.fft.rfftfreq if onesided else _np.fft.fftfreq)(s.nfft, 1 / fs)


def _floats(x: Any, name: str) -> Any:
    """A signal whose dtype has a transform: float32 for float16 and the smallest integers, as in SciPy."""
    x = operand(x, name)
    dtype = type_of(x).dtype
    wide = _np.result_type(dtype, _np.complex64)
    return cast(x, wide if dtype.kind == "c" else wide.type().real.dtype)


def _signal(x: Any, name: str, axis: int) -> Any:
    """A signal of floats with time last."""
    return np.moveaxis(_floats(x, name), axis, -1)


def _frequency(name: str, fs: Any) -> None:
    known = concrete(fs)
    if known is not None and not known > 0:
        raise ValueError(f"{name}: the sampling frequency fs must be positive, not {fs}{at_line()}")


def _extended(x: Any, boundary: Any, s: _Setting, padded: bool) -> Any:
    """The signal continued by half a segment at both ends, and by zeros to whole steps."""
    half = s.length // 2
    rest: list[tuple[int, int]] = [(0, 0)] * (type_of(x).ndim - 1)
    if boundary == "zeros":
        x = np.pad(x, [*rest, (half, half)])
    elif boundary == "even":
        x = np.pad(x, [*rest, (half, half)], "reflect")
    elif boundary == "constant":
        x = np.pad(x, [*rest, (half, half)], "edge")
    elif boundary == "odd":
        inner = np.pad(x, [*rest, (half, half)], "reflect")
        n = type_of(x).shape[-1]
        ends = (2 * x[..., :1] - inner[..., :half], x, 2 * x[..., -1:] - inner[..., half + n :])
        x = np.concatenate(ends, -1)
    elif boundary is not None:
        known = "None, 'zeros', 'even', 'odd' or 'constant'"
        raise ValueError(f"stft: boundary must be {known}, not {boundary!r}{at_line()}")
    missing = -(type_of(x).shape[-1] - s.length) % s.step if padded else 0
    return np.pad(x, [*rest, (0, missing)]) if missing else x


@public
def stft(
    x: Any,
    fs: float = 1.0,
    window: Any = "hann",
    nperseg: int = 256,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: Any = False,
    return_onesided: bool = True,
    boundary: str | None = "zeros",
    padded: bool = True,
    axis: int = -1,
) -> tuple[Any, Any, Any]:
    """The short-time Fourier transform; parameters and results are those of `scipy.signal.stft`.

    Returns
    -------
    frequencies, times, spectra
        The spectra with the axis of frequencies where time was, and one of segments at the end.

    Examples
    --------
    >>> f, t, z = stft(_np.ones(1000), nperseg=100)
    >>> z.shape
    (51, 21)
    """
    _frequency("stft", fs)
    x = _signal(x, "stft", axis)
    if not type_of(x).size:
        empty = _np.zeros(type_of(np.moveaxis(x, -1, axis)).shape)
        return empty, empty, empty
    s = _Setting("stft", window, nperseg, noverlap, nfft, type_of(x).shape[-1])
    x = _extended(x, boundary, s, padded)
    onesided = return_onesided and type_of(x).dtype.kind == "f"
    spectra = _spectra(x, s, detrend, onesided) * (1 / float(_np.sum(s.window)))
    times = _np.arange(s.length / 2, type_of(x).shape[-1] - s.length / 2 + 1, s.step) / fs
    if boundary is not None:
        times = times - (s.length / 2) / fs
    ndim = type_of(x).ndim
    place = axis % ndim
    spectra = np.swapaxes(spectra, -1, -2)
    return _frequencies(s, fs, onesided), times, np.moveaxis(spectra, -2, place)


@public
def istft(
    Zxx: Any,
    fs: float = 1.0,
    window: Any = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    input_onesided: bool = True,
    boundary: bool = True,
    time_axis: int = -1,
    freq_axis: int = -2,
) -> tuple[Any, Any]:
    """The signal of a short-time Fourier transform: `stft` undone; as `scipy.signal.istft`.

    Returns
    -------
    times, signal
        One time for each sample (SciPy counts the wrong axis where there are several signals).

    Raises
    ------
    ValueError
        The spectra have no two such axes.

    Examples
    --------
    >>> x = _np.cos(_np.arange(300.0))
    >>> _, back = istft(stft(x, nperseg=64)[2], nperseg=64)
    >>> bool(_np.allclose(back[:300], x))
    True
    """
    _frequency("istft", fs)
    z = operand(Zxx, "istft")
    if type_of(z).dtype == _np.float16:
        z = cast(z, _np.dtype(_np.float32))
    ndim = type_of(z).ndim
    if ndim < 2 or time_axis % ndim == freq_axis % ndim:
        raise ValueError(f"istft: spectra of shape {type_of(z).shape} have no two such axes{at_line()}")
    if not type_of(z).size:
        return _np.zeros(0), _np.zeros(0)
    z = np.moveaxis(z, (time_axis, freq_axis), (-2, -1))
    *front, count, bins = type_of(z).shape
    natural = 2 * (bins - 1) if input_onesided else bins
    length = natural if nperseg is None else int(nperseg)
    size = (natural + (nperseg is not None and length == natural + 1)) if nfft is None else int(nfft)
    s = _Setting("istft", window, length, noverlap, size, length)
    parts = _fft.irfft(z, s.nfft) if input_onesided else _fft.ifft(z, s.nfft)
    real = type_of(parts).dtype.type(0).real.dtype
    parts = parts[..., : s.length] * (s.window * _np.sum(s.window)).astype(real)
    total = s.length + (count - 1) * s.step
    places = s.step * _np.arange(count)[:, None] + _np.arange(s.length)
    flat = np.reshape(parts, (*front, count * s.length))
    signal = _added_up(flat, places.reshape(-1), total)
    norm = _np.bincount(places.reshape(-1), _np.tile(s.window**2, count), total)
    signal = signal / _np.where(norm > 1e-10, norm, 1.0).astype(real)
    if boundary:
        signal = signal[..., s.length // 2 : total - s.length // 2]
    if ndim > 2:
        signal = np.moveaxis(signal, -1, min(time_axis % ndim, ndim - 2))
    return _np.arange(type_of(signal).shape[-1]) / fs, signal


def _added_up(x: Any, places: Any, total: int) -> Any:
    """The last axis, each element added at its place."""
    order = _np.argsort(places, kind="stable")
    counts = _np.bincount(places, minlength=total)
    most = int(counts.max(initial=1))
    starts = _np.concatenate([[0], _np.cumsum(counts)[:-1]])
    found: Any = None
    for k in range(most):  # the k-th element of every place
        taken = order[_np.minimum(starts + k, len(order) - 1)]
        part = np.where(k < counts, x[..., taken], type_of(x).dtype.type(0))
        found = part if found is None else found + part
    return found


@public
def csd(
    x: Any,
    y: Any,
    fs: float = 1.0,
    window: Any = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: Any = "constant",
    return_onesided: bool = True,
    scaling: str = "density",
    axis: int = -1,
    average: str = "mean",
) -> tuple[Any, Any]:
    """The cross power spectral density by Welch's method; as `scipy.signal.csd`.

    Returns
    -------
    frequencies, density

    Raises
    ------
    ValueError
        `scaling` is something else.

    Examples
    --------
    >>> f, p = csd(_np.ones(64), _np.ones(64), nperseg=16)
    >>> p.shape
    (9,)
    """
    _frequency("csd", fs)
    first, second = _signal(x, "csd", axis), (None if y is None or y is x else _signal(y, "csd", axis))
    samples = type_of(first).shape[-1]
    shapes = [type_of(v).shape for v in (first, second) if v is not None]
    if any(0 in shape for shape in shapes):
        joint = (*_np.broadcast_shapes(*(shape[:-1] for shape in shapes)), min(shape[-1] for shape in shapes))
        empty = _np.moveaxis(_np.zeros(joint), -1, axis)
        return empty, empty
    if second is not None and type_of(second).shape[-1] != samples:
        longest = max(samples, type_of(second).shape[-1])
        first, second = (_lengthened(v, longest) for v in (first, second))
        samples = longest
    s = _Setting("csd", window, nperseg, noverlap, nfft, samples)
    if scaling not in ("density", "spectrum"):
        raise ValueError(f"csd: scaling must be 'density' or 'spectrum', not {scaling!r}{at_line()}")
    complex_ = any(v is not None and type_of(v).dtype.kind == "c" for v in (first, second))
    onesided = return_onesided and not complex_
    if onesided and s.window.dtype.kind == "c":
        raise ValueError(f"csd: spectra under a complex window are not one-sided: return_onesided=False{at_line()}")
    left = _spectra(first, s, detrend, onesided)
    right = left if second is None else _spectra(second, s, detrend, onesided)
    power = np.conjugate(left) * right
    scale = 1 / (fs * _np.sum(s.window**2)) if scaling == "density" else 1 / _np.sum(s.window) ** 2
    weights = _np.full(type_of(power).shape[-1], scale)
    if onesided:
        weights[1 : None if s.nfft % 2 else -1] *= 2
    power = power * weights.astype(type_of(power).dtype.type(0).real.dtype)
    if second is None:
        power = np.real(power)
    power = _averaged(power, average)
    ndim = type_of(power).ndim
    return _frequencies(s, fs, onesided), np.moveaxis(power, -1, axis % ndim)


def _lengthened(x: Any, samples: int) -> Any:
    shape = type_of(x).shape
    return np.pad(x, [*[(0, 0)] * (len(shape) - 1), (0, samples - shape[-1])])


def _averaged(power: Any, average: str) -> Any:
    """Over segments: the mean, or the median without its bias."""
    if average == "mean":
        return np.mean(power, -2)
    if average != "median":
        raise ValueError(f"csd: average must be 'mean' or 'median', not {average!r}{at_line()}")
    n = type_of(power).shape[-2]
    steps = 2 * _np.arange(1.0, (n - 1) // 2 + 1)
    bias = 1 + _np.sum(1 / (steps + 1) - 1 / steps)
    if type_of(power).dtype.kind == "c":
        middle = np.median(np.real(power), -2) + 1j * np.median(np.imag(power), -2)
    else:
        middle = np.median(power, -2)
    return middle / float(bias)


@public
def welch(
    x: Any,
    fs: float = 1.0,
    window: Any = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: Any = "constant",
    return_onesided: bool = True,
    scaling: str = "density",
    axis: int = -1,
    average: str = "mean",
) -> tuple[Any, Any]:
    """The power spectral density by Welch's method (1967); as `scipy.signal.welch`.

    Returns
    -------
    frequencies, density

    Examples
    --------
    >>> f, p = welch(_np.cos(_np.arange(512.0)), nperseg=128)
    >>> float(f[_np.argmax(p)])
    0.15625
    """
    return csd(x, None, fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling, axis, average)
