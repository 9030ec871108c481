"""The convolutional network in funcgrad: an epoch is one call."""

from __future__ import annotations

from typing import Any

import funcgrad as fg
from funcgrad import losses, nn, optim, training
from funcgrad import numpy as np
from funcgrad.nn import layers

CONVOLUTIONS = [layers.conv(features, window, bias=False) for features, window in ((32, 5), (32, 3), (64, 3), (64, 3))]
NORM, POOL, DENSE1, DENSE2 = layers.batch_norm(), layers.max_pool(2), layers.dense(128), layers.dense(10)


def dropped(x: Any, keep: Any, rate: float) -> Any:
    return x if keep is None else np.where(keep, x * np.float32(1 / (1 - rate)), np.float32(0))


def scores(params: Any, state: Any, batch: Any, train: bool) -> tuple[Any, Any]:
    x, state = batch["x"], dict(state)
    for number, convolution in enumerate(CONVOLUTIONS, 1):
        norm = f"norm{number}"
        x = convolution.apply(params[f"conv{number}"], x)
        x, state[norm] = NORM.apply(params[norm], x, train=train, state=state[norm])
        x = nn.relu(x)
        if number % 2 == 0:
            x = dropped(POOL.apply({}, x), batch.get(f"keep{number // 2}"), 0.25)
    x = nn.relu(DENSE1.apply(params["dense1"], x.reshape(x.shape[0], -1)))
    return DENSE2.apply(params["dense2"], dropped(x, batch.get("keep3"), 0.5)), state


def loss(params: Any, state: Any, batch: Any) -> tuple[Any, Any]:
    found, state = scores(params, state, batch, True)
    return losses.softmax_cross_entropy_with_integer_labels(found, batch["y"]).mean(), state


@fg.jit
def right(params: Any, state: Any, batch: Any) -> Any:
    return np.mean(np.argmax(scores(params, state, batch, False)[0], axis=-1) == batch["y"])


class Training:
    def __init__(self, params: Any, steps: int) -> None:
        optimizer = optim.adam(optim.cosine_decay_schedule(2e-3, steps))
        running = {name: NORM.init_state((1, *params[name]["scale"].shape)) for name in params if "norm" in name}
        self.carry = params, running, optimizer.init(params)
        self.run = training.fit_epoch(loss, optimizer, 64, has_state=True)

    def epoch(self, batches: Any) -> Any:
        data = {name: array.reshape(-1, *array.shape[2:]) for name, array in batches.items()}
        *self.carry, values = self.run(*self.carry, data)
        return values

    def accuracy(self, test: Any) -> float:
        return float(right(*self.carry[:2], test))
