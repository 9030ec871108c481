"""The MLP in JAX with optax."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax


def scores(params: Any, x: Any) -> Any:
    *inner, last = params.values()
    for dense in inner:
        x = jax.nn.relu(x @ dense["kernel"] + dense["bias"])
    return x @ last["kernel"] + last["bias"]


def loss(params: Any, batch: Any) -> Any:
    return optax.softmax_cross_entropy_with_integer_labels(scores(params, batch["x"]), batch["y"]).mean()


@jax.jit
def right(params: Any, x: Any, y: Any) -> Any:
    return jnp.mean(jnp.argmax(scores(params, x), axis=-1) == y)


class Training:
    def __init__(self, params: Any, steps: int, epochs_of: Any) -> None:
        optimizer = optax.sgd(optax.linear_schedule(0.3, 0.0, steps))

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
        return float(right(self.carry[0], test["x"], test["y"]))
