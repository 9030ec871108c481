"""Which operations solve linear equations?  By triangular, tridiagonal and general matrices; and by an inverse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.ir.primitive import Pullback, Values
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import Operation, elementwise
from funcgrad.ops.linalg.factorizations import lu
from funcgrad.ops.linalg.matrices import (
    MATRICES,
    T,
    batched_over_leading,
    blas,
    columns_of,
    conj,
    diagonal,
    lapack,
    need_matrices,
    over_stack,
    permute_rows,
    tril,
    triu,
    unpermute_rows,
)
from funcgrad.ops.shape import reshape, transpose
from funcgrad.quiet import quiet
from funcgrad.trace.frame import type_of

SINGULAR = "Singular matrix"
LARGE = 8  # matrices with more rows are factorized once for a solution and its derivatives
WHOLE = 64  # rows from which one matrix is worth a call through Python


# Checks: a pivot that is not zero, or positive; otherwise LinAlgError. NaN passes, as in LAPACK -----------------------


def _check(name: str, passes: Any, fails: Any) -> Operation:
    def reference(x: Any, *, message: str) -> Any:
        x = np.asarray(x)
        if np.any(fails(x)):
            raise np.linalg.LinAlgError(message)
        return x

    def scalar(emit: Any, dtype: str, x: Any, *, message: str) -> Any:
        inside = passes(emit, x, emit.constant(0, dtype))
        emit.check(inside)
        return emit(
            "select", inside, x, emit.constant(1, dtype)
        )  # a safe one: the call fails, but only when it is over

    primitive = elementwise(name, reference, MATRICES, (lambda t, out, x, *, message: t,), scalar)
    primitive.effect = lambda *, message: np.linalg.LinAlgError(message)
    return primitive


check_nonzero = _check("check_nonzero", lambda emit, x, zero: emit("ne", x, zero), lambda x: x == 0)
check_positive = _check("check_positive", lambda emit, x, zero: emit("not", emit("le", x, zero)), lambda x: x <= 0)


# triangular_solve: op(a) x = b or x op(a) = b -------------------------------------------------------------------------


def _flags(params: dict[str, Any], **changes: bool) -> dict[str, Any]:
    return {**params, **changes}


def _triangular_solve(a: Any, b: Any, **params: bool) -> Any:
    out = np.empty(np.shape(b), np.asarray(b).dtype.newbyteorder("="))
    a = np.ascontiguousarray(a, np.asarray(a).dtype.newbyteorder("="))
    with quiet():
        _triangular_into((out,), (a, b), params)
    return out


def _triangular_into(outputs: Values, inputs: Values, params: dict[str, Any]) -> None:
    """Right sides become solutions where they lie.

    BLAS sees arrays in C order transposed: x^T op(a)^T = b^T, with the other triangle on the other side.
    """
    (out,), (a, b) = outputs, inputs
    out[...] = b
    if not out.size:
        return
    (trsm,) = blas(out.dtype, "trsm")
    a = a.conj() if params["conjugate_a"] and not params["transpose_a"] else a
    options = {
        "side": int(params["left_side"]),
        "lower": not params["lower"],
        "trans_a": 2 if params["transpose_a"] and params["conjugate_a"] else int(params["transpose_a"]),
        "diag": int(params["unit_diagonal"]),
    }
    for matrix, sides in zip(a.reshape(-1, *a.shape[-2:]), out.reshape(-1, *out.shape[-2:]), strict=True):
        found = trsm(1, matrix.T, sides.T, overwrite_b=1, **options)
        if not np.may_share_memory(found, sides):
            sides[...] = found.T


def _triangular_infer(a: ArrayType, b: ArrayType, *, left_side: bool, **params: Any) -> ArrayType:
    need_matrices("triangular_solve", a, b, square=(0,))
    if a.shape[-1] != b.shape[-2 if left_side else -1]:
        raise TypeError(f"triangular_solve: shapes {a.shape} and {b.shape} do not fit")
    return b.with_shape(b.shape)


def _triangle_of(x: Any, params: dict[str, Any]) -> Any:
    """The part of the operand that is read."""
    k = int(params["unit_diagonal"])
    return tril(x, -k) if params["lower"] else triu(x, k)


def _applied(x: Any, params: dict[str, Any]) -> Any:
    """``op(x)``."""
    x = conj(x) if params["conjugate_a"] else x
    return T(x) if params["transpose_a"] else x


def _triangular_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    """op(A) dX = dB - op(dA) X."""
    (a, b), (ta, tb) = inputs, tangents
    x = triangular_solve(a, b, **params)
    moved = tb
    if ta is not None:
        ta = _applied(_triangle_of(ta, params), params)
        term = ta @ x if params["left_side"] else x @ ta
        moved = -term if tb is None else tb - term
    return (x,), (None if moved is None else triangular_solve(a, moved, **params),)


def _triangular_vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    a, b = inputs
    x = triangular_solve(a, b, **params)

    def pullback(cotangents: Values) -> Values:
        to_b = triangular_solve(a, cotangents[0], **_flags(params, transpose_a=not params["transpose_a"]))
        if not wanted[0]:
            return None, to_b
        to_op = -(to_b @ T(x)) if params["left_side"] else -(T(x) @ to_b)
        return _triangle_of(_applied(to_op, params), params), to_b

    return (x,), pullback


def _triangular_batch(size: int, inputs: Values, batched: Sequence[bool], params: dict[str, Any]) -> Any:
    a, b = inputs
    if batched[0] or params["left_side"]:
        return _share_columns(triangular_solve, size, inputs, batched, params)
    # one matrix for all examples from the right: their rows stand below each other
    n = type_of(b).ndim
    order = (*range(1, n - 1), 0, n - 1)
    shape = type_of(b).shape
    rows = transpose(b, permutation=order)
    flat = reshape(rows, shape=(*shape[1:-2], shape[-2] * size, shape[-1]))
    x = reshape(triangular_solve(a, flat, **params), shape=type_of(rows).shape)
    return (transpose(x, permutation=(n - 2, *range(n - 2), n - 1)),), (True,)


def _share_columns(primitive: Operation, size: int, inputs: Values, batched: Sequence[bool], params: Any) -> Any:
    """Batch a solve: with one matrix for all examples, their right sides stand side by side."""
    a, b = inputs
    if batched[0]:
        return batched_over_leading(primitive.name)(size, inputs, batched, params)
    n, shape = type_of(b).ndim, type_of(b).shape
    wide = transpose(b, permutation=(*range(1, n - 1), 0, n - 1))
    flat = reshape(wide, shape=(*shape[1:-1], size * shape[-1]))
    x = reshape(primitive(a, flat, **params), shape=type_of(wide).shape)
    return (transpose(x, permutation=(n - 2, *range(n - 2), n - 1)),), (True,)


triangular_solve = Operation(
    name="triangular_solve",
    family="structured",
    reference=_triangular_solve,
    into=_triangular_into,
    infer=_triangular_infer,
    jvp=_triangular_jvp,
    vjp=_triangular_vjp,
    batch=_triangular_batch,
)


def solve_lower(a: Any, b: Any, *, unit_diagonal: bool = False, transpose_a: bool = False) -> Any:
    """``op(L) x = b`` for the lower triangle of `a`."""
    return triangular_solve(
        a, b, left_side=True, lower=True, transpose_a=transpose_a, conjugate_a=False, unit_diagonal=unit_diagonal
    )


def solve_upper(a: Any, b: Any, *, transpose_a: bool = False) -> Any:
    """``op(U) x = b`` for the upper triangle of `a`."""
    return triangular_solve(
        a, b, left_side=True, lower=False, transpose_a=transpose_a, conjugate_a=False, unit_diagonal=False
    )


def lu_solve(factors: Any, permutation: Any, b: Any, *, transposed: bool = False) -> Any:
    """Solve by factors of `lu`: ``a x = b``, or ``a.T x = b``."""
    if not transposed:
        return solve_upper(factors, solve_lower(factors, permute_rows(b, permutation), unit_diagonal=True))
    inner = solve_lower(factors, solve_upper(factors, b, transpose_a=True), unit_diagonal=True, transpose_a=True)
    return unpermute_rows(inner, permutation)


# solve: a x = b -------------------------------------------------------------------------------------------------------


def _solve_infer(a: ArrayType, b: ArrayType) -> ArrayType:
    need_matrices("solve", a, b, square=(0,))
    if a.shape[-1] != b.shape[-2]:
        raise TypeError(f"solve: shapes {a.shape} and {b.shape} do not fit")
    return b.with_shape(b.shape)


def _factorized(a: Any) -> tuple[Any, Any]:
    factors, _, permutation = lu(a)
    regular = check_nonzero(diagonal(factors), message=SINGULAR)
    n = type_of(factors).shape[-1]
    keep = np.broadcast_to(np.eye(n, dtype=np.bool_), type_of(factors).shape)
    return np.where(keep, columns_of(regular, type_of(factors).shape), factors), permutation


def _solver(a: Any, b: Any) -> tuple[Any, Any]:
    """x with ``a x = b``, and what solves with `a` again: ``again(c, transposed)``."""
    if type_of(a).shape[-1] <= LARGE:
        return solve(a, b), lambda c, transposed: solve(T(a) if transposed else a, c)
    factors, permutation = _factorized(a)
    return (
        lu_solve(factors, permutation, b),
        lambda c, transposed: lu_solve(factors, permutation, c, transposed=transposed),
    )


def _solve_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    """A dX = dB - dA X."""
    (a, b), (ta, tb) = inputs, tangents
    x, again = _solver(a, b)
    moved = tb
    if ta is not None:
        moved = -(ta @ x) if tb is None else tb - ta @ x
    return (x,), (None if moved is None else again(moved, False),)


def _solve_vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    x, again = _solver(*inputs)

    def pullback(cotangents: Values) -> Values:
        to_b = again(cotangents[0], True)
        return (-(to_b @ T(x)) if wanted[0] else None), to_b

    return (x,), pullback


solve: Operation = Operation(
    name="solve",
    family="structured",
    reference=np.linalg.solve,
    infer=_solve_infer,
    jvp=_solve_jvp,
    vjp=_solve_vjp,
    batch=lambda size, inputs, batched, params: _share_columns(solve, size, inputs, batched, params),
)


# inv ------------------------------------------------------------------------------------------------------------------


def _inv_into(outputs: Values, inputs: Values, params: dict[str, Any]) -> None:
    """Large matrices are inverted where the result is (LAPACK sees, and inverts, the transpose)."""
    (out,), (x,) = outputs, inputs
    if x.shape[-1] < WHOLE:
        out[...] = np.linalg.inv(x)
        return
    getrf, getri, work = lapack(x.dtype, "getrf", "getri", "getri_lwork")
    size = int(np.real(work(x.shape[-1])[0]))
    out[...] = x
    for matrix in out.reshape(-1, *x.shape[-2:]):
        factors, pivots, info = getrf(matrix.T, overwrite_a=1)
        if info:
            raise np.linalg.LinAlgError(SINGULAR)
        found, _ = getri(factors, pivots, lwork=size, overwrite_lu=1)
        if not np.may_share_memory(found, matrix):
            matrix[...] = found.T


def _inv_infer(a: ArrayType) -> ArrayType:
    need_matrices("inv", a, square=(0,))
    return a.with_shape(a.shape)


def _inv_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    """dX = -X dA X."""
    x = inv(*inputs)
    return (x,), (None if tangents[0] is None else -(x @ tangents[0] @ x),)


def _inv_vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    x = inv(*inputs)
    return (x,), lambda cotangents: (-(T(x) @ cotangents[0] @ T(x)),)


inv = Operation(
    name="inv",
    family="structured",
    reference=np.linalg.inv,
    into=_inv_into,
    infer=_inv_infer,
    jvp=_inv_jvp,
    vjp=_inv_vjp,
    batch=batched_over_leading("inv"),
)


# tridiagonal_solve: dl (first element not read), d and du (last element not read) are the diagonals -------------------


def _tridiagonal_solve(dl: Any, d: Any, du: Any, b: Any) -> Any:
    (gtsv,) = lapack(np.asarray(b).dtype, "gtsv")

    def one(dl: Any, d: Any, du: Any, b: Any) -> tuple[Any]:
        dl, d, du = dl[0], d[0], du[0]
        if not b.size:
            return (b,)
        if len(d) == 1:
            return (b / d[0],)
        *_, x, info = gtsv(dl[1:], d, du[:-1], b)
        return (np.full_like(b, np.nan) if info else x,)

    with quiet():
        return over_stack(one, *(np.asarray(v)[..., None, :] for v in (dl, d, du)), np.asarray(b))[0]


def _tridiagonal_infer(dl: ArrayType, d: ArrayType, du: ArrayType, b: ArrayType) -> ArrayType:
    need_matrices("tridiagonal_solve", b)
    if any(v.shape != b.shape[:-1] or v.dtype != b.dtype for v in (dl, d, du)):
        raise TypeError(f"tridiagonal_solve: diagonals {dl}, {d}, {du} do not fit right sides {b}")
    return b.with_shape(b.shape)


def _shifted(x: Any, by: int, axis: int) -> Any:
    """The rows (or elements) moved down by `by`, zeros where none come from."""
    t = type_of(x)
    axis %= t.ndim
    n = t.shape[axis]
    keep = (slice(None),) * axis
    if not n:
        return x
    edge = np.zeros((*t.shape[:axis], 1, *t.shape[axis + 1 :]), t.dtype)
    parts = [edge, x[(*keep, slice(0, n - 1))]] if by > 0 else [x[(*keep, slice(1, n))], edge]
    return np.concatenate(parts, axis=axis)


def _band_product(dl: Any, d: Any, du: Any, x: Any) -> Any:
    """The matrix with these diagonals times x; None is a diagonal of zeros."""
    total = None
    for diagonal_, by in ((dl, 1), (d, 0), (du, -1)):
        if diagonal_ is not None:
            term = columns_of(diagonal_, type_of(x).shape) * (_shifted(x, by, -2) if by else x)
            total = term if total is None else total + term
    return total


def _tridiagonal_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    x = tridiagonal_solve(*inputs)
    dl, d, du, tb = tangents
    product = _band_product(dl, d, du, x)
    moved = tb if product is None else -product if tb is None else tb - product
    return (x,), (None if moved is None else tridiagonal_solve(*inputs[:3], moved),)


def _tridiagonal_vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    dl, d, du, _ = inputs
    x = tridiagonal_solve(*inputs)

    def pullback(cotangents: Values) -> Values:
        to_b = tridiagonal_solve(_shifted(du, 1, -1), d, _shifted(dl, -1, -1), cotangents[0])
        sides = (_shifted(x, 1, -2), x, _shifted(x, -1, -2))
        return (*(-np.sum(to_b * y, axis=-1) if w else None for y, w in zip(sides, wanted, strict=False)), to_b)

    return (x,), pullback


tridiagonal_solve = Operation(
    name="tridiagonal_solve",
    family="structured",
    reference=_tridiagonal_solve,
    infer=_tridiagonal_infer,
    jvp=_tridiagonal_jvp,
    vjp=_tridiagonal_vjp,
    batch=batched_over_leading("tridiagonal_solve"),
)
