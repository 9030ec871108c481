"""How fast is a whole epoch of training?  A small network, Adam, batches of 32 examples in a given order.

funcgrad's is `training.fit_epoch`; JAX's is a `lax.scan` with optax inside one jitted function; PyTorch's and NumPy's
are loops in Python.  Each call is one epoch that goes on from the one before.
"""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.workload import Call, Data, Goal, Workload
from benchmarks.workloads.mlp import TrainingLoop

SIZES, EXAMPLES, BATCH = (64, 128, 64, 10), 1797, 32
RATE, B1, B2, EPSILON = 1e-3, 0.9, 0.999, 1e-8


def data() -> Data:
    """As many examples as scikit-learn's digits have, and the order in which they are seen."""
    random = np.random.default_rng(0)
    return {
        "params": [
            ((random.standard_normal((m, n)) / np.sqrt(m)).astype(np.float32), np.zeros(n, np.float32))
            for m, n in pairwise(SIZES)
        ],
        "x": random.standard_normal((EXAMPLES, SIZES[0])).astype(np.float32),
        "y": random.integers(0, SIZES[-1], EXAMPLES).astype(np.int32),
        "order": random.permutation(EXAMPLES).astype(np.int32),
    }


def loss_of(library: SimpleNamespace) -> Any:
    """The mean cross-entropy of a batch, for funcgrad and JAX."""
    np, nn = library.np, library.nn

    def loss(params, batch):
        x, y = batch
        for w, b in params[:-1]:
            x = nn.relu(x @ w + b)
        w, b = params[-1]
        scores = nn.log_softmax(x @ w + b)
        return -np.mean(np.take_along_axis(scores, y[:, None], axis=1))

    return loss


class Epochs(TrainingLoop):
    """Parameters and optimiser's state go from one call to the next."""

    def __call__(self) -> tuple[Any, Any]:
        *self.params, losses = self.step(*self.params, *self.batch)
        return self.params[0], losses


def funcgrad(library: SimpleNamespace, data: Data) -> Call:
    """`training.fit_epoch` on the data in their new order."""
    fg = library.api
    optimizer = fg.optim.adam(RATE, B1, B2, EPSILON)
    epoch = fg.training.fit_epoch(loss_of(library), optimizer, BATCH)

    @fg.jit
    def run(params, state, x, y, order):
        return epoch(params, state, (x[order], y[order]))

    params = data["params"]
    return Epochs(run, (params, optimizer.init(params)), data["x"], data["y"], data["order"])


def jax(library: SimpleNamespace, data: Data) -> Call:
    """`lax.scan` over the batches, and the smaller last one."""
    import optax

    api, np = library.api, library.np
    optimizer, loss = optax.adam(RATE, B1, B2, EPSILON), loss_of(library)
    whole = EXAMPLES // BATCH * BATCH

    def step(carry, batch):
        params, state = carry
        value, gradients = api.value_and_grad(loss)(params, batch)
        updates, state = optimizer.update(gradients, state, params)
        return (optax.apply_updates(params, updates), state), value

    @api.jit
    def run(params, state, x, y, order):
        x, y = x[order], y[order]
        cut = [a[:whole].reshape(-1, BATCH, *a.shape[1:]) for a in (x, y)]
        carry, losses = api.lax.scan(step, (params, state), tuple(cut))
        carry, last = step(carry, (x[whole:], y[whole:]))
        return *carry, np.concatenate([losses, last[None]])

    params = api.tree.map(library.own, data["params"])
    arrays = [library.own(data[name]) for name in ("x", "y", "order")]
    return Epochs(run, (params, optimizer.init(params)), *arrays)


def torch(library: SimpleNamespace, data: Data) -> Call:
    """PyTorch's Adam, which updates in place."""
    torch = library.torch
    params = [[torch.tensor(array, requires_grad=True) for array in layer] for layer in data["params"]]
    optimizer = torch.optim.Adam([array for layer in params for array in layer], RATE, (B1, B2), EPSILON)

    @library.compiled
    def loss(x, y):
        for w, b in params[:-1]:
            x = torch.relu(torch.addmm(b, x, w))
        w, b = params[-1]
        return torch.nn.functional.cross_entropy(torch.addmm(b, x, w), y)

    x, y = torch.tensor(data["x"]), torch.tensor(data["y"]).long()
    order = torch.tensor(data["order"]).long()

    def run():
        losses = []
        for rows in order.split(BATCH):
            optimizer.zero_grad()
            value = loss(x[rows], y[rows])
            value.backward()
            optimizer.step()
            losses.append(value.detach())
        return params, torch.stack(losses)

    return run


def by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy with the gradient and Adam written out."""
    params = [array.copy() for layer in data["params"] for array in layer]
    means, squares = [np.zeros_like(p) for p in params], [np.zeros_like(p) for p in params]
    x, y, order = data["x"], data["y"], data["order"]
    steps = [0]

    def gradient(x, y):
        inputs = []
        for w, b in zip(params[::2], params[1::2], strict=True):
            inputs.append(x)
            x = x @ w + b
            if len(inputs) < len(params) // 2:
                x = np.maximum(x, 0)
        scores = x - x.max(axis=1, keepdims=True)
        scores = scores - np.log(np.sum(np.exp(scores), axis=1, keepdims=True))
        rows = np.arange(len(y))
        slope = np.exp(scores)
        slope[rows, y] -= 1
        slope /= len(y)
        found = []
        for w, before in zip(params[-2::-2], reversed(inputs), strict=True):
            found += [slope.sum(axis=0), before.T @ slope]
            slope = (slope @ w.T) * (before > 0)
        return -np.mean(scores[rows, y]), found[::-1]

    def run():
        losses = []
        for start in range(0, EXAMPLES, BATCH):
            rows = order[start : start + BATCH]
            value, gradients = gradient(x[rows], y[rows])
            losses.append(value)
            steps[0] += 1
            for p, m, v, g in zip(params, means, squares, gradients, strict=True):
                m += (1 - B1) * (g - m)
                v += (1 - B2) * (g * g - v)
                p -= RATE * (m / (1 - B1 ** steps[0])) / (np.sqrt(v / (1 - B2 ** steps[0])) + EPSILON)
        return [[w, b] for w, b in zip(params[::2], params[1::2], strict=True)], np.array(losses)

    return run


WORKLOADS = (
    Workload(
        "epoch",
        "one epoch: MLP 64-128-64-10, 1,797 examples, batch 32, Adam, float32",
        data,
        {"funcgrad": funcgrad, "jax": jax, "torch": torch, "numpy": by_hand},
        tolerance=2e-3,
        goals=(Goal("steady", 1.0, ("jax", "torch", "numpy")),),
    ),
)
