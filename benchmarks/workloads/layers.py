"""What do layers and optimisers cost?  The MLP's training step through `funcgrad.nn.layers` and `funcgrad.optim`,
beside the same step written by hand.

The peer ``hand`` is funcgrad too: the step of `benchmarks.workloads.mlp`, on the same dictionaries of parameters, so
that only the functions between differ. The kernels are equal (`tests/nn/layers/test_networks.py` holds the listings),
and so should steady times be; the first call traces through the layers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.workload import Call, Data, Goal, Limit, Workload, map_leaves
from benchmarks.workloads import mlp

Update = Callable[[Any, Any], Any]


def named(params: Any) -> dict[str, dict[str, np.ndarray]]:
    """The parameters as layers name them: every second layer is a relu."""
    return {f"{2 * k}_dense": {"kernel": w, "bias": b} for k, (w, b) in enumerate(params)}


def by_hand(library: SimpleNamespace, params: Any) -> Any:
    """Scores from parameters and images."""
    nn, last = library.nn, list(params)[-1]

    def apply(params: Any, x: Any) -> Any:
        for name, dense in params.items():
            x = x @ dense["kernel"] + dense["bias"]
            x = x if name == last else nn.relu(x)
        return x

    return apply


def through_layers(library: SimpleNamespace, params: Any) -> Any:
    """The same through layers."""
    layers = library.nn.layers
    *widths, last = (len(dense["bias"]) for dense in params.values())
    inner = [layer for width in widths for layer in (layers.dense(width), layers.relu)]
    return layers.serial(*inner, layers.dense(last), name="mlp").apply


def rule_by_hand(library: SimpleNamespace) -> Update:
    """SGD."""
    return lambda params, gradient: library.api.tree.map(lambda p, g: p - mlp.RATE * g, params, gradient)


def through_optim(library: SimpleNamespace) -> Update:
    """The same through an optimiser, whose state is empty."""
    optim = library.api.optim
    sgd = optim.sgd(mlp.RATE)

    def update(params: Any, gradient: Any) -> Any:
        updates, _ = sgd.update(gradient, sgd.init(params), params)
        return optim.apply_updates(params, updates)

    return update


def traced(library: SimpleNamespace, data: Data, network: Any, rule: Any) -> Call:
    """A training loop."""
    fg, np, nn = library.api, library.np, library.nn
    params = named(data["params"])
    apply, update = network(library, params), rule(library)

    def loss(params: Any, x: Any, y: Any) -> Any:
        scores = nn.log_softmax(apply(params, x))
        return -np.mean(np.take_along_axis(scores, y[:, None], axis=1))

    @fg.jit
    def step(params: Any, x: Any, y: Any) -> Any:
        value, gradient = fg.value_and_grad(loss)(params, x, y)
        return update(params, gradient), value

    own = partial(map_leaves, library.own)
    return mlp.TrainingLoop(step, own(params), own(data["x"]), own(data["y"]))


def outcome(data: Data, result: Any) -> dict[str, np.ndarray]:
    """Loss and gradients, as of the MLP."""
    after, loss = result
    if isinstance(after, dict):
        after = [(dense["kernel"], dense["bias"]) for dense in after.values()]
    return mlp.outcome(data, (after, loss))


BUILDERS = {
    "funcgrad": partial(traced, network=through_layers, rule=through_optim),
    "hand": partial(traced, network=by_hand, rule=rule_by_hand),
    "jax": partial(traced, network=by_hand, rule=rule_by_hand),
    "numpy": mlp.by_hand,
}

WORKLOADS = (
    Workload(
        "layers",
        f"MLP step {'-'.join(map(str, mlp.BIG))} through layers, batch 128, float32",
        partial(mlp.data, mlp.BIG, 128),
        BUILDERS,
        tolerance=1e-3,
        outcome=outcome,
        limit=Limit("gemm", products=mlp.products(mlp.BIG, 128)),
        goals=(Goal("steady", 1.02, ("hand",)), Goal("cold", 1.15, ("hand",))),
        quick=False,
    ),
    Workload(
        "layers_tiny",
        f"MLP step {'-'.join(map(str, mlp.TINY))} through layers, batch 32, float32",
        partial(mlp.data, mlp.TINY, 32),
        BUILDERS,
        tolerance=1e-3,
        outcome=outcome,
        goals=(Goal("steady", 1.02, ("hand",)),),
        quick=False,
    ),
)
