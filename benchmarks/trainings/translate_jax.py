"""The translator in JAX with optax."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from benchmarks.trainings.data import BEGIN, END, PAD, UNKNOWN


def gru_step(params: Any, h: Any, x: Any) -> Any:
    """`x` has been multiplied by the kernel: once for the whole sequence."""
    size, inner = h.shape[-1], h @ params["recurrent_kernel"]
    r, z = jnp.split(jax.nn.sigmoid(x[:, : 2 * size] + inner[:, : 2 * size]), 2, axis=-1)
    n = jnp.tanh(x[:, 2 * size :] + r * (inner[:, 2 * size :] + params["recurrent_bias"]))
    return n + z * (h - n)


def gru(params: Any, x: Any, h: Any, there: Any = None, reverse: bool = False) -> Any:
    """Hidden states (batch, time, hidden); they stay where there is no word."""

    def step(h: Any, inputs: Any) -> tuple[Any, Any]:
        x, there = inputs
        new = gru_step(params, h, x)
        new = new if there is None else jnp.where(there[:, None], new, h)
        return new, new

    xs = jnp.swapaxes(x @ params["kernel"] + params["bias"], 0, 1)
    _, hs = jax.lax.scan(step, h, (xs, None if there is None else there.T), reverse=reverse)
    return jnp.swapaxes(hs, 0, 1)


def remember(params: Any, source: Any) -> Any:
    x, there = params["source"]["embedding"][source], source != PAD
    zeros = jnp.zeros((len(source), 48))
    both = [gru(params["forward"], x, zeros, there), gru(params["backward"], x, zeros, there, reverse=True)]
    return jnp.where(there[:, :, None], jnp.concatenate(both, axis=-1), 0)


def scores(params: Any, hidden: Any, memory: Any, there: Any) -> Any:
    """Of the words that follow hidden states (batch, time, hidden)."""
    match = jnp.einsum("bth,bsh->bts", hidden @ params["ask"]["kernel"], memory)
    looks = jax.nn.softmax(match, where=there[:, None, :])
    found = jnp.concatenate([hidden, jnp.einsum("bts,bsh->bth", looks, memory)], axis=-1)
    found = jnp.tanh(found @ params["hidden"]["kernel"] + params["hidden"]["bias"])
    return found @ params["words"]["kernel"] + params["words"]["bias"]


def loss(params: Any, batch: Any) -> Any:
    source, target = batch["source"], batch["target"]
    memory = remember(params, source)
    told = jnp.pad(target[:, :-1], ((0, 0), (1, 0)), constant_values=BEGIN)
    hidden = gru(params["write"], params["target"]["embedding"][told], memory[:, 0])
    found = scores(params, hidden, memory, source != PAD)
    return optax.softmax_cross_entropy_with_integer_labels(found, target).mean(where=target != PAD)


@jax.jit
def right(params: Any, source: Any, target: Any) -> Any:
    memory = remember(params, source)

    def step(carry: Any, _: None) -> tuple[Any, Any]:
        h, word, ended = carry
        x = params["target"]["embedding"][word] @ params["write"]["kernel"] + params["write"]["bias"]
        h = gru_step(params["write"], h, x)
        word = jnp.where(ended, PAD, jnp.argmax(scores(params, h[:, None], memory, source != PAD)[:, 0], axis=-1))
        return (h, word, ended | (word == END)), word

    begin = jnp.full(len(source), BEGIN)
    _, words = jax.lax.scan(step, (memory[:, 0], begin, begin == END), None, target.shape[1])
    return jnp.mean(jnp.all((target == words.T) & (target != UNKNOWN), axis=1))


class Training:
    def __init__(self, params: Any, steps: int, epochs_of: Any) -> None:
        rate = optax.warmup_cosine_decay_schedule(0.0, 4e-3, steps // 20 + 1, steps + 1)
        optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))

        def step(carry: Any, batch: Any) -> tuple[Any, Any]:
            params, state = carry
            value, gradients = jax.value_and_grad(loss)(params, batch)
            updates, state = optimizer.update(gradients, state, params)
            return (optax.apply_updates(params, updates), state), value

        params = jax.tree.map(jnp.asarray, params)
        self.carry, self.run = (params, optimizer.init(params)), epochs_of(step)

    def epoch(self, batches: Any) -> Any:
        self.carry, values = self.run(self.carry, batches)
        return values

    def accuracy(self, test: Any) -> float:
        return float(right(self.carry[0], test["source"], test["target"]))
