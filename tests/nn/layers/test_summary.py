"""Does the table of a network say what it is made of, without computing anything?"""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.nn import layers

CNN = layers.serial(
    layers.conv(8, 3),
    layers.batch_norm(),
    layers.relu,
    layers.residual(layers.conv(8, 3), layers.dropout(0.5)),
    layers.global_avg_pool(),
    layers.dense(10),
    name="net",
)


def test_table() -> None:
    found = layers.summary(CNN, (1, 28, 28, 1))
    assert str(found) == repr(found)
    lines = str(found).splitlines()
    assert lines[0].split() == ["layer", "output", "parameters"]
    assert [(row.depth, row.name, row.output, row.parameters) for row in found.rows] == [
        (0, "net", "(1, 10) float32", 770),
        (1, "0_conv", "(1, 28, 28, 8) float32", 80),
        (1, "1_batch_norm", "(1, 28, 28, 8) float32", 16),
        (1, "2_relu", "(1, 28, 28, 8) float32", 0),
        (1, "3_residual", "(1, 28, 28, 8) float32", 584),
        (2, "0_conv", "(1, 28, 28, 8) float32", 584),
        (2, "1_dropout", "(1, 28, 28, 8) float32", 0),
        (1, "4_global_avg_pool", "(1, 8) float32", 0),
        (1, "5_dense", "(1, 10) float32", 90),
    ]
    assert len(lines) == 13
    assert len({len(line) for line in lines[:-1]}) == 1  # columns stand one below the other
    assert lines[-1] == "770 parameters, 3.0 KiB; 16 numbers of state"


def test_shapes_are_found_without_computing() -> None:
    wide = layers.serial(layers.dense(10**6), layers.dense(10**6), name="wide")  # 4 TB of parameters
    found = layers.summary(wide, (1, 10**6))
    assert found.parameters == 2 * (10**12 + 10**6)
    assert str(found).splitlines()[-1] == "2,000,002,000,000 parameters, 7.3 TiB"


def test_other_inputs() -> None:
    net = layers.serial(layers.embedding(9, 8), layers.transformer_block(2, 16, cross=True), name="decoder")
    memory = fg.ShapeDtypeStruct((1, 7, 8), np.float32)
    found = layers.summary(net, (1, 5), dtype=int, memory=memory)
    params = net.init(fg.random.key(0), (1, 5))
    assert found.parameters == layers.count_parameters(params) == found.rows[0].parameters
    assert "cross_attention" in str(found)
    both = layers.summary(layers.parallel(layers.relu, layers.flatten(), combine="tuple"), (1, 2, 3), dtype=np.float64)
    assert both.rows[0].output == "(1, 2, 3) float64, (1, 6) float64"
    assert str(layers.summary(layers.relu, (1, 2))).endswith("0 parameters, 0 bytes")
    assert layers.summary(CNN, (2, 28, 28, 1), train=True).rows == layers.summary(CNN, (2, 28, 28, 1)).rows


def test_listening_ends() -> None:
    with pytest.raises(ValueError, match="net/0_conv"):
        layers.summary(CNN, (1, 28))
    found = layers.summary(CNN, (1, 28, 28, 1))
    assert len(found.rows) == 9
    CNN.apply(CNN.init(fg.random.key(0), (1, 4, 4, 1)), np.ones((2, 4, 4, 1)), state=CNN.init_state((1, 4, 4, 1)))
    assert len(found.rows) == 9


def test_count_parameters() -> None:
    assert layers.count_parameters({"a": np.ones((2, 3)), "b": [fg.ShapeDtypeStruct((4,), float), 1.0]}) == 11
    assert layers.count_parameters({}) == 0
