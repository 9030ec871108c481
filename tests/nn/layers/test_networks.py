"""Do layers make networks?  Paths, parameters by name, keys, state, further inputs, and no cost in compiled code."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.nn import layers

X = np.random.default_rng(0).standard_normal((6, 8))


def network(dtype: Any = np.float64) -> layers.Layer:
    return layers.serial(
        layers.dense(5, dtype=dtype),
        layers.batch_norm(dtype=dtype),
        layers.relu,
        layers.residual(layers.dense(5, dtype=dtype), layers.dropout(0.5), layers.batch_norm(dtype=dtype)),
        layers.parallel(layers.dense(2, dtype=dtype), layers.tanh),
        name="net",
    )


def test_parameters_read_like_the_network() -> None:
    net = network()
    params, state = net.init(fg.random.key(0), (1, 8)), net.init_state((1, 8))
    paths = ["/".join(str(key.key) for key in path) for path, _ in fg.tree.leaves_with_path(params)]
    assert paths == [
        "0_dense/bias",
        "0_dense/kernel",
        "1_batch_norm/bias",
        "1_batch_norm/scale",
        "3_residual/0_dense/bias",
        "3_residual/0_dense/kernel",
        "3_residual/2_batch_norm/bias",
        "3_residual/2_batch_norm/scale",
        "4_parallel/0_dense/bias",
        "4_parallel/0_dense/kernel",
    ]
    assert list(state) == ["1_batch_norm", "3_residual"]
    assert list(state["3_residual"]) == ["2_batch_norm"]
    assert net.output_shape is not None
    assert net.output_shape((1, 8)) == (1, 7)


def test_every_layer_has_its_own_key() -> None:
    net = layers.serial(layers.dense(4), layers.dense(4), layers.residual(layers.dense(4)))
    params = net.init(fg.random.key(0), (1, 4))
    kernels = [params["0_dense"]["kernel"], params["1_dense"]["kernel"], params["2_residual"]["0_dense"]["kernel"]]
    assert all(not np.array_equal(kernels[a], kernels[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    again = net.init(fg.random.key(0), (9, 4))
    assert all(np.array_equal(a, b) for a, b in zip(fg.tree.leaves(params), fg.tree.leaves(again), strict=True))
    longer = layers.serial(layers.dense(4), layers.dense(4), layers.dense(3), layers.dense(2))
    start = longer.init(fg.random.key(0), (1, 4))
    assert np.array_equal(start["1_dense"]["kernel"], kernels[1])  # what follows does not change what stands before
    drop = layers.serial(layers.dropout(0.5), layers.dropout(0.5))
    kept = np.mean(drop.apply({}, np.ones(4000), key=fg.random.key(1), train=True) != 0)
    assert 0.22 < kept < 0.28  # independent masks


def test_init_under_jit_is_init() -> None:
    net = layers.serial(network(), layers.dense(2), name="outer")
    plain = net.init(fg.random.key(3), (1, 8))
    compiled = fg.jit(net.init, static_argnums=1)(fg.random.key(3), (1, 8))
    for a, b in zip(fg.tree.leaves(plain), fg.tree.leaves(compiled), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


# State, training and evaluation ---------------------------------------------------------------------------------------


def test_state_goes_round() -> None:
    net = network()
    params, state = net.init(fg.random.key(0), (1, 8)), net.init_state((1, 8))

    @fg.jit
    def step(params: Any, state: Any, key: Any) -> Any:
        return net.apply(params, X, key=key, train=True, state=state)

    y, after = step(params, state, fg.random.key(1))
    assert fg.tree.structure(after) == fg.tree.structure(state)
    assert [s.dtype for s in fg.tree.leaves(after)] == [s.dtype for s in fg.tree.leaves(state)]
    hidden = X @ params["0_dense"]["kernel"] + params["0_dense"]["bias"]
    np.testing.assert_allclose(after["1_batch_norm"]["mean"], 0.1 * hidden.mean(0), rtol=1e-12)
    variance = 0.9 + 0.1 * hidden.var(0, ddof=1)
    np.testing.assert_allclose(after["1_batch_norm"]["variance"], variance, rtol=1e-12)
    once, unchanged = net.apply(params, X, state=after)
    assert all(np.array_equal(a, b) for a, b in zip(fg.tree.leaves(after), fg.tree.leaves(unchanged), strict=True))
    assert np.array_equal(once, net.apply(params, X, state=after)[0])
    assert not np.allclose(once, y)

    def body(state: Any, key: Any) -> Any:
        return step(params, state, key)[1], None

    keys = fg.random.split(fg.random.key(2), 3)
    scanned = fg.lax.scan(body, state, keys)[0]
    for key in keys:
        state = step(params, state, key)[1]
    for a, b in zip(fg.tree.leaves(scanned), fg.tree.leaves(state), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_running_statistics_of_half_precision_are_single() -> None:
    layer = layers.batch_norm(dtype=np.float16)
    state = layer.init_state((1, 3))
    y, after = layer.apply(layer.init(None, (1, 3)), X[:, :3].astype(np.float16), train=True, state=state)
    assert y.dtype == np.float16
    assert {s.dtype for s in after.values()} == {np.dtype(np.float32)}


def test_the_loss_does_not_reach_through_running_statistics() -> None:
    layer = layers.batch_norm(dtype=np.float64)
    params, state = layer.init(None, (1, 8)), layer.init_state((1, 8))

    def loss(x: Any) -> Any:
        return fg.numpy.sum(layer.apply(params, x, train=True, state=state)[1]["mean"])

    assert not np.any(fg.grad(loss)(X))


def test_dropout() -> None:
    layer, x = layers.dropout(0.25), np.ones((40, 50), np.float32)
    y = layer.apply({}, x, key=fg.random.key(0), train=True)
    assert y.dtype == np.float32
    assert set(np.unique(y).tolist()) == {0.0, float(np.float32(1 / 0.75))}
    assert abs(np.mean(y == 0) - 0.25) < 0.03
    assert np.array_equal(y, fg.jit(lambda x, key: layer.apply({}, x, key=key, train=True))(x, fg.random.key(0)))
    assert not np.array_equal(y, layer.apply({}, x, key=fg.random.key(1), train=True))
    assert np.array_equal(layer.apply({}, x, key=fg.random.key(0)), x)
    gradient = fg.grad(lambda x: fg.numpy.sum(layer.apply({}, x, key=fg.random.key(0), train=True)))(x)
    assert np.array_equal(gradient, y)
    shared = layers.dropout(0.5, shared=(1,)).apply({}, np.ones((30, 7, 4)), key=fg.random.key(0), train=True)
    assert np.array_equal(shared, np.broadcast_to(shared[:, :1], shared.shape))
    assert not np.any(layers.dropout(1.0).apply({}, x, key=fg.random.key(0), train=True))
    assert np.array_equal(layers.dropout(0.0).apply({}, x, train=True), x)


# Further inputs -------------------------------------------------------------------------------------------------------


def test_inputs_reach_the_layers_that_take_them() -> None:
    mask = np.array([[True, True, False, False]])
    net = layers.serial(layers.dense(3), layers.lstm(5), layers.residual(layers.gru(5)), layers.global_avg_pool())
    assert net.accepts == ("mask", "reverse")
    params = net.init(fg.random.key(0), (1, 4, 2))
    x = np.random.default_rng(1).standard_normal((1, 4, 2)).astype(np.float32)
    short = net.apply(params, x[:, :2])
    np.testing.assert_allclose(net.apply(params, x, mask=mask), short, rtol=1e-5)


def test_layers_of_ones_own() -> None:
    def centred(params: Any, x: Any, *, key: Any = None, train: bool = False, state: Any = None) -> Any:
        y = x - params["centre"]
        return y if state is None else (y, {"seen": state["seen"] + len(x)})

    layer = layers.Layer(
        init=lambda key, shape: {"centre": np.ones(shape[-1])},
        apply=centred,
        init_state=lambda shape: {"seen": np.zeros((), int)},
        name="centre",
    )
    net = layers.serial(layer, layers.dense(2), name="net")
    params, state = net.init(fg.random.key(0), (1, 8)), net.init_state((1, 8))
    assert list(params) == ["0_centre", "1_dense"]
    y, state = net.apply(params, X, state=state)
    assert state == {"0_centre": {"seen": 6}}
    assert np.array_equal(y, net.apply(params, X))
    assert "0_centre" in str(layers.summary(net, (1, 8)))


def test_names() -> None:
    assert layers.fn(np.sin).name == "sin"
    assert layers.fn(lambda x: x).name == "fn"
    assert layers.lambda_(np.sin, "wave").name == "wave"
    assert repr(layers.relu) == "Layer(name='relu')"
    renamed = layers.dense(3).named("scores")
    assert list(layers.serial(renamed).init(fg.random.key(0), (1, 2))) == ["0_scores"]


def test_ways_to_combine() -> None:
    for combine, expected in {
        "add": np.tanh(X) + X,
        "multiply": np.tanh(X) * X,
        "concatenate": np.concatenate([np.tanh(X), X], -1),
    }.items():
        net = layers.parallel(layers.tanh, layers.identity, combine=combine)
        np.testing.assert_allclose(net.apply({}, X), expected, rtol=1e-12)
        assert net.output_shape is not None
        assert net.output_shape(X.shape) == expected.shape
    both = layers.parallel(layers.tanh, layers.identity, combine="tuple")
    net = layers.serial(both, layers.fn(lambda pair: pair[0] - pair[1]), layers.dense(2))
    assert net.apply(net.init(fg.random.key(0), (1, 8)), X).shape == (6, 2)


# What compiled code sees of it ----------------------------------------------------------------------------------------


def by_hand(params: Any, x: Any) -> Any:
    for number in (0, 2):
        dense = params[f"{number}_dense"]
        x = fg.nn.relu(x @ dense["kernel"] + dense["bias"])
    return x @ params["4_dense"]["kernel"] + params["4_dense"]["bias"]


def convolved_by_hand(params: Any, x: Any) -> Any:
    for number in (0, 2):
        conv = params[f"{number}_conv"]
        x = fg.nn.relu(fg.nn.conv(x, conv["kernel"]) + conv["bias"])
    x = fg.nn.max_pool(x, (2, 2), (2, 2))
    return x.reshape(x.shape[0], -1) @ params["6_dense"]["kernel"] + params["6_dense"]["bias"]


NETS = {
    "mlp": (
        layers.serial(layers.dense(32), layers.relu, layers.dense(24), layers.relu, layers.dense(10), name="net"),
        by_hand,
        (4, 40),
    ),
    "cnn": (
        layers.serial(
            *(layers.conv(8, 3), layers.relu, layers.conv(6, 3), layers.relu),
            *(layers.max_pool(2), layers.flatten(), layers.dense(10)),
            name="net",
        ),
        convolved_by_hand,
        (4, 8, 8, 1),
    ),
}


@pytest.mark.parametrize("name", NETS)
def test_a_training_step_has_the_kernels_of_one_written_by_hand(name: str) -> None:
    net, hand, shape = NETS[name]
    params = net.init(fg.random.key(0), shape)
    x, y = np.ones(shape, np.float32), np.arange(4)

    def listing(apply: Any) -> str:
        def loss(params: Any) -> Any:
            scores = fg.nn.log_softmax(apply(params, x))
            return -fg.numpy.mean(fg.numpy.take_along_axis(scores, y[:, None], 1))

        def step(params: Any, x: Any) -> Any:
            value, gradient = fg.value_and_grad(loss)(params)
            return fg.tree.map(lambda p, g: p - 0.1 * g, params, gradient), value

        return fg.jit(step).lower(params, x).as_text("python")

    assert listing(net.apply) == listing(hand)


def test_operations_carry_the_path_of_their_layer() -> None:
    net = network()
    params, state = net.init(fg.random.key(0), (1, 8)), net.init_state((1, 8))
    program = fg.make_jaxpr(lambda p, x: net.apply(p, x, state=state)[0])(params, X)
    scopes = {e.source.scope for e in program.equations if e.source is not None}
    assert {"net/0_dense", "net/1_batch_norm", "net/2_relu", "net/3_residual", "net/3_residual/0_dense"} <= scopes
    assert "net/4_parallel/0_dense" in scopes


def test_importing_the_library_does_not_import_layers() -> None:
    code = "import funcgrad, sys; assert 'funcgrad.nn.layers' not in sys.modules; funcgrad.nn.layers.dense(3)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_jitted_apply_and_batches_of_keys() -> None:
    net = network()
    params, state = net.init(key=fg.random.key(0), input_shape=(1, 8)), net.init_state(input_shape=(1, 8))
    apply = fg.jit(net.apply, static_argnames="train")
    y, after = apply(params, X, key=fg.random.key(1), train=True, state=state)
    expected, _ = net.apply(params, X, key=fg.random.key(1), train=True, state=state)
    np.testing.assert_allclose(y, expected, rtol=1e-12)
    assert fg.tree.structure(after) == fg.tree.structure(state)
    keys = fg.random.split(fg.random.key(2), 3)
    drop = layers.dropout(0.5)
    masks = fg.vmap(lambda key: drop.apply({}, np.ones(50), key=key, train=True))(keys)
    assert all(
        np.array_equal(mask, drop.apply({}, np.ones(50), key=key, train=True))
        for mask, key in zip(masks, keys, strict=True)
    )
