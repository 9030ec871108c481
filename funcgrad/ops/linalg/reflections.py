"""Which operations keep an orthonormal basis as reflections?  LAPACK's QR, Hessenberg and tridiagonal forms."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.types import ArrayType
from funcgrad.ops import complex as cx
from funcgrad.ops.families import Operation
from funcgrad.ops.linalg.factorizations import WORK_COLUMNS
from funcgrad.ops.linalg.matrices import batched_over_leading, lapack, need_matrices, over_stack, underivable

# geqrf and householder_product: QR as reflections ---------------------------------------------------------------------


def _geqrf(x: Any) -> tuple[Any, Any]:
    h, taus = np.linalg.qr(x, "raw")
    return np.swapaxes(h, -1, -2), taus


def _geqrf_infer(x: ArrayType) -> tuple[ArrayType, ArrayType]:
    need_matrices("geqrf", x)
    return x.with_shape(x.shape), x.with_shape((*x.shape[:-2], min(x.shape[-2:])))


def _householder_product(a: Any, taus: Any) -> Any:
    dtype = np.asarray(a).dtype
    (build,) = lapack(dtype, "orgqr" if dtype.kind == "f" else "ungqr")

    def one(a: Any, taus: Any) -> tuple[Any]:
        if not (a.size and taus.size):
            return (np.eye(*a.shape, dtype=a.dtype),)
        return (build(a, taus[0], lwork=WORK_COLUMNS * a.shape[1])[0],)

    return over_stack(one, a, np.asarray(taus)[..., None, :])[0]


def _householder_infer(a: ArrayType, taus: ArrayType) -> ArrayType:
    need_matrices("householder_product", a)
    *lead, m, n = a.shape
    if m < n or taus.dtype != a.dtype or taus.shape[:-1] != tuple(lead) or taus.shape[-1] > n:
        raise TypeError(f"householder_product: reflections {a} and factors {taus} do not fit")
    return a.with_shape(a.shape)


_reflections = "it is a form in which LAPACK keeps Q; differentiate qr"
geqrf = Operation(
    name="geqrf",
    family="structured",
    reference=_geqrf,
    infer=_geqrf_infer,
    jvp=underivable("geqrf", _reflections),
    vjp=underivable("geqrf", _reflections),
    batch=batched_over_leading("geqrf"),
    multiple=True,
)
householder_product = Operation(
    name="householder_product",
    family="structured",
    reference=_householder_product,
    infer=_householder_infer,
    jvp=underivable("householder_product", _reflections),
    vjp=underivable("householder_product", _reflections),
    batch=batched_over_leading("householder_product"),
)


# hessenberg and tridiagonal: similar matrices with a narrow band, and the reflections ---------------------------------


def _hessenberg(x: Any) -> tuple[Any, Any]:
    (gehrd,) = lapack(np.asarray(x).dtype, "gehrd")

    def one(a: Any) -> tuple[Any, Any]:
        if len(a) < 2:
            return a, np.zeros(max(len(a) - 1, 0), a.dtype)
        h, taus, _ = gehrd(a)
        return h, taus

    return over_stack(one, x)  # type: ignore[return-value]


def _hessenberg_infer(x: ArrayType) -> tuple[ArrayType, ArrayType]:
    need_matrices("hessenberg", x, square=(0,))
    return x.with_shape(x.shape), x.with_shape((*x.shape[:-2], max(x.shape[-1] - 1, 0)))


def _tridiagonal(x: Any, *, lower: bool) -> tuple[Any, ...]:
    dtype = np.asarray(x).dtype
    reduce, work = lapack(dtype, *(("sytrd", "sytrd_lwork") if dtype.kind == "f" else ("hetrd", "hetrd_lwork")))

    def one(a: Any) -> tuple[Any, ...]:
        n = len(a)
        if n < 2:
            return a, np.real(np.diagonal(a)).copy(), *(np.zeros(0, t) for t in (np.real(a).dtype, a.dtype))
        size = int(np.real(work(n, lower=int(lower))[0]))
        c, d, e, taus, _ = reduce(a, lower=int(lower), lwork=size)
        return c, d, e, taus

    return over_stack(one, x)


def _tridiagonal_infer(x: ArrayType, *, lower: bool) -> tuple[ArrayType, ...]:
    need_matrices("tridiagonal", x, square=(0,))
    *lead, n, _ = x.shape
    m, dtype = max(n - 1, 0), cx.to_real(x.dtype)
    return (
        x.with_shape(x.shape),
        ArrayType((*lead, n), dtype),
        ArrayType((*lead, m), dtype),
        x.with_shape((*lead, m)),
    )


_bases = "neither it nor its basis is a smooth function of the matrix; differentiate eigh, eig or qr"
hessenberg = Operation(
    name="hessenberg",
    family="structured",
    reference=_hessenberg,
    infer=_hessenberg_infer,
    jvp=underivable("hessenberg", _bases),
    vjp=underivable("hessenberg", _bases),
    batch=batched_over_leading("hessenberg"),
    multiple=True,
)
tridiagonal = Operation(
    name="tridiagonal",
    family="structured",
    reference=_tridiagonal,
    infer=_tridiagonal_infer,
    jvp=underivable("tridiagonal", _bases),
    vjp=underivable("tridiagonal", _bases),
    batch=batched_over_leading("tridiagonal"),
    multiple=True,
)
