"""Which operations find eigenvalues and singular values?  eigh, eig, svd, schur.

Vectors are determined up to a sign or phase, and not even that where values repeat: derivatives of vectors divide by
differences of values. A quotient 0/0 counts as 0, so that functions of values alone have derivatives everywhere;
otherwise repeated values give infinities and NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.ir.primitive import Pullback, Values
from funcgrad.ir.types import ArrayType
from funcgrad.ops import complex as cx
from funcgrad.ops.comparison import convert, eq
from funcgrad.ops.families import Operation, operation
from funcgrad.ops.linalg.matrices import (
    INT64,
    H,
    T,
    batched_over_leading,
    columns_of,
    conj,
    diagonal,
    from_diagonal,
    hermitian,
    like,
    masked,
    need_matrices,
    over_stack,
    ratio,
    real,
    rows_of,
    scipy_linalg,
    underivable,
)
from funcgrad.ops.shape import iota
from funcgrad.trace.frame import type_of


def _gaps(values: Any) -> Any:
    """``values[j] - values[i]`` at row i and column j."""
    shape = (*type_of(values).shape, type_of(values).shape[-1])
    return rows_of(values, shape) - columns_of(values, shape)


def _off_diagonal(x: Any) -> Any:
    return masked(~np.eye(type_of(x).shape[-1], dtype=np.bool_), x)


def _scaled(x: Any, values: Any) -> Any:
    """Columns of `x` times numbers."""
    return x * like(rows_of(values, type_of(x).shape), x)


# eigh: the lower triangle is read, derivatives are those along Hermitian matrices -------------------------------------


def _eigh(x: Any, *, compute_vectors: bool) -> tuple[Any, ...]:
    return tuple(np.linalg.eigh(x)) if compute_vectors else (np.linalg.eigvalsh(x),)


def _eigh_infer(x: ArrayType, *, compute_vectors: bool) -> tuple[ArrayType, ...]:
    need_matrices("eigh", x, square=(0,))
    values = ArrayType(x.shape[:-1], cx.to_real(x.dtype))
    return (values, x.with_shape(x.shape)) if compute_vectors else (values,)


def _eigh_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    """dw = diag M and dV = V (M / gaps) with M = V^H dA V (Giles 2008, section 3.1)."""
    only_values = not params["compute_vectors"]
    if tangents[0] is None:
        out = eigh(*inputs, **params)
        return out, (None,) * len(out)
    w, v = eigh(*inputs, compute_vectors=True)
    inner = H(v) @ hermitian(tangents[0]) @ v
    tw = real(diagonal(inner))
    if only_values:
        return (w,), (tw,)
    return (w, v), (tw, v @ ratio(_off_diagonal(inner), _gaps(w)))


def _eigh_vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    w, v = eigh(*inputs, compute_vectors=True)

    def pullback(cotangents: Values) -> Values:
        if len(cotangents) == 1:
            return (conj(hermitian(_scaled(v, cotangents[0]) @ H(v))),)
        gw, gv = cotangents[0], conj(cotangents[1])
        inner = ratio(_off_diagonal(H(v) @ gv), _gaps(w))
        inner = inner + like(from_diagonal(gw), inner)
        return (conj(hermitian(v @ inner @ H(v))),)

    return ((w, v) if params["compute_vectors"] else (w,)), pullback


eigh = Operation(
    name="eigh",
    family="structured",
    reference=_eigh,
    infer=_eigh_infer,
    jvp=_eigh_jvp,
    vjp=_eigh_vjp,
    batch=batched_over_leading("eigh"),
    multiple=True,
)


# eig: complex values and right vectors of norm 1, the largest element of each real (LAPACK's choice) ------------------


def _eig(x: Any, *, compute_vectors: bool) -> tuple[Any, ...]:
    dtype = np.result_type(np.asarray(x).dtype, np.complex64)
    out = tuple(np.linalg.eig(x)) if compute_vectors else (np.linalg.eigvals(x),)
    return tuple(np.asarray(part, dtype) for part in out)


def _eig_infer(x: ArrayType, *, compute_vectors: bool) -> tuple[ArrayType, ...]:
    need_matrices("eig", x, square=(0,))
    dtype = np.result_type(x.dtype, np.complex64)
    values = ArrayType(x.shape[:-1], dtype)
    return (values, ArrayType(x.shape, dtype)) if compute_vectors else (values,)


def _as_complex(x: Any) -> Any:
    return convert(x, dtype=np.result_type(type_of(x).dtype, np.complex64))


def _largest(v: Any) -> Any:
    """1 at the largest element of each vector, 0 elsewhere."""
    t = type_of(v)
    where = rows_of(np.argmax(np.abs(v), axis=-2), t.shape)
    return convert(eq(where, iota(dtype=INT64, shape=t.shape, dimension=t.ndim - 2)), dtype=t.dtype)


def _column_sums(x: Any) -> Any:
    return rows_of(np.sum(x, axis=-2), type_of(x).shape)


def _imaginary(x: Any) -> Any:
    """The imaginary part, as a complex number."""
    return _as_complex(cx.imag(x))


def _eig_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    """dw = diag M with M = V^-1 dA V; dV = V (M / gaps), less what changes norms or turns the largest elements."""
    if tangents[0] is None:
        out = eig(*inputs, **params)
        return out, (None,) * len(out)
    w, v = eig(*inputs, compute_vectors=True)
    inner = operation("solve")(v, _as_complex(tangents[0]) @ v)
    tw = diagonal(inner)
    if not params["compute_vectors"]:
        return (w,), (tw,)
    moved = v @ ratio(_off_diagonal(inner), _gaps(w))
    moved = moved - v * _column_sums(conj(v) * moved)
    top = _largest(v)
    turn = _column_sums(top * _imaginary(moved)) / _column_sums(top * v)
    return (w, v), (tw, moved - v * (turn * type_of(v).dtype.type(1j)))


def _eig_vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    (x,) = inputs
    w, v = eig(x, compute_vectors=True)

    def pullback(cotangents: Values) -> Values:
        inner = from_diagonal(conj(cotangents[0]))
        if len(cotangents) == 2:
            g = conj(cotangents[1])
            top = _largest(v)
            turn = _imaginary(_column_sums(conj(v) * g)) / _column_sums(top * v)
            g = g - top * turn * type_of(v).dtype.type(1j)
            g = g - v * _column_sums(conj(v) * g)
            inner = inner + ratio(_off_diagonal(H(v) @ g), conj(_gaps(w)))
        out = conj(operation("solve")(H(v), inner @ H(v)))
        return (out if cx.is_complex(x) else cx.real(out),)

    return ((w, v) if params["compute_vectors"] else (w,)), pullback


eig = Operation(
    name="eig",
    family="structured",
    reference=_eig,
    infer=_eig_infer,
    jvp=_eig_jvp,
    vjp=_eig_vjp,
    batch=batched_over_leading("eig"),
    multiple=True,
)


# svd ------------------------------------------------------------------------------------------------------------------


def _svd(x: Any, *, full_matrices: bool, compute_uv: bool) -> tuple[Any, ...]:
    if not compute_uv:
        return (np.linalg.svd(x, compute_uv=False),)
    return tuple(np.linalg.svd(x, full_matrices=full_matrices))


def _svd_infer(x: ArrayType, *, full_matrices: bool, compute_uv: bool) -> tuple[ArrayType, ...]:
    need_matrices("svd", x)
    *lead, m, n = x.shape
    k = min(m, n)
    values = ArrayType((*lead, k), cx.to_real(x.dtype))
    if not compute_uv:
        return (values,)
    rows, columns = (m, n) if full_matrices else (k, k)
    return x.with_shape((*lead, m, rows)), values, x.with_shape((*lead, columns, n))


def _factors(x: Any, params: dict[str, Any]) -> tuple[Any, Any, Any]:
    """U, s and V of the reduced decomposition."""
    m, n = type_of(x).shape[-2:]
    if params["full_matrices"] and params["compute_uv"] and m != n:
        raise TypeError(
            f"svd has no derivative for the full factors of a matrix of shape {type_of(x).shape}: "
            "some of their vectors are any basis; use full_matrices=False"
        )
    u, s, vh = svd(x, full_matrices=False, compute_uv=True)
    return u, s, H(vh)


def _square_gaps(s: Any) -> Any:
    """``s[j]**2 - s[i]**2`` without losing digits."""
    shape = (*type_of(s).shape, type_of(s).shape[-1])
    return (rows_of(s, shape) - columns_of(s, shape)) * (rows_of(s, shape) + columns_of(s, shape))


def _over(x: Any, s: Any) -> Any:
    """Columns of `x` divided by singular values."""
    return ratio(x, rows_of(s, type_of(x).shape))


def _svd_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    """U^H dU and V^H dV from P = U^H dA V (Giles 2008, section 3.2; Wan and Zhang 2019 for complex numbers)."""
    (x,), (t,) = inputs, tangents
    if t is None:
        out = svd(x, **params)
        return out, (None,) * len(out)
    u, s, v = _factors(x, params)
    inner = H(u) @ t @ v
    ts = real(diagonal(inner))
    if not params["compute_uv"]:
        return (s,), (ts,)
    m, n = type_of(x).shape[-2:]
    gaps = _square_gaps(s)
    right, left = _scaled(inner, s), _scaled(H(inner), s)  # P S and P^H S
    turn_u = ratio(_off_diagonal(right + H(right)), gaps)
    turn_v = ratio(_off_diagonal(left + H(left)), gaps)
    if cx.is_complex(x):  # phases are shared out so that V keeps its own
        turn_u = turn_u + _over(from_diagonal(diagonal(inner) - like(ts, inner)), s)
    tu, tv = u @ turn_u, v @ turn_v
    if m > n:
        tu = tu + _over(t @ v - u @ inner, s)
    if n > m:
        tv = tv + _over(H(t) @ u - v @ H(inner), s)
    return (u, s, H(v)), (tu, ts, H(tv))


def _svd_vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    (x,) = inputs
    m, n = type_of(x).shape[-2:]
    u, s, v = _factors(x, params)

    def pullback(cotangents: Values) -> Values:
        if len(cotangents) == 1:
            return (conj(_scaled(u, cotangents[0]) @ H(v)),)
        gu, gs, gv = conj(cotangents[0]), cotangents[1], T(cotangents[2])
        in_u, in_v = H(u) @ gu, H(v) @ gv
        gaps = _square_gaps(s)
        turn_u, turn_v = ratio(_off_diagonal(in_u), gaps), ratio(_off_diagonal(in_v), gaps)
        inner = _scaled(turn_u + H(turn_u), s) + H(_scaled(turn_v + H(turn_v), s))
        values = like(gs, inner)
        if cx.is_complex(x):
            phases = diagonal(in_u)
            values = values + ratio(phases - like(real(phases), phases), s)
        out = u @ (inner + from_diagonal(values)) @ H(v)
        if m > n:
            out = out + _over(gu - u @ in_u, s) @ H(v)
        if n > m:
            out = out + u @ H(_over(gv - v @ in_v, s))
        return (conj(out),)

    return ((u, s, H(v)) if params["compute_uv"] else (s,)), pullback


svd = Operation(
    name="svd",
    family="structured",
    reference=_svd,
    infer=_svd_infer,
    jvp=_svd_jvp,
    vjp=_svd_vjp,
    batch=batched_over_leading("svd"),
    multiple=True,
)


# schur ----------------------------------------------------------------------------------------------------------------


def _schur(x: Any) -> tuple[Any, Any]:
    def one(a: Any) -> tuple[Any, Any]:
        return scipy_linalg().schur(a, "real") if len(a) else (a, a)

    return over_stack(one, x)  # type: ignore[return-value]


def _schur_infer(x: ArrayType) -> tuple[ArrayType, ArrayType]:
    need_matrices("schur", x, square=(0,))
    return x.with_shape(x.shape), x.with_shape(x.shape)


_triangle = "its triangle is no smooth function of the matrix; differentiate eig, eigh, or a function of the matrix"
schur = Operation(
    name="schur",
    family="structured",
    reference=_schur,
    infer=_schur_infer,
    jvp=underivable("schur", _triangle),
    vjp=underivable("schur", _triangle),
    batch=batched_over_leading("schur"),
    multiple=True,
)
