"""How fast is an update of Adam?  10⁷ parameters in 20 leaves: parameters, gradients and both averages from memory.

Every peer runs the loop of a training script, ``params, state = step(params, state, gradients)``. In the first row
results are new arrays; in the second one parameters and state are given away, so that their memory may be used again
(PyTorch and NumPy work in place anyway); in the third, with memory given away too, the gradients are clipped by their
common norm before, which takes one more pass over them: an update waits for all of the norm.
"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.workload import Call, Data, Goal, Limit, Workload, map_leaves

SHAPE, LEAVES = (500, 1000), 20
SIZE = LEAVES * SHAPE[0] * SHAPE[1]
RATE, B1, B2, EPSILON = 1e-3, 0.9, 0.999, 1e-8
LARGEST_NORM = 1.0


def data() -> Data:
    """Parameters and gradients."""
    random = np.random.default_rng(0)

    def tree() -> list[Any]:
        return [random.standard_normal(SHAPE).astype(np.float32) for _ in range(LEAVES)]

    return {"params": tree(), "gradients": tree()}


def optimiser(optim: Any, clipped: bool) -> Any:
    """funcgrad and optax: the same text."""
    adam = optim.adam(RATE, B1, B2, EPSILON)
    return optim.chain(optim.clip_by_global_norm(LARGEST_NORM), adam) if clipped else adam


def traced(optim: Any, library: SimpleNamespace, data: Data, *, donated: bool, clipped: bool) -> Call:
    """A compiled step and the loop around it."""
    adam = optimiser(optim, clipped)

    @partial(library.api.jit, donate_argnums=(0, 1) if donated else ())
    def step(params, state, gradients):
        updates, state = adam.update(gradients, state, params)
        return optim.apply_updates(params, updates), state

    carry = [library.np.array(p) for p in data["params"]], None
    carry = carry[0], adam.init(carry[0])
    gradients = map_leaves(library.own, data["gradients"])

    def loop():
        nonlocal carry
        carry = step(*carry, gradients)
        return carry[0]

    return loop


def funcgrad(library: SimpleNamespace, data: Data, **options: bool) -> Call:
    """funcgrad's own optimisers."""
    return traced(library.api.optim, library, data, **options)


def jax(library: SimpleNamespace, data: Data, **options: bool) -> Call:
    """JAX's are optax."""
    import optax

    return traced(optax, library, data, **options)


def torch(library: SimpleNamespace, data: Data, *, donated: bool, clipped: bool) -> Call:
    """PyTorch's fused Adam, in place; gradients that are clipped in place must be new ones each time."""
    torch = library.torch
    params = [torch.tensor(p, requires_grad=True) for p in data["params"]]
    gradients = [torch.tensor(g) for g in data["gradients"]]
    adam = torch.optim.Adam(params, RATE, (B1, B2), EPSILON, fused=True)

    def step():
        for p, g in zip(params, gradients, strict=True):
            p.grad = g.clone() if clipped else g
        if clipped:
            torch.nn.utils.clip_grad_norm_(params, LARGEST_NORM, foreach=True)
        adam.step()
        return params

    return step


def by_hand(library: SimpleNamespace, data: Data, *, donated: bool, clipped: bool) -> Call:
    """NumPy, one operation after the other."""
    params, gradients = [p.copy() for p in data["params"]], data["gradients"]
    averages = [(np.zeros_like(p), np.zeros_like(p)) for p in params]
    count = 0

    def step():
        nonlocal count
        count += 1
        factor = 1.0
        if clipped:
            norm = np.sqrt(sum(float(np.vdot(g, g)) for g in gradients))
            factor = min(1.0, LARGEST_NORM / norm)
        for p, g, (m, v) in zip(params, gradients, averages, strict=True):
            g = factor * g
            m += (1 - B1) * (g - m)
            v += (1 - B2) * (g * g - v)
            p -= RATE / (1 - B1**count) * m / (np.sqrt(v / (1 - B2**count)) + EPSILON)
        return params

    return step


def outcome(data: Data, result: Any) -> dict[str, np.ndarray]:
    """The first step of some leaves: the parameters themselves would hide an error."""
    return {f"step {k}": np.asarray(result[k], np.float64) - data["params"][k] for k in range(0, LEAVES, 5)}


def _workload(name: str, summary: str, passes: int, donated: bool = False, clipped: bool = False) -> Workload:
    builders = {"funcgrad": funcgrad, "jax": jax, "torch": torch, "numpy": by_hand}
    return Workload(
        name,
        f"Adam step, 10⁷ × float32 in {LEAVES} leaves{summary}",
        data,
        {peer: partial(build, donated=donated, clipped=clipped) for peer, build in builders.items()},
        tolerance=1e-3,  # a step is a thousandth of a parameter, of which float32 keeps seven digits
        outcome=outcome,
        limit=Limit("triad", "float32", bytes=passes * SIZE * 4),
        goals=(Goal("steady", 0.7, ("jax",)), Goal("share", 0.8)),
        quick=False,
        why="" if donated else "PyTorch's step writes into its parameters and moments, as `adam_donated` does",
    )


WORKLOADS = (
    _workload("adam", "", 7),
    _workload("adam_donated", ", parameters and state given away", 7, donated=True),
    _workload("adam_clipped", ", given away, gradients clipped by their norm", 8, donated=True, clipped=True),
)
