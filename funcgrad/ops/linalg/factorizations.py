"""Which operations take a matrix apart by elimination and reflection?  Cholesky, LU, QR, Hessenberg, tridiagonal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.ir.primitive import Pullback, Values
from funcgrad.ir.types import ArrayType
from funcgrad.ops import complex as cx
from funcgrad.ops.families import Operation, nondifferentiable, operation
from funcgrad.ops.linalg.matrices import (
    H,
    T,
    batched_over_leading,
    conj,
    eye,
    hermitian,
    lapack,
    masked,
    need_matrices,
    permute_rows,
    real,
    tril,
    triu,
    unpermute_rows,
)
from funcgrad.ops.shape import pad
from funcgrad.trace.frame import type_of

INT32 = np.dtype(np.int32)


def _solve_triangle(a: Any, b: Any, *, lower: bool, left: bool = True, flip: str = "N", unit: bool = False) -> Any:
    """``op(a) x = b`` or ``x op(a) = b``; `flip`: ``"N"``, ``"T"`` or ``"H"``."""
    return operation("triangular_solve")(
        a, b, left_side=left, lower=lower, transpose_a=flip != "N", conjugate_a=flip == "H", unit_diagonal=unit
    )


# cholesky: the lower factor; the lower triangle is read, derivatives are those along Hermitian matrices ---------------


def _square_infer(name: str) -> Any:
    def infer(x: ArrayType) -> ArrayType:
        need_matrices(name, x, square=(0,))
        return x.with_shape(x.shape)

    return infer


def _half_triangle(x: Any) -> Any:
    """The lower triangle, with half of the diagonal (Murray 2016, "Differentiation of the Cholesky decomposition")."""
    n = type_of(x).shape[-1]
    return tril(x, -1) + masked(np.eye(n, dtype=np.bool_), x) * type_of(x).dtype.type(0.5)


NOT_POSITIVE = "Matrix is not positive definite"
LARGE = 64  # rows from which one matrix is worth a call through Python
WORK_COLUMNS = 64  # columns for which LAPACK gets memory: as many as it takes at a time


def _cholesky_into(outputs: Values, inputs: Values, params: dict[str, Any]) -> None:
    """Large matrices are factorized where the result is: LAPACK sees the transpose, whose upper factor is L^T."""
    (out,), (x,) = outputs, inputs
    if x.shape[-1] < LARGE:
        out[...] = np.linalg.cholesky(x)
        return
    (potrf,) = lapack(x.dtype, "potrf")
    out[...] = x
    for matrix in out.reshape(-1, *x.shape[-2:]):
        factor, info = potrf(matrix.T, lower=0, overwrite_a=1, clean=1)
        if info:
            raise np.linalg.LinAlgError(NOT_POSITIVE)
        if not np.may_share_memory(factor, matrix):
            matrix[...] = factor.T


def _cholesky_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    """dL = L phi(L^-1 dA L^-H)."""
    factor = cholesky(*inputs)
    if tangents[0] is None:
        return (factor,), (None,)
    inner = _solve_triangle(factor, hermitian(tangents[0]), lower=True)
    inner = _solve_triangle(factor, inner, lower=True, left=False, flip="H")
    return (factor,), (factor @ _half_triangle(inner),)


def _cholesky_vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    """A = L^-H phi(L^H G) L^-1, its Hermitian part."""
    factor = cholesky(*inputs)

    def pullback(cotangents: Values) -> Values:
        inner = _half_triangle(H(factor) @ conj(cotangents[0]))
        inner = _solve_triangle(factor, inner, lower=True, flip="H")
        return (conj(hermitian(_solve_triangle(factor, inner, lower=True, left=False))),)

    return (factor,), pullback


cholesky = Operation(
    name="cholesky",
    family="structured",
    reference=np.linalg.cholesky,
    into=_cholesky_into,
    infer=_square_infer("cholesky"),
    jvp=_cholesky_jvp,
    vjp=_cholesky_vjp,
    batch=batched_over_leading("cholesky"),
)


# lu: both factors in one matrix, LAPACK's pivots, and the permutation of rows -----------------------------------------


def _lu(x: Any) -> tuple[np.ndarray, ...]:
    x = np.asarray(x, np.asarray(x).dtype.newbyteorder("="))
    *lead, m, n = x.shape
    out = np.empty(x.shape, x.dtype), np.empty((*lead, min(m, n)), INT32), np.empty((*lead, m), INT32)
    _lu_into(out, (x,), {})
    return out


def _exchanged(pivots: Any, size: int) -> np.ndarray:
    """The permutation that LAPACK's exchanges of rows make."""
    order = list(range(size))
    for i, j in enumerate(pivots.tolist()):
        order[i], order[j] = order[j], order[i]
    return np.array(order, INT32)


def _lu_into(outputs: Values, inputs: Values, params: dict[str, Any]) -> None:
    (x,) = inputs
    if not x.size:
        outputs[2][...] = np.arange(x.shape[-2])
        return
    (getrf,) = lapack(x.dtype, "getrf")
    stacks = zip(*(part.reshape(-1, *part.shape[x.ndim - 2 :]) for part in (x, *outputs)), strict=True)
    for a, factors, pivots, permutation in stacks:
        found, pivots[...], _ = getrf(np.array(a, order="F"), overwrite_a=1)
        factors[...] = found
        permutation[...] = _exchanged(pivots, len(a))


def _lu_infer(x: ArrayType) -> tuple[ArrayType, ...]:
    need_matrices("lu", x)
    *lead, m, n = x.shape
    return x.with_shape(x.shape), ArrayType((*lead, min(m, n)), INT32), ArrayType((*lead, m), INT32)


def lower_of(factors: Any) -> Any:
    """The unit lower factor, square (columns of an identity beside a narrow one)."""
    *lead, m, n = type_of(factors).shape
    zero = type_of(factors).dtype.type(0)
    inner = tril(factors[..., : min(m, n)], -1)
    wide = pad(inner, zero, padding_config=(*[(0, 0, 0)] * (len(lead) + 1), (0, m - min(m, n), 0)))
    return wide + eye((*lead, m, m), type_of(factors).dtype)


def upper_of(factors: Any) -> Any:
    """The upper factor, square (rows of an identity below a wide one)."""
    *lead, m, n = type_of(factors).shape
    dtype = type_of(factors).dtype
    inner = triu(factors[..., : min(m, n), :])
    tall = pad(inner, dtype.type(0), padding_config=(*[(0, 0, 0)] * len(lead), (0, n - min(m, n), 0), (0, 0, 0)))
    rest = np.diag((np.arange(n) >= m).astype(dtype))
    return tall + np.broadcast_to(rest, (*lead, n, n)) if n > m else tall


def _lu_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    """dL = L tril(M, -1) and dU = triu(M) U with M = L^-1 P dA U^-1."""
    factors, pivots, permutation = lu(*inputs)
    if tangents[0] is None:
        return (factors, pivots, permutation), (None, None, None)
    lower, upper = lower_of(factors), upper_of(factors)
    inner = _solve_triangle(lower, permute_rows(tangents[0], permutation), lower=True, unit=True)
    inner = _solve_triangle(upper, inner, lower=False, left=False)
    return (factors, pivots, permutation), (lower @ tril(inner, -1) + triu(inner) @ upper, None, None)


def _lu_vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    factors, pivots, permutation = lu(*inputs)

    def pullback(cotangents: Values) -> Values:
        ct, lower, upper = cotangents[0], lower_of(factors), upper_of(factors)
        inner = tril(T(lower) @ ct, -1) + triu(ct @ T(upper))
        inner = _solve_triangle(lower, inner, lower=True, flip="T", unit=True)
        inner = _solve_triangle(upper, inner, lower=False, left=False, flip="T")
        return (unpermute_rows(inner, permutation),)

    return (factors, pivots, permutation), pullback


lu = Operation(
    name="lu",
    family="structured",
    reference=_lu,
    into=_lu_into,
    infer=_lu_infer,
    jvp=_lu_jvp,
    vjp=_lu_vjp,
    batch=batched_over_leading("lu"),
    multiple=True,
)


# qr -------------------------------------------------------------------------------------------------------------------


def _qr(x: Any, *, full_matrices: bool) -> tuple[Any, Any]:
    m, n = x.shape[-2:]
    if x.ndim == 2 and min(m, n) >= LARGE and not (full_matrices and m > n) and x.dtype.isnative:
        return _qr_of_one(x)
    q, r = np.linalg.qr(x, "complete" if full_matrices else "reduced")
    return q, r


def _qr_of_one(x: np.ndarray) -> tuple[Any, Any]:
    """By LAPACK itself, in place: NumPy copies what it gives and what it gets, line by line."""
    reflect, build = lapack(x.dtype, "geqrf", "orgqr" if x.dtype.kind == "f" else "ungqr")
    k = min(x.shape)
    h, taus, _, _ = reflect(np.array(x, order="F"), lwork=WORK_COLUMNS * x.shape[1], overwrite_a=True)
    r = np.triu(h[:k])
    return build(h[:, :k], taus, lwork=WORK_COLUMNS * k, overwrite_a=True)[0], r


def _qr_infer(x: ArrayType, *, full_matrices: bool) -> tuple[ArrayType, ArrayType]:
    need_matrices("qr", x)
    *lead, m, n = x.shape
    k = m if full_matrices else min(m, n)
    return x.with_shape((*lead, m, k)), x.with_shape((*lead, k, n))


def _needs_reduced(x: Any, full_matrices: bool) -> None:
    m, n = type_of(x).shape[-2:]
    if full_matrices and m > n:
        raise TypeError(
            f"qr has no derivative for the complete Q of a matrix of shape {type_of(x).shape}: "
            f"its last {m - n} columns are any basis; use mode='reduced'"
        )


def _qr_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    """For the columns X that R = [U, V] has a triangle of: dQ = (dX U^-1)(...), dU = (...) U, dV = dQ^H Y + Q^H dY."""
    (x,), (t,) = inputs, tangents
    q, r = qr(x, **params)
    if t is None:
        return (q, r), (None, None)
    _needs_reduced(x, **params)
    m, n = type_of(x).shape[-2:]
    if m >= n:
        return (q, r), _tall_qr_jvp(q, r, t)
    tq, tu = _tall_qr_jvp(q, r[..., :m], t[..., :m])
    rest = H(tq) @ x[..., m:] + H(q) @ t[..., m:]
    return (q, r), (tq, np.concatenate([tu, rest], axis=-1))


def _tall_qr_jvp(q: Any, r: Any, t: Any) -> tuple[Any, Any]:
    """M = Q^H dA R^-1 splits into the skew-Hermitian Q^H dQ and the triangular dR R^-1 (with a real diagonal)."""
    scaled = _solve_triangle(r, t, lower=False, left=False)
    inner = H(q) @ scaled
    skew = tril(inner, -1)
    skew = skew - H(skew)
    if cx.is_complex(inner):
        n = type_of(inner).shape[-1]
        skew = skew + masked(np.eye(n, dtype=np.bool_), inner - real(inner))
    return scaled + q @ (skew - inner), (inner - skew) @ r


def _qr_vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    (x,) = inputs
    q, r = qr(x, **params)
    m, n = type_of(x).shape[-2:]

    def pullback(cotangents: Values) -> Values:
        _needs_reduced(x, **params)
        gq, gr = map(conj, cotangents)
        if m >= n:
            return (conj(_tall_qr_vjp(q, r, gq, gr)),)
        gu, gv = gr[..., :m], gr[..., m:]
        left = _tall_qr_vjp(q, r[..., :m], gq + x[..., m:] @ H(gv), gu)
        return (conj(np.concatenate([left, q @ gv], axis=-1)),)

    return (q, r), pullback


def _tall_qr_vjp(q: Any, r: Any, gq: Any, gr: Any) -> Any:
    """(G_Q + Q copyltu(M)) R^-H with M = R G_R^H - G_Q^H Q (Walter, Lehmann and Lamour 2012)."""
    inner = r @ H(gr) - H(gq) @ q
    below = tril(inner, -1)
    mirrored = below + H(below) + masked(np.eye(type_of(inner).shape[-1], dtype=np.bool_), _real_as(inner))
    return _solve_triangle(r, gq + q @ mirrored, lower=False, left=False, flip="H")


def _real_as(x: Any) -> Any:
    """The real part, in the dtype of `x`."""
    return (x + conj(x)) * type_of(x).dtype.type(0.5) if cx.is_complex(x) else x


qr = Operation(
    name="qr",
    family="structured",
    reference=_qr,
    infer=_qr_infer,
    jvp=_qr_jvp,
    vjp=_qr_vjp,
    batch=batched_over_leading("qr"),
    multiple=True,
)


# lu_pivots_to_permutation: LAPACK's row exchanges, one after the other, as one permutation ----------------------------


def _permutation(pivots: Any, *, size: int) -> np.ndarray:
    pivots = np.asarray(pivots)
    flat = pivots.reshape(int(np.prod(pivots.shape[:-1], dtype=int)), pivots.shape[-1])
    out = np.tile(np.arange(size, dtype=INT32), (len(flat), 1))
    each = np.arange(len(flat))
    for k in range(flat.shape[1]):
        out[each, k], out[each, flat[:, k]] = out[each, flat[:, k]], out[each, k].copy()
    return out.reshape(*pivots.shape[:-1], size)


def _permutation_infer(pivots: ArrayType, *, size: int) -> ArrayType:
    if not pivots.ndim or pivots.dtype != INT32 or pivots.shape[-1] > size:
        raise TypeError(f"lu_pivots_to_permutation: pivots {pivots} do not fit {size} rows")
    return ArrayType((*pivots.shape[:-1], size), INT32)


lu_pivots_to_permutation: Operation = nondifferentiable(
    "lu_pivots_to_permutation",
    _permutation,
    _permutation_infer,
    lambda size_, pivots, *, size: lu_pivots_to_permutation(pivots, size=size),
)
