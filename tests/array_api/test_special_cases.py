"""Are zeros, infinities and NaN treated as the standard's tables say, outside `jit` and in compiled vector code?"""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from tests.array_api.special_cases import CLASSES, COMPLEX, ONE, ROTATED, TWO, complex_rows, real_rows

WIDTH = 37  # elements between repetitions of a table: whole vectors, and a rest


@functools.cache
def compiled(name: str) -> Any:
    return fg.jit(getattr(fnp, name))


def forms(name: str, operands: list[np.ndarray]) -> Any:
    """What NumPy gives, what a compiled loop gives, and a compiled call on one number."""
    with np.errstate(all="ignore"):
        yield "known", np.asarray(getattr(fnp, name)(*operands))
    yield "compiled", np.asarray(compiled(name)(*operands))
    if operands[0].dtype in ("f8", "c16"):
        yield "compiled, one by one", np.array([compiled(name)(*xs) for xs in zip(*operands, strict=True)])


def same(got: np.ndarray, want: np.ndarray, signed: Any, tolerance: float) -> np.ndarray:
    """Where numbers agree: zeros and infinities in sign, if that is specified."""
    got, want = (np.where(signed, x, np.abs(x)) for x in (got, want))
    special = ~np.isfinite(want) | (want == 0)
    exact = (got == want) & (np.signbit(got) == np.signbit(want))
    near = np.abs(got - want) <= tolerance * np.abs(want)
    return np.where(special, exact | (np.isnan(got) & np.isnan(want)), near)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_real_functions(name: str, dtype: str) -> None:
    table = list(real_rows(ONE[name], 1) if name in ONE else real_rows(TWO[name], 2))
    operands = [np.array(xs, dtype) for xs in zip(*(xs for xs, _ in table), strict=True)]
    want = np.array([w for _, w in table])
    for form, got in forms(name, operands):
        with np.errstate(invalid="ignore"):
            good = same(got.astype(float), want, True, 1e-6 if dtype == "f4" else 1e-14)
        bad = [(*xs, w, g) for xs, w, g, k in zip(zip(*operands, strict=True), want, got, good, strict=True) if not k]
        assert not bad, f"{form}: {bad}"
    repeated = [np.resize(x, WIDTH) for x in operands]
    np.testing.assert_array_equal(compiled(name)(*repeated), np.resize(compiled(name)(*operands), WIDTH))


@pytest.mark.parametrize("dtype", ["c8", "c16"])
@pytest.mark.parametrize("name", [*COMPLEX, *ROTATED])
def test_complex_functions(name: str, dtype: str) -> None:
    table = list(complex_rows(name))
    z = np.empty(len(table), dtype)
    z.real, z.imag = ([row[0][k] for row in table] for k in (0, 1))
    for form, got in forms(name, [z]):
        good = True
        for k, part in enumerate((got.real, got.imag)):
            want, signed = (np.array([row[j][k] for row in table]) for j in (1, 2))
            with np.errstate(invalid="ignore"):
                good &= same(part.astype(float), want, signed, 1e-6 if dtype == "c8" else 1e-14)
        bad = [(row[:2], g) for row, g, k in zip(table, got, good, strict=True) if not k]
        assert not bad, f"{form}: {bad}"


@pytest.mark.parametrize(("dtype", "part"), [("c8", "f4"), ("c16", "f8")])
def test_sizes_and_kinds_of_complex_numbers(dtype: str, part: str) -> None:
    """|a + bi| is hypot(a, b), infinite where a part is, even beside NaN; the predicates look at both parts."""
    a, b = (np.ravel(x) for x in np.meshgrid(*[np.array(CLASSES["*"], part)] * 2))
    z = np.empty(a.shape, dtype)
    z.real, z.imag = a, b
    wanted = {
        "abs": np.hypot(a, b),
        "isnan": np.isnan(a) | np.isnan(b),
        "isinf": np.isinf(a) | np.isinf(b),
        "isfinite": np.isfinite(a) & np.isfinite(b),
    }
    for name, want in wanted.items():
        for form, got in forms(name, [z]):
            np.testing.assert_allclose(got, want, rtol=2 * np.finfo(part).eps, err_msg=form)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_nan_has_a_sign(dtype: str) -> None:
    nan, x = np.full(5, np.nan, dtype), np.array([2.5, -2.5, np.inf, 0.0, -0.0], dtype)
    for sizes, signs in itertools.permutations((nan, -nan, x), 2):
        for _, got in forms("copysign", [sizes, signs]):
            np.testing.assert_array_equal(np.abs(got), np.abs(sizes))
            np.testing.assert_array_equal(np.signbit(got), np.signbit(signs))
    for sign in (nan, -nan):
        for _, got in forms("signbit", [sign]):
            np.testing.assert_array_equal(got, sign is not nan)
