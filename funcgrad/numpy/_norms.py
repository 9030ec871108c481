"""NumPy's norms and condition numbers; a norm's derivative at 0 is 0."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.linalg import LinAlgError

from funcgrad.dtypes import to_inexact
from funcgrad.errors import at_line
from funcgrad.numpy._common import axis_number, cast, implements, operand
from funcgrad.ops import complex as cx
from funcgrad.ops.linalg import factorizations, solves, spectral
from funcgrad.ops.linalg.matrices import eye
from funcgrad.ops.shape import reshape
from funcgrad.trace.frame import type_of

Shape = tuple[int, ...]


def _root(x: Any, inverse_power: Any = None) -> Any:
    """The square root (or another) of numbers that are not negative, with derivative 0 at 0."""
    dtype = type_of(x).dtype
    void = x == dtype.type(0)
    safe = np.where(void, dtype.type(1), x)
    root = np.sqrt(safe) if inverse_power is None else safe ** dtype.type(inverse_power)
    return np.where(void, dtype.type(0), root)


def _squares(x: Any) -> Any:
    return cx.real(x) ** 2 + cx.imag(x) ** 2 if cx.is_complex(x) else x * x


def _magnitude(x: Any) -> Any:
    """Absolute values, for complex numbers with derivative 0 at 0."""
    return _root(_squares(x)) if cx.is_complex(x) else np.abs(x)


def _vector(x: Any, ord: Any, axis: int, keepdims: bool) -> Any:
    dtype = type_of(x).dtype
    if ord is None or ord == 2:
        return _root(np.sum(_squares(x), axis=axis, keepdims=keepdims))
    if ord == np.inf:
        return np.max(_magnitude(x), axis=axis, keepdims=keepdims, **_empty(x, axis))
    if ord == -np.inf:
        return np.min(_magnitude(x), axis=axis, keepdims=keepdims)
    if ord == 0:
        nonzero = cast(x != dtype.type(0), cx.to_real(dtype))
        return np.sum(nonzero, axis=axis, keepdims=keepdims)
    size = _magnitude(x)
    if ord == 1:
        return np.sum(size, axis=axis, keepdims=keepdims)
    if isinstance(ord, str):
        raise ValueError(f"norm: Invalid norm order '{ord}' for vectors{at_line()}")
    power = type_of(size).dtype.type(ord)
    total = np.sum(size**power, axis=axis, keepdims=keepdims)
    reciprocal = type_of(size).dtype.type(1) / power
    return _root(total, reciprocal) if ord > 0 else total**reciprocal


def _empty(x: Any, axis: int) -> dict[str, Any]:
    """NumPy's maximum norm of nothing is 0."""
    return {"initial": 0} if type_of(x).shape[axis] == 0 else {}


def _matrix(x: Any, ord: Any, axes: Shape, keepdims: bool) -> Any:
    rows, columns = axes
    if ord in (None, "fro", "f"):
        return _root(np.sum(_squares(x), axis=axes, keepdims=keepdims))
    sums = {1: (np.max, rows, columns), -1: (np.min, rows, columns), np.inf: (np.max, columns, rows)}
    sums[-np.inf] = (np.min, columns, rows)
    if ord in sums:
        fold, summed, folded = sums[ord]
        return _folded(fold, np.sum(_magnitude(x), axis=summed, keepdims=True), folded, axes, keepdims)
    if ord not in (2, -2, "nuc"):
        raise ValueError(f"norm: Invalid norm order {ord!r} for matrices{at_line()}")
    if type_of(x).dtype == np.float16:
        raise TypeError(f"norm: array type float16 is unsupported in linalg{at_line()}")
    (s,) = spectral.svd(np.moveaxis(x, axes, (-2, -1)), full_matrices=False, compute_uv=False)
    kept = tuple(1 if k in axes else n for k, n in enumerate(type_of(x).shape))
    if ord == -2 and not type_of(s).shape[-1]:
        raise ValueError(f"norm: an empty matrix, of shape {type_of(x).shape}, has no least singular value{at_line()}")
    add = ord == "nuc" or not type_of(s).shape[-1]
    out = np.sum(s, axis=-1) if add else s[..., 0] if ord == 2 else s[..., -1]
    return reshape(out, shape=kept) if keepdims else out


def _folded(fold: Any, sums: Any, folded: int, axes: Shape, keepdims: bool) -> Any:
    empty = {"initial": 0} if fold is np.max and type_of(sums).shape[folded] == 0 else {}
    out = fold(sums, axis=folded, keepdims=True, **empty)
    return out if keepdims else np.squeeze(out, axis=axes)


@implements(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The norm of vectors or matrices."""
    x = operand(x, "norm")
    t = type_of(x)
    x = cast(x, t.dtype if t.dtype.kind in "fc" else np.dtype(np.float64))
    if axis is None and (ord is None or (ord in ("f", "fro") and t.ndim == 2) or (ord == 2 and t.ndim == 1)):
        out = _root(np.sum(_squares(np.ravel(x))))
        return reshape(out, shape=(1,) * t.ndim) if keepdims else out
    given = tuple(range(t.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = tuple(axis_number(k, t.ndim, "norm") for k in given)
    if len(axes) == 1:
        return _vector(x, ord, axes[0], keepdims)
    if len(axes) == 2:
        if axes[0] == axes[1]:
            raise ValueError(f"norm: Duplicate axes given: {axis}{at_line()}")
        return _matrix(x, ord, axes, keepdims)
    raise ValueError(f"norm: Improper number of dimensions to norm: axes {given} of shape {t.shape}{at_line()}")


@implements(np.linalg.matrix_norm)
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """The norm of matrices (the last two axes)."""
    return norm(x, axis=(-2, -1), keepdims=keepdims, ord=ord)


@implements(np.linalg.vector_norm)
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """The norm of vectors along any axes, or of all elements."""
    x = operand(x, "vector_norm")
    shape = type_of(x).shape
    given = tuple(range(len(shape))) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = tuple(axis_number(k, len(shape), "vector_norm") for k in given)
    if len(set(axes)) != len(axes):
        raise ValueError(f"vector_norm: repeated axis in {axis}{at_line()}")
    rest = [k for k in range(len(shape)) if k not in axes]
    flat = np.transpose(x, (*axes, *rest)) if shape else x
    size = int(np.prod([shape[k] for k in axes], dtype=int))
    out = norm(reshape(flat, shape=(size, *(shape[k] for k in rest))), axis=0, ord=ord)
    return reshape(out, shape=tuple(1 if k in axes else n for k, n in enumerate(shape))) if keepdims else out


@implements(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Any:
    """The condition number: the norm times that of the inverse; infinite for singular matrices."""
    x = operand(x, "cond")
    t = type_of(x)
    if t.ndim < 2 or 0 in t.shape[-2:]:
        raise LinAlgError(f"cond is not defined on empty arrays or vectors: shape {t.shape}{at_line()}")
    x = cast(x, to_inexact(t.dtype) if t.dtype.kind in "fc" else np.dtype(np.float64))
    if t.dtype == np.float16:
        raise TypeError(f"cond: array type float16 is unsupported in linalg{at_line()}")
    if p in (None, 2, -2):
        (s,) = spectral.svd(x, full_matrices=False, compute_uv=False)
        r = s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    else:
        if t.shape[-1] != t.shape[-2]:
            raise LinAlgError(f"cond: Last 2 dimensions of the array must be square, not {t.shape}{at_line()}")
        factors, _, permutation = factorizations.lu(x)  # which does not raise for singular matrices, as inv does
        inverse = solves.lu_solve(factors, permutation, eye(t.shape, type_of(x).dtype))
        r = norm(x, p, axis=(-2, -1)) * norm(inverse, p, axis=(-2, -1))
    given = np.any(np.isnan(x), axis=(-2, -1))
    return np.where(np.isnan(r) & ~given, type_of(r).dtype.type(np.inf), r)
