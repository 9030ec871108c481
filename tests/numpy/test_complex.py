"""Do NumPy's functions take complex arrays, traced ones too, and give what NumPy gives?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp

RNG = np.random.default_rng(5)
UNARY = (
    "abs absolute acos acosh all angle any arccos arccosh arcsin arcsinh arctan arctanh argmax argmin asin asinh "
    "atan atanh cbrt conj conjugate copy cos cosh count_nonzero deg2rad diag diagonal exp exp2 expm1 fabs fix "
    "flip imag iscomplex isfinite isinf isnan isreal log log10 log1p log2 logical_not max mean min nan_to_num "
    "negative ones_like positive prod ptp ravel real reciprocal rint round sign signbit sin sinh sqrt square std "
    "sum tan tanh trace transpose tril var zeros_like"
).split()
BINARY = (
    "add allclose arctan2 array_equal copysign cross divide dot equal float_power fmax fmin greater greater_equal "
    "hypot inner isclose kron less less_equal logaddexp logical_and logical_or logical_xor matmul maximum minimum "
    "multiply not_equal outer power remainder subtract tensordot true_divide vdot vecdot"
).split()
REAL_ONLY = set("arctan2 cbrt copysign deg2rad fabs fix hypot logaddexp remainder signbit".split())


def draw(dtype: str) -> np.ndarray:
    z = RNG.normal(size=(3, 3)) + 1j * RNG.normal(size=(3, 3))
    z[0, 0], z[1, 1] = 0, 1
    return z.astype(dtype)


@pytest.mark.parametrize("dtype", ["c8", "c16"])
@pytest.mark.parametrize("name", UNARY + BINARY)
def test_as_numpy(name: str, dtype: str) -> None:
    operands = [draw(dtype) for _ in range(2 if name in BINARY else 1)]
    function: Any = getattr(fnp, name)
    if name in REAL_ONLY:
        for f in (getattr(np, name), fg.jit(function)):
            with pytest.raises(TypeError):
                f(*operands)
        return
    with np.errstate(all="ignore"):
        want = np.asarray(getattr(np, name)(*operands))
        eager = np.asarray(function(*operands))
    got = np.asarray(fg.jit(function)(*operands))
    assert (got.dtype, got.shape) == (want.dtype, want.shape) == (eager.dtype, eager.shape)
    np.testing.assert_allclose(got, want, rtol=1e-13 if want.dtype in ("f8", "c16") else 1e-5, atol=1e-15)


def test_methods_and_attributes() -> None:
    z = draw("c16")
    for part in (lambda z: z.real, lambda z: z.imag, lambda z: z.conj(), lambda z: abs(z), lambda z: z.conjugate()):
        np.testing.assert_allclose(fg.jit(part)(z), part(z), rtol=1e-15)
    np.testing.assert_array_equal(fg.jit(lambda x: x.imag)(z.real), np.zeros((3, 3)))


def test_parts_that_are_not_numbers_are_replaced_one_by_one() -> None:
    z = np.array([complex(np.nan, 1), complex(np.inf, -np.inf), 2j])
    np.testing.assert_array_equal(fg.jit(np.nan_to_num)(z), np.nan_to_num(z))


def test_numbers_promote_as_in_numpy() -> None:
    for x in (np.ones(2, "f4"), np.ones(2, "f2"), np.ones(2, "i4"), np.ones(2, "c8"), np.ones(2, bool)):
        for function in (lambda x: x * 2j, lambda x: x + (1 + 1j), lambda x: x / np.complex64(2j), lambda x: 1j - x):
            want = function(x)
            got = fg.jit(function)(x)
            assert got.dtype == want.dtype
            np.testing.assert_allclose(got, want, rtol=1e-6)
