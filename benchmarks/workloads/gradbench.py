"""How fast are GradBench's Gaussian mixture and bundle adjustment?  Objectives as that suite defines them, float64.

GMM: the log-likelihood of `n` points under `k` Gaussians in `d` dimensions, whose inverse covariances are given by the
logarithms of the diagonals and the lower triangles of their factors, with a Wishart prior; value and gradient.
BA: reprojection errors of observed points (Rodrigues rotations, radial distortion), weighted, and the weights' own;
the Jacobian's dense blocks, 2 × 15 for each observation (11 of its camera, 3 of its point, 1 weight), and one number
for each weight.
"""

from __future__ import annotations

import math
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.workload import Call, Data, Goal, Workload

GAMMA, DEGREES = 1.0, 0  # of the Wishart prior

# The Gaussian mixture -------------------------------------------------------------------------------------------------


def mixture_data(d: int, k: int, n: int) -> Data:
    """Parameters and points."""
    random = np.random.default_rng(0)
    return {
        "alphas": random.standard_normal(k),
        "means": random.uniform(size=(k, d)),
        "icf": random.standard_normal((k, d * (d + 1) // 2)),
        "x": random.standard_normal((n, d)),
    }


def _log_wishart_constant(p: int, degrees: int, k: int) -> float:
    n = p + degrees + 1
    multivariate = p * (p - 1) / 4 * math.log(math.pi) + sum(math.lgamma(n / 2 + (1 - j) / 2) for j in range(1, p + 1))
    return k * (n * p * (math.log(GAMMA) - math.log(2) / 2) - multivariate)


def mixture(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the same text."""
    fg, np, nn = library.api, library.np, library.nn
    d, n = data["means"].shape[1], len(data["x"])
    column, row = _lower(d)
    constant = -n * d / 2 * math.log(2 * math.pi) - _log_wishart_constant(d, DEGREES, len(data["alphas"]))

    def objective(alphas, means, icf, x):
        logs = icf[:, :d]
        k = len(alphas)
        factors = np.zeros((k, d, d)).at[:, row, column].set(icf[:, d:])
        factors = factors + np.exp(logs)[:, :, None] * np.eye(d)
        centred = x[:, None, :] - means
        distances = np.sum(np.einsum("kij,nkj->nki", factors, centred) ** 2, axis=-1)
        inner = alphas + np.sum(logs, axis=-1) - 0.5 * distances
        likelihood = np.sum(nn.logsumexp(inner, axis=-1)) - n * nn.logsumexp(alphas)
        squares = np.sum(np.exp(2 * logs)) + np.sum(icf[:, d:] ** 2)
        return constant + likelihood + 0.5 * GAMMA**2 * squares - DEGREES * np.sum(logs)

    function = fg.jit(fg.value_and_grad(objective, argnums=(0, 1, 2)))
    return partial(function, *(library.own(data[name]) for name in ("alphas", "means", "icf", "x")))


def _lower(d: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows of what stands below a diagonal, column by column."""
    column, row = np.triu_indices(d, 1)
    return column, row


def torch_mixture(library: SimpleNamespace, data: Data) -> Call:
    """PyTorch."""
    torch = library.torch
    d, n = data["means"].shape[1], len(data["x"])
    column, row = map(torch.tensor, _lower(d))
    constant = -n * d / 2 * math.log(2 * math.pi) - _log_wishart_constant(d, DEGREES, len(data["alphas"]))
    params = [torch.tensor(data[name], requires_grad=True) for name in ("alphas", "means", "icf")]
    x = torch.tensor(data["x"])

    @library.compiled
    def objective(alphas, means, icf):
        logs = icf[:, :d]
        factors = torch.diag_embed(torch.exp(logs)).clone()
        factors[:, row, column] = icf[:, d:]
        centred = x[:, None, :] - means
        distances = torch.einsum("kij,nkj->nki", factors, centred).square().sum(-1)
        inner = alphas + logs.sum(-1) - 0.5 * distances
        likelihood = torch.logsumexp(inner, -1).sum() - n * torch.logsumexp(alphas, -1)
        squares = torch.exp(2 * logs).sum() + icf[:, d:].square().sum()
        return constant + likelihood + 0.5 * GAMMA**2 * squares - DEGREES * logs.sum()

    def value_and_gradient():
        value = objective(*params)
        return value, torch.autograd.grad(value, params)

    return value_and_gradient


def mixture_by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy with the gradient written by hand."""
    return partial(_mixture_by_hand, *(data[name] for name in ("alphas", "means", "icf", "x")))


def _mixture_by_hand(alphas, means, icf, x):
    (k, d), n = means.shape, len(x)
    column, row = _lower(d)
    logs = icf[:, :d]
    diagonal = np.exp(logs)
    factors = np.zeros((k, d, d))
    factors[:, row, column] = icf[:, d:]
    factors[:, range(d), range(d)] = diagonal
    centred = (x[:, None, :] - means).transpose(1, 0, 2)
    scaled = centred @ factors.swapaxes(1, 2)
    inner = alphas + logs.sum(axis=1) - 0.5 * (scaled**2).sum(axis=-1).T
    top = inner.max(axis=1, keepdims=True)
    shares = np.exp(inner - top)
    total = shares.sum(axis=1, keepdims=True)
    shares /= total
    weights = np.exp(alphas - alphas.max())
    weights /= weights.sum()
    of_alphas = alphas.max() + np.log(np.exp(alphas - alphas.max()).sum())
    value = -n * d / 2 * math.log(2 * math.pi) - _log_wishart_constant(d, DEGREES, k)
    value += (top + np.log(total)).sum() - n * of_alphas
    value += 0.5 * GAMMA**2 * ((diagonal**2).sum() + (icf[:, d:] ** 2).sum()) - DEGREES * logs.sum()
    slope = -shares.T[:, :, None] * scaled
    of_factors = slope.swapaxes(1, 2) @ centred
    of_means = -np.einsum("kni,kij->kj", slope, factors)
    of_logs = of_factors[:, range(d), range(d)] * diagonal + shares.sum(axis=0)[:, None]
    of_logs += GAMMA**2 * diagonal**2 - DEGREES
    of_lower = of_factors[:, row, column] + GAMMA**2 * icf[:, d:]
    return value, (shares.sum(axis=0) - n * weights, of_means, np.concatenate((of_logs, of_lower), axis=1))


# Bundle adjustment ----------------------------------------------------------------------------------------------------


def bundle_data(cameras: int, points: int, observations: int) -> Data:
    """Cameras (rotation, centre, focal length, principal point, distortion), points, weights, what was seen by whom."""
    random = np.random.default_rng(0)
    camera = np.array([0.01, 0.01, 0.01, 0.5, 0.5, -3.0, 1.0, 0.0, 0.0, 0.01, 0.01])
    return {
        "cameras": camera + 0.01 * random.standard_normal((cameras, len(camera))),
        "points": random.uniform(size=(points, 3)),
        "weights": random.uniform(0.5, 1.5, observations),
        "features": random.uniform(size=(observations, 2)),
        "seen_by": random.integers(0, cameras, observations).astype(np.int32),
        "seen": random.integers(0, points, observations).astype(np.int32),
    }


def _reprojection(np: Any, camera: Any, point: Any, weight: Any, feature: Any) -> Any:
    """The weighted error of one observation, or of many along leading axes of the transposed operands."""
    rotation, centre, focal, principal, (r1, r2) = camera[:3], camera[3:6], camera[6], camera[7:9], camera[9:11]
    x, y, z = point[0] - centre[0], point[1] - centre[1], point[2] - centre[2]
    square = rotation[0] ** 2 + rotation[1] ** 2 + rotation[2] ** 2
    angle = np.sqrt(square)
    cosine, sine = np.cos(angle), np.sin(angle)
    w = (rotation[0] / angle, rotation[1] / angle, rotation[2] / angle)
    cross = (w[1] * z - w[2] * y, w[2] * x - w[0] * z, w[0] * y - w[1] * x)
    along = (w[0] * x + w[1] * y + w[2] * z) * (1 - cosine)
    turned = [p * cosine + c * sine + axis * along for p, c, axis in zip((x, y, z), cross, w, strict=True)]
    u, v = turned[0] / turned[2], turned[1] / turned[2]
    radius = u * u + v * v
    distortion = 1 + r1 * radius + r2 * radius * radius
    return (
        weight * (u * distortion * focal + principal[0] - feature[0]),
        weight * (v * distortion * focal + principal[1] - feature[1]),
    )


def bundle(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: errors, and the blocks of the Jacobian."""
    fg, np = library.api, library.np

    def error(unknowns, feature):
        return np.stack(_reprojection(np, unknowns[:11], unknowns[11:14], unknowns[14], feature))

    def everything(cameras, points, weights, features, seen_by, seen):
        unknowns = np.concatenate((cameras[seen_by], points[seen], weights[:, None]), axis=1)
        errors = fg.vmap(error)(unknowns, features)
        blocks = fg.vmap(fg.jacrev(error))(unknowns, features)
        weight_errors = 1 - weights**2
        return errors, weight_errors, blocks, fg.vmap(fg.grad(lambda w: 1 - w**2))(weights)

    names = ("cameras", "points", "weights", "features", "seen_by", "seen")
    return partial(fg.jit(everything), *(library.own(data[name]) for name in names))


def torch_bundle(library: SimpleNamespace, data: Data) -> Call:
    """PyTorch: two backward passes over all observations at once."""
    torch = library.torch
    tensors = {name: torch.tensor(array) for name, array in data.items()}
    seen_by, seen = tensors["seen_by"].long(), tensors["seen"].long()

    @library.compiled
    def errors_of(unknowns, features):
        t = unknowns.T
        return torch.stack(_reprojection(torch, t[:11], t[11:14], t[14], features.T), 1)

    def everything():
        parts = (tensors["cameras"][seen_by], tensors["points"][seen], tensors["weights"][:, None])
        unknowns = torch.cat(parts, 1).requires_grad_()
        errors = errors_of(unknowns, tensors["features"])
        rows = [torch.autograd.grad(errors[:, k].sum(), unknowns, retain_graph=k == 0)[0] for k in (0, 1)]
        weights = tensors["weights"].clone().requires_grad_()
        weight_errors = 1 - weights**2
        return errors, weight_errors, torch.stack(rows, 1), torch.autograd.grad(weight_errors.sum(), weights)[0]

    return everything


def bundle_by_steps(library: SimpleNamespace, data: Data) -> Call:
    """NumPy: complex steps (Squire and Trapp 1998), exact to rounding."""

    def everything():
        parts = (data["cameras"][data["seen_by"]], data["points"][data["seen"]], data["weights"][:, None])
        unknowns, features = np.concatenate(parts, axis=1).T, data["features"].T
        errors = np.stack(_reprojection(np, unknowns[:11], unknowns[11:14], unknowns[14], features), 1)
        blocks = np.empty((errors.shape[0], 2, len(unknowns)))
        for k in range(len(unknowns)):
            moved = unknowns.astype(complex)
            moved[k] += 1e-100j
            seen = _reprojection(np, moved[:11], moved[11:14], moved[14], features)
            blocks[:, :, k] = np.stack(seen, 1).imag / 1e-100
        return errors, 1 - data["weights"] ** 2, blocks, -2 * data["weights"]

    return everything


def _mixture(name: str, quick: bool, **sizes: int) -> Workload:
    return Workload(
        name,
        "GradBench GMM: " + ", ".join(f"{key} = {value}" for key, value in sizes.items()) + ", value and gradient",
        partial(mixture_data, **sizes),
        {
            "funcgrad": mixture,
            "jax": mixture,
            "torch": torch_mixture,
            "tcompile": torch_mixture,
            "numpy": mixture_by_hand,
        },
        tolerance=1e-9,
        goals=(Goal("steady", 1.0, ("jax", "torch", "tcompile")),),
        x64=True,
        quick=quick,
    )


WORKLOADS = (
    _mixture("gmm", True, d=10, k=25, n=1000),
    _mixture("gmm_large", False, d=32, k=25, n=10_000),
    Workload(
        "bundle",
        "GradBench BA: 49 cameras, 7,776 points, 31,843 observations, errors and Jacobian",
        partial(bundle_data, 49, 7776, 31_843),
        {
            "funcgrad": bundle,
            "jax": bundle,
            "torch": torch_bundle,
            "tcompile": torch_bundle,
            "numpy": bundle_by_steps,
        },
        tolerance=1e-9,
        goals=(Goal("steady", 1.0, ("jax", "torch", "tcompile")),),
        x64=True,
    ),
)
