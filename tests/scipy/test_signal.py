"""Are the functions of signals SciPy's?  Values known and traced, derivatives by differences, mistakes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.signal

import funcgrad as fg
from funcgrad.scipy import signal
from tests.ops.numerics import richardson

RNG = np.random.default_rng(11)


def normal(*shape: int) -> np.ndarray:
    """Numbers of a shape."""
    return RNG.standard_normal(shape)


def complex_normal(*shape: int) -> np.ndarray:
    """Complex numbers of a shape."""
    return normal(*shape) + 1j * normal(*shape)


def same(got: Any, want: Any, tolerance: float = 1e-12) -> None:
    """Equal dtypes and shapes, and values up to rounding."""
    got, want = ([np.asarray(x) for x in (v if isinstance(v, tuple) else (v,))] for v in (got, want))
    assert len(got) == len(want)
    for g, w in zip(got, want, strict=True):
        assert (g.shape, g.dtype) == (w.shape, w.dtype)
        np.testing.assert_allclose(g, w, rtol=0, atol=tolerance * max(1.0, float(np.max(np.abs(w), initial=0))))


def hold(name: str, operands: tuple[Any, ...], tolerance: float = 1e-12, **options: Any) -> None:
    """One call, known and compiled, against SciPy."""
    own: Callable[..., Any] = getattr(signal, name)
    want = getattr(scipy.signal, name)(*operands, **options)
    same(own(*operands, **options), want, tolerance)
    same(fg.jit(lambda *xs: own(*xs, **options))(*operands), want, tolerance)


PAIRS: dict[str, tuple[Any, Any]] = {
    "line": (normal(9), normal(4)),
    "shorter first": (normal(4), normal(9)),
    "even": (normal(8), normal(8)),
    "one": (normal(5), normal(1)),
    "plane": (normal(6, 7), normal(3, 4)),
    "solid": (normal(4, 5, 3), normal(2, 3, 3)),
    "complex": (complex_normal(7), complex_normal(4)),
    "whole": (RNG.integers(-9, 9, (6, 5)), RNG.integers(-9, 9, (2, 3))),
    "single": (normal(9).astype("f4"), normal(4).astype("f4")),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_convolutions_and_correlations(name: str, mode: str) -> None:
    tolerance = 1e-6 if name == "single" else 1e-12
    for function in ("convolve", "correlate"):
        hold(function, PAIRS[name], tolerance, mode=mode)
    hold("convolve", PAIRS[name], tolerance, mode=mode, method="fft")
    hold("correlate", PAIRS[name], tolerance, mode=mode, method="fft")
    if name != "whole":
        hold("fftconvolve", PAIRS[name], tolerance, mode=mode)


def test_the_faster_method() -> None:
    x, y = normal(4000), normal(3000)
    hold("convolve", (x, y))
    text = fg.jit(signal.convolve).lower(x, y).as_text()
    assert "fft" in text
    assert "fft" not in fg.jit(signal.convolve).lower(x, y[:50]).as_text()


def test_transforms_along_some_axes() -> None:
    hold("fftconvolve", (normal(3, 8), normal(3, 4)), mode="same", axes=1)
    hold("fftconvolve", (normal(3, 8), normal(1, 4)), mode="full", axes=[1])


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("shapes", [((6, 7), (3, 4)), ((3, 4), (6, 7)), ((5, 5), (2, 2))], ids=str)
def test_planes(mode: str, shapes: Any) -> None:
    pair = normal(*shapes[0]), normal(*shapes[1])
    for function in ("convolve2d", "correlate2d"):
        for boundary, fill in (("fill", 0), ("fill", 1.5), ("wrap", 0), ("symm", 0)):
            if mode == "full" and boundary != "fill" and shapes[0] == (3, 4):
                continue  # SciPy reads past more than one copy of the smaller operand
            hold(function, pair, mode=mode, boundary=boundary, fillvalue=fill)


def test_booleans_stay_booleans() -> None:
    x, w = normal(7) > 0, normal(3) > 0
    for function in ("convolve", "correlate"):
        hold(function, (x, w), method="direct")


@pytest.mark.parametrize("axes", [0, None, (1, 0)])
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_transforms_broadcast_axes_of_extent_one(mode: str, axes: Any) -> None:
    hold("fftconvolve", (normal(4, 1), normal(2, 3)), mode=mode, axes=axes)
    hold("fftconvolve", (normal(4, 3), normal(2, 1)), mode=mode, axes=axes)
    hold("fftconvolve", (normal(1), normal(1)), mode=mode)


def test_complex_planes() -> None:
    hold("correlate2d", (complex_normal(5, 4), complex_normal(2, 3)), mode="same")


def test_trends() -> None:
    x = normal(3, 20) + np.arange(20)
    hold("detrend", (x,))
    hold("detrend", (x,), type="constant")
    hold("detrend", (x,), bp=[7, 12])
    hold("detrend", (x.T,), axis=0, bp=5)
    hold("detrend", (x.astype("f4"),), 1e-5)
    hold("detrend", (np.arange(5) ** 2,))


SETTINGS: tuple[dict[str, Any], ...] = (
    {"nperseg": 32},
    {"nperseg": 33, "noverlap": 20, "nfft": 40, "fs": 10.0},
    {"window": "boxcar", "nperseg": 16, "return_onesided": False},
    {"window": ("kaiser", 4.0), "nperseg": 24, "detrend": "linear"},
    {"window": np.hamming(20), "nperseg": 20},
)


@pytest.mark.parametrize("options", SETTINGS, ids=str)
def test_spectra(options: dict[str, Any]) -> None:
    x, y = normal(2, 200), normal(2, 200)
    hold("stft", (x,), **options)
    hold("welch", (x,), **options)
    hold("csd", (x, y), **options)
    hold("csd", (x, y), **options, scaling="spectrum", average="median")
    hold("welch", (x[0],), **options, average="median")
    hold("welch", (np.ascontiguousarray(x.T),), **options, axis=0)
    hold("stft", (np.ascontiguousarray(x.T),), **options, axis=0, padded=False)


@pytest.mark.parametrize("boundary", [None, "even", "odd", "constant", "zeros"])
def test_borders_of_spectra(boundary: str | None) -> None:
    hold("stft", (normal(101),), nperseg=16, boundary=boundary)


def test_spectra_of_complex_and_short_signals() -> None:
    hold("csd", (normal(100), normal(80)), nperseg=32)
    hold("welch", (normal(100).astype("f4"),), 1e-5, nperseg=32)


@pytest.mark.parametrize("dtype", ["f2", "f4", "b1", "i1", "i2", "i4", "c8"])
def test_dtypes_of_spectra(dtype: str) -> None:
    x = (10 * normal(60)).astype(dtype)
    onesided, tolerance = dtype != "c8", 1e-3 if dtype == "f2" else 1e-4  # SciPy takes the mean in float16
    for function in ("stft", "welch"):
        hold(function, (x,), tolerance, nperseg=16, return_onesided=onesided)
    hold("csd", (x, x[::-1]), tolerance, nperseg=16, return_onesided=onesided)
    hold("detrend", (x,), 1e-5)
    hold_inverse(x.reshape(5, 12), 1e-4)


def test_empty_signals() -> None:
    for x in (np.zeros((2, 0)), np.zeros((0, 4)), np.zeros(0)):
        hold("stft", (x,))
        hold("welch", (x,))
        hold("csd", (x, np.zeros(3)))
    hold("istft", (np.zeros((2, 0), complex),))
    assert signal.convolve2d(np.zeros((0, 3)), np.ones((2, 2)), "same").shape == (0, 3)  # SciPy ends the process


def hold_inverse(z: np.ndarray, tolerance: float = 1e-12, **options: Any) -> None:
    """One call against SciPy, whose times count the first axis, whatever it is."""
    want = scipy.signal.istft(z, **options)[1]
    for times, got in (signal.istft(z, **options), fg.jit(lambda z: signal.istft(z, **options))(z)):
        same(got, want, tolerance)
        np.testing.assert_allclose(times, np.arange(np.max(got.shape)) / options.get("fs", 1))


def test_inverse() -> None:
    x = normal(3, 150)
    for options in ({"nperseg": 32}, {"nperseg": 32, "noverlap": 24, "fs": 5.0}, {"window": "boxcar", "nperseg": 15}):
        _, _, z = scipy.signal.stft(x, **options)
        hold_inverse(z, **options)
        hold_inverse(np.moveaxis(z, (1, 2), (2, 1)).copy(), **options, time_axis=1, freq_axis=2)
    _, _, z = scipy.signal.stft(x + 1j * x[::-1], nperseg=32, return_onesided=False)
    hold_inverse(z, nperseg=32, input_onesided=False)
    options = {"window": "boxcar", "nperseg": 30}
    _, _, z = scipy.signal.stft(x[0], **options, boundary=None)
    hold("istft", (z,), **options, boundary=False)


DIFFERENTIATED: dict[str, Callable[..., Any]] = {
    "convolve": lambda x: signal.convolve(x, x[:5]),
    "correlate": lambda x: signal.correlate(x[:7], x, "same"),
    "fft": lambda x: signal.fftconvolve(x, x[3:], "same"),
    "plane": lambda x: signal.convolve2d(x.reshape(8, 5), x[:6].reshape(2, 3), "full", "symm"),
    "detrend": lambda x: signal.detrend(x, bp=13) ** 2,
    "welch": lambda x: signal.welch(x, nperseg=16)[1],
    "stft": lambda x: abs(signal.stft(x, nperseg=16)[2]) ** 2,
    "istft": lambda x: signal.istft(signal.stft(x**2, nperseg=16)[2], nperseg=16)[1],
}


@pytest.mark.parametrize("name", DIFFERENTIATED)
def test_derivatives(name: str) -> None:
    f, x, direction = DIFFERENTIATED[name], normal(40), normal(40)
    weights = normal(*np.shape(f(x)))
    total = lambda x: (f(x) * weights).sum()  # noqa: E731
    want = richardson(total, [x], [direction], 1e-3)
    np.testing.assert_allclose((fg.jit(fg.grad(total))(x) * direction).sum(), want, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(fg.jvp(total, (x,), (direction,))[1], want, rtol=1e-8, atol=1e-8)


def test_batches() -> None:
    x, w = normal(4, 12), normal(3)
    got = fg.jit(fg.vmap(lambda x: signal.convolve(x, w, "same")))(x)
    same(got, np.stack([scipy.signal.convolve(row, w, "same") for row in x]))


MISTAKES: dict[str, tuple[Callable[..., Any], str]] = {
    "mode": (lambda x: signal.convolve(x, x, "all"), "'all'"),
    "axes": (lambda x: signal.convolve(x, x[0]), r"\(4, 5\) and \(5,\)"),
    "plane": (lambda x: signal.convolve2d(x[0], x[0]), "must have 2 axes"),
    "valid": (lambda x: signal.correlate(x, x.T, "valid"), "the larger one"),
    "method": (lambda x: signal.convolve(x, x, method="fast"), "'fast'"),
    "boundary": (lambda x: signal.convolve2d(x, x, boundary="none"), "'none'"),
    "type": (lambda x: signal.detrend(x, type="cubic"), "'cubic'"),
    "breaks": (lambda x: signal.detrend(x, bp=7), "outside"),
    "overlap": (lambda x: signal.welch(x, nperseg=4, noverlap=4), "noverlap"),
    "fill": (lambda x: signal.convolve2d(x, x, fillvalue=np.ones(2)), r"one number that fits float64, not f64\[2\]"),
    "complex fill": (lambda x: signal.correlate2d(x, x, fillvalue=1j), "one number that fits float64"),
    "empty": (lambda x: signal.convolve2d(x, x[:0]), r"shapes \(4, 5\) and \(0, 5\) must not be empty"),
    "empty, wrapped": (lambda x: signal.convolve2d(x[:0], x, boundary="wrap"), "must not be empty"),
    "window": (lambda x: signal.welch(x[0], window=1j * np.ones(4)), "complex window"),
    "frequency": (lambda x: signal.welch(x, 0.0), "fs must be positive, not 0.0"),
    "segments": (lambda x: signal.stft(x, nperseg=4, boundary="wrap"), "'wrap'"),
}


@pytest.mark.parametrize("bp", [3.5, [[1, 2]]])
def test_break_points_are_integers(bp: Any) -> None:
    with pytest.raises(TypeError, match="break points must be integers"):
        signal.detrend(np.ones(5), bp=bp)


@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.parametrize("traced", [False, True])
def test_mistakes(name: str, traced: bool) -> None:
    function, message = MISTAKES[name]
    with pytest.raises(ValueError, match=message):
        (fg.jit(function) if traced else function)(np.ones((4, 5)))
