"""How fast are gradients of stencils?  Total variation in three dimensions (jax#37465), and a chain of diffusion steps.

The total variation of an image of 128³ numbers: the sum over all points of the root of the summed squares of the
forward differences along the axes (smoothed by ε). Diffusion: ten explicit steps on a periodic grid, and the
gradient of the last state's sum of squares by the first state.
"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np

from benchmarks.workload import Call, Data, Goal, Limit, Workload

SIZE, EPSILON = 128, 1e-6
GRID, STEPS, RATE = 512, 10, 0.2


def image() -> Data:
    """Noise."""
    return {"x": np.random.default_rng(0).standard_normal((SIZE,) * 3).astype(np.float32)}


def variation(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the same text."""
    fg, np = library.api, library.np

    def total(x):
        inner = x[:-1, :-1, :-1]
        along = (x[1:, :-1, :-1] - inner, x[:-1, 1:, :-1] - inner, x[:-1, :-1, 1:] - inner)
        return np.sum(np.sqrt(along[0] ** 2 + along[1] ** 2 + along[2] ** 2 + EPSILON))

    return partial(fg.jit(fg.value_and_grad(total)), library.own(data["x"]))


def torch_variation(library: SimpleNamespace, data: Data) -> Call:
    """PyTorch."""
    torch = library.torch
    x = torch.tensor(data["x"], requires_grad=True)

    @library.compiled
    def total(x):
        inner = x[:-1, :-1, :-1]
        along = (x[1:, :-1, :-1] - inner, x[:-1, 1:, :-1] - inner, x[:-1, :-1, 1:] - inner)
        return torch.sqrt(along[0] ** 2 + along[1] ** 2 + along[2] ** 2 + EPSILON).sum()

    def value_and_gradient():
        value = total(x)
        return value, torch.autograd.grad(value, x)[0]

    return value_and_gradient


def variation_by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy with the gradient written by hand."""
    x = data["x"]

    def value_and_gradient():
        inner = x[:-1, :-1, :-1]
        a, b, c = x[1:, :-1, :-1] - inner, x[:-1, 1:, :-1] - inner, x[:-1, :-1, 1:] - inner
        root = np.sqrt(a * a + b * b + c * c + x.dtype.type(EPSILON))
        value = root.sum()
        np.divide(1, root, out=root)
        a, b, c = a * root, b * root, c * root
        gradient = np.zeros_like(x)
        gradient[1:, :-1, :-1] += a
        gradient[:-1, 1:, :-1] += b
        gradient[:-1, :-1, 1:] += c
        gradient[:-1, :-1, :-1] -= a + b + c
        return value, gradient

    return value_and_gradient


def state() -> Data:
    """Noise on a grid."""
    return {"x": np.random.default_rng(0).standard_normal((GRID, GRID)).astype(np.float32)}


def diffusion(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the same text."""
    fg, np = library.api, library.np

    def step(x):
        return x + RATE * (np.roll(x, 1, 0) + np.roll(x, -1, 0) + np.roll(x, 1, 1) + np.roll(x, -1, 1) - 4 * x)

    def loss(x):
        for _ in range(STEPS):
            x = step(x)
        return np.sum(x**2)

    return partial(fg.jit(fg.value_and_grad(loss)), library.own(data["x"]))


def torch_diffusion(library: SimpleNamespace, data: Data) -> Call:
    """PyTorch."""
    torch = library.torch
    x = torch.tensor(data["x"], requires_grad=True)

    def step(x):
        around = torch.roll(x, 1, 0) + torch.roll(x, -1, 0) + torch.roll(x, 1, 1) + torch.roll(x, -1, 1)
        return x + RATE * (around - 4 * x)

    @library.compiled
    def loss(x):
        for _ in range(STEPS):
            x = step(x)
        return (x**2).sum()

    def value_and_gradient():
        value = loss(x)
        return value, torch.autograd.grad(value, x)[0]

    return value_and_gradient


def diffusion_by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy: the step is its own transpose."""

    def step(x):
        return x + RATE * (np.roll(x, 1, 0) + np.roll(x, -1, 0) + np.roll(x, 1, 1) + np.roll(x, -1, 1) - 4 * x)

    def value_and_gradient():
        x = data["x"]
        for _ in range(STEPS):
            x = step(x)
        gradient = 2 * x
        for _ in range(STEPS):
            gradient = step(gradient)
        return (x**2).sum(), gradient

    return value_and_gradient


PEERS = ("jax", "torch", "tcompile")
WORKLOADS = (
    Workload(
        "variation",
        f"total variation of {SIZE}³ float32: value and gradient",
        image,
        {
            "funcgrad": variation,
            "jax": variation,
            "torch": torch_variation,
            "tcompile": torch_variation,
            "numpy": variation_by_hand,
        },
        tolerance=1e-4,
        limit=Limit("triad", bytes=2 * 4 * SIZE**3),
        goals=(Goal("steady", 1.0, PEERS),),
    ),
    Workload(
        "diffusion",
        f"{STEPS} diffusion steps on {GRID}² float32, periodic: value and gradient",
        state,
        {
            "funcgrad": diffusion,
            "jax": diffusion,
            "torch": torch_diffusion,
            "tcompile": torch_diffusion,
            "numpy": diffusion_by_hand,
        },
        tolerance=1e-4,
        goals=(Goal("steady", 1.0, PEERS),),
    ),
)
