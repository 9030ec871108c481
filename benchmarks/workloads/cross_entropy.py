"""How fast are softmax cross-entropy and its gradient with respect to the logits?"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np

from benchmarks.workload import Call, Data, Goal, Limit, Workload

ROWS, CLASSES = 4096, 1000


def data(rows: int = ROWS, classes: int = CLASSES) -> Data:
    """Normal logits and random integer labels."""
    random = np.random.default_rng(0)
    return {
        "logits": random.standard_normal((rows, classes)).astype(np.float32),
        "labels": random.integers(0, classes, rows).astype(np.int32),
    }


def traced(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the same text."""
    np, log_softmax = library.np, library.nn.log_softmax

    def loss(logits, labels):
        return -np.mean(np.take_along_axis(log_softmax(logits), labels[:, None], axis=1))

    function = library.api.jit(library.api.value_and_grad(loss))
    return partial(function, library.own(data["logits"]), library.own(data["labels"]))


def torch(library: SimpleNamespace, data: Data) -> Call:
    """PyTorch, eager or compiled."""
    torch = library.torch
    logits, labels = torch.tensor(data["logits"], requires_grad=True), torch.tensor(data["labels"]).long()
    loss = library.compiled(torch.nn.functional.cross_entropy)

    def value_and_grad():
        value = loss(logits, labels)
        return value, torch.autograd.grad(value, logits)[0]

    return value_and_grad


def autograd(library: SimpleNamespace, data: Data) -> Call:
    """autograd, in plain NumPy style."""
    np = library.np

    def loss(logits, labels):
        top = np.max(logits, axis=1, keepdims=True)
        scores = logits - top - np.log(np.sum(np.exp(logits - top), axis=1, keepdims=True))
        return -np.mean(scores[np.arange(len(labels)), labels])

    return partial(library.api.value_and_grad(loss), data["logits"], data["labels"])


def by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy with the gradient written by hand, in one buffer."""
    logits, labels = data["logits"], data["labels"]
    rows = np.arange(len(labels))

    def value_and_grad():
        work = logits - logits.max(axis=1, keepdims=True)
        chosen = work[rows, labels]
        np.exp(work, out=work)
        total = work.sum(axis=1, keepdims=True)
        value = np.mean(np.log(total[:, 0]) - chosen)
        work /= total * len(labels)
        work[rows, labels] -= 1 / len(labels)
        return value, work

    return value_and_grad


WORKLOADS = (
    Workload(
        "cross_entropy",
        "softmax cross-entropy of 4096 × 1000 logits, value and gradient, float32",
        data,
        {
            "funcgrad": traced,
            "jax": traced,
            "torch": torch,
            "tcompile": torch,
            "autograd": autograd,
            "numpy": by_hand,
        },
        tolerance=1e-5,
        limit=Limit("triad", bytes=2 * 4 * ROWS * CLASSES),
        goals=(Goal("steady", 0.5, ("jax",)),),
    ),
)
