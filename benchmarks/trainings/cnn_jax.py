"""The convolutional network in JAX with optax."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax


def normalized(params: Any, running: Any, x: Any, train: bool) -> tuple[Any, Any]:
    if not train:
        mean, variance = running["mean"], running["variance"]
    else:
        mean, variance, count = x.mean((0, 1, 2)), x.var((0, 1, 2)), x.size // x.shape[-1]
        seen = {"mean": mean, "variance": variance * (count / (count - 1))}
        running = jax.tree.map(lambda old, new: 0.9 * old + 0.1 * new, running, seen)
    return (x - mean) * (jax.lax.rsqrt(variance + 1e-5) * params["scale"]) + params["bias"], running


def pooled(x: Any) -> Any:
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))


def dropped(x: Any, keep: Any, rate: float) -> Any:
    return x if keep is None else jnp.where(keep, x / (1 - rate), 0)


def scores(params: Any, running: Any, batch: Any, train: bool) -> tuple[Any, Any]:
    x, running = batch["x"], dict(running)
    for number in range(1, 5):
        kernel, norm = params[f"conv{number}"]["kernel"], f"norm{number}"
        x = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x, running[norm] = normalized(params[norm], running[norm], x, train)
        x = jax.nn.relu(x)
        if number % 2 == 0:
            x = dropped(pooled(x), batch.get(f"keep{number // 2}"), 0.25)
    x = jax.nn.relu(x.reshape(len(x), -1) @ params["dense1"]["kernel"] + params["dense1"]["bias"])
    x = dropped(x, batch.get("keep3"), 0.5)
    return x @ params["dense2"]["kernel"] + params["dense2"]["bias"], running


def loss(params: Any, running: Any, batch: Any) -> tuple[Any, Any]:
    found, running = scores(params, running, batch, True)
    return optax.softmax_cross_entropy_with_integer_labels(found, batch["y"]).mean(), running


@jax.jit
def right(params: Any, running: Any, batch: Any) -> Any:
    return jnp.mean(jnp.argmax(scores(params, running, batch, False)[0], axis=-1) == batch["y"])


class Training:
    def __init__(self, params: Any, steps: int, epochs_of: Any) -> None:
        optimizer = optax.adam(optax.cosine_decay_schedule(2e-3, steps))

        def step(carry: Any, batch: Any) -> tuple[Any, Any]:
            params, running, state = carry
            (value, running), gradients = jax.value_and_grad(loss, has_aux=True)(params, running, batch)
            updates, state = optimizer.update(gradients, state, params)
            return (optax.apply_updates(params, updates), running, state), value

        params = jax.tree.map(jnp.asarray, params)
        sizes = {name: norm["scale"].shape for name, norm in params.items() if "norm" in name}
        running = {name: {"mean": jnp.zeros(size), "variance": jnp.ones(size)} for name, size in sizes.items()}
        self.carry, self.run = (params, running, optimizer.init(params)), epochs_of(step)

    def epoch(self, batches: Any) -> Any:
        self.carry, values = self.run(self.carry, batches)
        return values

    def accuracy(self, test: Any) -> float:
        return float(right(*self.carry[:2], test))
