"""Is every function of funcgrad.numpy.fft NumPy's own, traced?  And are derivatives those of the definition?"""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import funcgrad as fg
import funcgrad.numpy.fft as fft
from funcgrad.ops import pocketfft
from tests.effort import drawn

DTYPES = [np.dtype(c) for c in "b1 i4 f2 f4 f8 c8 c16".split()]
SHAPES = [(4,), (5,), (2, 6), (3, 4, 5), (1, 1), (), (0,), (2, 0)]
ONE_AXIS = "fft ifft rfft irfft hfft ihfft".split()
SEVERAL = "fft2 ifft2 rfft2 irfft2 fftn ifftn rfftn irfftn".split()


@st.composite
def signals(draw: Any) -> np.ndarray:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape, dtype = draw(st.sampled_from(SHAPES)), draw(st.sampled_from(DTYPES))
    x = rng.normal(size=shape) * 4
    return np.asarray(x + 1j * rng.normal(size=shape) if dtype.kind == "c" else x).astype(dtype)


norms = st.sampled_from([None, "backward", "ortho", "forward", "bad"])
one = {"n": st.sampled_from([None, 1, 4, 7, 0]), "axis": st.sampled_from([-1, 0, 1, 5]), "norm": norms}
several = {"axes": st.sampled_from([(0,), (-1,), (0, 1), (1, 0), (0, 0), (0, 5), (-2, -1)]), "norm": norms}
sized = {"s": st.sampled_from([(4, 3), (2, 7), (3,), (1, 1)]), "axes": several["axes"], "norm": norms}
shifts = {"axes": st.sampled_from([0, (0, 1), 5, None])}
KEYWORDS = {
    **{name: [st.fixed_dictionaries({}, optional=one)] for name in ONE_AXIS},
    **{name: [st.fixed_dictionaries({}, optional=several), st.fixed_dictionaries(sized)] for name in SEVERAL},
    **{name: [st.fixed_dictionaries({}, optional=shifts)] for name in ("fftshift", "ifftshift")},
}


def outcome(function: Callable[[], Any]) -> Any:
    """A value, or the exception."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function()
    except (TypeError, ValueError, IndexError) as error:
        return error


def compare(got: Any, want: Any, dtype: np.dtype, empty: bool) -> None:
    """The same kind of exception, or the same dtype and shape, and values up to rounding."""
    if isinstance(want, Exception) or isinstance(got, Exception):
        assert isinstance(got, Exception), f"NumPy raises {want!r}"
        assert isinstance(want, Exception), got
        assert isinstance(got, type(want)) or isinstance(want, type(got)) or isinstance(got, IndexError), (got, want)
        return
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    if want.dtype.kind in "fc" and want.size and not empty:  # NumPy leaves transforms of nothing uninitialised
        eps = np.finfo(dtype if dtype == np.float16 else want.dtype).eps  # NumPy scales in the argument's precision
        np.testing.assert_allclose(got, want, rtol=0, atol=64 * eps * np.abs(want).max())


def test_every_function_is_called() -> None:
    assert set(KEYWORDS) | {"fftfreq", "rfftfreq"} == set(fft.__all__) == set(np.fft.__all__)


@pytest.mark.parametrize("name", sorted(KEYWORDS))
@given(st.data())
@drawn(12)
def test_traced_is_numpy(name: str, data: Any) -> None:
    x, kwargs = data.draw(signals()), data.draw(st.one_of(KEYWORDS[name]))
    if name.endswith("shift") and not x.shape:  # NumPy cannot unpack what it makes of no axes
        return
    function = getattr(np.fft, name)
    want = outcome(lambda: function(x, **kwargs))
    compare(outcome(lambda: fg.jit(lambda x: function(x, **kwargs))(x)), want, x.dtype, not x.size)
    compare(outcome(lambda: getattr(fft, name)(x, **kwargs)), want, x.dtype, not x.size)


@pytest.mark.parametrize("name", [*ONE_AXIS, *SEVERAL])
@pytest.mark.parametrize("norm", ["backward", "ortho"])
def test_derivatives_are_transposes(name: str, norm: str) -> None:
    """Of ``Re sum(w * F x)`` by x: what the matrix of the transform says."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(4, 6))
    z = x if name in ("rfft", "ihfft", "rfft2", "rfftn") else x + 1j * rng.normal(size=x.shape)
    transform = getattr(np.fft, name)
    w = rng.normal(size=transform(x, norm=norm).shape) + 1j * rng.normal(size=transform(x, norm=norm).shape)
    got = fg.jit(fg.grad(lambda z: np.sum(np.real(transform(z, norm=norm) * w))))(z)
    units = [(place, unit) for place in np.ndindex(z.shape) for unit in ([1, 1j] if z.dtype.kind == "c" else [1])]
    want = np.zeros(z.shape, z.dtype)
    for place, unit in units:  # with tangent 1 the change is Re g, with tangent i it is -Im g
        t = np.zeros(z.shape, z.dtype)
        t[place] = unit
        change = np.sum(np.real(transform(t, norm=norm) * w))
        want[place] += change if unit == 1 else -1j * change
    np.testing.assert_allclose(got, want, atol=1e-13 * np.abs(want).max() * 64)


def test_frequencies() -> None:
    for name in ("fftfreq", "rfftfreq"):
        for n in (1, 4, 5):
            np.testing.assert_array_equal(getattr(fft, name)(n, 0.5), getattr(np.fft, name)(n, 0.5))
            got = fg.jit(lambda d, name=name, n=n: getattr(fft, name)(n, d))(0.5)
            np.testing.assert_allclose(got, getattr(np.fft, name)(n, 0.5))


def test_batches_go_along_other_axes() -> None:
    x = np.random.default_rng(0).normal(size=(3, 4, 6))
    for axis in (0, 1):
        got = fg.jit(fg.vmap(lambda x, axis=axis: np.fft.rfft(x, axis=axis)))(x)
        np.testing.assert_allclose(got, np.fft.rfft(x, axis=axis + 1), atol=1e-13)


def test_numpys_own_functions_lead_here_when_they_are_first_called() -> None:
    """Importing funcgrad imports neither numpy.fft nor SciPy."""
    program = (
        "import sys, funcgrad as fg, numpy as np\n"
        "assert not {'numpy.fft', 'scipy', 'scipy.linalg', 'funcgrad.numpy.linalg'} & set(sys.modules)\n"
        "x = np.array([[2.0, 0.0], [0.0, 4.0]])\n"
        "assert np.array_equal(fg.jit(lambda x: np.linalg.inv(x))(x), np.linalg.inv(x))\n"
        "assert np.array_equal(fg.jit(lambda x: np.fft.fft(x))(x), np.fft.fft(x))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("kind", ["fftn", "ifftn", "rfftn", "irfftn"])
@pytest.mark.parametrize("axes", [(1,), (0, 2)])
def test_the_package_gives_what_its_extension_module_gives(
    kind: str, axes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SciPy's extension module is loaded by itself; where it is not as expected, its package is asked."""
    if pocketfft.checked() is None:
        pytest.skip("this SciPy has another extension module")
    rng = np.random.default_rng(3)
    x = rng.standard_normal((4, 6, 5)) + (0 if kind == "rfftn" else 1j * rng.standard_normal((4, 6, 5)))
    length = 2 * (x.shape[axes[-1]] - 1) if kind == "irfftn" else x.shape[axes[-1]]
    direct = pocketfft.transform(x, kind, axes, length)
    into = pocketfft.transform(x.astype(x.dtype.newbyteorder(">")), kind, axes, length, np.empty_like(direct))
    monkeypatch.setattr(pocketfft, "checked", lambda: None)
    for out in (None, np.empty_like(direct)):
        np.testing.assert_array_equal(pocketfft.transform(x, kind, axes, length, out), direct, strict=True)
    np.testing.assert_array_equal(into, direct, strict=True)


@pytest.mark.parametrize("answer", [None, lambda *_: None])
def test_a_module_that_answers_otherwise_is_not_used(answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = SimpleNamespace(r2c=answer, c2r=answer, c2c=answer)
    for found in (module, None):
        monkeypatch.setattr(pocketfft, "extension", lambda _, found=found: found)
        assert pocketfft.checked.__wrapped__() is None
