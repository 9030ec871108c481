"""How fast is a training step of a recurrent network?  An LSTM (Hochreiter & Schmidhuber 1997), small and large.

Gates i, f, g, o; the class is read off the last hidden state.  Each call is one step from the same parameters, the
products with the inputs are made before the loop.
"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.workload import Builder, Call, Data, Goal, Workload

CLASSES, RATE = 10, np.float32(0.05)
NAMES = ("wx", "wh", "b", "wo", "bo")

Sizes = tuple[int, int, int, int]  # steps, batch, inputs, hidden


def data(steps: int, batch: int, inputs: int, hidden: int) -> Data:
    """Uniform weights as PyTorch draws them, normal inputs, one label per sequence."""
    random = np.random.default_rng(0)

    def uniform(*shape):
        return (random.uniform(-1, 1, shape) / np.sqrt(hidden)).astype(np.float32)

    shapes = ((inputs, 4 * hidden), (hidden, 4 * hidden), (4 * hidden,), (hidden, CLASSES), (CLASSES,))
    return {
        **{name: uniform(*shape) for name, shape in zip(NAMES, shapes, strict=True)},
        "x": random.standard_normal((steps, batch, inputs)).astype(np.float32),
        "y": random.integers(0, CLASSES, batch).astype(np.int32),
    }


def traced(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the same text."""
    fg, np, nn = library.api, library.np, library.nn

    def loss(params, x, y):
        wx, wh, b, wo, bo = params

        def cell(state, x):
            h, c = state
            i, f, g, o = np.split(x + h @ wh, 4, axis=-1)
            c = nn.sigmoid(f) * c + nn.sigmoid(i) * np.tanh(g)
            return (nn.sigmoid(o) * np.tanh(c), c), None

        zeros = np.zeros((x.shape[1], wh.shape[0]), x.dtype)
        (h, _), _ = fg.lax.scan(cell, (zeros, zeros), x @ wx + b)
        scores = nn.log_softmax(h @ wo + bo)
        return -np.mean(np.take_along_axis(scores, y[:, None], axis=1))

    @fg.jit
    def step(params, x, y):
        value, gradient = fg.value_and_grad(loss)(params, x, y)
        return [p - RATE * g for p, g in zip(params, gradient, strict=True)], value

    own = library.own
    return partial(step, [own(data[name]) for name in NAMES], own(data["x"]), own(data["y"]))


def flushed(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad with subnormal numbers as zeros, as JAX has them always: slopes fade below 1e-38 on the way back."""
    return library.api.flush_subnormals()(traced(library, data))


def torch(library: SimpleNamespace, data: Data) -> Call:
    """PyTorch: its own `LSTM`, whose matrices are the transposes; without subnormal numbers, too."""
    torch = library.torch
    torch.set_flush_denormal(True)
    module = torch.nn.LSTM(data["x"].shape[-1], len(data["wh"]))
    module.bias_hh_l0.requires_grad_(False)
    with torch.no_grad():
        module.weight_ih_l0.copy_(torch.tensor(data["wx"].T))
        module.weight_hh_l0.copy_(torch.tensor(data["wh"].T))
        module.bias_ih_l0.copy_(torch.tensor(data["b"]))
        module.bias_hh_l0.zero_()
    wo, bo = (torch.tensor(data[name], requires_grad=True) for name in ("wo", "bo"))
    params = (module.weight_ih_l0, module.weight_hh_l0, module.bias_ih_l0, wo, bo)
    x, y = torch.tensor(data["x"]), torch.tensor(data["y"]).long()

    def step():
        h = module(x)[1][0][0]
        value = torch.nn.functional.cross_entropy(torch.addmm(bo, h, wo), y)
        gradient = torch.autograd.grad(value, params)
        with torch.no_grad():
            wx, wh, *rest = (p - float(RATE) * g for p, g in zip(params, gradient, strict=True))
        return [wx.T, wh.T, *rest], value

    return step


def by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy: back-propagation through time, written out."""
    x, y = data["x"], data["y"]
    batch = x.shape[1]

    def sigmoid(z):
        return 0.5 * (np.tanh(0.5 * z) + 1)

    def forward(wx, wh, b):
        h = c = np.zeros((batch, len(wh)), x.dtype)
        tape = []
        for part in x @ wx + b:
            i, f, g, o = np.split(part + h @ wh, 4, axis=-1)
            i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
            new = f * c + i * g
            tape.append((i, f, g, o, c, np.tanh(new), h))
            h, c = o * np.tanh(new), new
        return h, tape

    def step(wx, wh, b, wo, bo):
        h, tape = forward(wx, wh, b)
        scores = h @ wo + bo
        scores = scores - scores.max(axis=1, keepdims=True)
        scores = scores - np.log(np.sum(np.exp(scores), axis=1, keepdims=True))
        value = -np.mean(scores[np.arange(batch), y])
        slope = np.exp(scores)
        slope[np.arange(batch), y] -= 1
        slope /= batch
        ct_wo, ct_bo, ct_h, ct_c = h.T @ slope, slope.sum(axis=0), slope @ wo.T, np.zeros_like(h)
        ct_wh, ct_parts = np.zeros_like(wh), []
        for i, f, g, o, c, t, h in reversed(tape):
            ct_c = ct_c + ct_h * o * (1 - t * t)
            slopes = (ct_c * g * i * (1 - i), ct_c * c * f * (1 - f), ct_c * i * (1 - g * g), ct_h * t * o * (1 - o))
            ct_part = np.concatenate(slopes, axis=-1)
            ct_wh += h.T @ ct_part
            ct_parts.append(ct_part)
            ct_h, ct_c = ct_part @ wh.T, ct_c * f
        ct = np.stack(ct_parts[::-1])
        gradient = (np.tensordot(x, ct, ((0, 1), (0, 1))), ct_wh, ct.sum(axis=(0, 1)), ct_wo, ct_bo)
        return [p - RATE * g for p, g in zip((wx, wh, b, wo, bo), gradient, strict=True)], value

    return partial(step, *(data[name] for name in NAMES))


def outcome(data: Data, result: Any) -> dict[str, np.ndarray]:
    """The loss, and the gradient recovered from the step."""
    new, value = result
    gradient = {n: (data[n] - after.astype(float)) / float(RATE) for n, after in zip(NAMES, new, strict=True)}
    return {"loss": np.asarray(value), **gradient}


def _workload(name: str, sizes: Sizes, tolerance: float, goal: Goal, own: Builder = traced) -> Workload:
    steps, batch, inputs, hidden = sizes
    return Workload(
        name,
        f"LSTM, training step, {steps} steps, batch {batch}, {inputs} inputs, hidden {hidden}, float32",
        partial(data, *sizes),
        {"funcgrad": own, "jax": traced, "torch": torch, "numpy": by_hand},
        tolerance,
        outcome,
        goals=(goal,),
    )


WORKLOADS = (
    _workload("loop_lstm16", (256, 1, 16, 16), 1e-4, Goal("steady", 0.4, ("jax",)), flushed),
    _workload("loop_lstm128", (64, 32, 64, 128), 1e-3, Goal("steady", 0.6, ("jax", "torch"))),
)
