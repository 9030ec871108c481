"""Are the functions of networks right, finite where they should be, and smooth where JAX's are?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special

import funcgrad as fg
from funcgrad import nn
from tests.ops.numerics import assert_close, richardson

X = np.array([-900.0, -40.0, -3.0, -0.5, 0.25, 2.0, 7.0, 45.0, 900.0])
SMOOTH = X[2:7]


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
}


@pytest.mark.parametrize("name", REFERENCES)
def test_values(name: str) -> None:
    function, reference = REFERENCES[name]
    want = reference(X)
    scale = np.where(X < -5, 1e-300, 0)
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


def test_standardize() -> None:
    x = np.random.default_rng(0).normal(3, 2, (4, 100))
    z = nn.standardize(x)
    np.testing.assert_allclose(z.mean(-1), 0, atol=1e-14)
    np.testing.assert_allclose(z.std(-1), 1, rtol=1e-4)


def test_integers_become_floats() -> None:
    for f in (nn.sigmoid, nn.softplus, nn.gelu, nn.softmax, nn.silu):
        assert f(np.arange(3)).dtype == fg.jit(f)(np.arange(3)).dtype == np.float64
