"""Is the arbiter right?  The gradients written by hand are held against differences of their losses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.peers import PEERS
from benchmarks.workload import Data, in_float64, map_leaves
from benchmarks.workloads import CALLS, WORKLOADS, cross_entropy, elementwise, logistic, mlp

ROOT = Path(__file__).parents[2]
NUMPY = PEERS["numpy"].load(1)


def difference(loss: Callable[[np.ndarray], float], x: np.ndarray, direction: np.ndarray) -> float:
    """Derivative along ``direction`` by Richardson's extrapolation of central differences: error of order h⁴."""

    def central(h: float) -> float:
        return float(loss(x + h * direction) - loss(x - h * direction)) / (2 * h)

    return (4 * central(1e-4) - central(2e-4)) / 3


@pytest.mark.parametrize(
    ("build", "data", "name"),
    [
        (elementwise.by_hand, partial(elementwise.data, 50, "float64"), "x"),
        (logistic.by_hand, partial(logistic.data, 40, 5), "w"),
        (cross_entropy.by_hand, partial(cross_entropy.data, 6, 4), "logits"),
    ],
    ids=["elementwise", "logistic", "cross_entropy"],
)
def test_gradients_by_hand(build: Callable[..., Any], data: Callable[[], Data], name: str) -> None:
    inputs = in_float64(data())
    direction = np.random.default_rng(3).standard_normal(inputs[name].shape)
    _, gradient = build(NUMPY, inputs)()
    expected = difference(lambda x: build(NUMPY, {**inputs, name: x})()[0], inputs[name], direction)
    assert np.sum(gradient * direction) == pytest.approx(expected, rel=1e-9)


def test_the_mlp_step_by_hand_follows_the_gradient() -> None:
    data = in_float64(mlp.data((5, 4, 3), batch=7))
    found = mlp.outcome(data, mlp.by_hand(NUMPY, data)())
    random = np.random.default_rng(3)
    for layer in range(2):
        for part in range(2):
            x = data["params"][layer][part]
            direction = random.standard_normal(x.shape)

            def loss(value: np.ndarray, layer: int = layer, part: int = part) -> float:
                params = [list(each) for each in map_leaves(np.copy, data["params"])]
                params[layer][part] = value
                return mlp.by_hand(NUMPY, {**data, "params": params})()[1]

            slope = np.sum(found[f"gradient.{layer}.{part}"] * direction)
            assert slope == pytest.approx(difference(loss, x, direction), rel=1e-7)


def test_the_loop_goes_on_from_its_parameters_and_leaves_the_data_alone() -> None:
    data = mlp.data((5, 4, 3), batch=7)
    before = map_leaves(np.copy, data["params"])
    loop = mlp.by_hand(NUMPY, data)
    losses = [loop()[1] for _ in range(50)]
    assert losses[-1] < losses[0]
    for (w, b), (old_w, old_b) in zip(data["params"], before, strict=True):
        np.testing.assert_array_equal(w, old_w)
        np.testing.assert_array_equal(b, old_b)


def test_a_new_batch_size_steps_on_the_other_batch() -> None:
    data = mlp.data((5, 4, 3), batch=7, other_batch=2)
    assert len(data["x"]) == len(data["y"]) == 7
    assert len(data["other_x"]) == len(data["other_y"]) == 2
    _, loss = mlp.by_hand(NUMPY, data)()
    _, expected = mlp.step_by_hand(map_leaves(np.copy, data["params"]), data["other_x"], data["other_y"])
    assert loss == expected


def test_the_products_of_the_mlp_are_its_308_million_operations() -> None:
    limit = CALLS["mlp784"].limit
    assert limit is not None
    assert len(limit.products) == 8
    assert limit.flops == pytest.approx(308e6, rel=0.01)


def test_data_are_the_same_in_every_process() -> None:
    for name in ("mlp_tiny", "dispatch_tree20", "elementwise_1e3_f32"):
        map_pairs = zip(
            np.atleast_1d(*_leaves(CALLS[name].data())), np.atleast_1d(*_leaves(CALLS[name].data())), strict=True
        )
        assert all(np.array_equal(a, b) for a, b in map_pairs)


def _leaves(data: Data) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    map_leaves(found.append, data)
    return found


def test_workloads_load_no_library() -> None:
    """The first call of a process that measures one must not find loaded what it would have to load."""
    code = "import sys, benchmarks.workloads; print(sorted(sys.modules.keys() & {'scipy', 'numba', 'funcgrad', 'jax'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"


def test_every_workload_has_known_peers_funcgrad_and_an_arbiter() -> None:
    for name, workload in WORKLOADS.items():
        assert workload.name == name
        assert workload.peers <= PEERS.keys()
        assert {"funcgrad", "numpy"} <= workload.peers
        assert workload.peers & {"jax", "numba"}
        assert workload.goals
