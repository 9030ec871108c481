"""The MLP in funcgrad: an epoch is one call."""

from __future__ import annotations

from typing import Any

import funcgrad as fg
from funcgrad import losses, optim, training
from funcgrad import numpy as np
from funcgrad.nn import layers

NET = layers.serial(layers.dense(128), layers.relu, layers.dense(64), layers.relu, layers.dense(10))


def loss(params: Any, batch: Any) -> Any:
    scores = NET.apply(params, batch["x"])
    return losses.softmax_cross_entropy_with_integer_labels(scores, batch["y"]).mean()


@fg.jit
def right(params: Any, x: Any, y: Any) -> Any:
    return np.mean(np.argmax(NET.apply(params, x), axis=-1) == y)


class Training:
    def __init__(self, params: Any, steps: int) -> None:
        optimizer = optim.sgd(optim.linear_schedule(0.3, 0.0, steps))
        self.params, self.state = params, optimizer.init(params)
        self.run = training.fit_epoch(loss, optimizer, 32)

    def epoch(self, batches: Any) -> Any:
        data = {name: array.reshape(-1, *array.shape[2:]) for name, array in batches.items()}
        self.params, self.state, values = self.run(self.params, self.state, data)
        return values

    def accuracy(self, test: Any) -> float:
        return float(right(self.params, test["x"], test["y"]))
