"""How fast are a transformer block and a layer norm?  Value and gradient in one compiled function, float32.

The block: layer norm, causal self-attention of 8 heads, layer norm, an MLP with GELU (tanh form), both with residual
connections (Vaswani et al. 2017, norms first as in Xiong et al. 2020). The loss is the mean square of its output.
"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.workload import Call, Data, Goal, Limit, Workload, map_leaves

BATCH, LENGTH, WIDTH, HEADS = 8, 128, 256, 8
EPSILON = 1e-5
MATRICES = {"qkv": (WIDTH, 3 * WIDTH), "out": (WIDTH, WIDTH), "up": (WIDTH, 4 * WIDTH), "down": (4 * WIDTH, WIDTH)}


def data() -> Data:
    """Parameters, and one batch."""
    random = np.random.default_rng(0)
    params = {name: random.standard_normal(shape) / np.sqrt(shape[0]) for name, shape in MATRICES.items()}
    params |= {"up_bias": np.zeros(4 * WIDTH), "down_bias": np.zeros(WIDTH)}
    params |= {f"{kind}{k}": random.standard_normal(WIDTH) for kind in ("scale", "shift") for k in (1, 2)}
    x = random.standard_normal((BATCH, LENGTH, WIDTH))
    return {"params": map_leaves(lambda a: a.astype(np.float32), params), "x": x.astype(np.float32)}


# The block ------------------------------------------------------------------------------------------------------------


def _norm(np: Any, x: Any, scale: Any, shift: Any) -> Any:
    centred = x - np.mean(x, axis=-1, keepdims=True)
    return centred / np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + EPSILON) * scale + shift


def traced(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the same text."""
    fg, np, nn = library.api, library.np, library.nn

    def block(params, x):
        batch, length, width = x.shape
        size = width // HEADS
        qkv = (_norm(np, x, params["scale1"], params["shift1"]) @ params["qkv"]).reshape(batch, length, 3, HEADS, size)
        q, k, v = (qkv[:, :, part] for part in range(3))
        scores = np.einsum("bthd,bshd->bhts", q, k) * size**-0.5
        weights = nn.softmax(np.where(np.tri(length, dtype=bool), scores, -np.inf), axis=-1)
        x = x + np.einsum("bhts,bshd->bthd", weights, v).reshape(batch, length, width) @ params["out"]
        hidden = nn.gelu(_norm(np, x, params["scale2"], params["shift2"]) @ params["up"] + params["up_bias"])
        return x + hidden @ params["down"] + params["down_bias"]

    function = fg.jit(fg.value_and_grad(lambda params, x: np.mean(block(params, x) ** 2)))
    return partial(function, map_leaves(library.own, data["params"]), library.own(data["x"]))


def torch(library: SimpleNamespace, data: Data) -> Call:
    """PyTorch with its fused attention and layer norm."""
    torch = library.torch
    functional = torch.nn.functional
    names = list(data["params"])
    params = [torch.tensor(data["params"][name], requires_grad=True) for name in names]
    x = torch.tensor(data["x"])

    @library.compiled
    def loss(x, *flat):
        p = dict(zip(names, flat, strict=True))
        batch, length, width = x.shape
        norm = functional.layer_norm(x, (width,), p["scale1"], p["shift1"], EPSILON)
        q, k, v = (norm @ p["qkv"]).reshape(batch, length, 3, HEADS, width // HEADS).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + mixed.transpose(1, 2).reshape(batch, length, width) @ p["out"]
        norm = functional.layer_norm(x, (width,), p["scale2"], p["shift2"], EPSILON)
        hidden = functional.gelu(norm @ p["up"] + p["up_bias"], approximate="tanh")
        return torch.mean((x + hidden @ p["down"] + p["down_bias"]) ** 2)

    def value_and_gradient():
        value = loss(x, *params)
        return value, dict(zip(names, torch.autograd.grad(value, params), strict=True))

    return value_and_gradient


def by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy with the gradient written by hand."""
    return partial(_by_hand, data["params"], data["x"])


def _norm_forward(x, scale, shift):
    centred = x - x.mean(axis=-1, keepdims=True)
    inverse = 1 / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + x.dtype.type(EPSILON))
    normal = centred * inverse
    return normal * scale + shift, (normal, inverse)


def _norm_backward(kept, scale, ct):
    normal, inverse = kept
    inner = ct * scale
    mean = inner.mean(axis=-1, keepdims=True)
    dx = inverse * (inner - mean - normal * (inner * normal).mean(axis=-1, keepdims=True))
    axes = tuple(range(ct.ndim - 1))
    return dx, (ct * normal).sum(axis=axes), ct.sum(axis=axes)


def _by_hand(p, x):
    batch, length, width = x.shape
    size, rows = width // HEADS, batch * length
    root = x.dtype.type((2 / np.pi) ** 0.5)
    norm1, kept1 = _norm_forward(x, p["scale1"], p["shift1"])
    qkv = (norm1.reshape(rows, width) @ p["qkv"]).reshape(batch, length, 3, HEADS, size).transpose(2, 0, 3, 1, 4)
    q, k, v = qkv
    scores = q @ k.swapaxes(-1, -2) * x.dtype.type(size**-0.5)
    scores = np.where(np.tri(length, dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    mixed = (weights @ v).transpose(0, 2, 1, 3).reshape(rows, width)
    middle = x + (mixed @ p["out"]).reshape(x.shape)
    norm2, kept2 = _norm_forward(middle, p["scale2"], p["shift2"])
    before = norm2.reshape(rows, width) @ p["up"] + p["up_bias"]
    slope = np.tanh(root * (before + 0.044715 * before**3))
    hidden = 0.5 * before * (1 + slope)
    out = middle + (hidden @ p["down"] + p["down_bias"]).reshape(x.shape)

    ct = 2 * out / out.size
    flat = ct.reshape(rows, width)
    inner = 0.5 * (1 + slope) + 0.5 * before * (1 - slope**2) * root * (1 + 3 * 0.044715 * before**2)
    dbefore = flat @ p["down"].T * inner
    dmiddle, dscale2, dshift2 = _norm_backward(kept2, p["scale2"], (dbefore @ p["up"].T).reshape(x.shape))
    dmiddle += ct
    dmixed = dmiddle.reshape(rows, width) @ p["out"].T
    dheads = dmixed.reshape(batch, length, HEADS, size).transpose(0, 2, 1, 3)
    dweights = dheads @ v.swapaxes(-1, -2)
    dscores = weights * (dweights - (dweights * weights).sum(axis=-1, keepdims=True)) * x.dtype.type(size**-0.5)
    dqkv = np.stack((dscores @ k, dscores.swapaxes(-1, -2) @ q, weights.swapaxes(-1, -2) @ dheads))
    dqkv = dqkv.transpose(1, 3, 0, 2, 4).reshape(rows, 3 * width)
    _, dscale1, dshift1 = _norm_backward(kept1, p["scale1"], (dqkv @ p["qkv"].T).reshape(x.shape))
    gradient = {
        "qkv": norm1.reshape(rows, width).T @ dqkv,
        "out": mixed.T @ dmiddle.reshape(rows, width),
        "up": norm2.reshape(rows, width).T @ dbefore,
        "down": hidden.T @ flat,
        "up_bias": dbefore.sum(axis=0),
        "down_bias": flat.sum(axis=0),
        "scale1": dscale1,
        "shift1": dshift1,
        "scale2": dscale2,
        "shift2": dshift2,
    }
    return np.mean(out**2), gradient


def products() -> tuple[tuple[int, int, int, bool, bool], ...]:
    """The products with the parameters, and those of the heads as so many rows more."""
    rows = BATCH * LENGTH
    forward = [(rows, n, m, False, False) for m, n in MATRICES.values()]
    weights = [(m, n, rows, True, False) for m, n in MATRICES.values()]
    inputs = [(rows, m, n, False, True) for m, n in MATRICES.values() if n != 3 * WIDTH or m != WIDTH]
    size = WIDTH // HEADS
    heads = [(HEADS * rows, LENGTH, size, False, False)] * 3 + [(HEADS * rows, size, LENGTH, False, False)] * 3
    return (*forward, *weights, (rows, WIDTH, 3 * WIDTH, False, True), *inputs, *heads)


# Layer norm -----------------------------------------------------------------------------------------------------------

ROWS, COLUMNS = 8192, 768


def norm_data() -> Data:
    """Rows, and a cotangent of the result."""
    random = np.random.default_rng(0)
    shapes = {"x": (ROWS, COLUMNS), "scale": (COLUMNS,), "shift": (COLUMNS,), "ct": (ROWS, COLUMNS)}
    return {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def norm(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the result, and its cotangents."""
    fg, np = library.api, library.np

    def both(x, scale, shift, ct):
        out, pull = fg.vjp(partial(_norm, np), x, scale, shift)
        return out, pull(ct)

    return partial(fg.jit(both), *(library.own(data[name]) for name in ("x", "scale", "shift", "ct")))


def torch_norm(library: SimpleNamespace, data: Data) -> Call:
    """PyTorch's own."""
    torch = library.torch
    x, scale, shift = (torch.tensor(data[name], requires_grad=True) for name in ("x", "scale", "shift"))
    ct = torch.tensor(data["ct"])
    function = library.compiled(torch.nn.functional.layer_norm)

    def both():
        out = function(x, (x.shape[-1],), scale, shift, EPSILON)
        return out, torch.autograd.grad(out, (x, scale, shift), ct)

    return both


def norm_by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy."""

    def both():
        out, kept = _norm_forward(data["x"], data["scale"], data["shift"])
        return out, _norm_backward(kept, data["scale"], data["ct"])

    return both


WORKLOADS = (
    Workload(
        "transformer",
        f"transformer block {WIDTH} wide, {HEADS} heads, {BATCH} × {LENGTH}, causal: value and gradient",
        data,
        {"funcgrad": traced, "jax": traced, "torch": torch, "tcompile": torch, "numpy": by_hand},
        tolerance=1e-4,
        limit=Limit("gemm", products=products()),
        goals=(Goal("steady", 0.8, ("torch", "tcompile")), Goal("steady", 1.0, ("jax",)), Goal("cold", 0.35, ("jax",))),
    ),
    Workload(
        "layer_norm",
        f"layer norm of {ROWS} × {COLUMNS} float32: result and cotangents",
        norm_data,
        {"funcgrad": norm, "jax": norm, "torch": torch_norm, "tcompile": torch_norm, "numpy": norm_by_hand},
        tolerance=1e-4,
        limit=Limit("triad", bytes=4 * ROWS * COLUMNS * 4),
        goals=(Goal("steady", 1.0, ("jax", "torch", "tcompile")),),
    ),
)
