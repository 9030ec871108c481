"""Do masks, directions and pieces of sequences give what whole, unpadded sequences give?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.nn import layers

random = np.random.default_rng(0)
LENGTHS = (6, 1, 4)
MASK = np.arange(6) < np.array(LENGTHS)[:, None]
CLOSE: dict[str, Any] = {"rtol": 1e-11, "atol": 1e-12}
KINDS: dict[str, Callable[..., layers.Layer]] = {
    "simple_rnn": layers.simple_rnn,
    "gru": layers.gru,
    "lstm": layers.lstm,
}
NETS: dict[str, Callable[[Callable[..., layers.Layer]], layers.Layer]] = {
    "one": lambda make: make(5, dtype=float),
    "bidirectional": lambda make: layers.bidirectional(make(5, dtype=float)),
    "stacked": lambda make: layers.stacked(
        layers.bidirectional(make(5, dtype=float)), layers.bidirectional(make(4, dtype=float), combine="add")
    ),
    "last": lambda make: layers.bidirectional(make(5, return_sequences=False, dtype=float)),
}


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("kind", KINDS)
def test_padded_sequences_are_as_unpadded_ones(kind: str, net: str) -> None:
    layer = NETS[net](KINDS[kind])
    params = layer.init(fg.random.key(0), (1, 6, 3))
    x = random.standard_normal((3, 6, 3))
    x[~MASK] = 1e3
    y = fg.jit(lambda params, x: layer.apply(params, x, mask=MASK))(params, x)
    for k, length in enumerate(LENGTHS):
        alone = layer.apply(params, x[k : k + 1, :length])[0]
        if net == "last":
            np.testing.assert_allclose(y[k], alone, **CLOSE)
        else:
            np.testing.assert_allclose(y[k, :length], alone, **CLOSE)
            assert not np.any(y[k, length:])


@pytest.mark.parametrize("kind", KINDS)
def test_padding_has_no_gradient(kind: str) -> None:
    layer = layers.bidirectional(KINDS[kind](4, dtype=float))
    params = layer.init(fg.random.key(0), (1, 6, 3))
    x = random.standard_normal((3, 6, 3))
    gradient = fg.grad(lambda x: fg.numpy.sum(layer.apply(params, x, mask=MASK) ** 2))(x)
    assert not np.any(gradient[~MASK])
    assert np.all(gradient[MASK])


@pytest.mark.parametrize("kind", KINDS)
def test_sequences_in_pieces(kind: str) -> None:
    net = layers.stacked(KINDS[kind](5, dtype=float), KINDS[kind](4, dtype=float))
    params = net.init(fg.random.key(0), (1, 6, 3))
    x = random.standard_normal((2, 6, 3))
    assert net.init_cache is not None
    state = net.init_cache((2, 6, 3))
    assert net.init_state((2, 6, 3)) == {}
    first, state = net.apply(params, x[:, :4], state=state)
    second, _ = net.apply(params, x[:, 4:], state=state)
    np.testing.assert_allclose(np.concatenate([first, second], 1), net.apply(params, x), **CLOSE)


def test_sequences_without_steps() -> None:
    layer = layers.gru(4)
    params = layer.init(fg.random.key(0), (1, 1, 3))
    assert layer.apply(params, np.zeros((2, 0, 3), np.float32)).shape == (2, 0, 4)
    last = layers.gru(4, return_sequences=False)
    assert not np.any(last.apply(params, np.zeros((2, 0, 3), np.float32)))


def test_any_batch_axes() -> None:
    layer = layers.lstm(4, dtype=float)
    params = layer.init(fg.random.key(0), (1, 6, 3))
    x = random.standard_normal((2, 2, 6, 3))
    y = layer.apply(params, x)
    np.testing.assert_allclose(y[1, 0], layer.apply(params, x[1, 0]), **CLOSE)


# Decoding -------------------------------------------------------------------------------------------------------------


def gpt(**options: Any) -> layers.Layer:
    return layers.serial(
        layers.embedding(11, 8, dtype=float),
        layers.learned_positions(9, dtype=float) if not options.get("rotary") else layers.sinusoidal_positions(),
        layers.transformer_block(4, 12, causal=True, dtype=float, **options),
        layers.transformer_block(4, 12, causal=True, dtype=float, norm="post", **options),
        layers.dense(11, dtype=float),
        name="gpt",
    )


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "grouped, rotary": {"key_value_heads": 2, "rotary": True},
    "one head of keys, gated": {"key_value_heads": 1, "gated": True, "norm_layer": layers.rms_norm},
}


@pytest.mark.parametrize("pieces", [(1,) * 7, (3, 1, 1, 2), (7,)])
@pytest.mark.parametrize("options", OPTIONS)
def test_decoding_with_a_cache_is_the_whole_forward_pass(options: str, pieces: tuple[int, ...]) -> None:
    net = gpt(**OPTIONS[options])
    params = net.init(fg.random.key(0), (1, 9))
    ids = random.integers(0, 11, (2, 7))
    whole = net.apply(params, ids)
    assert net.init_cache is not None
    state = net.init_cache((2, 9))
    step = fg.jit(lambda params, ids, state: net.apply(params, ids, state=state))
    found, at = [], 0
    for length in pieces:
        y, state = step(params, ids[:, at : at + length], state)
        found.append(y)
        at += length
    np.testing.assert_allclose(np.concatenate(found, 1), whole, **CLOSE)


def test_decoding_as_one_scan() -> None:
    net = gpt(rotary=True)
    params = net.init(fg.random.key(0), (1, 9))
    ids = random.integers(0, 11, (2, 9))
    assert net.init_cache is not None

    def step(state: Any, ids: Any) -> Any:
        y, state = net.apply(params, ids[:, None], state=state)
        return state, y[:, 0]

    _, ys = fg.jit(lambda ids: fg.lax.scan(step, net.init_cache((2, 9)), ids.T))(ids)  # type: ignore[misc]
    np.testing.assert_allclose(np.moveaxis(ys, 0, 1), net.apply(params, ids), **CLOSE)


def test_padded_prompts() -> None:
    layer = layers.multi_head_attention(2, causal=True, rotary=True, dtype=float)
    params = layer.init(fg.random.key(0), (1, 5, 8))
    x = random.standard_normal((1, 5, 8))
    padded = np.concatenate([np.full((1, 2, 8), 1e2), x], 1)
    mask, positions = np.array([[False, False, *[True] * 5]]), np.array([[0, 0, 0, 1, 2, 3, 4]])
    y = layer.apply(params, padded, mask=mask, positions=positions)[:, 2:]
    np.testing.assert_allclose(y, layer.apply(params, x), **CLOSE)
    assert layer.init_cache is not None
    state = layer.init_cache((1, 7, 8))
    first, state = layer.apply(params, padded[:, :4], mask=mask, positions=positions[:, :4], state=state)
    second, _ = layer.apply(params, padded[:, 4:], mask=mask, positions=positions[:, 4:], state=state)
    np.testing.assert_allclose(np.concatenate([first[:, 2:], second], 1), y, **CLOSE)


def test_a_full_cache() -> None:
    layer = layers.multi_head_attention(2, causal=True)
    params = layer.init(fg.random.key(0), (1, 5, 8))
    assert layer.init_cache is not None
    state = layer.init_cache((2, 4, 8))
    x = np.ones((2, 3, 8), np.float32)
    _, state = layer.apply(params, x, state=state)
    assert int(state["index"]) == 3
    with pytest.raises(ValueError, match=r"attention: the cache is full: 3 more after 3 do not fit into its 4 places"):
        layer.apply(params, x, state=state)
    with pytest.raises(IndexError):
        fg.jit(lambda state: layer.apply(params, x, state=state))(state)


def test_seen_places_only() -> None:
    """Causal attention does not look ahead: changing the end changes nothing before it."""
    net = gpt()
    params = net.init(fg.random.key(0), (1, 9))
    ids = random.integers(0, 11, (2, 9))
    changed = ids.copy()
    changed[:, 6:] = (ids[:, 6:] + 1) % 11
    before, after = net.apply(params, ids), net.apply(params, changed)
    assert np.array_equal(before[:, :6], after[:, :6])
    assert not np.allclose(before[:, 6:], after[:, 6:])


@pytest.mark.parametrize("kind", KINDS)
def test_one_product_for_the_whole_sequence_and_one_per_step(kind: str) -> None:
    layer = KINDS[kind](5)
    params = layer.init(fg.random.key(0), (1, 6, 3))
    program = fg.make_jaxpr(layer.apply)(params, np.ones((2, 6, 3), np.float32))
    names = [e.primitive.name for e in program.equations]
    (loop,) = (e for e in program.equations if e.primitive.name == "scan")
    body = [e.primitive.name for e in loop.params["program"].equations]
    assert names.count("dot_general") == body.count("dot_general") == 1
