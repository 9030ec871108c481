"""How fast is a convolutional network's training step, and how fast are its convolutions?

The network: 28 × 28 × 1 images, a batch of 64, two 3 × 3 convolutions of 32 and 64 features with ReLU, 2 × 2
max-pooling, a dense layer of 10, cross-entropy of integer labels; loss, gradient and SGD update in one compiled
function. Channels are last for funcgrad and JAX, first for PyTorch, as it likes them best. NumPy's patches and
products are the arbiter.
"""

from __future__ import annotations

import itertools
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.workload import Builder, Call, Data, Goal, Limit, Workload, map_leaves, named_leaves
from benchmarks.workloads.mlp import RATE, TrainingLoop

LAYOUT = ("NHWC", "HWIO", "NHWC")


def data(batch: int, size: int, features: tuple[int, int]) -> Data:
    """Kernels, biases and one batch."""
    random = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return (random.standard_normal(shape) / np.sqrt(np.prod(shape[:-1]))).astype(np.float32)

    first, second = features
    dense = (size // 2) ** 2 * second
    params = [
        (w, np.zeros(w.shape[-1], np.float32))
        for w in (normal(3, 3, 1, first), normal(3, 3, first, second), normal(dense, 10))
    ]
    x = random.standard_normal((batch, size, size, 1)).astype(np.float32)
    return {"params": params, "x": x, "y": random.integers(0, 10, batch).astype(np.int32)}


# The training step ----------------------------------------------------------------------------------------------------


def traced(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the same text."""
    fg, np, nn, lax = library.api, library.np, library.nn, library.api.lax

    def loss(params, x, y):
        *kernels, (dense, bias) = params
        for w, b in kernels:
            x = nn.relu(lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=LAYOUT) + b)
        x = lax.reduce_window(x, -np.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        scores = nn.log_softmax(x.reshape(x.shape[0], -1) @ dense + bias)
        return -np.mean(np.take_along_axis(scores, y[:, None], axis=1))

    @fg.jit
    def step(params, x, y):
        value, gradient = fg.value_and_grad(loss)(params, x, y)
        return fg.tree.map(lambda p, g: p - RATE * g, params, gradient), value

    own = partial(map_leaves, library.own)
    return TrainingLoop(step, own(data["params"]), own(data["x"]), own(data["y"]))


def torch(library: SimpleNamespace, data: Data) -> Call:
    """PyTorch, eager or compiled, channels first: `outcome` turns its kernels back."""
    torch = library.torch
    functional = torch.nn.functional
    (first, second), dense = ((data["params"][k][0].transpose(3, 2, 0, 1).copy() for k in (0, 1)), data["params"][2][0])
    size, outs = data["x"].shape[1] // 2, data["params"][1][0].shape[-1]
    dense = dense.reshape(size, size, outs, -1).transpose(2, 0, 1, 3).reshape(dense.shape)  # channels come first
    arrays = [a for w, (_, b) in zip((first, second, dense), data["params"], strict=True) for a in (w, b)]
    flat = [torch.tensor(np.ascontiguousarray(a), requires_grad=True) for a in arrays]
    x, y = torch.tensor(data["x"].transpose(0, 3, 1, 2).copy()), torch.tensor(data["y"]).long()

    @library.compiled
    def loss(params, x, y):
        w1, b1, w2, b2, w3, b3 = params
        x = torch.relu(functional.conv2d(x, w1, b1, padding=1))
        x = torch.relu(functional.conv2d(x, w2, b2, padding=1))
        x = functional.max_pool2d(x, 2)
        return functional.cross_entropy(torch.addmm(b3, x.flatten(1), w3), y)

    def step(params, x, y):
        value = loss(params, x, y)
        gradient = torch.autograd.grad(value, params)
        with torch.no_grad():
            torch._foreach_add_(params, gradient, alpha=-RATE)
        return params, value

    return TrainingLoop(step, flat, x, y)


def by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy with the gradient written by hand."""
    return TrainingLoop(step_by_hand, map_leaves(np.copy, data["params"]), data["x"], data["y"])


def patches(x: np.ndarray) -> np.ndarray:
    """What 3 × 3 windows see of each image, bordered by zeros."""
    wide = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    n, h, w, c = x.shape
    parts = [wide[:, i : i + h, j : j + w] for i, j in itertools.product(range(3), range(3))]
    return np.stack(parts, 3).reshape(n * h * w, 9 * c)


def pulled_back(ct: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The cotangent of the images: a convolution by the reversed kernel."""
    reverse = w[::-1, ::-1].swapaxes(2, 3)
    return (patches(ct) @ reverse.reshape(-1, reverse.shape[-1])).reshape(*ct.shape[:3], -1)


def step_by_hand(params, x, y):
    """Patches and products; parameters change in place."""
    (w1, b1), (w2, b2), (w3, b3) = params
    n, h, w = x.shape[:3]
    seen = patches(x)
    hidden = np.maximum((seen @ w1.reshape(-1, w1.shape[-1])).reshape(n, h, w, -1) + b1, 0)
    seen_hidden = patches(hidden)
    top = np.maximum((seen_hidden @ w2.reshape(-1, w2.shape[-1])).reshape(n, h, w, -1) + b2, 0)
    tiles = top.reshape(n, h // 2, 2, w // 2, 2, -1).transpose(0, 1, 3, 5, 2, 4).reshape(n, h // 2, w // 2, -1, 4)
    first = np.argmax(tiles, -1)
    flat = np.take_along_axis(tiles, first[..., None], -1).reshape(n, -1)
    scores = flat @ w3 + b3
    scores -= scores.max(axis=1, keepdims=True)
    rows = np.arange(n)
    chosen = scores[rows, y]
    scores = np.exp(scores)
    total = scores.sum(axis=1, keepdims=True)
    loss = np.mean(np.log(total[:, 0]) - chosen)
    scores /= total
    scores[rows, y] -= 1
    scores /= n
    back = (scores @ w3.T).reshape(first.shape)
    spread = (np.arange(4) == first[..., None]) * back[..., None]
    spread = spread.reshape(n, h // 2, w // 2, -1, 2, 2).transpose(0, 1, 4, 2, 5, 3).reshape(top.shape)
    spread = spread * (top > 0)
    inner = pulled_back(spread, w2) * (hidden > 0)
    w3 -= RATE * (flat.T @ scores)
    b3 -= RATE * scores.sum(axis=0)
    for (kernel, bias), see, ct in (((w2, b2), seen_hidden, spread), ((w1, b1), seen, inner)):
        line = ct.reshape(-1, ct.shape[-1])
        kernel -= RATE * (see.T @ line).reshape(kernel.shape)
        bias -= RATE * line.sum(axis=0)
    return params, loss


def outcome(data: Data, result: Any) -> dict[str, np.ndarray]:
    """Loss and gradients, read off the updates."""
    after, loss = result
    if len(after) != len(data["params"]):  # PyTorch's: flat, channels first
        flat = [np.asarray(a) for a in after]
        size, outs = data["x"].shape[1] // 2, data["params"][1][0].shape[-1]
        kernels = [a.transpose(2, 3, 1, 0) for a in flat[0:4:2]]
        dense = flat[4].reshape(outs, size, size, -1).transpose(1, 2, 0, 3).reshape(flat[4].shape)
        after = list(zip([*kernels, dense], flat[1::2], strict=True))
    before, after = named_leaves(data["params"], "gradient"), named_leaves(after, "gradient")
    return {"loss": np.asarray(loss)} | {name: (before[name] - after[name]) / RATE for name in after}


# One convolution ------------------------------------------------------------------------------------------------------


def images(batch: int, size: int, features: int, outs: int) -> Data:
    """Images, a kernel, and a cotangent of the result."""
    random = np.random.default_rng(2)
    shapes = {"x": (batch, size, size, features), "w": (3, 3, features, outs), "ct": (batch, size, size, outs)}
    return {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def convolution(library: SimpleNamespace, data: Data, backward: bool) -> Call:
    """funcgrad and JAX: the convolution, or both cotangents (JAX computes the result besides)."""
    fg = library.api

    def forward(x, w):
        return fg.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=LAYOUT)

    def both(x, w, ct):
        return fg.vjp(forward, x, w)[1](ct)

    x, w, ct = (library.own(data[name]) for name in ("x", "w", "ct"))
    return partial(fg.jit(both), x, w, ct) if backward else partial(fg.jit(forward), x, w)


def torch_convolution(library: SimpleNamespace, data: Data, backward: bool) -> Call:
    """PyTorch: channels first, which results are turned from for the comparison."""
    torch = library.torch
    x, ct = (torch.tensor(data[name].transpose(0, 3, 1, 2).copy()) for name in ("x", "ct"))
    w = torch.tensor(data["w"].transpose(3, 2, 0, 1).copy())

    @library.compiled
    def forward(x, w):
        return torch.nn.functional.conv2d(x, w, padding=1).permute(0, 2, 3, 1)

    @library.compiled
    def both(x, w, ct):
        mask, ones, zeros = [True, True, False], [1, 1], [0, 0]
        dx, dw, _ = torch.ops.aten.convolution_backward(ct, x, w, None, ones, ones, ones, False, zeros, 1, mask)
        return dx.permute(0, 2, 3, 1), dw.permute(2, 3, 1, 0)

    return partial(both, x, w, ct) if backward else partial(forward, x, w)


def numpy_convolution(library: SimpleNamespace, data: Data, backward: bool) -> Call:
    """NumPy: patches and products."""
    x, w, ct = data["x"], data["w"], data["ct"]

    def forward():
        return (patches(x) @ w.reshape(-1, w.shape[-1])).reshape(ct.shape)

    def both():
        return pulled_back(ct, w), (patches(x).T @ ct.reshape(-1, ct.shape[-1])).reshape(w.shape)

    return both if backward else forward


def _convolution(name: str, summary: str, backward: bool, **sizes: int) -> Workload:
    builders: dict[str, Builder] = {
        "funcgrad": partial(convolution, backward=backward),
        "jax": partial(convolution, backward=backward),
        "torch": partial(torch_convolution, backward=backward),
        "numpy": partial(numpy_convolution, backward=backward),
    }
    rows, inner, outs = sizes["batch"] * sizes["size"] ** 2, 9 * sizes["features"], sizes["outs"]
    forward = ((rows, outs, inner, False, False),)
    products = ((rows, inner, outs, False, True), (inner, outs, rows, True, False)) if backward else forward
    return Workload(
        name,
        summary,
        partial(images, **sizes),
        builders,
        tolerance=1e-4,
        limit=Limit("gemm", products=products),
        goals=(Goal("steady", 0.8, ("torch",)), Goal("steady", 0.8, ("jax",))),
        quick=False,
        why="both multiply faster than SciPy's library does matrices of these sizes",
    )


WORKLOADS = (
    Workload(
        "cnn",
        "CNN step 28×28×1, batch 64, 3×3 convolutions of 32 and 64, pooling, dense, float32",
        partial(data, 64, 28, (32, 64)),
        {"funcgrad": traced, "jax": traced, "torch": torch, "tcompile": torch, "numpy": by_hand},
        tolerance=1e-3,
        outcome=outcome,
        limit=Limit(
            "gemm",
            products=((50176, 64, 288, False, False), (288, 64, 50176, True, False), (50176, 32, 576, False, False)),
        ),
        goals=(Goal("steady", 0.8, ("torch",)),),
    ),
    _convolution(
        "conv28", "3×3 convolution 32 to 64 features, 64 × 28×28", False, batch=64, size=28, features=32, outs=64
    ),
    _convolution("conv28_back", "its cotangents by images and kernel", True, batch=64, size=28, features=32, outs=64),
    _convolution("conv7", "3×3 convolution of 512 features, 8 × 7×7", False, batch=8, size=7, features=512, outs=512),
    _convolution("conv7_back", "its cotangents by images and kernel", True, batch=8, size=7, features=512, outs=512),
)
