"""NumPy's covariances and correlations of variables, each a row of observations."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.errors import at_line
from funcgrad.numpy._common import cast, concrete, dtype_of, implements, operand
from funcgrad.trace.frame import type_of


def _variables(name: str, m: Any, y: Any, rowvar: bool, dtype: Any) -> Any:
    """One matrix of them all, a row for each."""
    parts = [operand(x, name) for x in (m, y) if x is not None]
    for x in parts:
        if type_of(x).ndim > 2:
            raise ValueError(f"{name}: arrays have at most two axes, not shape {type_of(x).shape}{at_line()}")
    kind = np.result_type(*(type_of(x).dtype for x in parts), np.float64) if dtype is None else dtype_of(dtype)
    rows = [np.atleast_2d(cast(x, kind)) for x in parts]
    flat = [type_of(x).ndim < 2 if k == 0 else type_of(rows[k]).shape[0] == 1 for k, x in enumerate(parts)]
    rows = [x if rowvar or stays else np.transpose(x) for x, stays in zip(rows, flat, strict=True)]
    return rows[0] if len(rows) == 1 else np.concatenate(rows, 0)


def _weights(name: str, given: Any, count: int) -> Any:
    weights = operand(given, "cov")
    kind = type_of(weights)
    if kind.ndim > 1:
        raise RuntimeError(f"cov: cannot handle multidimensional {name}{at_line()}")
    if kind.shape != (count,):
        raise RuntimeError(f"cov: incompatible numbers of samples and {name}: {count} and {kind.shape}{at_line()}")
    known = concrete(weights)
    if known is not None and np.any(np.asarray(known) < 0):
        raise ValueError(f"cov: {name} cannot be negative{at_line()}")
    if name == "fweights" and known is not None and np.any(np.asarray(known) != np.round(known)):
        raise TypeError(f"cov: fweights must be integer{at_line()}")
    return cast(weights, np.dtype(np.float64))


@implements(np.cov)
def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: Any = None,
    aweights: Any = None,
    *,
    dtype: Any = None,
) -> Any:
    """The covariance matrix of variables."""
    if ddof is not None and ddof != int(ddof):
        raise ValueError(f"cov: ddof must be integer{at_line()}")
    x = _variables("cov", m, y, rowvar, dtype)
    freedom = (0 if bias else 1) if ddof is None else ddof
    count = type_of(x).shape[1]
    if not type_of(x).shape[0]:
        return np.empty((0, 0), type_of(x).dtype)
    weights = None if fweights is None else _weights("fweights", fweights, count)
    if aweights is not None:
        reliable = _weights("aweights", aweights, count)
        weights = reliable if weights is None else weights * reliable
    if weights is None:
        mean, total = np.mean(x, 1, keepdims=True), count
        factor: Any = total - freedom
    else:
        total = np.sum(weights)
        mean = np.sum(x * weights, 1, keepdims=True) / total
        factor = total - freedom
        if aweights is not None and freedom:
            factor = total - freedom * np.sum(weights * reliable) / total
    centred = x - mean
    weighted = centred if weights is None else centred * weights
    other = np.conjugate(weighted) if type_of(x).dtype.kind == "c" else weighted
    positive = np.maximum(factor, 0.0)
    scale = np.where(positive > 0, 1.0 / np.where(positive > 0, positive, 1.0), np.inf)
    return np.squeeze(np.matmul(centred, np.transpose(other)) * cast(scale, _real(type_of(x).dtype)))


def _real(dtype: np.dtype) -> np.dtype:
    return np.empty(0, dtype).real.dtype


@implements(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    """The correlation coefficients of variables."""
    c = cov(x, y, rowvar, dtype=dtype)
    if not type_of(c).ndim:
        return c / c
    deviation = np.sqrt(np.real(np.diagonal(c)))
    c = c / deviation[:, None] / deviation[None, :]
    if type_of(c).dtype.kind == "c":
        return np.clip(np.real(c), -1, 1) + 1j * np.clip(np.imag(c), -1, 1)
    return np.clip(c, -1, 1)
