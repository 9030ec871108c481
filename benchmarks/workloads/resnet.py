"""How fast is a residual block of a convolutional network?  Value and gradient in one compiled function, float32.

Two 3 × 3 convolutions of 64 features, each with batch normalisation over the batch (its statistics are not kept), ReLU
in between and after the sum with the input (He et al. 2016), on images of 32 × 32. The loss is the mean square of the
output. Channels are last for funcgrad and JAX, first for PyTorch.
"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.workload import Call, Data, Goal, Limit, Workload, map_leaves
from benchmarks.workloads.cnn import LAYOUT, patches, pulled_back

BATCH, SIZE, FEATURES = 16, 32, 64
EPSILON = 1e-5


def data() -> Data:
    """Kernels, scales and shifts, and one batch."""
    random = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return random.standard_normal(shape).astype(np.float32)

    params = {
        f"{name}{k}": normal(*shape) * scale
        for k in (1, 2)
        for name, shape, scale in (
            ("kernel", (3, 3, FEATURES, FEATURES), np.float32((9 * FEATURES) ** -0.5)),
            ("scale", (FEATURES,), np.float32(1)),
            ("shift", (FEATURES,), np.float32(1)),
        )
    }
    return {"params": params, "x": normal(BATCH, SIZE, SIZE, FEATURES)}


def traced(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the same text."""
    fg, np, nn, lax = library.api, library.np, library.nn, library.api.lax

    def norm(x, scale, shift):
        mean = np.mean(x, axis=(0, 1, 2))
        variance = np.mean((x - mean) ** 2, axis=(0, 1, 2))
        return (x - mean) * (scale / np.sqrt(variance + EPSILON)) + shift

    def loss(p, x):
        y = lax.conv_general_dilated(x, p["kernel1"], (1, 1), "SAME", dimension_numbers=LAYOUT)
        y = nn.relu(norm(y, p["scale1"], p["shift1"]))
        y = lax.conv_general_dilated(y, p["kernel2"], (1, 1), "SAME", dimension_numbers=LAYOUT)
        return np.mean(nn.relu(norm(y, p["scale2"], p["shift2"]) + x) ** 2)

    function = fg.jit(fg.value_and_grad(loss, argnums=(0, 1)))
    return partial(function, map_leaves(library.own, data["params"]), library.own(data["x"]))


def torch(library: SimpleNamespace, data: Data) -> Call:
    """PyTorch: gradients are turned back for the comparison."""
    torch = library.torch
    functional = torch.nn.functional
    names = list(data["params"])
    arrays = [a.transpose(3, 2, 0, 1).copy() if a.ndim == 4 else a for a in data["params"].values()]
    params = [torch.tensor(a, requires_grad=True) for a in arrays]
    x = torch.tensor(data["x"].transpose(0, 3, 1, 2).copy(), requires_grad=True)

    @library.compiled
    def loss(x, *flat):
        p = dict(zip(names, flat, strict=True))
        y = functional.conv2d(x, p["kernel1"], padding=1)
        y = torch.relu(functional.batch_norm(y, None, None, p["scale1"], p["shift1"], True, 0.1, EPSILON))
        y = functional.conv2d(y, p["kernel2"], padding=1)
        y = functional.batch_norm(y, None, None, p["scale2"], p["shift2"], True, 0.1, EPSILON)
        return torch.mean(torch.relu(y + x) ** 2)

    def value_and_gradient():
        value = loss(x, *params)
        *found, dx = torch.autograd.grad(value, [*params, x])
        turned = [g.permute(2, 3, 1, 0) if g.ndim == 4 else g for g in found]
        return value, (dict(zip(names, turned, strict=True)), dx.permute(0, 2, 3, 1))

    return value_and_gradient


def by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy: patches and products, the gradient written by hand."""
    return partial(_by_hand, data["params"], data["x"])


def _convolved(x, kernel):
    seen = patches(x)
    return (seen @ kernel.reshape(-1, kernel.shape[-1])).reshape(x.shape), seen


def _norm_forward(x, scale, shift):
    centred = x - x.mean(axis=(0, 1, 2))
    inverse = 1 / np.sqrt((centred**2).mean(axis=(0, 1, 2)) + x.dtype.type(EPSILON))
    return centred * inverse * scale + shift, (centred * inverse, inverse)


def _norm_backward(kept, scale, ct):
    normal, inverse = kept
    dscale, dshift = (ct * normal).sum(axis=(0, 1, 2)), ct.sum(axis=(0, 1, 2))
    count = ct.size // ct.shape[-1]
    return inverse * scale * (ct - dshift / count - normal * (dscale / count)), dscale, dshift


def _by_hand(p, x):
    y, seen1 = _convolved(x, p["kernel1"])
    y, kept1 = _norm_forward(y, p["scale1"], p["shift1"])
    hidden = np.maximum(y, 0)
    z, seen2 = _convolved(hidden, p["kernel2"])
    z, kept2 = _norm_forward(z, p["scale2"], p["shift2"])
    out = np.maximum(z + x, 0)
    ct = 2 * out / out.size
    gradient: dict[str, Any] = {}
    dz, gradient["scale2"], gradient["shift2"] = _norm_backward(kept2, p["scale2"], ct)
    gradient["kernel2"] = (seen2.T @ dz.reshape(-1, FEATURES)).reshape(p["kernel2"].shape)
    dy = pulled_back(dz, p["kernel2"]) * (hidden > 0)
    dy, gradient["scale1"], gradient["shift1"] = _norm_backward(kept1, p["scale1"], dy)
    gradient["kernel1"] = (seen1.T @ dy.reshape(-1, FEATURES)).reshape(p["kernel1"].shape)
    return np.mean(out**2), (gradient, pulled_back(dy, p["kernel1"]) + ct)


ROWS, INNER = BATCH * SIZE * SIZE, 9 * FEATURES
WORKLOADS = (
    Workload(
        "resnet",
        f"residual block, {BATCH} × {SIZE}×{SIZE}×{FEATURES}, batch norm: value and gradient",
        data,
        {"funcgrad": traced, "jax": traced, "torch": torch, "tcompile": torch, "numpy": by_hand},
        tolerance=1e-3,
        limit=Limit(
            "gemm",
            products=(
                *((ROWS, FEATURES, INNER, False, False),) * 2,
                *((INNER, FEATURES, ROWS, True, False),) * 2,
                *((ROWS, FEATURES, INNER, False, False),) * 2,
            ),
        ),
        goals=(Goal("steady", 1.0, ("jax", "torch", "tcompile")),),
    ),
)
