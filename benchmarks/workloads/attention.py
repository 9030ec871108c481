"""How fast is attention alone, with its gradient with respect to queries, keys and values?

Causal, 8 heads of 64 features, layout (examples, positions, heads, features); the gradient is that of the sum of the
result times given weights. The arbiter is NumPy with the gradient written by hand.
"""

from __future__ import annotations

import math
from functools import partial
from types import SimpleNamespace

import numpy as np

from benchmarks.workload import Call, Data, Goal, Workload

HEADS, FEATURES = 8, 64


def data(examples: int, positions: int) -> Data:
    """Normal queries, keys and values, and weights of the result."""
    random = np.random.default_rng(0)
    shape = (examples, positions, HEADS, FEATURES)
    return {name: random.standard_normal(shape).astype(np.float32) for name in ("q", "k", "v", "weights")}


def traced(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the same text."""
    np, attend = library.np, library.nn.dot_product_attention

    def loss(q, k, v, weights):
        return np.sum(attend(q, k, v, is_causal=True) * weights)

    function = library.api.jit(library.api.value_and_grad(loss, (0, 1, 2)))
    return partial(function, *(library.own(data[name]) for name in ("q", "k", "v", "weights")))


def torch(library: SimpleNamespace, data: Data) -> Call:
    """PyTorch's fused attention, eager or compiled; its heads stand before positions."""
    torch = library.torch
    attend = torch.nn.functional.scaled_dot_product_attention
    q, k, v = (torch.tensor(data[name], requires_grad=True) for name in ("q", "k", "v"))
    weights = torch.tensor(data["weights"])

    def loss(q, k, v):
        heads = (x.transpose(1, 2) for x in (q, k, v))
        return (attend(*heads, is_causal=True).transpose(1, 2) * weights).sum()

    function = library.compiled(loss)

    def value_and_grad():
        value = function(q, k, v)
        return value, torch.autograd.grad(value, (q, k, v))

    return value_and_grad


def by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy, with the gradient of softmax written by hand."""
    q, k, v, weights = (np.ascontiguousarray(np.swapaxes(data[n], 1, 2)) for n in ("q", "k", "v", "weights"))
    positions = np.arange(q.shape[2])
    hidden = positions[:, None] < positions
    scale = 1 / math.sqrt(FEATURES)

    def value_and_grad():
        p = q @ np.swapaxes(k, 2, 3) * scale
        p[..., hidden] = -np.inf
        p = np.exp(p - p.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        ct = weights @ np.swapaxes(v, 2, 3)
        ct -= np.sum(ct * p, -1, keepdims=True)
        ct *= p
        ct *= scale
        gradient = ct @ k, np.swapaxes(ct, 2, 3) @ q, np.swapaxes(p, 2, 3) @ weights
        return np.sum((p @ v) * weights), tuple(np.swapaxes(g, 1, 2) for g in gradient)

    return value_and_grad


WORKLOADS = tuple(
    Workload(
        f"attention_{positions}",
        f"causal attention, {examples} × {positions}, {HEADS} heads of {FEATURES}, value and gradient, float32",
        partial(data, examples, positions),
        {"funcgrad": traced, "jax": traced, "torch": torch, "tcompile": torch, "numpy": by_hand},
        tolerance=1e-4,
        goals=(Goal("steady", 1.0, ("jax",)),),
        quick=positions == 128,
    )
    for examples, positions in ((8, 128), (1, 1024))
)
