"""How fast is a training step of a multilayer perceptron?  Loss, gradient and SGD update in one compiled function.

The loss is the mean cross-entropy of integer labels; hidden layers are ``relu(x @ w + b)``.  Every peer runs the loop
of a training script, ``params, loss = step(params, x, y)``; PyTorch and NumPy by hand update in place, as is usual.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.workload import Builder, Call, Data, Goal, Limit, Workload, map_leaves, named_leaves

RATE = 0.05


def data(sizes: tuple[int, ...], batch: int, other_batch: int = 0) -> Data:
    """Parameters of the layers, one batch, and a second batch of another size."""
    random = np.random.default_rng(0)
    params = [
        ((random.standard_normal((m, n)) / np.sqrt(m)).astype(np.float32), np.zeros(n, np.float32))
        for m, n in pairwise(sizes)
    ]
    x = random.standard_normal((batch + other_batch, sizes[0])).astype(np.float32)
    y = random.integers(0, sizes[-1], batch + other_batch).astype(np.int32)
    return {"params": params, "x": x[:batch], "y": y[:batch], "other_x": x[batch:], "other_y": y[batch:]}


class TrainingLoop:
    """Each call is one step that starts from the parameters of the step before."""

    def __init__(self, step: Any, params: Any, *batch: Any) -> None:
        self.step, self.params, self.batch = step, params, batch

    def __call__(self) -> tuple[Any, Any]:
        self.params, loss = self.step(self.params, *self.batch)
        return self.params, loss


def traced(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the same text."""
    fg, np, nn = library.api, library.np, library.nn

    def loss(params, x, y):
        for w, b in params[:-1]:
            x = nn.relu(x @ w + b)
        w, b = params[-1]
        scores = nn.log_softmax(x @ w + b)
        return -np.mean(np.take_along_axis(scores, y[:, None], axis=1))

    @fg.jit
    def step(params, x, y):
        value, gradient = fg.value_and_grad(loss)(params, x, y)
        return fg.tree.map(lambda p, g: p - RATE * g, params, gradient), value

    own = partial(map_leaves, library.own)
    loop = TrainingLoop(step, own(data["params"]), own(data["x"]), own(data["y"]))
    if len(data["other_x"]):
        library.waiting(loop)()
        loop = TrainingLoop(step, own(data["params"]), own(data["other_x"]), own(data["other_y"]))
    return loop


def torch(library: SimpleNamespace, data: Data) -> Call:
    """PyTorch, eager or compiled: ``torch._foreach_add_`` is what its own optimizers call."""
    torch = library.torch
    params = map_leaves(lambda array: torch.tensor(array, requires_grad=True), data["params"])
    flat = [array for layer in params for array in layer]

    @library.compiled
    def loss(params, x, y):
        for w, b in params[:-1]:
            x = torch.relu(torch.addmm(b, x, w))
        w, b = params[-1]
        return torch.nn.functional.cross_entropy(torch.addmm(b, x, w), y)

    def step(params, x, y):
        value = loss(params, x, y)
        gradient = torch.autograd.grad(value, flat)
        with torch.no_grad():
            torch._foreach_add_(flat, gradient, alpha=-RATE)
        return params, value

    def loop(x, y):
        return TrainingLoop(step, params, torch.tensor(x), torch.tensor(y).long())

    if len(data["other_x"]):
        initial = [array.detach().clone() for array in flat]
        loop(data["x"], data["y"])()
        with torch.no_grad():
            torch._foreach_copy_(flat, initial)
        return loop(data["other_x"], data["other_y"])
    return loop(data["x"], data["y"])


def autograd(library: SimpleNamespace, data: Data) -> Call:
    """autograd: the same function in plain NumPy style."""
    np = library.np

    def loss(params, x, y):
        for w, b in params[:-1]:
            x = np.maximum(np.dot(x, w) + b, 0)
        w, b = params[-1]
        scores = np.dot(x, w) + b
        top = np.max(scores, axis=1, keepdims=True)
        scores = scores - top - np.log(np.sum(np.exp(scores - top), axis=1, keepdims=True))
        return -np.mean(scores[np.arange(len(y)), y])

    value_and_grad = library.api.value_and_grad(loss)

    def step(params, x, y):
        value, gradient = value_and_grad(params, x, y)
        new = [(w - RATE * dw, b - RATE * db) for (w, b), (dw, db) in zip(params, gradient, strict=True)]
        return new, value

    return TrainingLoop(step, data["params"], data["x"], data["y"])


def by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy with the gradient written by hand."""
    return TrainingLoop(step_by_hand, map_leaves(np.copy, data["params"]), *_batch(data))


def _batch(data: Data) -> tuple[np.ndarray, np.ndarray]:
    return (data["other_x"], data["other_y"]) if len(data["other_x"]) else (data["x"], data["y"])


def step_by_hand(params, x, y):
    """The forward pass keeps what the backward pass needs; parameters change in place."""
    inputs = []
    for w, b in params:
        inputs.append(x)
        x = x @ w
        x += b
        if len(inputs) < len(params):
            np.maximum(x, 0, out=x)
    rows = np.arange(len(y))
    x -= x.max(axis=1, keepdims=True)
    chosen = x[rows, y]
    np.exp(x, out=x)
    total = x.sum(axis=1, keepdims=True)
    loss = np.mean(np.log(total[:, 0]) - chosen)
    x /= total
    x[rows, y] -= 1
    x /= len(y)
    for layer in reversed(range(len(params))):
        (w, b), before = params[layer], inputs[layer]
        gradient = before.T @ x
        gradient *= RATE
        b -= RATE * x.sum(axis=0)
        if layer:
            x = x @ w.T
            x *= before > 0
        w -= gradient
    return params, loss


def outcome(data: Data, result: Any) -> dict[str, np.ndarray]:
    """Loss and gradients, read off the updates: the parameters themselves would hide an error of the gradient."""
    after, loss = result
    before, after = named_leaves(data["params"], "gradient"), named_leaves(after, "gradient")
    return {"loss": np.asarray(loss)} | {name: (before[name] - after[name]) / RATE for name in after}


def products(sizes: tuple[int, ...], batch: int) -> tuple[tuple[int, int, int, bool, bool], ...]:
    """The matrix products of a step: outputs, weight gradients, and input gradients of all layers but the first."""
    layers = list(pairwise(sizes))
    return (
        *((batch, n, m, False, False) for m, n in layers),
        *((m, n, batch, True, False) for m, n in layers),
        *((batch, m, n, False, True) for m, n in layers[1:]),
    )


BUILDERS: dict[str, Builder] = {
    "funcgrad": traced,
    "jax": traced,
    "torch": torch,
    "tcompile": torch,
    "autograd": autograd,
    "numpy": by_hand,
}
BIG, TINY = (784, 512, 256, 10), (64, 32, 10)
FIRST_CALLS = (Goal("cold", 0.4, ("jax",)), Goal("warm", 0.5, ("jax",)))

WORKLOADS = (
    Workload(
        "mlp784",
        "MLP step 784-512-256-10, batch 128, float32",
        partial(data, BIG, 128),
        BUILDERS,
        tolerance=1e-3,
        outcome=outcome,
        limit=Limit("gemm", products=products(BIG, 128)),
        goals=(Goal("steady", 1.0, ("jax", "torch", "numpy")), Goal("share", 0.9), *FIRST_CALLS),
    ),
    Workload(
        "mlp_tiny",
        "MLP step 64-32-10, batch 32, float32",
        partial(data, TINY, 32),
        BUILDERS,
        tolerance=1e-3,
        outcome=outcome,
        goals=(Goal("steady", 0.35, ("jax",)),),
    ),
    Workload(
        "new_batch_size",
        "MLP step 784-512-256-10: the first call with batch 96 after calls with batch 128",
        partial(data, BIG, 128, 96),
        {name: builder for name, builder in BUILDERS.items() if name != "autograd"},
        tolerance=1e-3,
        outcome=outcome,
        repeated=False,
        goals=(Goal("cold", 0.03, ("jax",)),),
    ),
)
