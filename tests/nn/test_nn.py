"""Are the functions of networks right, finite where they should be, and smooth where JAX's are?"""

from __future__ import annotations

import functools
import subprocess
import sys
from typing import Any

import ml_dtypes
import mpmath
import numpy as np
import pytest
import scipy.special

import funcgrad as fg
from funcgrad import nn
from tests.ops.numerics import assert_close, richardson

X = np.array([-900.0, -40.0, -3.0, -0.5, 0.25, 2.0, 7.0, 45.0, 900.0])
SMOOTH = X[2:7] + 0.03  # away from kinks, and from steps of differences


def reference_gelu(x: Any) -> Any:
    """x Φ(x)."""
    return x * scipy.special.ndtr(x)


REFERENCES: dict[str, tuple[Any, Any]] = {
    "relu": (nn.relu, lambda x: np.maximum(x, 0)),
    "relu6": (nn.relu6, lambda x: np.clip(x, 0, 6)),
    "leaky_relu": (nn.leaky_relu, lambda x: np.where(x >= 0, x, 0.01 * x)),
    "elu": (nn.elu, lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0)))),
    "selu": (
        nn.selu,
        lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0))),
    ),
    "sigmoid": (nn.sigmoid, scipy.special.expit),
    "log_sigmoid": (nn.log_sigmoid, scipy.special.log_expit),
    "softplus": (nn.softplus, lambda x: np.logaddexp(x, 0)),
    "silu": (nn.silu, lambda x: x * scipy.special.expit(x)),
    "soft_sign": (nn.soft_sign, lambda x: x / (1 + np.abs(x))),
    "tanh": (nn.tanh, np.tanh),
    "gelu": (lambda x: nn.gelu(x, approximate=False), reference_gelu),
    "identity": (nn.identity, lambda x: x),
    "celu": (lambda x: nn.celu(x, 2.0), lambda x: np.where(x > 0, x, 2 * np.expm1(np.minimum(x, 0) / 2))),
    "hard_sigmoid": (nn.hard_sigmoid, lambda x: np.clip(x + 3, 0, 6) / 6),
    "hard_silu": (nn.hard_silu, lambda x: x * np.clip(x + 3, 0, 6) / 6),
    "hard_tanh": (nn.hard_tanh, lambda x: np.clip(x, -1, 1)),
    "mish": (nn.mish, lambda x: x * np.tanh(np.logaddexp(x, 0))),
    "sparse_plus": (nn.sparse_plus, lambda x: np.where(np.abs(x) < 1, (x + 1) ** 2 / 4, np.maximum(x, 0))),
    "sparse_sigmoid": (nn.sparse_sigmoid, lambda x: np.clip((x + 1) / 2, 0, 1)),
    "squareplus": (nn.squareplus, lambda x: (x + np.sqrt(x * x + 4)) / 2),
}
ONE_ULP_OF_X = ("squareplus",)  # the difference of x and its root


@pytest.mark.parametrize("name", REFERENCES)
def test_values(name: str) -> None:
    function, reference = REFERENCES[name]
    want = reference(X)
    scale = np.abs(X) if name in ONE_ULP_OF_X else np.where(X < -5, 1e-300, 0)
    assert_close(function(X), want, 8, scale)
    assert_close(fg.jit(function)(X), want, 8, scale)
    assert type(function(X)) is fg.Array
    assert function(X.astype("f4")).dtype == fg.jit(function)(X.astype("f4")).dtype == np.float32


@pytest.mark.parametrize("name", REFERENCES)
def test_gradients(name: str) -> None:
    function, reference = REFERENCES[name]
    gradient = fg.grad(lambda x: np.sum(function(x)))(SMOOTH)
    np.testing.assert_allclose(gradient, richardson(reference, [SMOOTH], [np.ones(5)]), rtol=1e-9, atol=1e-10)
    ends = fg.jit(fg.grad(lambda x: np.sum(function(x))))(X)
    assert np.all(np.isfinite(ends))


def test_relu_at_zero_and_nan() -> None:
    assert fg.grad(nn.relu)(0.0) == 0
    assert np.isnan(nn.relu(np.nan))
    assert np.isnan(fg.jit(nn.relu)(np.nan))


@pytest.mark.parametrize("axis", [-1, 0, (0, 1)], ids=str)
def test_softmax_family(axis: Any) -> None:
    x = np.array([[1000.0, 1001.0, 999.0], [-1000.0, 0.5, 2.0]])
    for f in (lambda g: g, fg.jit):
        assert_close(f(lambda x: nn.softmax(x, axis))(x), scipy.special.softmax(x, axis), 8, np.ones_like(x))
        assert_close(
            f(lambda x: nn.log_softmax(x, axis))(x), scipy.special.log_softmax(x, axis), 8, np.full_like(x, 2000)
        )
        assert_close(f(lambda x: nn.logsumexp(x, axis))(x), np.asarray(scipy.special.logsumexp(x, axis)), 8)
    gradient = fg.grad(lambda x: np.sum(nn.logsumexp(x, axis)))(x)
    np.testing.assert_allclose(gradient, scipy.special.softmax(x, axis), atol=1e-15)


def test_logsumexp_of_infinities() -> None:
    low = np.full(3, -np.inf)
    assert nn.logsumexp(low) == -np.inf
    assert nn.logsumexp(np.array([np.inf, 1.0])) == np.inf
    assert np.isnan(nn.logsumexp(np.array([np.nan, 1.0])))
    assert nn.logsumexp(np.array([-np.inf, 2.0])) == 2
    np.testing.assert_array_equal(fg.grad(nn.logsumexp)(np.array([-np.inf, 2.0])), [0, 1])


def test_one_hot() -> None:
    codes = np.array([0, 2, -1, 3])
    want = np.array([[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]], float)
    for f in (nn.one_hot, fg.jit(nn.one_hot, static_argnums=1)):
        assert_close(f(codes, 3), want, 0)
    assert_close(nn.one_hot(codes, 3, axis=0), want.T, 0)
    assert nn.one_hot(codes, 3, dtype=np.float32).dtype == np.float32
    assert nn.one_hot(np.int64(1), 3).shape == (3,)


def test_one_hot_along_an_axis_of_vmap() -> None:
    codes = np.array([0, 2, 2])
    rows = fg.vmap(lambda _: nn.one_hot(codes, 3, axis="i"), axis_name="i")(np.zeros(3))
    np.testing.assert_array_equal(rows, nn.one_hot(codes, 3).T)
    with pytest.raises(ValueError, match="axis 'i' has 3 examples, not num_classes = 4"):
        fg.vmap(lambda _: nn.one_hot(codes, 4, axis="i"), axis_name="i")(np.zeros(3))


@pytest.mark.parametrize("algorithm", ["stable", "fast"])
def test_standardize(algorithm: str) -> None:
    x = np.random.default_rng(0).normal(3, 2, (4, 100))
    z = nn.standardize(x, algorithm=algorithm)
    np.testing.assert_allclose(z.mean(-1), 0, atol=1e-14)
    np.testing.assert_allclose(z.std(-1), 1, rtol=1e-4)
    where = x > 1
    z = nn.standardize(x, 0, where=where, algorithm=algorithm, epsilon=0.0)
    np.testing.assert_allclose(np.mean(z, 0, where=where), 0, atol=1e-12)
    np.testing.assert_allclose(np.std(z, 0, where=where), np.where(where.sum(0) > 1, 1, 0), rtol=1e-9)
    np.testing.assert_allclose(nn.standardize(x, mean=1.0, variance=4.0, epsilon=0.0), (x - 1) / 2)


def test_standardize_far_from_zero() -> None:
    x = np.array([1e4, 1e4 + 1, 1e4 + 2], np.float32)
    np.testing.assert_allclose(nn.standardize(x, epsilon=0.0), [-np.sqrt(1.5), 0, np.sqrt(1.5)], rtol=1e-6)


def test_integers_become_floats() -> None:
    for f in (nn.sigmoid, nn.softplus, nn.gelu, nn.softmax, nn.silu):
        assert f(np.arange(3)).dtype == fg.jit(f)(np.arange(3)).dtype == np.float64
    for f in (nn.relu, nn.hard_tanh, nn.identity):
        assert f(np.arange(3)).dtype == fg.jit(f)(np.arange(3)).dtype == np.int64


@pytest.mark.parametrize("name", ["glu", "log1mexp", "softmax", "logmeanexp", *REFERENCES])
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16], ids=["float16", "bfloat16"])
def test_narrow_floats_are_rounded_once(name: str, dtype: Any) -> None:
    function = getattr(nn, name)
    x = np.abs(SMOOTH[:4]).astype(dtype)
    want = np.asarray(function(x.astype(np.float32))).astype(dtype)
    for f in (function, fg.jit(function)):
        got = f(x)
        assert got.dtype == dtype
        np.testing.assert_allclose(
            got.astype(float), want.astype(float), rtol=2.0 ** (-10 if dtype == np.float16 else -7)
        )


def test_a_float16_softmax_of_many_logits_does_not_overflow() -> None:
    assert np.all(nn.softmax(np.zeros(100_000, np.float16)) == np.float16(1e-5))


def test_glu() -> None:
    x = np.random.default_rng(0).standard_normal((3, 4))
    np.testing.assert_allclose(nn.glu(x), x[:, :2] * scipy.special.expit(x[:, 2:]))
    with pytest.raises(ValueError, match="glu: the extent 3 of axis 0 is odd"):
        nn.glu(x, 0)


def test_log1mexp_at_both_ends() -> None:
    x = np.array([0.0, 1e-300, 1e-10, 0.5, 0.7, 1.0, 40.0, 700.0, np.inf])
    with mpmath.workdps(400):
        want = np.array([-np.inf, *(float(mpmath.log(1 - mpmath.exp(-mpmath.mpf(v)))) for v in x[1:-1]), 0])
        slopes = np.array([np.inf, *(float(1 / mpmath.expm1(mpmath.mpf(v))) for v in x[1:-1]), 0])
    for f in (nn.log1mexp, fg.jit(nn.log1mexp)):
        np.testing.assert_allclose(f(x), want, rtol=1e-15)
    np.testing.assert_allclose(fg.jit(fg.grad(lambda x: np.sum(nn.log1mexp(x))))(x), slopes, rtol=1e-14)
    assert np.isnan(nn.log1mexp(-1.0))


def test_where_of_the_softmax_family() -> None:
    x = np.array([[1.0, 2.0, np.nan], [3.0, np.inf, 4.0], [1.0, 2.0, 3.0]])
    where = np.array([[True, True, False], [True, False, True], [False, False, False]])
    kept = scipy.special.softmax([1.0, 2.0])
    want = np.array([[*kept, 0], [kept[0], 0, kept[1]], [0, 0, 0]])
    want[1] = [1 / (1 + np.e), 0, np.e / (1 + np.e)]
    for mode in (lambda f: f, fg.jit):
        np.testing.assert_allclose(mode(lambda x: nn.softmax(x, where=where))(x), want)
        with np.errstate(divide="ignore"):
            np.testing.assert_allclose(mode(lambda x: nn.log_softmax(x, where=where))(x), np.log(want), rtol=1e-14)
        sums = [np.log(np.exp(1) + np.exp(2)), np.log(np.exp(3) + np.exp(4)), -np.inf]
        np.testing.assert_allclose(mode(lambda x: nn.logsumexp(x, -1, where=where))(x), sums)
        means = np.array([*(s - np.log(2) for s in sums[:2]), np.nan])
        np.testing.assert_allclose(mode(lambda x: nn.logmeanexp(x, -1, where=where))(x), means)
        gradient = mode(fg.grad(lambda x: np.sum(nn.softmax(x, where=where) * x.shape[0] * np.arange(3))))(x)
        assert np.all(np.isfinite(gradient))
        assert not np.any(gradient[~where])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_derivatives_of_logsumexp_are_no_subnormal_numbers(dtype: type) -> None:
    tiny = float(np.log(np.finfo(dtype).tiny))
    x = np.array([0, tiny + 0.01, tiny - 0.01, tiny - 10, -np.inf, 1], dtype) - dtype(1)
    weights = fg.jit(fg.grad(nn.logsumexp))(x)
    assert not np.any((weights > 0) & (weights < np.finfo(dtype).tiny))
    np.testing.assert_allclose(weights[[0, 5]], np.exp([-1, 0]) / (1 + np.exp(-1)), rtol=1e-6)
    assert nn.logsumexp(x[1:4]) == pytest.approx(tiny - 1 + 0.01 + np.log1p(np.exp(-0.02) + np.exp(-10.01)), rel=1e-6)


def test_logsumexp_with_factors_and_signs() -> None:
    a, b = np.array([1.0, 2.0, np.nan]), np.array([1.0, -3.0, 0.0])
    total = np.exp(1) - 3 * np.exp(2)
    value, sign = nn.logsumexp(a, b=b, return_sign=True)
    np.testing.assert_allclose(value, np.log(-total))
    assert sign == -1
    assert np.isnan(nn.logsumexp(a, b=b))
    np.testing.assert_allclose(fg.jit(lambda a: nn.logsumexp(a, b=-b))(a), np.log(-total))
    gradient = fg.grad(lambda b: nn.logsumexp(a[:2], b=b))(-b[:2])
    np.testing.assert_allclose(gradient, np.exp(a[:2]) / -total)


def test_nothing_at_all() -> None:
    empty = np.zeros((2, 0))
    for f in (nn.softmax, nn.log_softmax, nn.relu, nn.gelu):
        assert f(empty).shape == fg.jit(f)(empty).shape == (2, 0)
    assert np.all(nn.logsumexp(empty, -1) == -np.inf)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_one_infinity_or_nan_makes_a_softmax_nan(value: float) -> None:
    x = np.array([value, 1.0, 2.0])
    for f in (nn.softmax, nn.log_softmax):
        assert np.all(np.isnan(f(x)))
        assert np.all(np.isnan(fg.jit(f)(x)))


def test_results_are_arrays_of_their_own() -> None:
    x = np.ones(3)
    for f in (nn.identity, nn.relu, nn.relu6, nn.hard_tanh):
        assert not np.shares_memory(f(x), x)


def test_bad_input() -> None:
    with pytest.raises(TypeError, match="sigmoid does not accept None"):
        nn.sigmoid(None)
    with pytest.raises(TypeError, match="gelu does not accept complex numbers"):
        nn.gelu(1j)
    with pytest.raises(np.exceptions.AxisError):
        nn.softmax(np.ones(3), 1)
    with pytest.raises(ValueError, match="unknown algorithm 'slow'"):
        nn.standardize(np.ones(3), algorithm="slow")
    with pytest.raises(np.exceptions.AxisError, match="one_hot: axis 2 is out of bounds"):
        nn.one_hot(np.arange(3), 3, axis=2)


def test_initializers_and_layers_are_imported_when_somebody_asks_for_them() -> None:
    code = "import sys, funcgrad; print([m for m in sys.modules if m.startswith(('funcgrad.nn.i', 'funcgrad.random'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert nn.initializers.zeros(None, (1,)) == 0
    with pytest.raises(AttributeError, match="has no attribute 'initialisers'"):
        nn.initialisers  # noqa: B018


# JAX -----------------------------------------------------------------------------------------------------------------

FULL = np.array([-np.inf, -900, -6, -3, -1, -0.5, -0.0, 0.0, 1e-3, 1, 2, 3, 6, 45, 900, np.inf, np.nan, 0.25])
ALONG = ("softmax", "log_softmax", "logsumexp", "logmeanexp", "standardize")
# Where JAX's derivatives are NaN or 0 and ours are not, or the reverse: see docs/differences.md.
OTHER_SLOPES = {"relu": [16], "relu6": [16], "hard_sigmoid": [16], "sparse_plus": [0, 15], "log1mexp": [0, 1]}
JAX_NAMES = sorted({*REFERENCES, *ALONG, "glu", "log1mexp", "swish", "hard_swish"})


def argument(name: str, dtype: str) -> np.ndarray:
    return (FULL[1:15] / 20 if name in ALONG else FULL).astype(dtype)


@functools.cache
def by_jax(dtype: str) -> dict[str, Any]:
    """Values and gradients of every function, from one compilation."""
    jax = pytest.importorskip("jax")

    def everything(xs: dict[str, Any]) -> dict[str, Any]:
        functions = {name: getattr(jax.nn, name) for name in xs}
        slope = lambda f: jax.grad(lambda x: jax.numpy.sum(f(x)))  # noqa: E731
        return {name: (f(xs[name]), slope(f)(xs[name])) for name, f in functions.items()}

    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, jax.jit(everything)({name: argument(name, dtype) for name in JAX_NAMES}))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", JAX_NAMES)
def test_values_and_gradients_are_those_of_jax(name: str, dtype: str) -> None:
    want, slopes = by_jax(dtype)[name]
    x, ours = argument(name, dtype), getattr(nn, name)
    tolerance = 2e-6 if dtype == "f4" else 1e-12
    got = ours(x)
    assert got.dtype == want.dtype
    absolute = {"gelu": 1e-9, "standardize": 1e-7 if dtype == "f4" else 1e-15}.get(name, 1e-14)
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=absolute)
    known = np.ones(x.shape, bool)
    known[OTHER_SLOPES.get(name, [])] = False
    gradient = fg.jit(fg.grad(lambda x: np.sum(ours(x))))(x)
    np.testing.assert_allclose(gradient[known], slopes[known], rtol=20 * tolerance, atol=20 * tolerance)


def test_every_name_of_jax_is_there() -> None:
    jax = pytest.importorskip("jax")
    names = {name for name in dir(jax.nn) if not name.startswith("_")}
    assert names - set(dir(nn)) - {"initializers"} == {"get_scaled_dot_general_config"}
