"""How are numbers compared, and derivatives found by differences?  Ulps, complex steps, Richardson extrapolation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def assert_close(got: Any, want: Any, ulps: float, scale: Any = None, signed_zeros: bool = True) -> None:
    """`got` has the dtype and shape of `want` and lies within `ulps` units of the last place of it.

    The unit is that of the larger of ``|want|`` and `scale`. NaN equals NaN; where `ulps` is 0, signs of zeros must
    agree too (`signed_zeros`).
    """
    got, want = np.asarray(got), np.asarray(want)
    assert got.dtype == want.dtype, (got.dtype, want.dtype)
    assert got.shape == want.shape, (got.shape, want.shape)
    if want.dtype.kind not in "fc" or ulps == 0:
        np.testing.assert_array_equal(got, want)
        if want.dtype.kind == "f" and signed_zeros:
            numbers = ~np.isnan(want)
            np.testing.assert_array_equal(np.signbit(got)[numbers], np.signbit(want)[numbers])
        return
    with np.errstate(all="ignore"):
        wide = np.complex128 if want.dtype.kind == "c" else np.float64
        unit = np.spacing(
            np.abs(want if scale is None else np.maximum(np.abs(want), scale)).astype(want.real.dtype)
        ).astype(np.float64)
        off = np.abs(got.astype(wide) - want.astype(wide)) / unit
        bad = ~((off <= ulps) | (got == want) | (np.isnan(got) & np.isnan(want)))
    if bad.any():
        worst = np.argmax(np.where(bad, np.where(np.isfinite(off), off, np.inf), 0))
        raise AssertionError(
            f"{bad.sum()} of {bad.size} elements are off by more than {ulps} ulp: "
            f"got {got.flat[worst]!r}, want {want.flat[worst]!r} "
            f"({off.flat[worst]:.3g} ulp) at {np.unravel_index(worst, want.shape)}"
        )


def assert_near(got: Any, want: Any, tolerance: float) -> None:
    """`got` has the shape of `want` and differs by no more than `tolerance` of the largest element (or of 1)."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape, (got.shape, want.shape)
    if want.size:
        np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * max(1.0, float(np.max(np.abs(want)))))


def complex_step(function: Callable[..., Any], operands: Sequence[Any], tangents: Sequence[Any]) -> np.ndarray:
    """The directional derivative of an analytic function: Im f(x + iht) / h (Squire and Trapp 1998)."""
    h = 1e-150
    moved = [x if t is None else np.asarray(x + 1j * (h * t)) for x, t in zip(operands, tangents, strict=True)]
    return np.imag(function(*moved)) / h


def richardson(
    function: Callable[..., Any], operands: Sequence[Any], tangents: Sequence[Any], h: float = 1e-2
) -> np.ndarray:
    """The directional derivative from central differences with steps h, h/2, h/4, extrapolated to h = 0."""

    def difference(step: float) -> np.ndarray:
        ahead, behind = (
            function(
                *(x if t is None else np.asarray(x + sign * step * t) for x, t in zip(operands, tangents, strict=True))
            )
            for sign in (1, -1)
        )
        return (np.asarray(ahead, np.float64) - np.asarray(behind, np.float64)) / (2 * step)

    first, second, third = difference(h), difference(h / 2), difference(h / 4)
    once, again = (4 * second - first) / 3, (4 * third - second) / 3
    return np.asarray((16 * again - once) / 15)


def layouts(x: np.ndarray) -> dict[str, np.ndarray]:
    """The same array in every layout that NumPy has."""
    wide = np.zeros(tuple(2 * n + 1 for n in x.shape), x.dtype)
    view = wide[(*(slice(0, 2 * n, 2) for n in x.shape), ...)]
    view[...] = x
    backwards = np.asarray(np.flip(np.asarray(np.flip(x)).copy()))
    read_only = x.copy()
    read_only.flags.writeable = False
    unaligned = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape) if x.size else x
    return {
        "strided": view,
        "negative strides": backwards,
        "fortran": np.array(x, order="F"),
        "big-endian": x.astype(x.dtype.newbyteorder(">")),
        "read-only": read_only,
        "unaligned": unaligned,
        "broadcast": np.broadcast_to(x[:1], x.shape) if x.ndim and x.shape[0] else x,
    }
