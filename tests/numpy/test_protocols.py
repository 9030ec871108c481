"""Do NumPy's protocols lead to traced functions?  Methods of ufuncs, ``where=``, ndarray's methods, refusals."""

from __future__ import annotations

import copy
import functools
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.errors import ConcretizationTypeError
from tests.ops.numerics import assert_close

RNG = np.random.default_rng(11)
X = RNG.normal(size=(3, 5))
N = RNG.integers(1, 9, (3, 5))
B = X > 0
HERE = "test_protocols.py"


def hold(function: Callable[..., Any], *args: Any, ulps: float = 4) -> None:
    """Hold a jitted function of NumPy's names against NumPy, and one of ours on known arrays."""
    with np.errstate(all="ignore"):
        want = np.asarray(function(np, *args))
    scale = np.full(want.shape, np.max(np.abs(want), initial=0), want.dtype) if want.dtype.kind == "f" else None
    assert_close(fg.jit(lambda *xs: function(np, *xs))(*args), want, ulps, scale)
    assert_close(function(fnp, *args), want, 0)


# Methods of ufuncs ----------------------------------------------------------------------------------------------------

REDUCED: list[tuple[str, np.ndarray]] = [
    *((n, X) for n in "add multiply maximum minimum fmax fmin logaddexp logaddexp2 hypot subtract divide".split()),
    *((n, N) for n in "add multiply bitwise_and bitwise_or bitwise_xor gcd lcm subtract floor_divide".split()),
    *((n, B) for n in "logical_and logical_or logical_xor add".split()),
    ("power", np.abs(X)),
    ("arctan2", X),
]


@pytest.mark.parametrize(("name", "x"), REDUCED, ids=lambda v: v if isinstance(v, str) else "")
def test_reduce(name: str, x: np.ndarray) -> None:
    hold(lambda lib, x: getattr(lib, name).reduce(x), x)
    if name in ("power", "arctan2"):  # where it has AVX-512, NumPy 2.4 folds one line wrongly
        line = fnp.asarray(x)[1]
        folded = functools.reduce(getattr(np, name), x[1])
        assert_close(getattr(fnp, name).reduce(line), folded, 0)
        assert_close(fg.jit(lambda x: getattr(np, name).reduce(x, axis=-1, keepdims=True))(x)[1], folded[None], 4)
        return
    hold(lambda lib, x: getattr(lib, name).reduce(x, axis=-1, keepdims=True), x)
    if name not in ("subtract", "divide", "floor_divide", "lcm"):
        hold(lambda lib, x: getattr(lib, name).reduce(x, axis=None), x)


@pytest.mark.parametrize(("name", "x"), REDUCED[::2], ids=lambda v: v if isinstance(v, str) else "")
def test_accumulate(name: str, x: np.ndarray) -> None:
    hold(lambda lib, x: getattr(lib, name).accumulate(x, axis=1), x)


@pytest.mark.parametrize("name", ["add", "multiply", "maximum", "logaddexp", "subtract"])
def test_reduceat(name: str) -> None:
    hold(lambda lib, x: getattr(lib, name).reduceat(x, [0, 3, 1, 4], axis=1), X)
    hold(lambda lib, x: getattr(lib, name).reduceat(x, [2, 0]), X)


@pytest.mark.parametrize("name", ["add", "multiply", "maximum", "arctan2", "less", "power"])
def test_outer(name: str) -> None:
    hold(lambda lib, x, y: getattr(lib, name).outer(lib.abs(x), y), X, X[:2, 0])


def test_reduce_with_initial_and_where() -> None:
    hold(lambda lib, x: lib.add.reduce(x, initial=2.0, where=x > 0), X)
    hold(lambda lib, x: lib.maximum.reduce(x, axis=1, initial=0.5, where=x < 1), X)
    hold(lambda lib, x: lib.logaddexp.reduce(x, axis=1, initial=0.5), X)
    hold(lambda lib, n: lib.bitwise_or.reduce(n, axis=1, where=n > 4), N)
    hold(lambda lib, x: lib.add.reduce(x, dtype=np.float32), X)
    hold(lambda lib, x: lib.logaddexp.reduce(x), np.zeros((0, 2)))


def test_reductions_of_any_ufunc_differentiate() -> None:
    weights = np.exp(X - np.logaddexp.reduce(X, axis=0))
    np.testing.assert_allclose(fg.grad(lambda x: np.sum(np.logaddexp.reduce(x, axis=0)))(X), weights)
    np.testing.assert_allclose(fg.grad(lambda x: np.sum(np.add.accumulate(x)))(X[0]), np.arange(5, 0, -1))


def test_at() -> None:
    x, i = np.arange(4.0), np.array([1, 1, 3])
    want = x.copy()
    np.add.at(want, i, 2.0)
    np.testing.assert_array_equal(fnp.add.at(x, i, 2.0, inplace=False), want)
    np.testing.assert_array_equal(fg.jit(lambda x, i: fnp.add.at(x, i, 2.0, inplace=False))(x, i), want)
    np.testing.assert_array_equal(fg.jit(lambda x, i: fnp.subtract.at(x, i, 2.0, inplace=False))(x, i), 2 * x - want)
    np.testing.assert_array_equal(x, np.arange(4.0))
    assert fnp.add.at(x, i, 2.0) is None  # NumPy's own, on arrays
    np.testing.assert_array_equal(x, want)
    with pytest.raises(TypeError, match=rf"would write into an array[\s\S]*x\.at\[indices\]\.add[\s\S]*{HERE}"):
        fg.jit(lambda x: np.add.at(x, i, 1.0))(x)
    with pytest.raises(TypeError, match="would write"):
        fg.jit(lambda y: np.add.at(x, i, y))(1.0)


def test_bad_calls_of_methods() -> None:
    for call, error, message in [
        (lambda x: np.sin.reduce(x), ValueError, "only supported for binary functions"),
        (lambda x: np.add.reduce(x, axis=7), ValueError, "axis 7 is out of bounds"),
        (lambda x: np.subtract.reduce(x, axis=(0, 1)), ValueError, "not reorderable"),
        (lambda x: np.maximum.reduce(x, where=x > 0), ValueError, "does not have an identity"),
        (lambda x: np.fmax.reduce(x, where=x > 0), ValueError, "does not have an identity"),
        (lambda x: np.fmax.reduce(x[:0]), ValueError, "zero-size array"),
        (lambda x: np.add.reduceat(x, [9]), IndexError, "out-of-bounds"),
        (lambda x: np.add.reduce(x, out=np.zeros(5)), TypeError, "would write"),
        (lambda x: np.add.accumulate(x[0, 0]), TypeError, "scalar"),
    ]:
        with pytest.raises(error, match=message):
            fg.jit(call)(X)  # type: ignore[arg-type]


def test_ufunc_objects_say_what_they_are() -> None:
    assert (fnp.add.nin, fnp.add.nout, fnp.add.nargs, fnp.add.identity) == (2, 1, 3, 0)
    assert (fnp.frexp.nin, fnp.frexp.nout) == (1, 2)
    assert isinstance(fnp.add, fnp.ufunc)
    assert repr(fnp.add) == "<ufunc 'funcgrad.numpy.add'>"
    assert fnp.asin is fnp.arcsin


def test_keywords_of_ufuncs() -> None:
    hold(lambda lib, x: lib.add(x, 1, dtype=np.float32), X.astype(np.float32))
    hold(lambda lib, x: lib.exp(x, casting="same_kind", order="K"), X)
    with pytest.raises(TypeError, match="signature= cannot be used"):
        fg.jit(lambda x: np.exp(x, signature="d->d"))(X)
    with pytest.raises(TypeError, match="would write"):
        fg.jit(lambda x: fnp.exp(x, out=np.zeros(3)))(X)
    with pytest.raises(TypeError, match="takes 1 array arguments"):
        fg.jit(lambda x: fnp.exp(x, np.zeros(3)))(X)


def test_where_of_ufuncs_hides_what_it_leaves_out() -> None:
    x = np.array([4.0, 0.0, -1.0])
    out = fg.jit(lambda x: np.log(x, where=x > 0))(x)
    np.testing.assert_array_equal(out, [np.log(4.0), 0, 0])
    np.testing.assert_array_equal(fg.grad(lambda x: np.sum(np.divide(1.0, x, where=x > 0)))(x), [-1 / 16, 0, 0])


# Reductions with masks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "var", "std", "all", "any"])
def test_traced_masks(name: str) -> None:
    hold(lambda lib, x, m: getattr(lib, name)(x, axis=1, where=m), X, B | (np.arange(5) == 2))


def test_masks_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"could not be broadcast|does not fit"):
        fg.jit(lambda x: np.sum(x, where=np.ones(4, bool)))(X)
    with pytest.raises(ValueError, match="does not fit"):
        fg.jit(lambda x: np.sum(x, where=np.ones((2, 3, 5), bool)))(X)


def test_means_given() -> None:
    hold(lambda lib, x: lib.var(x, axis=0, mean=lib.mean(x, axis=0, keepdims=True)), X)
    with pytest.raises(ValueError, match="simultaneously"):
        fg.jit(lambda x: np.var(x, ddof=1, correction=1))(X)


# Methods and attributes -----------------------------------------------------------------------------------------------

METHODS: list[Callable[[Any], Any]] = [
    lambda x: x.argsort(axis=1),
    lambda x: x.cumsum(axis=0),
    lambda x: x.cumprod(),
    lambda x: x[0].searchsorted(0.5),
    lambda x: x.compress([True, False, True], axis=0),
    lambda x: x.mean(where=x > 0),
    lambda x: x.round(1),
    lambda x: round(x[0, 0], 1) if x.ndim == 2 and not isinstance(x, np.ndarray) else x[0, 0].round(1),
    lambda x: x.view(np.int64),
    lambda x: x.astype(np.float32).view("u4"),
    lambda x: x.astype(np.float32, copy=False, casting="same_kind"),
    lambda x: x.flatten("F"),
    lambda x: copy.deepcopy(copy.copy(x)),
    lambda x: x.diagonal(1),
]


@pytest.mark.parametrize("method", METHODS)
def test_methods(method: Callable[[Any], Any]) -> None:
    assert_close(fg.jit(method)(X), np.asarray(method(X)), 2)


def test_every_attribute_of_arrays_is_there_or_refused() -> None:
    unexplained: list[str] = []

    def look(x: Any) -> Any:
        nonlocal unexplained
        for name in dir(np.ndarray):
            if name.startswith("__") or name in ("itemset", "newbyteorder"):
                continue
            try:
                getattr(x, name)
            except (AttributeError, TypeError) as error:
                unexplained += [name] if "traced array has no" not in str(error) else []
        return x

    fg.jit(look)(X)
    assert not unexplained


@pytest.mark.parametrize(
    ("misuse", "error", "remedy"),
    [
        (lambda x: x.sort(), TypeError, r"x = np\.sort\(x\)"),
        (lambda x: x.partition(2), TypeError, r"np\.partition"),
        (lambda x: x.fill(0), TypeError, r"np\.full_like"),
        (lambda x: x.put(0, 1), TypeError, r"x\.at\[indices\]\.set"),
        (lambda x: x.resize(3), TypeError, r"np\.resize"),
        (lambda x: x.strides, AttributeError, "shape and dtype"),
        (lambda x: x.ctypes, AttributeError, "no memory"),
        (lambda x: x.data, AttributeError, "no memory"),
        (lambda x: x.flags, AttributeError, "no meaning"),
        (lambda x: x.tobytes(), ConcretizationTypeError, "needs a known value"),
        (lambda x: math.sin(x[0, 0]), ConcretizationTypeError, r"np\.sin"),
        (lambda x: fnp.zeros(x[0, 0].astype(int)), TypeError, "static_argnums"),
        (lambda x: 1.0 in x, TypeError, "condition"),
        (lambda x: x.view(np.int16), TypeError, "bitcast_convert_type"),
        (lambda x: x.astype(np.int32, casting="safe"), TypeError, "according to the rule 'safe'"),
        (lambda x: np.add(np.zeros(3), x[0, :3], out=np.zeros(3)), TypeError, "would write"),
    ],
)
def test_refusals_teach(misuse: Callable[[Any], Any], error: type[Exception], remedy: str) -> None:
    with pytest.raises(error, match=remedy) as raised:
        fg.jit(misuse)(X)
    assert HERE in str(raised.value)


def test_writing_into_a_numpy_array_names_the_remedy() -> None:
    with pytest.raises(ValueError, match="setting an array element") as raised:  # NumPy's, with ours as its cause
        fg.jit(lambda x: np.zeros(3).__setitem__(0, x[0, 0]))(X)
    assert "np.stack" in str(raised.value.__cause__)


def test_values_that_are_known() -> None:
    seen: list[Any] = []

    def look(x: Any) -> Any:
        seen.append((x.tobytes(), 1.0 in x, fg.lax.stop_gradient(x).tolist()))
        return np.sum(x)

    fg.grad(look)(np.array([1.0, 2.0]))
    assert seen == [(np.array([1.0, 2.0]).tobytes(), True, [1.0, 2.0])]


def test_ufuncs_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(fnp.sum)) is fnp.sum


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 0.5, np.int8(2), True])
def test_powers_of_bools_have_the_dtypes_of_numpy(exponent: Any) -> None:
    """`x ** 2` is int8, `x ** 3` and `np.power(x, 2)` are int64."""
    x = np.array([True, False])
    for function in (lambda x: x**exponent, lambda x: np.power(x, exponent)):
        got, want = fg.jit(function)(x), function(x)
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)
