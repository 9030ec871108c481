"""Is promotion NumPy's, are weak Python numbers weak, and are values NumPy's for every pair of dtypes?"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import dtypes
from funcgrad.ir.interpret import interpret
from tests.effort import drawn
from tests.ops.numerics import assert_close

CODES = "b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 c8 c16".split()


@pytest.mark.parametrize("left", CODES)
def test_promotion_of_arrays(left: str) -> None:
    for right in CODES:
        want = np.result_type(np.dtype(left), np.dtype(right))
        assert dtypes.promote([(np.dtype(left), False), (np.dtype(right), False)]) == (want, False)


@pytest.mark.parametrize("scalar", [True, 1, 1.0, 1j], ids=repr)
def test_promotion_of_arrays_and_numbers(scalar: complex) -> None:
    weak = (dtypes.WEAK[type(scalar)], type(scalar) is not bool)
    for c in CODES:
        want = np.result_type(np.dtype(c), scalar)
        assert dtypes.promote([(np.dtype(c), False), weak]) == (want, False)
        assert (np.ones(2, c) * scalar).dtype == want


def test_numbers_alone_stay_weak() -> None:
    kinds = {bool: 0, int: 1, float: 2, complex: 3}
    for a, b in itertools.product((int, float, complex), repeat=2):
        want = dtypes.WEAK[max(a, b, key=kinds.__getitem__)]
        assert dtypes.promote([(dtypes.WEAK[a], True), (dtypes.WEAK[b], True)]) == (want, True)


@pytest.mark.parametrize("c", CODES)
def test_to_inexact_is_what_sin_does(c: str) -> None:
    assert dtypes.to_inexact(np.dtype(c)) == np.sin(np.zeros(1, c)).dtype


@pytest.mark.parametrize("c", CODES)
def test_codes(c: str) -> None:
    assert dtypes.code(np.dtype(c)) == c
    assert dtypes.code(np.dtype(c).newbyteorder(">")) == c
    assert dtypes.check_supported(np.dtype(c).newbyteorder(">")) == np.dtype(c)
    assert dtypes.is_inexact(np.dtype(c)) == (c[0] in "fc")


@pytest.mark.parametrize("dtype", ["O", "U3", "S3", "M8[s]", "m8[s]", "g", "G", [("a", "f4")]], ids=str)
def test_other_dtypes_are_refused(dtype: object) -> None:
    with pytest.raises(TypeError, match="is not supported"):
        dtypes.check_supported(np.dtype(dtype))  # type: ignore[call-overload]


# Values: every pair of dtypes, every binary operation ----------------------------------------------------------------

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
EVERY = [*map(np.dtype, CODES), BFLOAT16]
BINARY = (
    "add subtract multiply true_divide floor_divide remainder fmod divmod power float_power maximum minimum fmax "
    "fmin equal not_equal less less_equal greater greater_equal logical_and logical_or logical_xor bitwise_and "
    "bitwise_or bitwise_xor left_shift right_shift hypot arctan2 logaddexp copysign heaviside gcd lcm"
).split()
NUMBERS = [True, 2, -3, 300, 2.5, 1j]


def ends(dtype: np.dtype) -> np.ndarray:
    """The numbers at which integers wrap, divide by zero and shift too far, and floats are special."""
    if dtype.kind == "b":
        return np.array([False, True])
    if dtype.kind in "iu":
        limits, width = np.iinfo(dtype), 8 * dtype.itemsize
        some = [0, 1, 2, 3, 7, limits.max, limits.max - 1, limits.min, limits.min + 1, width - 1, width]
        return np.array([*some, *((-1, -2, -7) if dtype.kind == "i" else ())], dtype)
    return np.array([0.0, -0.0, 1.0, -1.0, 2.5, -2.5, 3.0, np.inf, -np.inf, np.nan, 100.0], dtype)


def outcome(function: Callable[[], Any]) -> Any:
    """A tuple of values, or the type of an exception."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = function()
    except (TypeError, ValueError, OverflowError) as error:
        return type(error)
    return found if isinstance(found, tuple) else (found,)


def interpreted(function: Callable[..., Any], *operands: Any) -> tuple[Any, ...]:
    """Traced, and run equation by equation."""
    return tuple(interpret(fg.make_jaxpr(function)(*operands), operands))


def assert_same(got: Any, want: Any, label: object, ulps: float = 3) -> None:
    """The same dtypes and numbers (bfloat16 to a unit or two: it is rounded less often), or both an exception."""
    if isinstance(want, type) or isinstance(got, type):
        assert isinstance(want, type), (label, got)
        assert isinstance(got, type), (label, want)
        assert issubclass(got, want) or issubclass(want, got), (label, got, want)
        return
    for g, w in zip(got, want, strict=True):
        assert (g.dtype, g.shape) == (w.dtype, w.shape), label
        if w.dtype == BFLOAT16:
            np.testing.assert_allclose(g.astype("f4"), w.astype("f4"), rtol=0.016, err_msg=str(label))
        elif w.dtype.kind == "f":
            with np.errstate(all="ignore"):
                assert_close(np.nan_to_num(g, posinf=7, neginf=-7), np.nan_to_num(w, posinf=7, neginf=-7), ulps)
                np.testing.assert_array_equal(np.isinf(g), np.isinf(w), err_msg=str(label))
        elif w.dtype.kind == "c":
            np.testing.assert_allclose(g, w, rtol=1e-5, err_msg=str(label))
        else:
            np.testing.assert_array_equal(g, w, err_msg=str(label))


def pairs(left: np.dtype, right: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Every number of one dtype with every number of the other."""
    x, y = ends(left), ends(right)
    return np.repeat(x, y.size), np.tile(y, x.size)


@pytest.mark.parametrize("name", BINARY)
def test_every_pair_of_dtypes(name: str) -> None:
    for left, right in itertools.product(EVERY, EVERY):
        x, y = pairs(left, right)
        want = outcome(lambda: getattr(np, name)(x, y))  # noqa: B023
        got = outcome(lambda: interpreted(getattr(fnp, name), x, y))  # noqa: B023
        assert_same(got, want, (name, left, right))


@pytest.mark.parametrize("name", BINARY)
def test_every_dtype_and_python_numbers(name: str) -> None:
    for dtype, number in itertools.product(EVERY, NUMBERS):
        x = ends(dtype)
        for function in (lambda f, x: f(x, number), lambda f, x: f(number, x)):  # noqa: B023
            want = outcome(lambda: function(getattr(np, name), x))  # noqa: B023
            got = outcome(lambda: interpreted(lambda x: function(getattr(fnp, name), x), x))  # noqa: B023
            assert_same(got, want, (name, dtype, number))


@drawn(15)
@given(st.sampled_from(BINARY), st.sampled_from(EVERY), st.sampled_from(EVERY))
def test_compiled_as_interpreted(name: str, left: np.dtype, right: np.dtype) -> None:
    x, y = pairs(left, right)
    function = getattr(fnp, name)
    want = outcome(lambda: interpreted(function, x, y))
    assert_same(outcome(lambda: fg.jit(function)(x, y)), want, (name, left, right), ulps=4)


@pytest.mark.parametrize("target", EVERY, ids=str)
def test_conversions(target: np.dtype) -> None:
    """NumPy's, but for floats that an integer cannot hold: those saturate."""
    for source in EVERY:
        x = ends(source)
        if target.kind in "iu" and source.kind not in "biu":
            size = np.nan_to_num(x.astype("c16"), nan=-1, posinf=-1, neginf=-1).real
            x = x[(size >= 0) & (size < 127)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy warns of imaginary parts
            want = x.astype(target)
        got = fg.jit(lambda x: x.astype(target))(x)
        assert got.dtype == target
        np.testing.assert_array_equal(got.astype("c16"), want.astype("c16"))


# Integers ------------------------------------------------------------------------------------------------------------


def test_integer_powers() -> None:
    x, y = np.array([2, -3, 0, 7], "i4"), np.array([3, 3, 0, 40], "i4")
    for run in (fg.jit, lambda f: f):
        np.testing.assert_array_equal(run(lambda x, y: x**y)(x, y), x**y)
        with pytest.raises(ValueError, match="negative integer powers"):
            run(lambda x, y: x**y)(x, -y)
        with pytest.raises(ValueError, match="negative integer powers"):
            run(lambda x: x**-1)(x)


def test_wide_integers_meet_in_float64() -> None:
    x, y = np.array([2**63], "u8"), np.array([-1], "i8")
    for function in (lambda x, y: x + y, lambda x, y: x * y, lambda x, y: np.maximum(x, y)):
        assert_close(fg.jit(function)(x, y), function(x, y), 0)
        assert fg.jit(function)(x, y).dtype == np.float64
    np.testing.assert_array_equal(fg.jit(lambda x, y: x > y)(x, y), [True])


# bfloat16 ------------------------------------------------------------------------------------------------------------


def patterns() -> np.ndarray:
    """Every bfloat16."""
    return np.arange(2**16, dtype=np.uint16).view(BFLOAT16)


def test_bfloat16_is_rounded_to_nearest_even() -> None:
    upper = np.arange(2**16, dtype=np.uint32) << 16
    for lower in (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF):
        x = (upper | np.uint32(lower)).view(np.float32)
        with np.errstate(all="ignore"):
            want = x.astype(BFLOAT16)
        got = fg.jit(lambda x: x.astype(fnp.bfloat16))(x)
        np.testing.assert_array_equal(got.astype("f4"), want.astype("f4"))
        numbers = ~np.isnan(x)
        np.testing.assert_array_equal(got.view("u2")[numbers], want.view("u2")[numbers])


def test_bfloat16_comes_back_as_it_was() -> None:
    x = patterns()
    numbers = ~np.isnan(x.astype("f4"))
    for function in (
        lambda x: x,
        lambda x: -np.negative(x),
        lambda x: x.astype("f4").astype(x.dtype),
        lambda x: x[::-1][::-1],
    ):
        got = fg.jit(function)(x)
        assert got.dtype == BFLOAT16
        np.testing.assert_array_equal(got.view("u2")[numbers], x.view("u2")[numbers])


BFLOAT16_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "arithmetic": lambda x: x * x - x / 3,
    "mathematics": lambda x: np.tanh(np.exp(x) - 1) + np.sqrt(np.abs(x)),
    "to float32": lambda x: x * 2.5,
    "to float32 by an array": lambda x: x + np.ones(6, "f4"),
    "comparison": lambda x: np.where(x > 0, x, -x),
    "shapes": lambda x: np.concatenate([np.reshape(x, (2, 3)), np.reshape(x, (3, 2)).T], axis=1),
    "rows": lambda x: x[np.array([0, 2, 1])],
    "max": lambda x: np.max(x),
    "argmax": lambda x: np.argmax(x),
    "remainder": lambda x: np.remainder(x, 1) + np.floor(x),
    "test": lambda x: np.isnan(x) | np.signbit(x),
}


@pytest.mark.parametrize("name", BFLOAT16_FUNCTIONS)
def test_bfloat16_compiles(name: str) -> None:
    function, x = BFLOAT16_FUNCTIONS[name], np.array([-2.5, -1, 0.25, 0.5, 1, 3], BFLOAT16)
    want = np.asarray(function(x))
    for got in (
        fg.jit(function)(x),
        fg.vmap(function)(np.stack([x, x]))[0],
        fg.jit(fg.vmap(function))(np.stack([x, x]))[0],
    ):
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got.astype("f4"), want.astype("f4"), rtol=0.016)
    assert fg.jit(function).lower(x).cost_analysis()["calls"] == 0


def test_bfloat16_sums_are_exact_until_stored() -> None:
    x = np.full(1000, 1 + 2**-7, BFLOAT16)
    for run in (fg.jit(np.sum), fg.jit(lambda x: np.dot(x, np.ones(1000, BFLOAT16)))):
        assert float(run(x)) == float(np.asarray(1007.8125).astype(BFLOAT16))
    assert fg.jit(lambda x: x @ x)(x).dtype == (x @ x).dtype == np.float32
    a = (np.arange(40 * 50) % 7).reshape(40, 50).astype(BFLOAT16)
    product = fg.jit(lambda a: (a @ a.T).astype("f4"))
    np.testing.assert_array_equal(product(a), a.astype("f4") @ a.T.astype("f4"))
    assert product.lower(a).cost_analysis()["products"] == 1


def test_bfloat16_derivatives() -> None:
    x = np.array([-1, 0.5, 2], BFLOAT16)

    def loss(x: Any) -> Any:
        return fnp.sum(fnp.tanh(x) * x / 3)

    want = fg.grad(loss)(x.astype("f4"))
    for gradient in (fg.grad(loss), fg.jit(fg.grad(loss))):
        got = gradient(x)
        assert got.dtype == BFLOAT16
        np.testing.assert_allclose(got.astype("f4"), want, rtol=0.03)
    out, moved = fg.jit(lambda x: fg.jvp(lambda x: fnp.log2(x * x), (x,), (x,)))(x)
    assert (out.dtype, moved.dtype) == (BFLOAT16, BFLOAT16)
    np.testing.assert_allclose(moved.astype("f4"), 2 / np.log(2), rtol=0.01)
    assert fg.grad(lambda x: fnp.sum(x * 2.5))(x).dtype == BFLOAT16


def test_bfloat16_arguments() -> None:
    one = ml_dtypes.bfloat16(1.5)
    function = fg.jit(lambda x: x * 2)
    assert function(one).dtype == BFLOAT16
    assert float(function(one)) == 3
    assert float(function(np.array(1.5, BFLOAT16))) == 3
    wide = np.arange(12).reshape(3, 4).astype(BFLOAT16)
    np.testing.assert_array_equal(function(wide.T[::2]).astype("f4"), (wide.T[::2] * 2).astype("f4"))
    assert str(fg.make_jaxpr(lambda x: x)(one)) == "{ lambda ; a:bf16[]. let\n  in (a,) }"
    assert "ml_dtypes.bfloat16" in function.lower(wide).as_text("python")


def test_bfloat16_in_loops_and_branches() -> None:
    x = np.linspace(0.1, 1, 5).astype(BFLOAT16)

    def function(x: Any) -> Any:
        last, _ = fg.lax.scan(lambda c, a: (c * a + a, c), x[0], x)
        return fg.lax.cond(last > 1, lambda c: c * 2, lambda c: c, last)

    got = fg.jit(function)(x)
    assert got.dtype == BFLOAT16
    np.testing.assert_allclose(float(got), float(function(x.astype("f4"))), rtol=0.02)
    assert fg.jit(fg.grad(function))(x).dtype == BFLOAT16


def test_bits_of_bfloat16() -> None:
    x = np.array([1.5, -2], BFLOAT16)
    cast = fg.lax.bitcast_convert_type
    np.testing.assert_array_equal(fg.jit(lambda x: cast(x + 1, np.int16))(x), (x + 1).view("i2"))
    np.testing.assert_array_equal(fg.jit(lambda n: cast(n, fnp.bfloat16) * 2)(x.view("u2")), x * 2)


def test_the_next_bfloat16() -> None:
    x = np.array([1, -1, 3, 0.5], BFLOAT16)
    np.testing.assert_array_equal(fg.jit(np.nextafter)(x, -x), np.nextafter(x, -x))
