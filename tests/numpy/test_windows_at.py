"""Is a window that slices name changed as a whole?  Without index arrays, and bit for bit as NumPy changes it."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import lax

UFUNCS: dict[str, Any] = {"add": np.add, "multiply": np.multiply, "min": np.minimum, "max": np.maximum}
DTYPES = [np.float32, np.float64, np.int8, np.uint8, np.int64, np.bool_, np.complex64, ml_dtypes.bfloat16]
WINDOWS: list[tuple[tuple[int, ...], Any]] = [
    ((40, 50), np.s_[1:-1, 1:-1]),
    ((40, 50), np.s_[1:-1]),
    ((40, 50), np.s_[..., 60:-200:-1]),
    ((40, 50), np.s_[-45:99, None, 10:]),
    ((40, 50), np.s_[3, 1:-1]),
    ((40, 50), np.s_[1:-1, 3]),
    ((40, 50), np.s_[1:-1, 5:2]),
    ((2, 40), np.s_[0, 1:]),
    ((4, 30, 40), np.s_[..., 1:-1, 2:]),
    ((260, 300), np.s_[2:, :-2]),
    ((60,), np.s_[:-1]),
    ((60,), np.s_[::2]),
]


def numbers(shape: tuple[int, ...], dtype: Any, seed: int) -> np.ndarray:
    """Numbers of a dtype, with -0, infinities and NaN if it has them."""
    rng = np.random.default_rng(seed)
    drawn = np.asarray(rng.integers(-100, 100, shape) / 4)
    if np.dtype(dtype).kind in "iub":
        return (drawn > 0) if dtype is np.bool_ else drawn.astype(np.int64).astype(dtype)
    for special in (-0.0, np.inf, -np.inf, np.nan):
        drawn[rng.random(shape) < 0.1] = special
    if dtype is np.complex64:
        both = np.empty(shape, dtype)
        both.real, both.imag = drawn, np.where(rng.random(shape) < 0.5, -0.0, 1.0)
        return both
    return drawn.astype(dtype)


def bits(x: Any) -> bytes:
    return np.ascontiguousarray(x).tobytes()


def listed(function: Any, *args: Any) -> str:
    return str(fg.jit(function).lower(*args).as_text(dialect="simplified"))


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize(("shape", "index"), WINDOWS, ids=str)
def test_windows_are_changed_as_numpy_changes_them(shape: tuple[int, ...], index: Any, dtype: Any) -> None:
    x = numbers(shape, dtype, 0)
    values = numbers(x[index].shape, dtype, 1)
    outside = np.ones(shape, np.bool_)
    outside[index] = False
    for kind in ("set", *UFUNCS):
        if dtype is np.complex64 and kind in ("min", "max"):
            continue
        want = np.array(x)
        with np.errstate(all="ignore"):
            want[index] = UFUNCS[kind](x[index], values) if kind in UFUNCS else values
        results = {
            "compiled": fg.jit(lambda x, v, kind=kind: getattr(x.at[index], kind)(v))(x, values),
            "known values": fg.jit(lambda x, kind=kind: getattr(x.at[index], kind)(values))(x),
            "known array": fg.jit(lambda v, kind=kind: getattr(x.view(fg.Array).at[index], kind)(v))(values),
            "batched": fg.vmap(lambda x, v, kind=kind: getattr(x.at[index], kind)(v))(x[None], values[None])[0],
        }
        for name, got in results.items():
            assert got.dtype == want.dtype, name
            assert bits(np.asarray(got)[outside]) == bits(want[outside]), (kind, name)
            if dtype is not np.complex64 or kind != "multiply":  # of infinite numbers the products differ
                given, wanted = np.asarray(got).astype(np.complex128), want.astype(np.complex128)
                np.testing.assert_array_equal(given, wanted, err_msg=f"{kind}, {name}")


@pytest.mark.parametrize("kind", ["set", *UFUNCS])
def test_the_program_of_a_window_has_no_index_arrays(kind: str) -> None:
    x, values = np.zeros((40, 50), np.float32), np.ones((38, 48), np.float32)
    text = listed(lambda x, v: getattr(x.at[1:-1, 1:-1], kind)(v), x, values)
    assert "scatter" not in text
    assert "i64[38,48]" not in text
    filled = listed(lambda x: getattr(x.at[1:-1, 1:-1], kind)(2.0), x)
    assert "scatter" not in filled
    assert "i64[38,48]" not in filled


def test_a_few_elements_are_added_where_they_are() -> None:
    text = listed(lambda x, v: x.at[3:20].add(v), np.zeros(1000), np.ones(17))
    assert "pad" not in text


@pytest.mark.parametrize("kind", ["add", "multiply", "min", "max", "set", "divide", "power"])
@pytest.mark.parametrize("index", [np.s_[1:-1, 1:-1], np.s_[2:5, 3:], np.s_[::-1, 1:]], ids=str)
def test_derivatives_are_those_of_index_arrays(kind: str, index: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(1, 5, (12, 64)) / 2
    x[0, 0] = np.inf if kind in ("min", "max") else 1.0
    lines = np.ix_(*(np.arange(n)[s] for n, s in zip(x.shape, index, strict=True)))
    values = rng.integers(1, 5, x[index].shape) / 2
    weights = rng.random(x.shape)

    def total(places: Any) -> Any:
        return lambda x, v: (fnp.where(fnp.isinf(x), 0.0, getattr(x.at[places], kind)(v)) * weights).sum()

    got, want = (fg.jit(fg.grad(total(places), argnums=(0, 1)))(x, values) for places in (index, lines))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)
    turned = np.array(weights[index])
    got, want = (
        fg.grad(lambda v, p=places: (fg.grad(lambda x: total(p)(x, v) ** 2)(x)[index] * turned).sum())(values)
        for places in (index, lines)
    )
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_the_derivative_outside_of_a_window_of_extremes_is_whole() -> None:
    x = np.full((20, 40), np.inf)
    _, back = fg.vjp(lambda x: x.at[1:-1, 1:-1].min(np.ones((18, 38))), x)
    want = np.ones((20, 40))
    want[1:-1, 1:-1] = 0.0
    np.testing.assert_array_equal(back(np.ones((20, 40)))[0], want)


@pytest.mark.parametrize("index", [np.s_[1:-1, 1:-1], np.s_[3:6, 4:44]], ids=str)
@pytest.mark.parametrize("kind", ["add", "multiply"])
def test_windows_in_loops(kind: str, index: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.random((40, 50))
    values = rng.random(x[index].shape)
    lines = np.ix_(*(np.arange(n)[s] for n, s in zip(x.shape, index, strict=True)))

    def looped(places: Any) -> Any:
        def body(i: Any, x: Any, v: Any) -> Any:
            return getattr(x.at[places], kind)(v * (i + 0.5))

        return lambda x, v: lax.fori_loop(0, 4, lambda i, x: body(i, x, v), x)

    want = np.array(x)
    for i in range(4):
        want[index] = UFUNCS[kind](want[index], values * (i + 0.5))
    np.testing.assert_allclose(fg.jit(looped(index))(x, values), want, rtol=1e-14)
    gradients = [
        fg.jit(fg.grad(lambda x, v, p=places: (looped(p)(x, v) ** 2).sum(), argnums=(0, 1)))(x, values)
        for places in (index, lines)
    ]
    for a, b in zip(*gradients, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_a_window_at_a_traced_row() -> None:
    x, values = np.arange(160.0).reshape(4, 40), np.full(38, 3.0)

    def f(x: Any, i: Any, v: Any) -> Any:
        return x.at[i, 1:-1].multiply(v)

    want = np.array(x)
    want[2, 1:-1] *= 3.0
    np.testing.assert_array_equal(fg.jit(f)(x, -2, values), want)
    np.testing.assert_array_equal(fg.vmap(f, in_axes=(None, 0, None))(fnp.array(x), np.array([0, 2]), values)[1], want)
    with pytest.raises(IndexError):
        fg.jit(f)(x, 4, values)
