"""Are convolutions and pooling of networks right?  Against loops over windows, and PyTorch's where it has the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax, nn
from tests.ops.numerics import richardson

RNG = np.random.default_rng(7)
X = RNG.standard_normal((2, 7, 6, 3))


def pooled(x: np.ndarray, fold: Any, window: tuple[int, int], strides: tuple[int, int]) -> np.ndarray:
    """Windows of an array without padding, one by one."""
    rows = range(0, x.shape[1] - window[0] + 1, strides[0])
    columns = range(0, x.shape[2] - window[1] + 1, strides[1])
    return np.stack(
        [np.stack([fold(x[:, i : i + window[0], j : j + window[1]], (1, 2)) for j in columns], 1) for i in rows], 1
    )


@pytest.mark.parametrize(("own", "fold"), [(nn.max_pool, np.max), (nn.min_pool, np.min), (nn.avg_pool, np.mean)])
@pytest.mark.parametrize(("window", "strides"), [((2, 2), (2, 2)), ((3, 2), (2, 1)), ((7, 6), (1, 1))], ids=str)
def test_pooling(own: Any, fold: Any, window: Any, strides: Any) -> None:
    want = pooled(X, fold, window, strides)
    np.testing.assert_allclose(own(X, window, strides), want, rtol=1e-14)
    np.testing.assert_allclose(fg.jit(lambda x: own(x, window, strides))(X), want, rtol=1e-14)
    weights = RNG.standard_normal(want.shape)
    direction = RNG.standard_normal(X.shape)
    f = lambda x: (own(x, window, strides) * weights).sum()  # noqa: E731
    slope = (fg.jit(fg.grad(f))(X) * direction).sum()
    np.testing.assert_allclose(slope, richardson(f, [X], [direction], 1e-4), rtol=1e-6)


def test_the_window_moves_by_one_unless_told() -> None:
    assert nn.max_pool(X, (2, 2)).shape == (2, 6, 5, 3)


def test_padding_of_means() -> None:
    x = np.ones((1, 3, 3, 1))
    assert nn.avg_pool(x, (2, 2), (1, 1), "SAME")[0, :, :, 0].tolist() == [[1, 1, 0.5], [1, 1, 0.5], [0.5, 0.5, 0.25]]
    for f in (nn.avg_pool, fg.jit(nn.avg_pool, static_argnums=(1, 2, 3, 4))):
        assert np.all(np.asarray(f(x, (2, 2), (1, 1), "SAME", False)) == 1)
    assert nn.max_pool(-x, (2, 2), (1, 1), [(1, 0), (0, 1)]).tolist() == (-x).tolist()


@pytest.mark.parametrize("dtype", ["f2", "f4", "i4", "u1"])
def test_dtypes_of_pooling(dtype: str) -> None:
    x = RNG.integers(0, 9, (4, 4, 2)).astype(dtype)
    for f in (nn.max_pool, nn.min_pool):
        got = fg.jit(lambda x, f=f: f(x, (2, 2), (2, 2)))(x)
        assert got.dtype == x.dtype
        np.testing.assert_array_equal(got, f(x, (2, 2), (2, 2)))


def test_batches_of_any_shape() -> None:
    w = RNG.standard_normal((3, 2, 3, 4))
    x = RNG.standard_normal((2, 5, 7, 6, 3))
    each = np.stack([nn.conv(part, w, 2) for part in x])
    np.testing.assert_allclose(fg.jit(lambda x: nn.conv(x, w, 2))(x), each, rtol=1e-12)
    np.testing.assert_allclose(nn.conv(x[0, 0], w, 2), each[0, 0], rtol=1e-12)
    assert nn.max_pool(x, (2, 2), (2, 2)).shape == (2, 5, 3, 3, 3)
    assert nn.max_pool(x[0, 0], (2, 2), (2, 2)).shape == (3, 3, 3)


def test_a_convolution_is_that_of_lax() -> None:
    w = RNG.standard_normal((3, 2, 1, 6))
    want = lax.conv_general_dilated(X, w, (1, 2), "SAME", None, (2, 1), ("NHWC", "HWIO", "NHWC"), feature_group_count=3)
    got = nn.conv(X, w, (1, 2), kernel_dilation=(2, 1), feature_group_count=3)
    np.testing.assert_array_equal(got, want)


def test_space_may_be_a_torus() -> None:
    w = RNG.standard_normal((3, 3, 3, 2))
    f = fg.jit(lambda x: nn.conv(x, w, padding="CIRCULAR"))
    turned = np.roll(f(X), (2, 3), (1, 2))
    np.testing.assert_allclose(f(np.roll(X, (2, 3), (1, 2))), turned, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.max_pool(X, (2, 2, 2, 2)), r"\(2, 7, 6, 3\)"),
        (lambda: nn.max_pool(X, (2, 2), (2,)), "strides .* length 2"),
        (lambda: nn.conv(X, np.ones((3, 3, 4, 2))), "do not fit"),
        (lambda: nn.conv(X, np.ones((3, 3, 3, 2)), (1, 2, 3)), "length 2"),
    ],
)
def test_mistakes(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_pytorch_pools_alike() -> None:
    torch = pytest.importorskip("torch")
    x = X.copy()
    x[:, 2:5] = 1.0  # ties
    weights = RNG.standard_normal((2, 3, 3, 3))
    peer = torch.tensor(np.moveaxis(x, -1, 1).copy(), requires_grad=True)
    out = torch.nn.functional.max_pool2d(peer, 2, 2)
    (out * torch.tensor(np.moveaxis(weights, -1, 1).copy())).sum().backward()
    got = fg.jit(fg.grad(lambda x: (nn.max_pool(x, (2, 2), (2, 2)) * weights).sum()))(x)
    np.testing.assert_allclose(np.moveaxis(got, -1, 1), peer.grad.numpy())
