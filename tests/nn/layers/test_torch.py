"""Do layers compute what PyTorch's do, with the same weights?  Values and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.nn import layers

torch = pytest.importorskip("torch")
random = np.random.default_rng(0)
Params = dict[str, Any]


def normal(*shape: int) -> np.ndarray:
    return random.standard_normal(shape)


def module(make: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """A PyTorch module in float64, none of whose parameters is 0 or 1."""
    torch.manual_seed(0)
    made = make(*args, **kwargs).double()
    with torch.no_grad():
        for p in made.parameters():
            p += 0.1 * torch.randn_like(p)
    return made


def number(tensor: Any) -> np.ndarray:
    return tensor.detach().numpy()


def channels_last(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(x, 1, -1)


def compare(
    layer: layers.Layer,
    reference: Callable[[Any], Any],
    from_torch: Callable[[Callable[[str], np.ndarray]], Params],
    own: Any,
    x: np.ndarray,
    move: Callable[[np.ndarray], np.ndarray] = lambda x: x,
    **inputs: Any,
) -> None:
    """Values, and gradients by parameters and input; `from_torch` turns named arrays of the module `own` into params,
    `move` an array in PyTorch's layout into ours.
    """
    named = dict(own.named_parameters())
    params = from_torch(lambda name: number(named[name]))
    theirs = torch.tensor(x, requires_grad=x.dtype.kind == "f")
    y = reference(theirs)
    weights = normal(*y.shape)
    (y * torch.tensor(weights)).sum().backward()

    def loss(params: Any, x: Any) -> Any:
        return fg.numpy.sum(layer.apply(params, x, **inputs) * move(weights))

    floating = x.dtype.kind == "f"
    np.testing.assert_allclose(layer.apply(params, move(x), **inputs), move(number(y)), rtol=1e-10, atol=1e-11)
    found = fg.jit(fg.grad(loss, (0, 1) if floating else (0,)))(params, move(x))
    expected = from_torch(lambda name: number(named[name].grad))
    assert fg.tree.structure(found[0]) == fg.tree.structure(expected)
    for (path, ours), other in zip(fg.tree.leaves_with_path(found[0]), fg.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-9, atol=1e-10, err_msg=str(path))
    if floating:
        np.testing.assert_allclose(found[1], move(number(theirs.grad)), rtol=1e-9, atol=1e-10)


def linear(get: Callable[[str], np.ndarray], prefix: str = "") -> Params:
    return {"kernel": get(f"{prefix}weight").T, "bias": get(f"{prefix}bias")}


def test_dense() -> None:
    own = module(torch.nn.Linear, 4, 3)
    compare(layers.dense(3), own, linear, own, normal(5, 2, 4))


def test_embedding() -> None:
    own = module(torch.nn.Embedding, 6, 3)
    ids = random.integers(0, 6, (4, 5))
    compare(layers.embedding(6, 3), own, lambda get: {"embedding": get("weight")}, own, ids)


def kernel(get: Callable[[str], np.ndarray]) -> Params:
    """(out, in, *window) to (*window, in, out)."""
    return {"kernel": np.moveaxis(get("weight"), (0, 1), (-1, -2)), "bias": get("bias")}


CONVOLUTIONS: dict[str, tuple[str, tuple[int, ...], dict[str, Any], tuple[int, ...]]] = {
    "1-d": ("Conv1d", (4, 6, 3), {"stride": 2, "padding": 1}, (2, 4, 9)),
    "1-d, dilated": ("Conv1d", (4, 6, 3), {"dilation": 3}, (2, 4, 9)),
    "2-d": ("Conv2d", (4, 6, 3), {"padding": 1}, (2, 4, 6, 5)),
    "2-d, groups": ("Conv2d", (4, 6, (3, 2)), {"groups": 2, "stride": (2, 1)}, (2, 4, 6, 5)),
    "3-d": ("Conv3d", (2, 3, 2), {"padding": 1}, (2, 2, 3, 4, 3)),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_conv(name: str) -> None:
    kind, (channels, features, window), options, shape = CONVOLUTIONS[name]
    own = module(getattr(torch.nn, kind), channels, features, window, **options)
    ours = {"strides": options.get("stride", 1), "padding": options.get("padding", 0)}
    ours |= {"dilation": options.get("dilation", 1), "groups": options.get("groups", 1)}
    compare(layers.conv(features, window, **ours), own, kernel, own, normal(*shape), channels_last)


def test_conv_same_padding() -> None:
    own = module(torch.nn.Conv2d, 4, 6, (3, 5), padding="same")
    compare(layers.conv(6, (3, 5), padding="SAME"), own, kernel, own, normal(2, 4, 6, 5), channels_last)


def test_depthwise_conv() -> None:
    own = module(torch.nn.Conv2d, 4, 8, 3, groups=4, stride=2)
    layer = layers.depthwise_conv(3, 2, strides=2, padding="VALID")
    compare(layer, own, kernel, own, normal(2, 4, 7, 6), channels_last)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_conv_transpose(stride: int) -> None:
    own = module(torch.nn.ConvTranspose2d, 4, 5, 3, stride=stride)

    def turned(get: Callable[[str], np.ndarray]) -> Params:
        """(in, out, *window), reversed, to (*window, in, out)."""
        return {"kernel": np.transpose(get("weight")[:, :, ::-1, ::-1], (2, 3, 0, 1)), "bias": get("bias")}

    layer = layers.conv_transpose(5, 3, strides=stride, padding="VALID")
    compare(layer, own, turned, own, normal(2, 4, 5, 4), channels_last)


POOLS: dict[str, tuple[layers.Layer, Any]] = {
    "max": (layers.max_pool(2), torch.nn.MaxPool2d(2)),
    "max, overlapping": (layers.max_pool(3, strides=2, padding=1), torch.nn.MaxPool2d(3, 2, 1)),
    "avg": (layers.avg_pool((2, 3)), torch.nn.AvgPool2d((2, 3))),
    "avg, padded": (layers.avg_pool(3, strides=2, padding=1), torch.nn.AvgPool2d(3, 2, 1)),
    "avg, padding not counted": (
        layers.avg_pool(3, strides=2, padding=1, count_padding=False),
        torch.nn.AvgPool2d(3, 2, 1, count_include_pad=False),
    ),
}


@pytest.mark.parametrize("name", POOLS)
def test_pools(name: str) -> None:
    layer, own = POOLS[name]
    compare(layer, own, lambda get: {}, own, normal(2, 3, 6, 7), channels_last)


def test_global_pools() -> None:
    for layer, own in ((layers.global_avg_pool(), torch.nn.AdaptiveAvgPool2d(1)),
                       (layers.global_max_pool(), torch.nn.AdaptiveMaxPool2d(1))):  # fmt: skip
        x = normal(2, 3, 5, 4)
        y = number(own(torch.tensor(x)))[:, :, 0, 0]
        np.testing.assert_allclose(layer.apply({}, channels_last(x)), y, rtol=1e-12)


def scale(get: Callable[[str], np.ndarray]) -> Params:
    return {"scale": get("weight"), "bias": get("bias")}


def test_batch_norm_in_training() -> None:
    own = module(torch.nn.BatchNorm2d, 3, momentum=0.3)
    layer = layers.batch_norm(momentum=0.7)
    state = layer.init_state((1, 5, 4, 3))
    params = scale(lambda name: number(dict(own.named_parameters())[name]))
    for _ in range(3):
        x = normal(2, 3, 5, 4) * 2 + 1
        y, state = layer.apply(params, channels_last(x), train=True, state=state)
        np.testing.assert_allclose(y, channels_last(number(own(torch.tensor(x)))), rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(state["mean"], number(own.running_mean), rtol=1e-6)
    np.testing.assert_allclose(state["variance"], number(own.running_var), rtol=1e-6)
    x, own = normal(2, 3, 5, 4), own.eval()
    y, after = layer.apply(params, channels_last(x), state=state)
    np.testing.assert_allclose(y, channels_last(number(own(torch.tensor(x)))), rtol=1e-6, atol=1e-6)
    assert all(np.array_equal(after[name], state[name]) for name in state)


def test_gradients_of_batch_norm() -> None:
    own = module(torch.nn.BatchNorm1d, 3)
    compare(layers.batch_norm(), own, scale, own, normal(6, 3), train=True)


def test_other_norms() -> None:
    own = module(torch.nn.LayerNorm, 5)
    compare(layers.layer_norm(), own, scale, own, normal(2, 3, 5))
    own = module(torch.nn.LayerNorm, (3, 5))
    compare(layers.layer_norm(axes=2), own, scale, own, normal(2, 3, 5))
    own = module(torch.nn.RMSNorm, 5, eps=1e-6)
    compare(layers.rms_norm(), own, lambda get: {"scale": get("weight")}, own, normal(2, 3, 5))
    own = module(torch.nn.GroupNorm, 2, 6)
    compare(layers.group_norm(2), own, scale, own, normal(2, 6, 4, 3), channels_last)
    own = module(torch.nn.InstanceNorm2d, 3, affine=True)
    compare(layers.instance_norm(), own, scale, own, normal(2, 3, 4, 5), channels_last)


# Recurrent layers: PyTorch has two biases, whose sum ours is ----------------------------------------------------------


def recurrent(get: Callable[[str], np.ndarray], suffix: str = "l0", gradient: bool = False) -> Params:
    both = 1 if gradient else get(f"bias_hh_{suffix}")
    bias = get(f"bias_ih_{suffix}") if gradient else get(f"bias_ih_{suffix}") + both
    return {"kernel": get(f"weight_ih_{suffix}").T, "recurrent_kernel": get(f"weight_hh_{suffix}").T, "bias": bias}


def gated(get: Callable[[str], np.ndarray], suffix: str = "l0", gradient: bool = False) -> Params:
    """A GRU's: the bias of the candidate's recurrent part stays apart."""
    params = recurrent(get, suffix, gradient)
    inner, size = get(f"bias_hh_{suffix}"), len(params["bias"]) // 3
    params["bias"] = np.concatenate([params["bias"][: 2 * size], get(f"bias_ih_{suffix}")[2 * size :]])
    return params | {"recurrent_bias": inner[2 * size :]}


CELLS: dict[str, tuple[Callable[..., layers.Layer], str, Callable[..., Params]]] = {
    "simple_rnn": (layers.simple_rnn, "RNN", recurrent),
    "gru": (layers.gru, "GRU", gated),
    "lstm": (layers.lstm, "LSTM", recurrent),
}


class TwoWays:
    """Parameters from values the first time, from gradients the second time."""

    def __init__(self, convert: Callable[..., Any]) -> None:
        self.convert, self.calls = convert, 0

    def __call__(self, get: Callable[[str], np.ndarray]) -> Any:
        self.calls += 1
        return self.convert(get, gradient=self.calls == 2)


@pytest.mark.parametrize("name", CELLS)
def test_recurrent(name: str) -> None:
    make, kind, convert = CELLS[name]
    own = module(getattr(torch.nn, kind), 4, 3, batch_first=True)
    compare(make(3), lambda x: own(x)[0], TwoWays(convert), own, normal(2, 6, 4))


@pytest.mark.parametrize("name", CELLS)
def test_bidirectional_of_padded_sequences(name: str) -> None:
    make, kind, convert = CELLS[name]
    own = module(getattr(torch.nn, kind), 4, 3, batch_first=True, bidirectional=True)
    lengths = [6, 2, 4]
    mask = np.arange(6) < np.array(lengths)[:, None]

    def both(get: Callable[[str], np.ndarray], gradient: bool) -> Params:
        suffixes = {"forward": "l0", "backward": "l0_reverse"}
        return {part: convert(get, suffix, gradient) for part, suffix in suffixes.items()}

    def packed(x: Any) -> Any:
        together = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return torch.nn.utils.rnn.pad_packed_sequence(own(together)[0], batch_first=True)[0]

    compare(layers.bidirectional(make(3)), packed, TwoWays(both), own, normal(3, 6, 4), mask=mask)


@pytest.mark.parametrize("name", CELLS)
def test_stacked_with_initial_state(name: str) -> None:
    make, kind, convert = CELLS[name]
    own = module(getattr(torch.nn, kind), 4, 3, num_layers=2, batch_first=True)
    net = layers.stacked(make(3), make(3))
    get = dict(own.named_parameters()).__getitem__
    params = {f"{k}_{name}": convert(lambda part: number(get(part)), f"l{k}") for k in range(2)}
    parts = ("hidden", "cell") if name == "lstm" else ("hidden",)
    start = {part: normal(2, 2, 3) for part in parts}
    state = {f"{k}_{name}": {part: start[part][k] for part in parts} for k in range(2)}
    x = normal(2, 5, 4)
    given = tuple(torch.tensor(start[part]) for part in parts)
    y, last = own(torch.tensor(x), given if name == "lstm" else given[0])
    ours, after = net.apply(params, x, state=state)
    np.testing.assert_allclose(ours, number(y), rtol=1e-10, atol=1e-11)
    for part, theirs in zip(parts, last if name == "lstm" else (last,), strict=True):
        for k in range(2):
            np.testing.assert_allclose(after[f"{k}_{name}"][part], number(theirs[k]), rtol=1e-10, atol=1e-11)


# Attention ------------------------------------------------------------------------------------------------------------


def attention(get: Callable[[str], np.ndarray], prefix: str = "") -> Params:
    return {
        "query_key_value": {"kernel": get(f"{prefix}in_proj_weight").T, "bias": get(f"{prefix}in_proj_bias")},
        "output": linear(get, f"{prefix}out_proj."),
    }


def test_attention_with_padding() -> None:
    own = module(torch.nn.MultiheadAttention, 8, 2, batch_first=True)
    mask = np.arange(5) < np.array([5, 3])[:, None]
    ignored = torch.tensor(~mask)

    def reference(x: Any) -> Any:
        return own(x, x, x, key_padding_mask=ignored, need_weights=False)[0]

    compare(layers.multi_head_attention(2), reference, attention, own, normal(2, 5, 8), mask=mask)


def test_causal_attention() -> None:
    own = module(torch.nn.MultiheadAttention, 8, 4, batch_first=True)
    later = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1)
    compare(
        layers.multi_head_attention(4, causal=True),
        lambda x: own(x, x, x, attn_mask=later, need_weights=False)[0],
        attention,
        own,
        normal(2, 5, 8),
    )


def test_cross_attention() -> None:
    own = module(torch.nn.MultiheadAttention, 8, 2, batch_first=True)
    memory = normal(2, 7, 8)
    mask = np.arange(7) < np.array([7, 4])[:, None]

    def parts(get: Callable[[str], np.ndarray]) -> Params:
        weight, bias = get("in_proj_weight"), get("in_proj_bias")
        return {
            "query": {"kernel": weight[:8].T, "bias": bias[:8]},
            "key_value": {"kernel": weight[8:].T, "bias": bias[8:]},
            "output": linear(get, "out_proj."),
        }

    def reference(x: Any) -> Any:
        kept = torch.tensor(memory)
        return own(x, kept, kept, key_padding_mask=torch.tensor(~mask), need_weights=False)[0]

    layer = layers.cross_attention(2)
    compare(layer, reference, parts, own, normal(2, 5, 8), memory=memory, memory_mask=mask)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_transformer_block(norm: str) -> None:
    options = {"dropout": 0.0, "activation": "gelu", "batch_first": True, "norm_first": norm == "pre"}
    own = module(torch.nn.TransformerEncoderLayer, 8, 2, 12, **options)
    own.train()

    def parts(get: Callable[[str], np.ndarray]) -> Params:
        first, second = ({"scale": get(f"norm{k}.weight"), "bias": get(f"norm{k}.bias")} for k in (1, 2))
        attend = attention(get, "self_attn.")
        dense = {"up": linear(get, "linear1."), "down": linear(get, "linear2.")}
        if norm == "pre":
            return {
                "0_attention": {"0_layer_norm": first, "1_attention": attend},
                "1_feed_forward": {"0_layer_norm": second, "1_feed_forward": dense},
            }
        return {
            "0_attention": {"0_attention": attend},
            "1_layer_norm": first,
            "2_feed_forward": {"0_feed_forward": dense},
            "3_layer_norm": second,
        }

    layer = layers.transformer_block(2, 12, norm=norm, activation=lambda x: fg.nn.gelu(x, approximate=False))
    compare(layer, own, parts, own, normal(2, 5, 8))
