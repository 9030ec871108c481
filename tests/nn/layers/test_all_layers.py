"""Does every layer keep what all layers promise?  Shapes, dtypes, derivatives, transformations, state."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg
from funcgrad.nn import layers
from tests.nn.layers.table import ROWS, drawn

NAMES = tuple(ROWS)
FLOATING = tuple(name for name, row in ROWS.items() if not row.count)
FUNCTIONS = ("count_parameters", "rotary", "sinusoidal_table", "stateless", "summary", "Layer", "lambda_", "dropout")


def test_every_layer_has_a_row() -> None:
    made = {name for name in layers.__all__ if not isinstance(getattr(layers, name), layers.Layer)}
    rows = {name.split()[0].rstrip(",") for name in ROWS}
    assert made - rows - {*FUNCTIONS, "batch_norm"} == set()


@pytest.mark.parametrize("name", NAMES)
def test_shapes(name: str) -> None:
    layer, params, x, inputs = drawn(name)
    y = layer.apply(params, x, **inputs)
    assert isinstance(y, fg.Array)
    assert not np.shares_memory(y, x)
    assert layer.output_shape is None or layer.output_shape(x.shape) == y.shape
    other_batch = layer.init(fg.random.key(0), (7, *x.shape[1:]))
    assert fg.tree.map(np.shape, other_batch) == fg.tree.map(np.shape, params)
    y_and_state = layer.apply(params, x, state=layer.init_state(x.shape), **inputs)
    assert np.array_equal(y_and_state[0], y)
    assert y_and_state[1] == {}


@pytest.mark.parametrize("name", NAMES)
def test_jit_agrees(name: str) -> None:
    layer, params, x, inputs = drawn(name)
    y = layer.apply(params, x, **inputs)
    compiled = fg.jit(lambda params, x, inputs: layer.apply(params, x, **inputs))(params, x, inputs)
    assert compiled.dtype == y.dtype == np.float64
    assert {leaf.dtype for leaf in fg.tree.leaves(layer.init(fg.random.key(0), x.shape))} <= {np.dtype(np.float64)}
    np.testing.assert_allclose(compiled, y, rtol=1e-12, atol=1e-13)


def loss(layer: layers.Layer, inputs: Any) -> Any:
    def value(params: Any, x: Any) -> Any:
        y = layer.apply(params, x, **inputs)
        return fg.numpy.sum(fg.numpy.sin(y) * np.arange(1.0, 1 + y.size).reshape(y.shape))

    return value


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_differences(name: str) -> None:
    layer, params, x, inputs = drawn(name)
    value = loss(layer, inputs)
    argnums = (0, 1) if x.dtype.kind == "f" else (0,)
    gradients = fg.jit(fg.grad(value, argnums))(params, x)
    random = np.random.default_rng(3)
    direction = fg.tree.map(lambda p: random.standard_normal(p.shape), (params, x)[: len(argnums)])
    step = 1e-5

    def moved(sign: float) -> Any:
        parts = fg.tree.map(lambda p, d: p + sign * step * d, (params, x)[: len(argnums)], direction)
        return value(*parts, *(params, x)[len(argnums) :])

    difference = (moved(1) - moved(-1)) / (2 * step)
    along = sum(np.sum(g * d) for g, d in zip(fg.tree.leaves(gradients), fg.tree.leaves(direction), strict=True))
    np.testing.assert_allclose(along, difference, rtol=2e-7, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_vmap_over_parameters_and_inputs(name: str) -> None:
    layer, params, x, inputs = drawn(name)
    many = fg.tree.map(lambda p: np.stack([p, p * 0.5, -p]), params)
    xs = np.stack([x, x[::-1], x])
    batched = fg.vmap(lambda params, x: layer.apply(params, x, **inputs))(many, xs)
    for k in range(3):
        one = layer.apply(fg.tree.map(lambda p, k=k: p[k], many), xs[k], **inputs)
        np.testing.assert_allclose(batched[k], one, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_scan_over_inputs(name: str) -> None:
    layer, params, x, inputs = drawn(name)
    xs = np.stack([x, x[::-1]])
    _, ys = fg.lax.scan(lambda carry, x: (carry, layer.apply(params, x, **inputs)), 0, xs)
    np.testing.assert_allclose(ys, [layer.apply(params, x, **inputs) for x in xs], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])  # float64: test_jit_agrees
@pytest.mark.parametrize("name", NAMES)
def test_dtypes(name: str, dtype: Any) -> None:
    layer, params, x, inputs = drawn(name, dtype)
    assert {leaf.dtype for leaf in fg.tree.leaves(layer.init(fg.random.key(0), x.shape))} <= {np.dtype(dtype)}
    y = layer.apply(params, x, **inputs)
    compiled = fg.jit(lambda params, x, inputs: layer.apply(params, x, **inputs))(params, x, inputs)
    exact_params = fg.tree.map(lambda p: p.astype(np.float64), params)
    exact_x = x if x.dtype.kind in "iu" else x.astype(np.float64)
    exact_inputs = {key: value if value.dtype == bool else value.astype(np.float64) for key, value in inputs.items()}
    exact = ROWS[name].make(np.float64).apply(exact_params, exact_x, **exact_inputs)
    epsilon = float(ml_dtypes.finfo(dtype).eps)
    for result in (y, compiled):
        assert result.dtype == dtype
        tolerance = 16 * epsilon
        np.testing.assert_allclose(result.astype(np.float64), exact, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", FLOATING)
def test_wrong_rank_names_the_path(name: str) -> None:
    layer, params, _, inputs = drawn(name)
    if not fg.tree.leaves(params):
        return
    net = layers.serial(layer, name="net")
    label = f"0_{layer.name}"
    with pytest.raises(ValueError, match=rf"(?s)^net/{label}.*x must have shape .*not \(.*test_all_layers\.py"):
        net.apply({label: params}, np.float64(1.0), **inputs)
    with pytest.raises(ValueError, match=rf"(?s)^net/{label}.*must have shape .*not \(.*test_all_layers\.py"):
        net.init(fg.random.key(0), ())


@pytest.mark.parametrize("name", NAMES)
def test_foreign_parameters_are_refused(name: str) -> None:
    layer, params, x, inputs = drawn(name)
    if not fg.tree.leaves(params):
        return
    with pytest.raises(ValueError, match=r"the parameters"):
        layer.apply({}, x, **inputs)
