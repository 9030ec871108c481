"""What can this machine do at best?  Memory traffic and matrix products through SciPy's BLAS, native and threaded."""

from __future__ import annotations

import numpy as np
from scipy.linalg import blas

from benchmarks.workload import Call, Limit

AXPY = {"float32": blas.saxpy, "float64": blas.daxpy}
DOT = {"float32": blas.sdot, "float64": blas.ddot}
GEMM = {"float32": blas.sgemm, "float64": blas.dgemm}


def build(limit: Limit) -> tuple[Call, float]:
    """A call that does nothing but move memory or multiply matrices, and how many times the limit's work it does."""
    return {"triad": _triad, "read": _read, "gemm": _gemm}[limit.kind](limit)


def _triad(limit: Limit) -> tuple[Call, float]:
    # y = ax + y is STREAM's triad with the written array among the two that are read.  Both together have as many
    # bytes as the workload touches, so that caches help as much; the traffic is half as much again.
    axpy, (x, y) = AXPY[limit.dtype], _two_arrays(limit)
    return lambda: axpy(x, y, a=0.5), 1.5


def _read(limit: Limit) -> tuple[Call, float]:
    dot, (x, y) = DOT[limit.dtype], _two_arrays(limit)
    return lambda: dot(x, y), 1.0


def _two_arrays(limit: Limit) -> tuple[np.ndarray, np.ndarray]:
    size = limit.bytes // (2 * np.dtype(limit.dtype).itemsize)
    return np.ones(size, limit.dtype), np.ones(size, limit.dtype)


def _gemm(limit: Limit) -> tuple[Call, float]:
    gemm, random = GEMM[limit.dtype], np.random.default_rng(0)
    work = []
    for m, n, k, transpose_a, transpose_b in limit.products:
        a = random.standard_normal((k, m) if transpose_a else (m, k)).astype(limit.dtype)
        b = random.standard_normal((n, k) if transpose_b else (k, n)).astype(limit.dtype)
        # Row-major C = A B is column-major Cᵀ = Bᵀ Aᵀ, so that BLAS copies nothing.
        work.append((b.T, a.T, np.empty((m, n), limit.dtype).T, transpose_b, transpose_a))

    def call() -> None:
        for left, right, out, transpose_left, transpose_right in work:
            gemm(1.0, left, right, c=out, overwrite_c=1, trans_a=transpose_left, trans_b=transpose_right)

    return call, 1.0


SQUARE = ((1024, 1024, 1024, False, False),)
MACHINE: dict[str, Limit] = {
    "triad": Limit("triad", "float64", bytes=2 * 8 * 10**7),
    "read": Limit("read", "float64", bytes=2 * 8 * 10**7),
    "sgemm 1024": Limit("gemm", "float32", products=SQUARE),
    "dgemm 1024": Limit("gemm", "float64", products=SQUARE),
}
"""The machine's own figures, printed at the top of every report."""
