"""Do layers compute their formulas, written out in NumPy?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.nn import layers
from tests.nn.layers.table import MASK, MEMORY, drawn

random = np.random.default_rng(0)
CLOSE: dict[str, Any] = {"rtol": 1e-12, "atol": 1e-13}


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_dense_and_feed_forward() -> None:
    layer, p, x, _ = drawn("dense")
    np.testing.assert_allclose(layer.apply(p, x), x @ p["kernel"] + p["bias"], **CLOSE)
    layer, p, x, _ = drawn("feed_forward, gated")
    gate = x @ p["gate"]["kernel"]
    expected = (gate * sigmoid(gate) * (x @ p["up"]["kernel"])) @ p["down"]["kernel"]
    np.testing.assert_allclose(layer.apply(p, x), expected, **CLOSE)


def test_embedding() -> None:
    layer, p, ids, _ = drawn("embedding")
    assert np.array_equal(layer.apply(p, ids), p["embedding"][ids])
    with pytest.raises(IndexError):
        fg.jit(layer.apply)(p, np.array([7]))


def windows(x: np.ndarray, k: int, l: int) -> np.ndarray:
    """(batch, rows, columns, k, l, channels)."""
    return np.moveaxis(np.lib.stride_tricks.sliding_window_view(x, (k, l), (1, 2)), 3, -1)


def test_conv() -> None:
    layer, p, x, _ = drawn("conv 2-d")
    seen = windows(x, 3, 2)
    halves = [np.einsum("brcklf,klfo->brco", seen[..., 2 * g : 2 * g + 2], p["kernel"][..., 3 * g : 3 * g + 3])
              for g in range(2)]  # fmt: skip
    np.testing.assert_allclose(layer.apply(p, x), np.concatenate(halves, -1) + p["bias"], **CLOSE)
    layer, p, x, _ = drawn("depthwise_conv")
    seen = windows(np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), 3, 3)
    expected = np.einsum("brcklf,klfm->brcfm", seen, p["kernel"].reshape(3, 3, 4, 2))
    np.testing.assert_allclose(layer.apply(p, x), expected.reshape(2, 6, 6, 8) + p["bias"], **CLOSE)


def test_conv_transpose_is_the_transpose_of_a_convolution() -> None:
    layer, p, x, _ = drawn("conv_transpose")
    p = p | {"bias": np.zeros(3)}
    turned = {"kernel": np.swapaxes(p["kernel"][::-1, ::-1], 2, 3), "bias": np.zeros(4)}
    y = random.standard_normal(layer.apply(p, x).shape)
    down = layers.conv(4, 3, strides=2)
    np.testing.assert_allclose(np.sum(layer.apply(p, x) * y), np.sum(x * down.apply(turned, y)), rtol=1e-11)


def test_pools() -> None:
    x = random.standard_normal((2, 6, 4, 3))
    tiles = x.reshape(2, 3, 2, 2, 2, 3)
    assert np.array_equal(layers.max_pool(2).apply({}, x), tiles.max((2, 4)))
    np.testing.assert_allclose(layers.avg_pool(2).apply({}, x), tiles.mean((2, 4)), **CLOSE)
    np.testing.assert_allclose(layers.global_avg_pool().apply({}, x), x.mean((1, 2)), **CLOSE)
    x = random.standard_normal((2, 5, 3))
    expected = [x[0, :3].mean(0), x[1].mean(0)]
    np.testing.assert_allclose(layers.global_avg_pool().apply({}, x, mask=MASK), expected, **CLOSE)
    assert np.array_equal(layers.global_max_pool().apply({}, x, mask=MASK), [x[0, :3].max(0), x[1].max(0)])
    none = layers.global_avg_pool().apply({}, x, mask=np.zeros((2, 5), bool))
    assert np.array_equal(none, np.zeros((2, 3)))


def normed(x: np.ndarray, axes: Any, epsilon: float = 1e-5) -> np.ndarray:
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


def test_norms() -> None:
    layer, p, x, _ = drawn("layer_norm")
    np.testing.assert_allclose(layer.apply(p, x), normed(x, -1) * p["scale"] + p["bias"], **CLOSE)
    layer, p, x, _ = drawn("layer_norm, two axes")
    np.testing.assert_allclose(layer.apply(p, x), normed(x, (1, 2)) * p["scale"], **CLOSE)
    layer, p, x, _ = drawn("rms_norm")
    expected = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * p["scale"]
    np.testing.assert_allclose(layer.apply(p, x), expected, **CLOSE)
    layer, p, x, _ = drawn("group_norm")
    expected = normed(x.reshape(2, 6, 6, 2, 2), (1, 2, 4)).reshape(x.shape) * p["scale"] + p["bias"]
    np.testing.assert_allclose(layer.apply(p, x), expected, **CLOSE)
    layer, p, x, _ = drawn("instance_norm")
    np.testing.assert_allclose(layer.apply(p, x), normed(x, (1, 2)) * p["scale"] + p["bias"], **CLOSE)


def steps(p: Any, x: np.ndarray, hidden: int, name: str) -> list[np.ndarray]:
    """The hidden states of one sequence (time, features)."""
    h = c = np.zeros(hidden)
    found = []
    for row in x:
        inner = h @ p["recurrent_kernel"]
        outer = row @ p["kernel"] + p.get("bias", 0)
        if name == "simple_rnn":
            h = np.tanh(outer + inner)
        elif name == "gru":
            r, z = np.split(sigmoid(outer + inner)[: 2 * hidden], 2)
            n = np.tanh(outer[2 * hidden :] + r * (inner[2 * hidden :] + p["recurrent_bias"]))
            h = (1 - z) * n + z * h
        else:
            i, f, g, o = np.split(outer + inner, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        found.append(h)
    return found


@pytest.mark.parametrize("name", ["simple_rnn", "gru", "lstm"])
def test_recurrent(name: str) -> None:
    layer, p, x, _ = drawn(name)
    np.testing.assert_allclose(layer.apply(p, x), [steps(p, row, 3, name) for row in x], **CLOSE)
    backwards = layer.apply(p, x, reverse=True)
    np.testing.assert_allclose(backwards, [steps(p, row[::-1], 3, name)[::-1] for row in x], **CLOSE)
    last = getattr(layers, name)(3, return_sequences=False)
    np.testing.assert_allclose(last.apply(p, x), [steps(p, row, 3, name)[-1] for row in x], **CLOSE)


def test_the_forget_gate_begins_open() -> None:
    params = layers.lstm(2).init(fg.random.key(0), (1, 3, 4))
    assert params["bias"].tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
    recurrent = params["recurrent_kernel"]
    for gate in np.split(recurrent, 4, axis=1):  # each orthogonal by itself
        np.testing.assert_allclose(gate @ gate.T, np.eye(2), atol=1e-6)


def attended(q: np.ndarray, k: np.ndarray, v: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """(batch, time, heads, features)."""
    scores = np.einsum("bthf,bshf->bhts", q, k) / np.sqrt(q.shape[-1])
    return np.einsum("bhts,bshf->bthf", softmax(np.where(allowed, scores, -np.inf)), v)


def turned(x: np.ndarray) -> np.ndarray:
    """Pairs of features as complex numbers, turned by their positions."""
    half = x.shape[-1] // 2
    angles = np.arange(x.shape[1])[:, None, None] * 10000.0 ** (-np.arange(half) / half)
    z = (x[..., :half] + 1j * x[..., half:]) * np.exp(1j * angles)
    return np.concatenate([z.real, z.imag], -1)


def test_attention() -> None:
    layer, p, x, _ = drawn("multi_head_attention")
    first = p["query_key_value"]
    q, k, v = np.split((x @ first["kernel"] + first["bias"]).reshape(2, 5, 6, 4), 3, axis=2)
    out = attended(q, k, v, MASK[:, None, None]).reshape(2, 5, 8)
    expected = out @ p["output"]["kernel"] + p["output"]["bias"]
    np.testing.assert_allclose(layer.apply(p, x, mask=MASK), expected, **CLOSE)
    full = np.broadcast_to(MASK[:, None], (2, 5, 5))
    np.testing.assert_allclose(layer.apply(p, x, mask=full), expected, **CLOSE)
    np.testing.assert_allclose(layer.apply(p, x, mask=full[:, None]), expected, **CLOSE)


def test_causal_attention_with_grouped_heads_and_rotations() -> None:
    layer, p, x, _ = drawn("multi_head_attention, grouped")
    heads = (x @ p["query_key_value"]["kernel"]).reshape(2, 5, 8, 2)
    q, k, v = heads[:, :, :4], heads[:, :, 4:6], heads[:, :, 6:]
    k, v = (np.repeat(part, 2, axis=2) for part in (turned(k), v))
    out = attended(turned(q), k, v, np.tril(np.ones((5, 5), bool)))
    np.testing.assert_allclose(layer.apply(p, x), out.reshape(2, 5, 8) @ p["output"]["kernel"], **CLOSE)


def test_cross_attention() -> None:
    layer, p, x, _ = drawn("cross_attention")
    q = (x @ p["query"]["kernel"] + p["query"]["bias"]).reshape(2, 5, 2, 4)
    k, v = np.split((MEMORY @ p["key_value"]["kernel"] + p["key_value"]["bias"]).reshape(2, 3, 4, 4), 2, axis=2)
    mask = np.array([[True, False, True], [True, True, False]])
    out = attended(q, k, v, mask[:, None, None]).reshape(2, 5, 8)
    expected = out @ p["output"]["kernel"] + p["output"]["bias"]
    np.testing.assert_allclose(layer.apply(p, x, memory=MEMORY, memory_mask=mask), expected, **CLOSE)


def test_dropout_of_attention_weights() -> None:
    _, p, x, _ = drawn("multi_head_attention")
    layer, key = layers.multi_head_attention(2, dropout=0.25), fg.random.key(3)
    first = p["query_key_value"]
    q, k, v = np.split((x @ first["kernel"] + first["bias"]).reshape(2, 5, 6, 4), 3, axis=2)
    weights = softmax(np.einsum("bthd,bshd->bhts", q, k) / 2)
    keep = np.asarray(fg.random.bernoulli(key, 0.75, (2, 2, 1, 5, 5))).reshape(2, 2, 5, 5)
    assert 0 < keep.mean() < 1
    out = np.einsum("bhts,bshd->bthd", keep * weights / 0.75, v).reshape(2, 5, 8)
    expected = out @ p["output"]["kernel"] + p["output"]["bias"]
    np.testing.assert_allclose(layer.apply(p, x, key=key, train=True), expected, **CLOSE)
    drop = fg.jit(lambda p, x, key: layer.apply(p, x, key=key, train=True))
    np.testing.assert_allclose(drop(p, x, key), expected, **CLOSE)
    plain = layers.multi_head_attention(2).apply(p, x)
    np.testing.assert_array_equal(layer.apply(p, x, key=key), plain)  # it is for training only
    np.testing.assert_array_equal(layers.multi_head_attention(2).apply(p, x, key=key, train=True), plain)
    nothing = layers.multi_head_attention(2, dropout=1.0).apply(p, x, key=key, train=True)
    np.testing.assert_allclose(nothing, np.broadcast_to(p["output"]["bias"], x.shape), **CLOSE)


@pytest.mark.parametrize("make", [
    lambda rate: layers.multi_head_attention(2, causal=True, dropout=rate),
    lambda rate: layers.cross_attention(2, dropout=rate),
    lambda rate: layers.transformer_block(2, 16, cross=True, attention_dropout=rate),
])  # fmt: skip
def test_attentions_with_dropout_have_the_mean_of_those_without(make: Any) -> None:
    layer, x, memory = make(0.25), random.standard_normal((1, 4, 8)), random.standard_normal((1, 3, 8))
    inputs = {"memory": memory} if "memory" in layer.accepts else {}
    params = layer.init(fg.random.key(0), x.shape)

    @fg.jit
    @fg.vmap
    def found(key: Any) -> Any:
        return layer.apply(params, x, key=key, train=True, **inputs)

    draws = found(fg.random.split(fg.random.key(1), 4000))
    assert draws.std(0).max() > 1e-3
    assert np.array_equal(draws, found(fg.random.split(fg.random.key(1), 4000)))
    if "multi" in layer.name or layer.name in ("attention", "cross_attention"):  # linear in the weights
        np.testing.assert_allclose(draws.mean(0), make(0.0).apply(params, x, **inputs), atol=6 * draws.std() / 60)
    with pytest.raises(ValueError, match=r"attention: dropout in training needs random numbers: pass key="):
        layer.apply(params, x, train=True, **inputs)


def test_dropout_while_a_sequence_is_continued() -> None:
    layer, x = layers.multi_head_attention(2, causal=True, dropout=0.5), random.standard_normal((1, 4, 8))
    params, cache = layer.init(fg.random.key(0), x.shape), layer.init_cache(x.shape)  # type: ignore[misc]
    key = fg.random.key(1)
    out, _ = layer.apply(params, x, key=key, train=True, state=cache)
    np.testing.assert_allclose(out, layer.apply(params, x, key=key, train=True), rtol=1e-5, atol=1e-6)


def test_positions() -> None:
    table = layers.sinusoidal_table(7, 6, dtype=np.float64)
    for position in range(7):
        for k in range(3):
            angle = position / 10000 ** (2 * k / 6)
            np.testing.assert_allclose(table[position, 2 * k : 2 * k + 2], [np.sin(angle), np.cos(angle)], **CLOSE)
    x = random.standard_normal((2, 7, 6))
    np.testing.assert_allclose(layers.sinusoidal_positions().apply({}, x), x + table, **CLOSE)
    at = np.array([[3, 3, 0, 1, 2, 6, 5], [0, 1, 2, 3, 4, 5, 6]])
    np.testing.assert_allclose(layers.sinusoidal_positions().apply({}, x, positions=at), x + table[at], **CLOSE)
    learned = {"embedding": random.standard_normal((9, 6))}
    layer = layers.learned_positions(9)
    np.testing.assert_allclose(layer.apply(learned, x), x + learned["embedding"][:7], **CLOSE)
    np.testing.assert_allclose(layer.apply(learned, x, positions=at), x + learned["embedding"][at], **CLOSE)


def test_rotations_depend_on_distances_only() -> None:
    q, k = random.standard_normal((2, 1, 9, 1, 4))
    same = np.broadcast_to(q[:, :1], q.shape), np.broadcast_to(k[:, :1], k.shape)
    scores = np.einsum("bthf,bshf->ts", *map(layers.rotary, same))
    np.testing.assert_allclose(scores[1:, 1:], scores[:-1, :-1], rtol=1e-10)
    np.testing.assert_allclose(layers.rotary(q), turned(q), **CLOSE)
