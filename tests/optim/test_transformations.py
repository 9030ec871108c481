"""Do updates go through `jit`, `scan`, `vmap` and `grad`, and what do combinations promise?"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import optim
from tests.optim.cases import OPTIMISERS, gradients, parameters

SOME = ("sgd nesterov", "adamw", "lamb", "adafactor", "rmsprop centered", "multisteps", "partition", "inject", "radam")


def stacked(trees: list[Any]) -> Any:
    return fg.tree.map(lambda *xs: np.stack(xs), *trees)


def step_of(optimiser: Any) -> Any:
    def step(carry: Any, gradient: Any) -> Any:
        params, state = carry
        updates, state = optimiser.update(gradient, state, params)
        params = optim.apply_updates(params, updates)
        return (params, state), params

    return step


def assert_trees_near(found: Any, wanted: Any, tolerance: float = 1e-12) -> None:
    assert fg.tree.structure(found) == fg.tree.structure(wanted)
    for x, y in zip(fg.tree.leaves(found), fg.tree.leaves(wanted), strict=True):
        assert np.asarray(x).dtype == np.asarray(y).dtype
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", SOME)
def test_a_scan_of_updates_is_a_loop(name):
    optimiser = OPTIMISERS[name](optim)
    step, params = step_of(optimiser), parameters("float64")
    carry = looped = (params, optimiser.init(params))
    for gradient in gradients("float64")[:4]:
        looped, _ = step(looped, gradient)
    scanned, _ = fg.jit(lambda carry, gs: fg.lax.scan(step, carry, gs))(carry, stacked(gradients("float64")[:4]))
    assert_trees_near(scanned, looped)


@pytest.mark.parametrize("name", SOME)
def test_a_batch_of_updates_is_a_loop(name):
    optimiser = OPTIMISERS[name](optim)
    step, params = step_of(optimiser), parameters("float64")
    carry, steps = (params, optimiser.init(params)), gradients("float64")[:3]
    wanted = [step(carry, gradient)[0] for gradient in steps]
    assert_trees_near(fg.vmap(lambda gradient: step(carry, gradient)[0])(stacked(steps)), stacked(wanted))


META = {
    "sgd": lambda rate: optim.sgd(rate, 0.9, nesterov=True),
    "adam": lambda rate: optim.adam(rate, eps_root=1e-8),
    "adamw": lambda rate: optim.adamw(rate, eps_root=1e-8, weight_decay=0.1),
    "rmsprop": lambda rate: optim.rmsprop(rate),
    "lamb": lambda rate: optim.lamb(rate, eps_root=1e-8),
    "clipped": lambda rate: optim.chain(optim.clip_by_global_norm(1.0), optim.sgd(rate)),
    "cosine": lambda rate: optim.sgd(optim.cosine_decay_schedule(rate, 10)),
}


@pytest.mark.parametrize("name", META)
def test_the_learning_rate_has_a_gradient_through_training(name):
    def trained(rate: Any) -> Any:
        optimiser, w = META[name](rate), np.array([1.0, -2.0, 3.0])
        state = optimiser.init(w)
        for _ in range(4):
            updates, state = optimiser.update(fg.grad(lambda w: fg.numpy.sum(w**4 / 4 + w))(w), state, w)
            w = optim.apply_updates(w, updates)
        return fg.numpy.sum(w**2)

    rate, h = 0.01, 1e-5
    wanted = (float(trained(rate + h)) - float(trained(rate - h))) / (2 * h)
    np.testing.assert_allclose(fg.grad(trained)(rate), wanted, rtol=1e-6)
    np.testing.assert_allclose(fg.jit(fg.grad(trained))(rate), wanted, rtol=1e-6)


@pytest.mark.parametrize("clipped", [False, True])
def test_adam_is_one_kernel_per_leaf(clipped):
    optimiser = optim.adam(optim.cosine_decay_schedule(1e-3, 100))
    optimiser = optim.chain(optim.clip_by_global_norm(1.0), optimiser) if clipped else optimiser
    leaves, size = 15, 40_000
    params = {f"w{k}": np.ones(size, np.float32) for k in range(leaves)}
    state = optimiser.init(params)
    lowered = fg.jit(lambda p, s, g: step_of(optimiser)((p, s), g)[0]).lower(params, state, params)
    cost = lowered.cost_analysis()
    passes = 8 if clipped else 7  # p, m, v and g read, p, m and v written; the norm reads g once more
    assert cost["bytes accessed"] < (passes + 0.01) * leaves * size * 4
    assert cost["kernels"] <= leaves * (2 if clipped else 1) + 4
    assert "pow" not in lowered.as_text("python").split("def run")[0].split("for i0 in")[-1]


def sgd_by_hand(params: Any, gradient: Any, state: Any) -> Any:
    return fg.tree.map(lambda p, g: p - np.float32(0.1) * g, params, gradient), state


def momentum_by_hand(params: Any, gradient: Any, state: Any) -> Any:
    state = fg.tree.map(lambda g, m: g + np.float32(0.9) * m, gradient, state)
    return fg.tree.map(lambda p, m: p - np.float32(0.1) * m, params, state), state


RULES = {"sgd": (optim.sgd(0.1), sgd_by_hand), "momentum": (optim.sgd(0.1, momentum=0.9), momentum_by_hand)}


@pytest.mark.parametrize("name", RULES)
def test_a_step_through_layers_and_an_optimiser_costs_what_one_by_hand_costs(name):
    layers = fg.nn.layers
    net = layers.serial(layers.dense(32), layers.relu, layers.dense(10))
    params = net.init(fg.random.key(0), (1, 64))
    x, y = np.ones((16, 64), np.float32), np.arange(16) % 10
    optimiser, by_hand = RULES[name]

    def network(p: Any, x: Any) -> Any:
        hidden = fg.nn.relu(x @ p["0_dense"]["kernel"] + p["0_dense"]["bias"])
        return hidden @ p["2_dense"]["kernel"] + p["2_dense"]["bias"]

    def through(params: Any, gradient: Any, state: Any) -> Any:
        updates, state = optimiser.update(gradient, state, params)
        return optim.apply_updates(params, updates), state

    def analysis(apply: Any, update: Any, state: Any) -> Any:
        def loss(params: Any, x: Any) -> Any:
            return -fg.numpy.mean(fg.numpy.take_along_axis(fg.nn.log_softmax(apply(params, x)), y[:, None], 1))

        def step(params: Any, state: Any, x: Any) -> Any:
            value, gradient = fg.value_and_grad(loss)(params, x)
            return *update(params, gradient, state), value

        return fg.jit(step, donate_argnums=(0, 1)).lower(params, state, x).cost_analysis()

    zeros = fg.tree.map(np.zeros_like, params) if name == "momentum" else ()
    assert analysis(net.apply, through, optimiser.init(params)) == analysis(network, by_hand, zeros)


def test_results_are_arrays_of_the_callers():
    gradient, optimiser = np.ones(3), optim.chain(optim.identity(), optim.trace(0.9))
    updates, state = optimiser.update(gradient, optimiser.init(gradient))
    assert isinstance(updates, fg.Array)
    updates[:] = 5.0
    np.testing.assert_array_equal(state[1].trace, 1.0)
    np.testing.assert_array_equal(gradient, 1.0)


def test_python_numbers_and_lists_are_parameters():
    optimiser = optim.adam(0.1)
    params = [1.0, (2.0, None)]
    updates, _ = optimiser.update([1.0, (-1.0, None)], optimiser.init(params), params)
    np.testing.assert_allclose(fg.tree.leaves(optim.apply_updates(params, updates)), [0.9, 2.1])


def test_bfloat16_parameters_keep_their_dtype():
    import ml_dtypes

    params = np.ones(4, ml_dtypes.bfloat16)
    optimiser = optim.adamw(0.1, mu_dtype=np.float32)

    @fg.jit
    def step(p, s):
        updates, s = optimiser.update(p, s, p)
        return optim.apply_updates(p, updates), s

    state = optimiser.init(params)
    params, state = step(params, state)
    assert params.dtype == ml_dtypes.bfloat16
    assert state[0].mu.dtype == np.float32
    np.testing.assert_allclose(params.astype(np.float32), 0.9, atol=4e-3)


@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_states_and_parameters_keep_their_dtypes(name, dtype):
    """Narrow floats times Python numbers are float32 in NumPy, but what a loop carries must not change."""
    import ml_dtypes

    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    params = {name: np.asarray(x).astype(kind) for name, x in parameters("float32").items()}
    optimiser = OPTIMISERS[name](optim)
    state = optimiser.init(params)
    extra = {"value": np.float32(1.0)} if name.startswith(("plateau", "polyak")) else {}

    def step(params: Any, state: Any) -> Any:
        updates, state = optimiser.update(params, state, params, **extra)
        return optim.apply_updates(params, updates), state

    before = [(x.dtype, x.shape) for x in map(np.asarray, fg.tree.leaves((params, state)))]
    assert [(x.dtype, x.shape) for x in fg.tree.leaves(fg.eval_shape(fg.jit(step), params, state))] == before
    assert [(x.dtype, x.shape) for x in map(np.asarray, fg.tree.leaves(step(params, state)))] == before


def test_complex_parameters_descend():
    optimiser = optim.adam(0.1)
    z = np.array([1 + 1j, -2j])
    state = optimiser.init(z)
    assert state[0].nu.dtype == np.float64
    for _ in range(200):
        gradient = np.conj(fg.grad(lambda z: fg.numpy.sum(fg.numpy.abs(z - (3 - 1j)) ** 2))(z))
        updates, state = optimiser.update(gradient, state, z)
        z = optim.apply_updates(z, updates)
    np.testing.assert_allclose(z, 3 - 1j, atol=1e-2)


def test_updates_that_are_not_finite_change_nothing_for_a_while():
    optimiser = optim.apply_if_finite(optim.adam(0.1), max_consecutive_errors=2)
    update = fg.jit(optimiser.update)
    state, bad, good = optimiser.init(np.ones(2)), np.array([1.0, np.inf]), np.ones(2)
    _, state = update(good, state)
    inner = state.inner_state
    for k in range(2):
        updates, state = update(bad, state)
        np.testing.assert_array_equal(updates, 0.0)
        assert_trees_near(state.inner_state, inner)
        assert (int(state.notfinite_count), bool(state.last_finite)) == (k + 1, False)
    updates, state = update(bad, state)
    assert not np.all(np.isfinite(updates))
    _, state = update(good, state)
    assert (int(state.notfinite_count), int(state.total_notfinite)) == (0, 3)


def test_multisteps_takes_the_step_of_the_whole_batch_and_skips():
    inner = optim.adam(0.1)
    optimiser = optim.MultiSteps(inner, 3, should_skip_update_fn=optim.skip_not_finite)
    parts = [np.array([1.0, 2.0]), np.array([np.nan, 0.0]), np.array([3.0, 0.0]), np.array([2.0, 4.0])]
    state, update = optimiser.init(np.zeros(2)), fg.jit(optimiser.update)
    for part in parts:
        updates, state = update(part, state)
        assert bool(optimiser.has_updated(state)) == (part is parts[-1])
    wanted, _ = inner.update(np.array([2.0, 2.0]), inner.init(np.zeros(2)))
    np.testing.assert_allclose(updates, wanted, rtol=1e-14)
    assert_trees_near(state.acc_grads, np.zeros(2))


def test_nan_is_zeroed_and_told():
    tx = optim.zero_nans()
    updates, state = tx.update({"a": np.array([np.nan, 1.0]), "b": np.ones(1)}, tx.init({"a": np.ones(2), "b": 1.0}))
    np.testing.assert_array_equal(updates["a"], [0.0, 1.0])
    assert (bool(state.found_nan["a"]), bool(state.found_nan["b"])) == (True, False)


def test_noise_has_the_stated_deviation():
    tx = optim.add_noise(4.0, 0.5, key=3)
    zeros = {"a": np.zeros(20_000), "b": np.zeros(3, np.float32)}
    state = tx.init(zeros)
    first, state = tx.update(zeros, state)
    second, _ = tx.update(zeros, state)
    assert abs(np.std(first["a"]) - 2.0) < 0.05
    assert abs(np.std(second["a"]) - 2.0 / 2**0.25) < 0.05
    assert first["b"].dtype == np.float32
    assert not np.array_equal(first["b"], second["b"])


def test_lookahead_starts_again_from_both():
    optimiser = optim.lookahead(optim.sgd(1.0, 0.9), 2, 0.5, reset_state=True)
    params = optim.LookaheadParams.init_synced(np.array([0.0]))
    state = optimiser.init(params)
    seen = []
    for _ in range(3):
        updates, state = fg.jit(optimiser.update)(np.array([1.0]), state, params)
        params = optim.apply_updates(params, updates)
        seen.append((float(params.fast[0]), float(params.slow[0])))
    # -1; -1 - 1.9 = -2.9, halfway back to 0 is -1.45 for both; then momentum begins anew
    np.testing.assert_allclose(seen, [(-1.0, 0.0), (-1.45, -1.45), (-2.45, -1.45)])


def test_hyperparameters_can_be_changed_in_the_state():
    optimiser = optim.inject_hyperparams(optim.sgd)(0.1, momentum=0.5)
    state = optimiser.init(np.zeros(1, np.float32))
    assert state.hyperparams["momentum"].dtype == np.float32
    state = optim.tree.set(state, learning_rate=np.float32(1.0))
    updates, _ = fg.jit(optimiser.update)(np.ones(1, np.float32), state)
    np.testing.assert_array_equal(updates, [-1.0])


def test_examples_are_clipped_one_by_one():
    grads = {"a": np.array([[3.0], [0.3], [0.0]]), "b": np.array([[4.0], [0.4], [0.0]])}
    sums, count = optim.per_example_global_norm_clip(grads, 1.0)
    np.testing.assert_allclose([sums["a"][0], sums["b"][0]], [0.9, 1.2])
    assert count == 1
    sums, counts = optim.per_example_layer_norm_clip(grads, 2.0**0.5)
    np.testing.assert_allclose([sums["a"][0], sums["b"][0]], [1.3, 1.4])
    assert [int(counts["a"]), int(counts["b"])] == [1, 1]


BACKTRACKING = optim.scale_by_backtracking_linesearch(20, store_grad=True)


@pytest.mark.parametrize("build", [optim.lbfgs, lambda: optim.lbfgs(linesearch=BACKTRACKING)])
def test_a_batch_of_searches_takes_its_own_steps(build):
    optimiser = build()

    def minimised(w, centre):
        f = lambda w: fg.numpy.sum((w - centre) ** 4 + (w - centre) ** 2)  # noqa: E731

        def step(carry, _):
            w, state = carry
            value, grad = optim.value_and_grad_from_state(f)(w, state=state)
            updates, state = optimiser.update(grad, state, w, value=value, grad=grad, value_fn=f)
            return (optim.apply_updates(w, updates), state), value

        return fg.lax.scan(step, (w, optimiser.init(w)), None, 12)[0][0]

    centres = np.array([[0.0, 1.0], [5.0, -3.0]])
    found = fg.jit(fg.vmap(minimised, (None, 0)))(np.ones(2), centres)
    np.testing.assert_allclose(found, centres, atol=1e-4)


def test_the_package_is_imported_quickly_and_late():
    code = "import sys, funcgrad; assert 'funcgrad.optim' not in sys.modules; funcgrad.optim.adam; print('ok')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "ok\n"
