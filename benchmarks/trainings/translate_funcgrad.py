"""The translator in funcgrad: an epoch is one call, and so is the translation of all held-out sentences."""

from __future__ import annotations

from typing import Any

import funcgrad as fg
from benchmarks.trainings.data import BEGIN, END, PAD, UNKNOWN
from funcgrad import losses, nn, optim, training
from funcgrad import numpy as np
from funcgrad.nn import layers

READ, WRITE, ASK, HIDDEN = layers.gru(48), layers.gru(96), layers.dense(96, bias=False), layers.dense(96)


def embedded(params: Any, words: Any) -> Any:
    return layers.embedding(*params["embedding"].shape).apply(params, words)


def remember(params: Any, source: Any) -> Any:
    x, there = embedded(params["source"], source), source != PAD
    forward = READ.apply(params["forward"], x, mask=there)
    backward = READ.apply(params["backward"], x, mask=there, reverse=True)
    return np.concatenate([forward, backward], axis=-1)


def write(params: Any, state: Any, words: Any, memory: Any, there: Any) -> tuple[Any, Any]:
    hidden, state = WRITE.apply(params["write"], embedded(params["target"], words), state=state)
    match = ASK.apply(params["ask"], hidden) @ memory.transpose(0, 2, 1)
    looks = nn.softmax(match, where=there[:, None, :])
    found = np.tanh(HIDDEN.apply(params["hidden"], np.concatenate([hidden, looks @ memory], axis=-1)))
    return layers.dense(params["words"]["bias"].shape[0]).apply(params["words"], found), state


def loss(params: Any, batch: Any) -> Any:
    source, target = batch["source"], batch["target"]
    memory = remember(params, source)
    told = np.pad(target[:, :-1], ((0, 0), (1, 0)), constant_values=BEGIN)
    scores, _ = write(params, {"hidden": memory[:, 0]}, told, memory, source != PAD)
    each = losses.softmax_cross_entropy_with_integer_labels(scores, target)
    return losses.weighted_mean(each, target != PAD)


@fg.jit
def right(params: Any, source: Any, target: Any) -> Any:
    memory = remember(params, source)

    def step(carry: Any, _: None) -> tuple[Any, Any]:
        state, word, ended = carry
        scores, state = write(params, state, word[:, None], memory, source != PAD)
        word = np.where(ended, PAD, np.argmax(scores[:, 0], axis=-1))
        return (state, word, ended | (word == END)), word

    begin = np.full(source.shape[0], BEGIN)
    _, words = fg.lax.scan(step, ({"hidden": memory[:, 0]}, begin, begin == END), None, target.shape[1])
    return np.mean(np.all((target == words.T) & (target != UNKNOWN), axis=1))


class Training:
    def __init__(self, params: Any, steps: int) -> None:
        rate = optim.warmup_cosine_decay_schedule(0.0, 4e-3, steps // 20 + 1, steps + 1)
        optimizer = optim.chain(optim.clip_by_global_norm(1.0), optim.adam(rate))
        self.params, self.state = params, optimizer.init(params)
        self.run = training.fit_epoch(loss, optimizer, 64)

    def epoch(self, batches: Any) -> Any:
        data = {name: array.reshape(-1, *array.shape[2:]) for name, array in batches.items()}
        self.params, self.state, values = self.run(self.params, self.state, data)
        return values

    def accuracy(self, test: Any) -> float:
        return float(right(self.params, test["source"], test["target"]))
