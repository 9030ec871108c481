"""Which matrix equations are operations?  Sylvester's, and the square root; the complex form of a real Schur pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.ir.primitive import Pullback, Values
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import Operation
from funcgrad.ops.linalg.matrices import (
    T,
    batched_over_leading,
    need_matrices,
    over_stack,
    scipy_linalg,
    underivable,
)

# sylvester: a x + x b = c ---------------------------------------------------------------------------------------------


def _sylvester(a: Any, b: Any, c: Any) -> Any:
    def one(a: Any, b: Any, c: Any) -> tuple[Any]:
        return (scipy_linalg().solve_sylvester(a, b, c) if c.size and (a.any() or b.any()) else _void(a, b, c),)

    return over_stack(one, a, b, c)[0]


def _void(a: Any, b: Any, c: Any) -> Any:
    """For matrices of zeros: nothing solves the equation, but 0 does where c is 0 too."""
    return np.where(c == 0, c, c.dtype.type(np.nan))


def _sylvester_infer(a: ArrayType, b: ArrayType, c: ArrayType) -> ArrayType:
    need_matrices("sylvester", a, b, c, square=(0, 1))
    if c.shape[-2:] != (a.shape[-1], b.shape[-1]):
        raise TypeError(f"sylvester: shapes {a.shape}, {b.shape} and {c.shape} do not fit")
    return c.with_shape(c.shape)


def _sylvester_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    """A dX + dX B = dC - dA X - X dB."""
    (a, b, _), (ta, tb, tc) = inputs, tangents
    x = sylvester(*inputs)
    terms = [t for t in (tc, None if ta is None else -(ta @ x), None if tb is None else -(x @ tb)) if t is not None]
    if not terms:
        return (x,), (None,)
    moved = terms[0]
    for term in terms[1:]:
        moved = moved + term
    return (x,), (sylvester(a, b, moved),)


def _sylvester_vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    a, b, _ = inputs
    x = sylvester(*inputs)

    def pullback(cotangents: Values) -> Values:
        to_c = sylvester(T(a), T(b), cotangents[0])
        return (-(to_c @ T(x)) if wanted[0] else None), (-(T(x) @ to_c) if wanted[1] else None), to_c

    return (x,), pullback


sylvester = Operation(
    name="sylvester",
    family="structured",
    reference=_sylvester,
    infer=_sylvester_infer,
    jvp=_sylvester_jvp,
    vjp=_sylvester_vjp,
    batch=batched_over_leading("sylvester"),
)


# sqrtm: the principal square root of complex matrices -----------------------------------------------------------------


def _sqrtm(x: Any) -> Any:
    return over_stack(lambda a: (np.asarray(scipy_linalg().sqrtm(a), a.dtype) if a.size else a,), x)[0]


def _sqrtm_infer(x: ArrayType) -> ArrayType:
    need_matrices("sqrtm", x, square=(0,))
    if x.dtype.kind != "c":
        raise TypeError(f"sqrtm takes complex matrices: the root of a real one may be complex, not {x}")
    return x.with_shape(x.shape)


def _sqrtm_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    """X dX + dX X = dA."""
    x = sqrtm(*inputs)
    return (x,), (None if tangents[0] is None else sylvester(x, x, tangents[0]),)


def _sqrtm_vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    x = sqrtm(*inputs)
    return (x,), lambda cotangents: (sylvester(T(x), T(x), cotangents[0]),)


sqrtm = Operation(
    name="sqrtm",
    family="structured",
    reference=_sqrtm,
    infer=_sqrtm_infer,
    jvp=_sqrtm_jvp,
    vjp=_sqrtm_vjp,
    batch=batched_over_leading("sqrtm"),
)


# rsf2csf: quasi-triangular real Schur form to triangular complex one --------------------------------------------------


def _rsf2csf(t: Any, z: Any) -> tuple[Any, Any]:
    def one(t: Any, z: Any) -> tuple[Any, Any]:
        dtype = np.result_type(t.dtype, np.complex64)
        out = scipy_linalg().rsf2csf(t, z) if t.size else (t, z)
        return np.asarray(out[0], dtype), np.asarray(out[1], dtype)

    return over_stack(one, t, z)  # type: ignore[return-value]


def _rsf2csf_infer(t: ArrayType, z: ArrayType) -> tuple[ArrayType, ArrayType]:
    need_matrices("rsf2csf", t, z, square=(0, 1))
    dtype = np.result_type(t.dtype, np.complex64)
    return ArrayType(t.shape, dtype), ArrayType(z.shape, dtype)


_form = "a Schur form is no smooth function of the matrix; differentiate eig, or a function of the matrix"
rsf2csf = Operation(
    name="rsf2csf",
    family="structured",
    reference=_rsf2csf,
    infer=_rsf2csf_infer,
    jvp=underivable("rsf2csf", _form),
    vjp=underivable("rsf2csf", _form),
    batch=batched_over_leading("rsf2csf"),
    multiple=True,
)
