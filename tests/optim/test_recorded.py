"""Do optimisers and schedules compute optax's and PyTorch's numbers, step by step?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import optim
from tests.optim.cases import (
    COUNTS,
    OPTIMISERS,
    RECORDED,
    SCHEDULES,
    SEARCHES,
    STEPS,
    compact,
    gradients,
    parameters,
    start,
    valley,
    valley_gradient,
    values,
)

TORCH = {
    "sgd": lambda: optim.sgd(0.1),
    "sgd momentum": lambda: optim.sgd(0.1, 0.9),
    "sgd nesterov": lambda: optim.sgd(0.1, 0.9, nesterov=True),
    "adam": lambda: optim.adam(0.05),
    "adamw": lambda: optim.adamw(0.05, weight_decay=0.1),
    "adamax": lambda: optim.adamax(0.05),
    "radam": lambda: optim.radam(0.05),
    "adagrad from zero": lambda: optim.adagrad(0.1, 0.0, 1e-20),
    "adadelta": lambda: optim.adadelta(1.0, weight_decay=0.1),
    "rmsprop": lambda: optim.rmsprop(0.05, eps_in_sqrt=False),
    "rprop": lambda: optim.rprop(0.1),
}
IN_FLOAT32 = 3e-6  # what optax computes in float32 always: schedules of its int32 counts, Adafactor's decay
LOOSER = {
    **{
        (name, "float64"): IN_FLOAT32
        for name in (
            *("sgd schedule", "adam schedule", "fromage schedule", "decay schedule", "inject"),
            *("adafactor", "adafactor plain"),
        )
    },
    ("rmsprop centered corrected", "float64"): 1e-11,  # its first variance is a difference of equal numbers
    ("rmsprop centered corrected", "float32"): 1e-4,
    ("radam", "torch"): 1e-6,  # PyTorch adds eps to another root
    ("adagrad from zero", "torch"): 1e-9,
}


@pytest.fixture(scope="module")
def recorded() -> dict[str, np.ndarray]:
    with np.load(RECORDED) as file:
        return dict(file)


def trajectory(optimiser: Any, dtype: str, *, compiled: bool) -> np.ndarray:
    """The parameters after each step."""

    def step(params: Any, state: Any, gradient: Any, value: Any) -> Any:
        updates, state = optimiser.update(gradient, state, params, value=value)
        return optim.apply_updates(params, updates), state

    step = fg.jit(step) if compiled else step
    optimiser = optim.with_extra_args_support(optimiser)
    params = parameters(dtype)
    state = optimiser.init(params)
    kinds = [(np.shape(x), np.asarray(x).dtype) for x in fg.tree.leaves(state)]
    rows = []
    for gradient, value in zip(gradients(dtype), values(), strict=True):
        params, state = step(params, state, gradient, value)
        rows.append(params)
    assert [(np.shape(x), np.asarray(x).dtype) for x in fg.tree.leaves(state)] == kinds, "scan could not carry it"
    return compact(rows)


def assert_near(found: np.ndarray, wanted: np.ndarray, tolerance: float) -> None:
    assert found.dtype == wanted.dtype
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance * max(1.0, float(np.abs(wanted).max())))


@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize(("dtype", "compiled", "tolerance"), [("float64", False, 1e-13), ("float32", True, 2e-6)])
def test_an_optimiser_takes_the_steps_of_optax(recorded, name, dtype, compiled, tolerance):
    found = trajectory(OPTIMISERS[name](optim), dtype, compiled=compiled)
    assert_near(found, recorded[f"optax/{name}/{dtype}"], LOOSER.get((name, dtype), tolerance))


@pytest.mark.parametrize("name", TORCH)
def test_an_optimiser_takes_the_steps_of_pytorch(recorded, name):
    found = trajectory(TORCH[name](), "float64", compiled=False)
    assert_near(found, recorded[f"torch/{name}"], LOOSER.get((name, "torch"), 1e-12))


@pytest.mark.parametrize("name", SEARCHES)
def test_a_line_search_takes_the_steps_of_optax(recorded, name):
    optimiser = SEARCHES[name](optim)

    @fg.jit
    def step(params, state):
        gradient = valley_gradient(params)
        updates, state = optimiser.update(gradient, state, params, value=valley(params), grad=gradient, value_fn=valley)
        return optim.apply_updates(params, updates), state

    params = start()
    state = optimiser.init(params)
    rows = []
    for _ in range(STEPS):
        params, state = step(params, state)
        rows.append(params)
    assert_near(compact(rows), recorded[f"search/{name}"], 1e-7)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_has_the_values_of_optax(recorded, name):
    schedule = SCHEDULES[name](optim)
    wanted = recorded[f"schedule/{name}"]
    np.testing.assert_allclose([float(schedule(count)) for count in COUNTS], wanted, rtol=1e-14, atol=1e-15)
    traced = fg.jit(fg.vmap(lambda count: fg.numpy.asarray(schedule(count)) + 0.0 * count))(np.array(COUNTS, np.int32))
    np.testing.assert_allclose(traced, wanted, rtol=1e-14, atol=1e-15)
