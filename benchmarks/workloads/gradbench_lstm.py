"""How fast is GradBench's LSTM?  Objective and gradient as that suite defines them, float64.

Its weights are diagonal, 14 numbers wide, so that every layer's gates are elementwise: forget and output gates read the
layer's input, input gate and change its hidden state. The loss is the mean of what is expected next times the logarithm
of its predicted probability, whose normaliser has 2 added to its sum.
"""

from __future__ import annotations

import itertools
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.workload import Call, Data, Goal, Workload

WIDTH = 14


def data(layers: int, length: int) -> Data:
    """Weights and biases of the gates, of input and output, the first hidden states and cells, and a sequence."""
    random = np.random.default_rng(0)
    return {
        "main": random.standard_normal((layers, 2, 4, WIDTH)) / 2,
        "extra": random.standard_normal((3, WIDTH)) / 2,
        "state": random.standard_normal((layers, 2, WIDTH)) / 2,
        "sequence": (random.random((length, WIDTH)) < 0.3).astype(np.float64),
    }


def step(np: Any, main: Any, extra: Any, state: Any, x: Any, expected: Any) -> tuple[list[Any], Any]:
    """The next states and the logarithmic probability of what comes next; parameters may have leading axes in numpy."""

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    x = x * extra[..., 0, :]
    after = []
    for layer, (hidden, cell) in enumerate(state):
        w, b = main[..., layer, 0, :, :], main[..., layer, 1, :, :]
        forget = sigmoid(x * w[..., 0, :] + b[..., 0, :])
        taken = sigmoid(hidden * w[..., 1, :] + b[..., 1, :])
        given = sigmoid(x * w[..., 2, :] + b[..., 2, :])
        change = np.tanh(hidden * w[..., 3, :] + b[..., 3, :])
        cell = cell * forget + taken * change
        x = given * np.tanh(cell)
        after.append((x, cell))
    y = x * extra[..., 1, :] + extra[..., 2, :]
    normaliser = np.log(np.exp(y).sum(-1) + 2)
    return after, (expected * y).sum(-1) - expected.sum() * normaliser


def traced(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the same text."""
    fg, np = library.api, library.np
    count = (len(data["sequence"]) - 1) * WIDTH

    def objective(main, extra, state, sequence):
        def body(carry, pair):
            return step(np, main, extra, carry, *pair)

        start = [(state[k, 0], state[k, 1]) for k in range(len(data["state"]))]
        return -np.sum(fg.lax.scan(body, start, (sequence[:-1], sequence[1:]))[1]) / count

    function = fg.jit(fg.value_and_grad(objective, argnums=(0, 1)))
    return partial(function, *(library.own(data[name]) for name in ("main", "extra", "state", "sequence")))


def torch(library: SimpleNamespace, data: Data) -> Call:
    """PyTorch: a loop in Python."""
    torch = library.torch
    main, extra = (torch.tensor(data[name], requires_grad=True) for name in ("main", "extra"))
    state, sequence = torch.tensor(data["state"]), torch.tensor(data["sequence"])

    def value_and_gradient():
        states, total = list(state), 0.0
        for x, expected in itertools.pairwise(sequence):
            states, term = step(torch, main, extra, states, x, expected)
            total = total + term
        value = -total / ((len(sequence) - 1) * WIDTH)
        return value, torch.autograd.grad(value, (main, extra))

    return value_and_gradient


def by_steps(library: SimpleNamespace, data: Data) -> Call:
    """NumPy: a complex step for each parameter (Squire and Trapp 1998), exact to rounding, all of them at once."""
    main, extra, sequence = data["main"], data["extra"], data["sequence"]

    def value_and_gradient():
        sizes = main.size, extra.size
        moved = np.tile(np.concatenate((main.ravel(), extra.ravel())).astype(complex), (sum(sizes), 1))
        np.einsum("ii->i", moved)[:] += 1e-100j
        mains = moved[:, : sizes[0]].reshape(-1, *main.shape)
        extras = moved[:, sizes[0] :].reshape(-1, *extra.shape)
        states, total = [tuple(pair) for pair in data["state"]], 0.0
        for x, expected in itertools.pairwise(sequence):
            states, term = step(np, mains, extras, states, x, expected)
            total = total + term
        value = -total / ((len(sequence) - 1) * WIDTH)
        gradient = value.imag / 1e-100
        return value.real[0], (gradient[: sizes[0]].reshape(main.shape), gradient[sizes[0] :].reshape(extra.shape))

    return value_and_gradient


WORKLOADS = tuple(
    Workload(
        name,
        f"GradBench LSTM: {layers} layers of {WIDTH}, {length} steps, value and gradient",
        partial(data, layers, length),
        {"funcgrad": traced, "jax": traced, "torch": torch, "numpy": by_steps},
        tolerance=1e-9,
        goals=(Goal("steady", 1.0, ("jax", "torch")),),
        x64=True,
        quick=length == 1024,
    )
    for name, layers, length in (("lstm_gates", 2, 1024), ("lstm_gates_large", 4, 4096))
)
