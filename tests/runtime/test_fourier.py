"""Are lines of powers of two transformed as exactly as by pocketfft, and to the same bits on any number of threads?"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import mpmath
import numpy as np
import pytest

import funcgrad as fg
from funcgrad import config, lax
from funcgrad.compile import cpus
from funcgrad.compile.native import threads
from funcgrad.ops import pocketfft
from funcgrad.runtime import calls, fourier
from tests.interop.test_native_function import called

HAS_KERNELS = {"+avx2", "+fma"} <= set(cpus.features())
pytestmark = pytest.mark.skipif(not HAS_KERNELS, reason="here pocketfft transforms")

DTYPES = [np.complex64, np.complex128]
LINES = [(256,), (512,), (1024,), (2048,), (3, 4096), (2, 1 << 15), (1 << 16,), (33, 512), (17, 1 << 15)]
SEVERAL = [((512, 256), (0, 1)), ((64, 16), (0,)), ((3, 1024, 32), (1,)), ((32, 32, 256), (0, 2)), ((2, 256), (1,))]


def numbers(*shape: int, dtype: Any = np.complex128, seed: int = 0) -> np.ndarray:
    """Random complex numbers."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)


def error(found: Any, expected: np.ndarray) -> float:
    """The root of the mean square of the difference, in units of rounding."""
    assert found.shape == expected.shape
    scale = np.sqrt(np.mean(np.abs(expected) ** 2))
    return float(np.sqrt(np.mean(np.abs(found - expected) ** 2)) / scale / np.finfo(found.dtype).eps)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each transform, whether there were native steps."""
    found: list[bool] = []

    def routine(call: Any, slots: Any) -> Any:
        steps = fourier.fourier_steps(call, slots)
        found.append(bool(steps))
        return steps

    monkeypatch.setitem(calls.ROUTINES, "fft", routine)
    return found


@pytest.fixture
def counted() -> Iterator[None]:
    """Puts the number of threads back."""
    before = threads()
    yield
    fg.set_num_threads(before)


@pytest.mark.parametrize("name", ["fft", "ifft"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", LINES, ids=str)
def test_lines_are_as_exact_as_pocketffts(shape: tuple[int, ...], dtype: Any, name: str, made: list[bool]) -> None:
    transform, x = getattr(np.fft, name), numbers(*shape, dtype=dtype)
    found = fg.jit(lambda x: transform(x))(x)
    expected = transform(x.astype(np.clongdouble))
    assert found.dtype == dtype
    assert made == [True]
    theirs = pocketfft.transform(x, f"{name}n", (x.ndim - 1,), x.shape[-1])
    assert error(found, expected) < 1.1 * error(theirs, expected)


@pytest.mark.parametrize("name", ["fftn", "ifftn"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "axes"), SEVERAL, ids=str)
def test_other_axes_are_transformed_where_they_lie(
    shape: tuple[int, ...], axes: tuple[int, ...], dtype: Any, name: str, made: list[bool]
) -> None:
    transform, x = getattr(np.fft, name), numbers(*shape, dtype=dtype)
    found = fg.jit(lambda x: transform(x, axes=axes))(x)
    expected = transform(x.astype(np.clongdouble), axes=axes)
    assert made == [True]
    assert error(found, expected) < 1.1 * error(pocketfft.transform(x, name, axes, x.shape[axes[-1]]), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(512,), (3, 1024), (40, 2048), (1 << 17,), (2, 1 << 16)], ids=str)
def test_real_lines_are_complex_ones_of_half_the_length(shape: tuple[int, ...], dtype: Any, made: list[bool]) -> None:
    x, n = numbers(*shape).real.astype(dtype), shape[-1]
    found, expected = fg.jit(lambda x: np.fft.rfft(x))(x), np.fft.rfft(x.astype(np.longdouble))
    assert error(found, expected) < 1.2 * error(pocketfft.transform(x, "rfftn", (x.ndim - 1,), n), expected)
    np.testing.assert_array_equal(found[..., [0, -1]].imag, 0)
    half = expected.astype(found.dtype)
    half[..., 0] += 5j  # what belongs to no real line is not read
    half[..., -1] += 3j
    back, expected = fg.jit(lambda x: np.fft.irfft(x))(half), np.fft.irfft(half.astype(np.clongdouble))
    assert error(back, expected) < 1.2 * error(pocketfft.transform(half, "irfftn", (x.ndim - 1,), n), expected)
    assert (found.dtype, back.dtype) == (half.dtype, dtype)
    assert made == [True, True]


@pytest.mark.parametrize(("shape", "axes"), [((1000,), (0,)), ((256,), (0,)), ((512, 512), (0, 1)), ((512, 16), (0,))])
def test_other_real_transforms_stay_with_pocketfft(
    shape: tuple[int, ...], axes: tuple[int, ...], made: list[bool]
) -> None:
    x = numbers(*shape).real
    np.testing.assert_allclose(fg.jit(lambda x: np.fft.rfftn(x, axes=axes))(x), np.fft.rfftn(x, axes=axes), atol=1e-10)
    assert made == [False]


def test_derivatives_of_real_transforms_are_those_of_pocketfft(made: list[bool]) -> None:
    x, w = numbers(2, 1024).real, numbers(2, 513, seed=1)
    weighed = fg.jit(fg.grad(lambda x, w: np.sum(np.real(np.fft.rfft(x) * w))))
    back = fg.jit(fg.grad(lambda w, x: np.sum(np.fft.irfft(w) * x)))
    whole = np.concatenate([w, np.zeros((2, 511))], 1)
    np.testing.assert_allclose(weighed(x, w), np.fft.fft(whole).real, rtol=0, atol=1e-12)
    counts = np.r_[1, np.full(511, 2), 1] / 1024
    np.testing.assert_allclose(back(w, x), np.conj(np.fft.rfft(x)) * counts, rtol=0, atol=1e-14)
    assert made == [True, True]


def test_what_is_not_finite_leaves_nothing_finite_in_a_real_line() -> None:
    x = numbers(3, 1024).real
    x[1, 77] = np.inf
    found = fg.jit(lambda x: np.fft.rfft(x))(x)
    assert not np.isfinite(found[1, 1:-1]).any()
    assert not np.isfinite(found[1, [0, -1]].real).any()
    assert np.isfinite(found[[0, 2]]).all()


@pytest.mark.parametrize("shape", [(128,), (1000,), (3, 96), (0, 512)], ids=str)
def test_other_lengths_stay_with_pocketfft(shape: tuple[int, ...], made: list[bool]) -> None:
    x = numbers(*shape)
    np.testing.assert_array_equal(fg.jit(lambda x: np.fft.fft(x))(x), np.fft.fft(x))
    assert made in ([False], [])


@pytest.mark.parametrize("shape", [(1024, 6), (8, 1024, 2)], ids=str)
def test_columns_that_fill_no_vectors_stay_with_pocketfft(shape: tuple[int, ...], made: list[bool]) -> None:
    x = numbers(*shape)
    np.testing.assert_allclose(fg.jit(lambda x: np.fft.fft(x, axis=-2))(x), np.fft.fft(x, axis=-2), atol=1e-12)
    assert made == [False]


def test_without_the_vectors_of_avx2_it_is_pocketfft(monkeypatch: pytest.MonkeyPatch, made: list[bool]) -> None:
    monkeypatch.setattr(cpus, "features", lambda: ["+sse4.2"])
    monkeypatch.setattr(fourier, "_wide", fourier._wide.__wrapped__)
    fg.jit(lambda x: np.fft.fft(x))(numbers(1024))
    assert made == [False]


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1 << 18,), (300, 1024), (256, 512)], ids=str)
def test_the_number_of_threads_changes_no_bit(shape: tuple[int, ...], dtype: Any) -> None:
    f, x = fg.jit(lambda x: np.fft.fftn(x, axes=range(len(shape)) if shape[0] == 256 else (-1,))), numbers(*shape)
    found = []
    for count in (1, 2, 3):
        fg.set_num_threads(count)
        found.append(f(x.astype(dtype)))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_lines_do_not_know_of_each_other() -> None:
    x = numbers(40, 512)
    found = fg.jit(lambda x: np.fft.fft(x))(x)
    np.testing.assert_array_equal(found[7], fg.jit(lambda x: np.fft.fft(x))(x[7]))


def test_a_cosine_has_two_terms_and_an_impulse_has_all() -> None:
    n, k = 1 << 14, 1234
    wave = np.cos(2 * np.pi * (k * np.arange(n) % n) / n).astype(np.complex128)
    found = fg.jit(lambda x: np.fft.fft(x))(wave)
    np.testing.assert_allclose(found[[k, n - k]], n / 2, rtol=1e-13)
    found[[k, n - k]] = 0
    assert np.abs(found).max() < 1e-11 * n
    impulse = np.zeros(n, np.complex128)
    impulse[0] = 3
    np.testing.assert_array_equal(fg.jit(lambda x: np.fft.fft(x))(impulse), 3)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("shape", [(4, 512), (4, 1 << 15)], ids=str)
def test_what_is_not_finite_leaves_nothing_finite_in_its_line(value: float, shape: tuple[int, ...]) -> None:
    x = numbers(*shape)
    x[2, 77] = value
    found = fg.jit(lambda x: np.fft.fft(x))(x)
    assert not np.isfinite(found[2]).any()
    assert np.isfinite(found[[0, 1, 3]]).all()


def test_arguments_may_have_any_strides_lengths_and_norms() -> None:
    x = numbers(9, 700)
    for given in (x, x[::2, ::-1], x.T.copy().T, x.astype(">c16")):
        for norm in ("ortho", "forward"):
            found = fg.jit(lambda x, norm=norm: np.fft.ifft(x, n=512, norm=norm))(given)
            np.testing.assert_allclose(found, np.fft.ifft(given, n=512, norm=norm), rtol=0, atol=1e-12)
            found = fg.jit(lambda x, norm=norm: np.fft.fft(x, n=1024, norm=norm))(given)
            np.testing.assert_allclose(found, np.fft.fft(given, n=1024, norm=norm), rtol=0, atol=1e-12)


def test_batches_tangents_and_cotangents_are_transformed_by_kernels(made: list[bool]) -> None:
    x, w = numbers(4, 512), numbers(4, 512, seed=1)
    found = fg.jit(fg.vmap(lambda x: np.fft.fft(x), in_axes=1))(x.T.copy())
    np.testing.assert_allclose(found, np.fft.fft(x), rtol=0, atol=1e-12)
    found = fg.jit(fg.grad(lambda x, w: np.sum(np.real(np.fft.fft(x) * w))))(x, w)
    np.testing.assert_allclose(found, np.fft.fft(w), rtol=0, atol=1e-12)
    _, tangent = fg.jit(lambda x, w: fg.jvp(lambda x: np.fft.ifft(x), (x,), (w,)))(x, w)
    np.testing.assert_allclose(tangent, np.fft.ifft(w), rtol=0, atol=1e-14)
    assert made == [True] * 4


def test_a_loop_transforms_its_carry(made: list[bool]) -> None:
    x = numbers(2, 1 << 15)
    turn = fg.jit(lambda x: lax.scan(lambda c, _: (np.fft.fft(c, norm="ortho"), None), x, None, length=4)[0])
    np.testing.assert_allclose(turn(x), x, rtol=0, atol=1e-13)  # four transforms are none
    assert made
    assert all(made)


@pytest.mark.parametrize("shape", [(300, 256), (1 << 16,), (64, 256)], ids=str)
def test_kernels_keep_to_their_memory(shape: tuple[int, ...], made: list[bool]) -> None:
    x = numbers(*shape)
    with config.check_memory():
        found = fg.jit(lambda x: np.fft.fftn(x, axes=(0, 1) if shape[0] == 64 else (-1,)))(x)
        back = fg.jit(lambda x: np.fft.irfft(np.fft.rfft(x)))(x.real)
    np.testing.assert_allclose(found, np.fft.fft2(x) if shape[0] == 64 else np.fft.fft(x), rtol=0, atol=1e-10)
    np.testing.assert_allclose(back, x.real, rtol=0, atol=1e-13)
    assert made[0]


def test_roots_of_one_are_rounded_once() -> None:
    n = 512
    found = fourier._roots(n, n, "f8")
    with mpmath.workdps(40):
        angles = [-2 * mpmath.mpf(k) / n for k in range(n)]
        want = np.array([complex(mpmath.cospi(a), mpmath.sinpi(a)) for a in angles])
    np.testing.assert_array_max_ulp(found.real, want.real, 1)
    np.testing.assert_array_max_ulp(found.imag, want.imag, 1)
    np.testing.assert_array_equal(found[[0, n // 4, n // 2]], [1, -1j, -1])
    np.testing.assert_array_equal(fourier._roots(1 << 14, 256, "f8"), fourier._roots(1 << 14, 1 << 14, "f8")[:256])


def test_a_native_function_transforms_without_python() -> None:
    x = numbers(1024)
    (found,) = called(fg.cfunc(lambda x: np.fft.fft(x), (x,)), x, dtypes=[np.complex128])
    np.testing.assert_array_equal(found, fg.jit(lambda x: np.fft.fft(x))(x))


def test_a_transform_cannot_leave_the_process_in_an_object_file(tmp_path: Any) -> None:
    compiled = fg.jit(lambda x: np.fft.fft(x)).lower(numbers(1024)).compile()
    with pytest.raises(NotImplementedError, match="fft cannot leave the process"):
        compiled.export_object(tmp_path / "fft.o")


def test_narrower_vectors_give_the_same() -> None:
    """Kernels for CPUs with AVX2 and no more."""
    script = """
        import numpy as np
        from llvmlite import binding
        from funcgrad.compile import cpus, engine
        features = binding.get_host_cpu_features().flatten().split(",")
        features = [f for f in features if "avx512" not in f and "avx10" not in f] + ["-avx512f"]
        cpus._target = lambda wanted: ("haswell", ",".join(features))
        import funcgrad as fg
        from funcgrad.compile.native.vectors import lanes
        assert lanes("f8") == 4
        rng = np.random.default_rng(0)
        for dtype, tolerance in ((np.complex64, 1e-6), (np.complex128, 1e-15)):
            for shape, axes in (((3, 256), (1,)), ((1 << 16,), (0,)), ((512, 512), (0, 1))):
                x = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)
                for name in ("fftn", "ifftn"):
                    transform = getattr(np.fft, name)
                    found, want = fg.jit(lambda x: transform(x, axes=axes))(x), transform(x, axes=axes)
                    assert np.abs(found - want).max() < 4 * tolerance * np.abs(want).max(), (dtype, shape, name)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)
