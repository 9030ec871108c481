"""How fast is linear algebra?  One large matrix by LAPACK, many small ones under `vmap`, one long Fourier transform."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.workload import Call, Data, Goal, Workload

SIZE, SMALL, COUNT, SIGNAL = 500, 3, 50_000, 2**20


def matrices(positive: bool) -> Data:
    """A general or a positive definite matrix, and a right side."""
    random = np.random.default_rng(0)
    x = random.standard_normal((SIZE, SIZE))
    return {"a": x @ x.T / SIZE + np.eye(SIZE) if positive else x, "b": random.standard_normal(SIZE)}


def systems(size: int, count: int) -> Data:
    """Many small systems of equations."""
    random = np.random.default_rng(0)
    a = random.standard_normal((count, size, size)) + size * np.eye(size)
    return {"a": a, "b": random.standard_normal((count, size))}


def signal(length: int) -> Data:
    """Complex noise."""
    random = np.random.default_rng(0)
    return {"x": random.standard_normal(length) + 1j * random.standard_normal(length)}


# What is timed, by name: of a library's namespace of linear algebra, a function of the data's arrays ------------------

LARGE: dict[str, Callable[[Any], Callable[..., Any]]] = {
    "cholesky": lambda linalg: lambda a, b: linalg.cholesky(a),
    "solve": lambda linalg: lambda a, b: linalg.solve(a, b),
    "eigh": lambda linalg: lambda a, b: tuple(linalg.eigh(a)),
    "svd": lambda linalg: lambda a, b: tuple(linalg.svd(a)),
    "qr": lambda linalg: lambda a, b: tuple(linalg.qr(a)),
}
SCIPY: dict[str, Callable[..., Any]] = {
    "cholesky": lambda linalg: lambda a, b: linalg.cholesky(a, lower=True),
    "qr": lambda linalg: lambda a, b: tuple(linalg.qr(a, mode="economic")),
}


def traced(name: str, library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the same text."""
    function = library.api.jit(LARGE[name](library.np.linalg))
    return partial(function, library.own(data["a"]), library.own(data["b"]))


def torch(name: str, library: SimpleNamespace, data: Data) -> Call:
    """PyTorch's."""
    a, b = (library.torch.tensor(data[k]) for k in "ab")
    return partial(LARGE[name](library.torch.linalg), a, b)


def scipy(name: str, library: SimpleNamespace, data: Data) -> Call:
    """SciPy's, on the BLAS threads that its processes have."""
    function = SCIPY.get(name, LARGE[name])(importlib.import_module("scipy.linalg"))
    return partial(function, data["a"], data["b"])


def outcome(name: str, data: Data, result: Any) -> dict[str, np.ndarray]:
    """What does not depend on the signs of vectors."""
    if name in ("cholesky", "solve"):
        return {"result": np.asarray(result)}
    first, *rest = (np.asarray(x) for x in result)
    if name == "eigh":
        return {"values": first, "product": (rest[0] * first) @ rest[0].T}
    if name == "svd":
        return {"values": rest[0], "product": (first * rest[0]) @ rest[1]}
    return {"diagonal": np.abs(np.diagonal(rest[0])), "product": first @ rest[0]}


WHY = {
    "solve": "panels are OpenBLAS's, on one thread, and the others' caches fetch them; PyTorch's is Intel's",
    "eigh": "most of the time is OpenBLAS's reduction to a few diagonals",
    "svd": "most of the time is OpenBLAS's reduction to two diagonals",
}


def _large(name: str) -> Workload:
    builders = {"funcgrad": traced, "jax": traced, "torch": torch, "numpy": scipy}
    return Workload(
        f"{name}_{SIZE}",
        f"{name} of one {SIZE} × {SIZE} matrix, float64 (NumPy's column: SciPy)",
        partial(matrices, name in ("cholesky", "eigh")),
        {peer: partial(build, name) for peer, build in builders.items()},
        tolerance=1e-9,
        outcome=partial(outcome, name),
        goals=(Goal("steady", 1.1, ("numpy",)),),
        x64=True,
        quick=name in ("cholesky", "solve"),
        why=WHY.get(name, ""),
    )


# Small systems -------------------------------------------------------------------------------------------------------


def traced_systems(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: one system, under `vmap`."""
    function = library.api.jit(library.api.vmap(library.np.linalg.solve))
    return partial(function, library.own(data["a"]), library.own(data["b"]))


def torch_systems(library: SimpleNamespace, data: Data) -> Call:
    """PyTorch's solve of stacks."""
    return partial(library.torch.linalg.solve, library.torch.tensor(data["a"]), library.torch.tensor(data["b"]))


def numpy_systems(library: SimpleNamespace, data: Data) -> Call:
    """NumPy's solve of stacks."""
    return lambda: np.linalg.solve(data["a"], data["b"][..., None])[..., 0]


# Fourier transform ---------------------------------------------------------------------------------------------------


def traced_fft(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX."""
    return partial(library.api.jit(library.np.fft.fft), library.own(data["x"]))


def torch_fft(library: SimpleNamespace, data: Data) -> Call:
    """PyTorch's."""
    return partial(library.torch.fft.fft, library.torch.tensor(data["x"]))


def scipy_fft(library: SimpleNamespace, data: Data) -> Call:
    """SciPy's."""
    return partial(importlib.import_module("scipy.fft").fft, data["x"])


def parts(data: Data, result: Any) -> dict[str, np.ndarray]:
    """A spectrum as real numbers."""
    return {"real": np.real(result), "imaginary": np.imag(result)}


WORKLOADS = (
    *map(_large, LARGE),
    Workload(
        f"solve_{SMALL}x{SMALL}",
        f"{COUNT:,} systems of {SMALL} equations under vmap, float64",
        partial(systems, SMALL, COUNT),
        {"funcgrad": traced_systems, "jax": traced_systems, "torch": torch_systems, "numpy": numpy_systems},
        tolerance=1e-12,
        goals=(Goal("steady", 0.2, ("jax",)),),
        x64=True,
    ),
    Workload(
        "fft_2^20",
        "Fourier transform of 2^20 complex128 numbers (NumPy's column: SciPy)",
        partial(signal, SIGNAL),
        {"funcgrad": traced_fft, "jax": traced_fft, "torch": torch_fft, "numpy": scipy_fft},
        tolerance=1e-12,
        outcome=parts,
        goals=(Goal("steady", 1.1, ("numpy",)),),
        x64=True,
        quick=False,
    ),
)
