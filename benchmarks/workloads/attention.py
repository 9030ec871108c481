"""How fast is attention alone, with its gradient with respect to queries, keys and values?

8 heads of 64 features, causal or not, layout (examples, positions, heads, features); the gradient is that of the sum of
the result times given weights. The arbiter is NumPy with the gradient written by hand, head by head.
"""

from __future__ import annotations

import math
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.workload import Call, Data, Goal, Workload

HEADS, FEATURES = 8, 64


def data(examples: int, positions: int) -> Data:
    """Normal queries, keys and values, and weights of the result."""
    random = np.random.default_rng(0)
    shape = (examples, positions, HEADS, FEATURES)
    return {name: random.standard_normal(shape).astype(np.float32) for name in ("q", "k", "v", "weights")}


def traced(causal: bool, library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the same text."""
    np, attend = library.np, library.nn.dot_product_attention

    def loss(q, k, v, weights):
        return np.sum(attend(q, k, v, is_causal=causal) * weights)

    function = library.api.jit(library.api.value_and_grad(loss, (0, 1, 2)))
    return partial(function, *(library.own(data[name]) for name in ("q", "k", "v", "weights")))


def written_out(causal: bool, library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX, as people write it: a product, a mask, a softmax, a product."""
    np, nn = library.np, library.nn

    def loss(q, k, v, weights):
        scores = np.einsum("bthd,bshd->bhts", q, k) / math.sqrt(FEATURES)
        if causal:
            seen = np.tril(np.ones((q.shape[1], q.shape[1]), bool))
            scores = np.where(seen, scores, -1e30)
        return np.sum(np.einsum("bhts,bshd->bthd", nn.softmax(scores), v) * weights)

    function = library.api.jit(library.api.value_and_grad(loss, (0, 1, 2)))
    return partial(function, *(library.own(data[name]) for name in ("q", "k", "v", "weights")))


def torch(causal: bool, library: SimpleNamespace, data: Data) -> Call:
    """PyTorch's fused attention, eager or compiled; its heads stand before positions."""
    torch = library.torch
    attend = torch.nn.functional.scaled_dot_product_attention
    q, k, v = (torch.tensor(data[name], requires_grad=True) for name in ("q", "k", "v"))
    weights = torch.tensor(data["weights"])

    def loss(q, k, v):
        heads = (x.transpose(1, 2) for x in (q, k, v))
        return (attend(*heads, is_causal=causal).transpose(1, 2) * weights).sum()

    function = library.compiled(loss)

    def value_and_grad():
        value = function(q, k, v)
        return value, torch.autograd.grad(value, (q, k, v))

    return value_and_grad


def by_hand(causal: bool, library: SimpleNamespace, data: Data) -> Call:
    """NumPy, with the gradient of softmax written by hand."""
    q, k, v, weights = (np.ascontiguousarray(np.swapaxes(data[n], 1, 2)) for n in ("q", "k", "v", "weights"))
    positions = np.arange(q.shape[2])
    hidden = positions[:, None] < positions
    scale = 1 / math.sqrt(FEATURES)

    def of_head(q, k, v, weights):
        p = q @ k.T * scale
        if causal:
            p[hidden] = -np.inf
        p = np.exp(p - p.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        ct = weights @ v.T
        ct -= np.sum(ct * p, -1, keepdims=True)
        ct *= p
        ct *= scale
        return np.sum((p @ v) * weights), ct @ k, ct.T @ q, p.T @ weights

    def value_and_grad():
        heads = [of_head(*(x[index] for x in (q, k, v, weights))) for index in np.ndindex(q.shape[:2])]
        values, *gradients = zip(*heads, strict=True)
        return sum(values), tuple(np.swapaxes(np.reshape(g, q.shape), 1, 2) for g in gradients)

    return value_and_grad


def _workload(name: str, examples: int, positions: int, causal: bool, own: Any = traced) -> Workload:
    what = ("causal attention" if causal else "attention") + (" written by hand" if own is written_out else "")
    builders = {"funcgrad": own, "jax": own, "torch": torch, "tcompile": torch, "numpy": by_hand}
    return Workload(
        name,
        f"{what}, {examples} × {positions}, {HEADS} heads of {FEATURES}, value and gradient, float32",
        partial(data, examples, positions),
        {peer: partial(builder, causal) for peer, builder in builders.items()},
        tolerance=1e-4,
        goals=(Goal("steady", 1.0, ("jax",)), *((Goal("rss", 0.8, ("jax",)),) if positions > 1024 else ())),
        quick=positions == 128,
    )


WORKLOADS = (
    _workload("attention_128", 8, 128, True),
    _workload("attention_1024", 1, 1024, True),
    _workload("attention_4096", 1, 4096, True),
    _workload("attention_all_1024", 1, 1024, False),
    _workload("attention_all_4096", 1, 4096, False),
    _workload("attention_by_hand_4096", 1, 4096, False, written_out),
)
