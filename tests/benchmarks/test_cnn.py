"""Is the arbiter of the convolutional network right?  Its gradients are held against differences of its loss."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.peers import PEERS
from benchmarks.workload import in_float64, map_leaves
from benchmarks.workloads import cnn

NUMPY = PEERS["numpy"].load(1)


@pytest.mark.parametrize(("layer", "part"), [(k, part) for k in range(3) for part in range(2)])
def test_the_step_by_hand_follows_the_gradient(layer: int, part: int) -> None:
    data = in_float64(cnn.data(5, 6, (3, 4)))
    found = cnn.outcome(data, cnn.by_hand(NUMPY, data)())
    x = data["params"][layer][part]
    direction = np.random.default_rng(3).standard_normal(x.shape)

    def loss(step: float) -> float:
        params = [list(each) for each in map_leaves(np.copy, data["params"])]
        params[layer][part] = x + step * direction
        return float(cnn.by_hand(NUMPY, {**data, "params": params})()[1])

    slope = np.sum(found[f"gradient.{layer}.{part}"] * direction)
    want = (4 * (loss(1e-5) - loss(-1e-5)) / 2e-5 - (loss(2e-5) - loss(-2e-5)) / 4e-5) / 3
    assert slope == pytest.approx(want, rel=1e-6)


@pytest.mark.parametrize("backward", [False, True])
def test_a_convolution_by_hand_is_that_of_funcgrad(backward: bool) -> None:
    data = in_float64(cnn.images(2, 5, 3, 4))
    own = cnn.convolution(PEERS["funcgrad"].load(1), data, backward)()
    by_hand = cnn.numpy_convolution(NUMPY, data, backward)()
    for got, want in zip(own, by_hand, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)
