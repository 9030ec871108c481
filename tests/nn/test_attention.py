"""Does attention look where it should?  Held against a loop over heads and queries, and against JAX."""

from __future__ import annotations

import itertools
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn

RANDOM = np.random.default_rng(0)
B, T, S, N, K, H = 2, 5, 7, 6, 2, 4
LOW = -0.7 * float(np.finfo(np.float32).max)


def operands(heads: int = N, groups: int = K, dtype: Any = np.float64) -> tuple[np.ndarray, ...]:
    shapes = (B, T, heads, H), (B, S, groups, H), (B, S, groups, H)
    return tuple(RANDOM.standard_normal(shape).astype(dtype) for shape in shapes)


def by_hand(q: Any, k: Any, v: Any, bias: Any = None, mask: Any = None, **options: Any) -> tuple[Any, Any]:
    """Query by query: the mean of the values, weighted by exponentials; and the logarithm of their sum."""
    out, sums = np.zeros(q.shape), np.zeros(q.shape[:3])
    scale = options.get("scale", 1 / np.sqrt(H))
    window = options.get("local_window_size")
    left, right = (window, window) if isinstance(window, int) else window or (T + S, T + S)
    q_lengths, k_lengths = options.get("query_seq_lengths"), options.get("key_value_seq_lengths")
    full = (B, N, T, S)
    for b, n, t in itertools.product(range(B), range(q.shape[2]), range(T)):
        g = n // (q.shape[2] // k.shape[2])
        scores = k[b, :, g] @ q[b, t, n] * scale
        scores = scores if bias is None else scores + np.broadcast_to(bias, full)[b, n, t]
        s = np.arange(S)
        allowed = (s >= t - left) & (s <= t + right)
        allowed &= np.ones(S, bool) if mask is None else np.broadcast_to(mask, full)[b, n, t]
        allowed &= s <= t if options.get("is_causal") else np.ones(S, bool)
        allowed &= s < k_lengths[b] if k_lengths is not None else np.ones(S, bool)
        counts = q_lengths is None or t < q_lengths[b]
        scores = np.where(allowed & counts, scores, LOW)
        weights = np.exp(scores - scores.max())
        sums[b, t, n] = np.log(weights.sum()) + scores.max()
        out[b, t, n] = weights @ v[b, :, g] / weights.sum() if counts else 0
    return out, sums


def masked() -> np.ndarray:
    mask = RANDOM.random((B, N, T, S)) < 0.5
    mask[0, 1, 2] = False  # a query that may look at nothing
    return mask


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "scale": {"scale": 0.3},
    "bias": {"bias": RANDOM.standard_normal((B, N, T, S))},
    "bias of every head": {"bias": RANDOM.standard_normal((1, 1, T, S))},
    "bias of two axes": {"bias": RANDOM.standard_normal((T, S))},
    "mask": {"mask": masked()},
    "mask of keys": {"mask": RANDOM.random((B, 1, 1, S)) < 0.5},
    "mask of nothing": {"mask": np.zeros((1, 1, 1, 1), bool)},
    "causal": {"is_causal": True},
    "lengths of queries": {"query_seq_lengths": np.array([0, 3], np.int32)},
    "lengths of keys": {"key_value_seq_lengths": np.array([2, 7], np.int32)},
    "window": {"local_window_size": 1},
    "two windows": {"local_window_size": (2, 0)},
    "everything": {
        "bias": RANDOM.standard_normal((B, 1, T, S)),
        "mask": masked(),
        "scale": 2.0,
        "is_causal": True,
        "query_seq_lengths": np.array([4, 5], np.int32),
        "key_value_seq_lengths": np.array([7, 3], np.int32),
        "local_window_size": (3, 1),
    },
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("mode", [lambda f: f, fg.jit], ids=["eager", "jit"])
def test_values(name: str, groups: int, mode: Any) -> None:
    q, k, v = operands(N, groups)
    want, want_sums = by_hand(q, k, v, **OPTIONS[name])
    f = lambda q, k, v: nn.dot_product_attention(q, k, v, **OPTIONS[name], return_residual=True)  # noqa: E731
    got, sums = mode(f)(q, k, v)
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(sums, want_sums, rtol=1e-12)


@pytest.mark.parametrize("name", ["bias of two axes", "mask of nothing", "everything"])
def test_values_and_gradients_agree_with_jax(name: str) -> None:
    jax = pytest.importorskip("jax")
    q, k, v = operands(dtype=np.float32)
    weights = RANDOM.standard_normal(q.shape).astype(np.float32)
    options = {n: x.astype(np.float32) if n == "bias" else x for n, x in OPTIONS[name].items()}
    bias = options.pop("bias", None)

    def loss(library: Any, np: Any) -> Any:
        def f(q: Any, k: Any, v: Any, bias: Any) -> Any:
            return np.sum(library.nn.dot_product_attention(q, k, v, bias, **options) * weights)

        return library.jit(library.value_and_grad(f, (0, 1, 2) if bias is None else (0, 1, 2, 3)))

    value, gradients = loss(fg, np)(q, k, v, bias)
    want, wanted = loss(jax, jax.numpy)(q, k, v, bias)
    np.testing.assert_allclose(value, want, rtol=1e-5)
    for g, w in zip(gradients, wanted, strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_narrow_floats_are_rounded_once(dtype: Any) -> None:
    q, k, v = operands(dtype=dtype)
    wide = nn.dot_product_attention(*(x.astype(np.float32) for x in (q, k, v)), is_causal=True)
    for f in (nn.dot_product_attention, fg.jit(nn.dot_product_attention, static_argnames="is_causal")):
        got = f(q, k, v, is_causal=True)
        assert got.dtype == dtype
        ulp = np.maximum(np.abs(wide), 1e-2) * (2.0**-10 if dtype == np.float16 else 2.0**-7)
        assert np.all(np.abs(got.astype(np.float32) - wide) <= ulp)


def test_under_vmap_and_without_a_batch() -> None:
    q, k, v = operands()
    want = nn.dot_product_attention(q, k, v, is_causal=True)
    each = fg.vmap(lambda q, k, v: nn.dot_product_attention(q, k, v, is_causal=True))
    np.testing.assert_allclose(each(q, k, v), want, rtol=1e-12)
    np.testing.assert_allclose(fg.jit(each)(q, k, v), want, rtol=1e-12)
    gradient = fg.grad(lambda q: np.sum(each(q, k, v) ** 2))(q)
    other = fg.grad(lambda q: np.sum(nn.dot_product_attention(q, k, v, is_causal=True) ** 2))(q)
    np.testing.assert_allclose(gradient, other, rtol=1e-10, atol=1e-12)


def test_the_gradient_is_that_of_differences() -> None:
    q, k, v = operands()
    f = lambda *x: np.sum(nn.dot_product_attention(*x, mask=OPTIONS["mask"]["mask"]) ** 2)  # noqa: E731
    gradients = fg.grad(f, (0, 1, 2))(q, k, v)
    for n, g in enumerate(gradients):
        t = RANDOM.standard_normal(g.shape)
        ahead, behind = ([x + sign * 1e-6 * t if m == n else x for m, x in enumerate((q, k, v))] for sign in (1, -1))
        np.testing.assert_allclose(np.sum(g * t), (f(*ahead) - f(*behind)) / 2e-6, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("mode", [lambda f: f, fg.jit], ids=["eager", "jit"])
@pytest.mark.parametrize(
    "shapes", [((2, 0, 4, 3), (2, 5, 2, 3)), ((0, 5, 4, 3), (0, 5, 2, 3))], ids=["queries", "examples"]
)
def test_nothing_at_all(mode: Any, shapes: Any) -> None:
    q, k = (np.zeros(shape) for shape in shapes)
    f = mode(lambda q, k: nn.dot_product_attention(q, k, k, is_causal=True, return_residual=True))
    assert [x.shape for x in f(q, k)] == [q.shape, q.shape[:3]]


def test_a_causal_mask_is_no_stored_array() -> None:
    x = np.zeros((1, 64, 1, 4), np.float32)
    text = (
        fg.jit(lambda x: nn.dot_product_attention(x, x, x, is_causal=True, local_window_size=8))
        .lower(x)
        .as_text("python")
    )
    assert "np.array(" not in text


def test_no_derivative_flows_through_the_residual() -> None:
    q, k, v = operands()
    f = lambda q: np.sum(nn.dot_product_attention(q, k, v, return_residual=True)[1])  # noqa: E731
    assert not np.any(fg.grad(f)(q))


Q, KV = np.zeros((2, 5, 6, 4)), np.zeros((2, 7, 2, 4))
BAD: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
    "dtypes": ((Q, KV.astype("f4"), KV), {}, "floats of one dtype, not float64, float32, float64"),
    "integers": ((Q.astype(int), KV.astype(int), KV.astype(int)), {}, "not int64, int64, int64"),
    "features": ((Q[..., :3], KV, KV), {}, r"shapes \(2, 5, 6, 3\), \(2, 7, 2, 4\) and"),
    "examples": ((Q[:1], KV, KV), {}, r"shapes \(1, 5, 6, 4\)"),
    "values": ((Q, KV, KV[:, 1:]), {}, r"and \(2, 6, 2, 4\)"),
    "heads": ((Q[:, :, :5], KV, KV), {}, "query heads, 5, is no multiple of that of key heads, 2"),
    "axes": ((Q[None], KV, KV), {}, "query has shape"),
    "mask": ((Q, KV, KV), {"mask": np.ones((5, 7))}, "mask must be bool, not float64"),
    "heads of a mask": ((Q, KV, KV), {"mask": np.ones((2, 3, 5, 7), bool)}, "its second extent must be 6 or 1"),
    "lengths": ((Q, KV, KV), {"query_seq_lengths": [1, 2, 3]}, r"query_seq_lengths must be integers of shape \(2,\)"),
    "float lengths": ((Q, KV, KV), {"key_value_seq_lengths": [1.0, 2.0]}, "must be integers .* not float64"),
    "implementation": ((Q, KV, KV), {"implementation": "cudnn"}, "implementation 'cudnn' is none of"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name: str) -> None:
    args, options, message = BAD[name]
    with pytest.raises(ValueError, match=f"dot_product_attention: .*{message}"):
        nn.dot_product_attention(*args, **options)
