"""Is an epoch as one compiled loop the loop in Python, and does a resumed training go on as if it had never ended?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.training import batches, fit_epoch, load_checkpoint, save_checkpoint, scan_epoch

RNG = np.random.default_rng(0)
DATA = {"x": RNG.normal(size=(50, 6)).astype(np.float32), "y": RNG.integers(0, 3, 50)}
WEIGHTS = [RNG.normal(size=(6, 8)).astype(np.float32), RNG.normal(size=(8, 3)).astype(np.float32)]
PARAMS = {"w": WEIGHTS, "b": np.float32(0.5)}


def loss(params: Any, batch: Any) -> Any:
    h = np.tanh(batch["x"] @ params["w"][0] + params["b"])
    log_p = fg.nn.log_softmax(h @ params["w"][1])
    return -np.mean(np.take_along_axis(log_p, batch["y"][:, None], 1))


def steps(optimizer: Any, params: Any, state: Any, made: Any, loss: Any = loss) -> tuple[Any, Any, list[float]]:
    """The loop in Python."""

    @fg.jit
    def step(params: Any, state: Any, batch: Any) -> Any:
        value, gradients = fg.value_and_grad(loss)(params, batch)
        updates, state = optimizer.update(gradients, state, params)
        return fg.optim.apply_updates(params, updates), state, value

    losses = []
    for batch in made:
        params, state, value = step(params, state, batch)
        losses.append(value)
    return params, state, losses


def close(one: Any, other: Any, rtol: float = 2e-5) -> None:
    assert fg.tree.structure(one) == fg.tree.structure(other)
    for x, y in zip(fg.tree.leaves(one), fg.tree.leaves(other), strict=True):
        assert np.asarray(x).dtype == np.asarray(y).dtype
        np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-6)


@pytest.mark.parametrize("size", [1, 7, 10, 50, 64])
@pytest.mark.parametrize("shuffled", [False, True])
def test_an_epoch_is_the_loop_in_python(size: int, shuffled: bool) -> None:
    optimizer = fg.optim.adam(1e-2)
    key = fg.random.key(3) if shuffled else None
    epoch = fit_epoch(loss, optimizer, size)
    params, state = PARAMS, optimizer.init(PARAMS)
    losses: list[float] = []
    for number in range(2):
        own = None if key is None else fg.random.fold_in(key, number)
        params, state, found = epoch(params, state, DATA, own)
        losses += list(found)
    expected = steps(optimizer, PARAMS, optimizer.init(PARAMS), batches(DATA, size, key=key, epochs=2))
    close((params, state, losses), expected)


def test_a_smaller_last_batch_is_left_out() -> None:
    optimizer = fg.optim.sgd(0.1)
    found = fit_epoch(loss, optimizer, 8, drop_last=True)(PARAMS, optimizer.init(PARAMS), DATA)
    assert found[2].shape == (6,)
    expected = steps(optimizer, PARAMS, optimizer.init(PARAMS), batches(DATA, 8, drop_last=True))
    close((*found[:2], list(found[2])), expected)


def test_training_lowers_the_loss_and_the_caller_s_arrays_stay() -> None:
    before = fg.tree.map(np.array, (PARAMS, DATA))
    optimizer = fg.optim.adam(1e-2)
    epoch = fit_epoch(loss, optimizer, 10)
    params, state = PARAMS, optimizer.init(PARAMS)
    means = []
    for number in range(40):
        params, state, losses = epoch(params, state, DATA, fg.random.key(number))
        means.append(np.mean(losses))
    assert means[-1] < 0.5 * means[0]
    assert fg.tree.all(fg.tree.map(np.array_equal, before, (PARAMS, DATA)))


def test_no_python_between_the_steps() -> None:
    traced: list[Any] = []

    def counted(params: Any, batch: Any) -> Any:
        traced.append(batch["x"].shape)
        return loss(params, batch)

    optimizer = fg.optim.sgd(0.1)
    epoch = fit_epoch(counted, optimizer, 5)
    params, state = PARAMS, optimizer.init(PARAMS)
    for number in range(3):
        params, state, _ = epoch(params, state, DATA, fg.random.key(number))
    first = len(traced)
    for number in range(3):
        params, state, _ = epoch(params, state, DATA, fg.random.key(number))
    assert first < 10  # the batches of an epoch: traced per types, not per step
    assert len(traced) == first
    names = [e.primitive.name for e in fg.jit(epoch).trace(params, state, DATA, fg.random.key(0)).program.equations]
    assert "pure_callback" not in names


def test_state_and_keys() -> None:
    def noisy(params: Any, state: Any, batch: Any, key: Any) -> Any:
        noise = fg.random.normal(key, batch["x"].shape, np.float32)
        return loss(params, {**batch, "x": batch["x"] + noise}), {"seen": state["seen"] + len(batch["y"]), "key": key}

    optimizer = fg.optim.sgd(0.1)
    epoch = fit_epoch(noisy, optimizer, 20, has_state=True, has_key=True)
    start = {"seen": 0, "key": fg.random.key(9)}
    one = epoch(PARAMS, start, optimizer.init(PARAMS), DATA, fg.random.key(1))
    again = epoch(PARAMS, start, optimizer.init(PARAMS), DATA, fg.random.key(1))
    other = epoch(PARAMS, start, optimizer.init(PARAMS), DATA, fg.random.key(2))
    close(one, again, rtol=0)
    assert one[1]["seen"] == 50
    assert one[3].shape == (3,)
    assert not np.array_equal(one[3], other[3])
    assert not np.array_equal(one[1]["key"], fg.random.key(1))
    with pytest.raises(ValueError, match=r"the loss takes a key .* but the epoch was given none"):
        epoch(PARAMS, start, optimizer.init(PARAMS), DATA)


def test_inside_of_a_scan_over_epochs() -> None:
    optimizer = fg.optim.sgd(0.1)
    epoch = fit_epoch(loss, optimizer, 10)
    params = PARAMS

    @fg.jit
    def train(params: Any, state: Any, key: Any) -> Any:
        def body(carry: Any, key: Any) -> Any:
            params, state, losses = epoch(*carry, DATA, key)
            return (params, state), fg.numpy.mean(losses)

        return fg.lax.scan(body, (params, state), fg.random.split(key, 4))

    (found, _), means = train(params, optimizer.init(params), fg.random.key(0))
    assert means.shape == (4,)
    state = optimizer.init(params)
    for key in fg.random.split(fg.random.key(0), 4):
        params, state, _ = epoch(params, state, DATA, key)
    close(found, params)


def test_scan_epoch_with_outputs_that_are_trees() -> None:
    def step(total: Any, batch: Any) -> Any:
        return total + np.sum(batch), {"first": batch[0], "pair": (np.mean(batch), 3)}

    total, outputs = scan_epoch(step, 3)(0.0, np.arange(8.0))
    assert total == 28
    np.testing.assert_array_equal(outputs["first"], [0, 3, 6])
    np.testing.assert_array_equal(outputs["pair"][0], [1, 4, 6.5])
    np.testing.assert_array_equal(outputs["pair"][1], [3, 3, 3])


MISTAKES: dict[str, tuple[Any, type[Exception], str]] = {
    "lengths": (
        lambda e: e(0.0, {"x": np.zeros(3), "y": np.zeros(2)}),
        ValueError,
        r"\['y'\] has 2 examples, but \['x'\]",
    ),
    "empty": (lambda e: e(0.0, np.zeros((0, 2))), ValueError, "there are no examples"),
    "number": (lambda e: e(0.0, 3.0), ValueError, "the array is a number"),
    "rows as lists": (
        lambda e: e(0.0, {"x": [[1.0, 2.0], [3.0]]}),
        ValueError,
        r"scan_epoch: \['x'\]\[0\]\[0\] is a number .*make arrays of them by np\.asarray",
    ),
    "another function's name": (lambda e: fit_epoch(loss, fg.optim.sgd(0.1), 0), ValueError, "fit_epoch: batch_size"),
    "not called": (lambda e: fit_epoch(loss, fg.optim.sgd, 2), TypeError, r"call it first, as in sgd\(\.\.\.\)"),
    "dropped": (
        lambda e: scan_epoch(lambda c, b: (c, b), 4, drop_last=True)(0.0, np.zeros(3)),
        ValueError,
        "3 examples make no batch of 4, and drop_last",
    ),
    "size": (lambda e: scan_epoch(lambda c, b: (c, b), 0), ValueError, "batch_size must be at least 1, not 0"),
    "step": (lambda e: scan_epoch(3, 2), TypeError, "scan_epoch takes a function, not 3"),
    "loss": (lambda e: fit_epoch(3, fg.optim.sgd(0.1), 2), TypeError, "fit_epoch takes a function, not 3"),
    "optimiser": (
        lambda e: fit_epoch(loss, 0.1, 2),
        TypeError,
        r"fit_epoch: the optimizer is no gradient transformation but 0\.1",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str) -> None:
    call, error, message = MISTAKES[name]
    with pytest.raises(error, match=message):
        call(scan_epoch(lambda carry, batch: (carry, np.sum(batch)), 2))


# Resuming -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [1, 5, 6, 13])
def test_a_resumed_training_is_the_uninterrupted_one(stop: int, tmp_path: Path) -> None:
    optimizer = fg.optim.adamw(1e-2)

    @fg.jit
    def step(params: Any, state: Any, batch: Any) -> Any:
        value, gradients = fg.value_and_grad(loss)(params, batch)
        updates, state = optimizer.update(gradients, state, params)
        return fg.optim.apply_updates(params, updates), state, value

    def train(start: Any, count: int) -> tuple[Any, list[float]]:
        run, losses = start, []
        made = batches(DATA, 8, key=run["key"], epochs=3, skip=run["step"], prefetch=2)
        for _, batch in zip(range(count), made, strict=False):
            params, state, value = step(run["params"], run["opt"], batch)
            run = {**run, "params": params, "opt": state, "step": run["step"] + 1}
            losses.append(float(value))
        return run, losses

    params = PARAMS
    start = {"params": params, "opt": optimizer.init(params), "key": fg.random.key(5), "step": 0}
    whole, losses = train(start, 100)
    assert whole["step"] == len(losses) == 21
    half, first = train(start, stop)
    save_checkpoint(tmp_path / "run.safetensors", half)
    del half
    resumed = load_checkpoint(tmp_path / "run.safetensors", start)
    assert resumed["step"] == stop
    end, rest = train(resumed, 100)
    assert first + rest == losses  # to the last bit
    for x, y in zip(fg.tree.leaves(end), fg.tree.leaves(whole), strict=True):
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


def test_resuming_between_whole_epochs(tmp_path: Path) -> None:
    optimizer = fg.optim.adam(1e-2)
    epoch, key = fit_epoch(loss, optimizer, 8), fg.random.key(0)
    params = PARAMS
    run = (params, optimizer.init(params))
    for number in range(4):
        *run, _ = epoch(*run, DATA, fg.random.fold_in(key, number))  # type: ignore[assignment]
        if number == 1:
            save_checkpoint(tmp_path / "a", tuple(run))
    resumed = load_checkpoint(tmp_path / "a", (params, optimizer.init(params)))
    for number in (2, 3):
        *resumed, _ = epoch(*resumed, DATA, fg.random.fold_in(key, number))
    for x, y in zip(fg.tree.leaves(tuple(resumed)), fg.tree.leaves(tuple(run)), strict=True):
        assert x.tobytes() == y.tobytes()
