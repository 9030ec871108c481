"""Where do the recorded numbers come from?  ``python -m tests.optim.record``, with JAX, optax and PyTorch installed.

It takes some minutes; with names of cases, only these are computed anew.
"""

from __future__ import annotations

import sys
from typing import Any

import jax
import numpy as np
import optax
import torch

from tests.optim.cases import (
    COUNTS,
    DTYPES,
    OPTIMISERS,
    RECORDED,
    SCHEDULES,
    SEARCHES,
    STEPS,
    Build,
    compact,
    gradients,
    parameters,
    start,
    valley,
    valley_gradient,
    values,
)

TORCH = {
    "sgd": lambda p: torch.optim.SGD(p, 0.1),
    "sgd momentum": lambda p: torch.optim.SGD(p, 0.1, 0.9),
    "sgd nesterov": lambda p: torch.optim.SGD(p, 0.1, 0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, 0.05),
    "adamw": lambda p: torch.optim.AdamW(p, 0.05, weight_decay=0.1),
    "adamax": lambda p: torch.optim.Adamax(p, 0.05),
    "radam": lambda p: torch.optim.RAdam(p, 0.05),
    "adagrad from zero": lambda p: torch.optim.Adagrad(p, 0.1, eps=1e-10),
    "adadelta": lambda p: torch.optim.Adadelta(p, 1.0, 0.9, 1e-6, 0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, 0.05, 0.9, 1e-8),
    "rprop": lambda p: torch.optim.Rprop(p, 0.1),
}


def optax_run(build: Build, dtype: str) -> np.ndarray:
    """The parameters after each step, as `compact` has them."""
    optimiser = optax.with_extra_args_support(build(optax))
    params = parameters(dtype)
    state = optimiser.init(params)
    rows = []
    for gradient, value in zip(gradients(dtype), values(), strict=True):
        updates, state = optimiser.update(gradient, state, params, value=value)
        params = jax.tree.map(lambda p, q: np.reshape(q, p.shape), params, optax.apply_updates(params, updates))
        rows.append(params)
    return compact(rows)


def torch_run(build: Any) -> np.ndarray:
    """As `optax_run`, in float64."""
    params = {name: torch.tensor(p, requires_grad=True) for name, p in parameters("float64").items()}
    optimiser, rows = build(list(params.values())), []
    for gradient in gradients("float64"):
        for name, p in params.items():
            p.grad = torch.tensor(gradient[name])
        optimiser.step()
        rows.append({name: p.detach().numpy().copy() for name, p in params.items()})
    return compact(rows)


def search_run(build: Build) -> np.ndarray:
    """As `optax_run`, down the valley."""
    optimiser, params = optax.with_extra_args_support(build(optax)), start()
    state, rows = optimiser.init(jax.tree.map(jax.numpy.asarray, params)), []
    for _ in range(STEPS):
        gradient = valley_gradient(params)
        updates, state = optimiser.update(gradient, state, params, value=valley(params), grad=gradient, value_fn=valley)
        params = jax.tree.map(np.asarray, optax.apply_updates(params, updates))
        rows.append(params)
    return compact(rows)


def main(names: list[str]) -> None:
    """Write the file."""
    jax.config.update("jax_enable_x64", True)
    recorded = dict(np.load(RECORDED)) if names else {}

    def chosen(cases: dict[str, Any]) -> list[tuple[str, Any]]:
        return [(name, build) for name, build in cases.items() if name in names or not names]

    for name, build in chosen(OPTIMISERS):
        recorded |= {f"optax/{name}/{dtype}": optax_run(build, dtype) for dtype in DTYPES}
    for name, build in chosen(TORCH):
        recorded[f"torch/{name}"] = torch_run(build)
    for name, build in chosen(SEARCHES):
        recorded[f"search/{name}"] = search_run(build)
    for name, build in chosen(SCHEDULES):
        schedule = build(optax)
        recorded[f"schedule/{name}"] = np.array([float(schedule(jax.numpy.asarray(count))) for count in COUNTS])
    np.savez_compressed(RECORDED, **recorded)


if __name__ == "__main__":
    main(sys.argv[1:])
