"""Which functions of a square matrix are operations of their own?  Determinant, cofactors, exponential."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.ir.primitive import Pullback, Values
from funcgrad.ir.types import ArrayType
from funcgrad.ops import complex as cx
from funcgrad.ops.families import Operation, operation
from funcgrad.ops.linalg.matrices import (
    H,
    T,
    batched_over_leading,
    conj,
    like,
    need_matrices,
    over_stack,
    real,
    scipy_linalg,
    times,
    trace,
)
from funcgrad.trace.frame import type_of


def _matrix_infer(name: str) -> Any:
    def infer(x: ArrayType) -> ArrayType:
        need_matrices(name, x, square=(0,))
        return x.with_shape(x.shape)

    return infer


# det: its derivative is the matrix of cofactors, also where the matrix is singular ------------------------------------


def _det_infer(x: ArrayType) -> ArrayType:
    need_matrices("det", x, square=(0,))
    return x.with_shape(x.shape[:-2])


def _det_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    """d det A = sum of cof(A) * dA (Jacobi)."""
    (x,), (t,) = inputs, tangents
    return (det(x),), (None if t is None else np.sum(cofactors(x) * t, axis=(-2, -1)),)


def _det_vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    (x,) = inputs
    return (det(x),), lambda cotangents: (times(cotangents[0], cofactors(x)),)


det = Operation(
    name="det",
    family="structured",
    reference=np.linalg.det,
    infer=_det_infer,
    jvp=_det_jvp,
    vjp=_det_vjp,
    batch=batched_over_leading("det"),
)


def _cofactors(x: Any) -> Any:
    """From A = U S V^H: det U det V^H conj(U) cof(S) conj(V^H), where each cofactor of S is a product of the others."""
    u, s, vh = np.linalg.svd(x)
    n = s.shape[-1]
    others = np.where(np.eye(n, dtype=np.bool_), 1, s[..., None, :])
    scale = np.prod(others, axis=-1) * (np.linalg.det(u) * np.linalg.det(vh))[..., None]
    return ((u.conj() * scale[..., None, :]) @ vh.conj()).astype(np.asarray(x).dtype)


def _paired(x: Any, y: Any) -> Any:
    return np.sum(x * y, axis=(-2, -1))


def _cofactors_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    """dC = (tr(C^T dA) C - C dA^T C) / det A, for regular matrices."""
    (x,), (t,) = inputs, tangents
    c = cofactors(x)
    if t is None:
        return (c,), (None,)
    return (c,), (times(1 / det(x), times(_paired(c, t), c) - c @ T(t) @ c),)


def _cofactors_vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    (x,) = inputs
    c = cofactors(x)

    def pullback(cotangents: Values) -> Values:
        (ct,) = cotangents
        return (times(1 / det(x), times(_paired(c, ct), c) - c @ T(ct) @ c),)

    return (c,), pullback


cofactors = Operation(
    name="cofactors",
    family="structured",
    reference=_cofactors,
    infer=_matrix_infer("cofactors"),
    jvp=_cofactors_jvp,
    vjp=_cofactors_vjp,
    batch=batched_over_leading("cofactors"),
)


# slogdet --------------------------------------------------------------------------------------------------------------


def _slogdet_infer(x: ArrayType) -> tuple[ArrayType, ArrayType]:
    need_matrices("slogdet", x, square=(0,))
    return x.with_shape(x.shape[:-2]), ArrayType(x.shape[:-2], cx.to_real(x.dtype))


def _slogdet_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    """d log det A = tr(A^-1 dA): its real part moves the logarithm, its imaginary part turns the sign."""
    (x,), (t,) = inputs, tangents
    sign, log = slogdet(x)
    if t is None:
        return (sign, log), (None, None)
    moved = trace(operation("solve")(x, t))
    if not cx.is_complex(x):
        return (sign, log), (None, moved)
    return (sign, log), (sign * (moved - like(real(moved), moved)), real(moved))


def _slogdet_vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    (x,) = inputs
    sign, log = slogdet(x)

    def pullback(cotangents: Values) -> Values:
        factor = like(cotangents[1], x)
        if cx.is_complex(x):
            turned = conj(cotangents[0]) * conj(sign)
            factor = factor + turned - like(real(turned), turned)
        return (conj(times(factor, H(operation("inv")(x)))),)

    return (sign, log), pullback


slogdet = Operation(
    name="slogdet",
    family="structured",
    reference=lambda x: tuple(np.linalg.slogdet(x)),
    infer=_slogdet_infer,
    jvp=_slogdet_jvp,
    vjp=_slogdet_vjp,
    batch=batched_over_leading("slogdet"),
    multiple=True,
)


# expm -----------------------------------------------------------------------------------------------------------------


def _expm(x: Any) -> Any:
    return over_stack(lambda a: (scipy_linalg().expm(a) if a.size else a,), x)[0]


def frechet(x: Any, direction: Any) -> Any:
    """The derivative of the exponential: a corner of exp([[A, E], [0, A]]) (Van Loan 1978)."""
    n = type_of(x).shape[-1]
    top = np.concatenate([x, direction], axis=-1)
    bottom = np.concatenate([np.zeros(type_of(x).shape, type_of(x).dtype), x], axis=-1)
    return expm(np.concatenate([top, bottom], axis=-2))[..., :n, n:]


def _expm_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    (x,), (t,) = inputs, tangents
    return (expm(x),), (None if t is None else frechet(x, t),)


def _expm_vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    (x,) = inputs
    return (expm(x),), lambda cotangents: (frechet(T(x), cotangents[0]),)


expm = Operation(
    name="expm",
    family="structured",
    reference=_expm,
    infer=_matrix_infer("expm"),
    jvp=_expm_jvp,
    vjp=_expm_vjp,
    batch=batched_over_leading("expm"),
)


# pinv -----------------------------------------------------------------------------------------------------------------


def _pinv(x: Any, rcond: Any, *, hermitian: bool) -> Any:
    return np.linalg.pinv(x, np.asarray(rcond), hermitian)


def _pinv_infer(x: ArrayType, rcond: ArrayType, *, hermitian: bool) -> ArrayType:
    need_matrices("pinv", x, square=(0,) if hermitian else ())
    if rcond != ArrayType(x.shape[:-2], cx.to_real(x.dtype)):
        raise TypeError(f"pinv: limits {rcond} do not fit matrices {x}")
    *lead, m, n = x.shape
    return x.with_shape((*lead, n, m))


def _pinv_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    """dP = -P dA P + P P^H dA^H (1 - A P) + (1 - P A) dA^H P^H P (Golub and Pereyra 1973), at constant rank."""
    (x, _), (t, _) = inputs, tangents
    p = pinv(*inputs, **params)
    if t is None:
        return (p,), (None,)
    first, second = p @ (H(p) @ H(t)), (H(t) @ H(p)) @ p
    return (p,), (first - (first @ x) @ p + second - p @ (x @ second) - p @ t @ p,)


def _pinv_vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    x = inputs[0]
    p = pinv(*inputs, **params)

    def pullback(cotangents: Values) -> Values:
        g = conj(cotangents[0])
        first, second = (H(g) @ p) @ H(p), H(p) @ (p @ H(g))
        out = first - H(p) @ (H(x) @ first) + second - (second @ p) @ x - H(p) @ g @ H(p)
        return conj(out), None

    return (p,), pullback


pinv = Operation(
    name="pinv",
    family="structured",
    reference=_pinv,
    infer=_pinv_infer,
    jvp=_pinv_jvp,
    vjp=_pinv_vjp,
    batch=batched_over_leading("pinv"),
)
