"""Rows of Fourier transforms."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.ops.rows import Row, arrays, fixed

LARGE = {"ulps": 64, "slope_ulps": 64, "analytic": False, "normwise": True}


def _complex(re: Any, im: Any) -> tuple[Any]:
    return (re + 1j * im,)


def _parts(z: Any) -> Any:
    return np.real(z) - 2 * np.imag(z) if np.iscomplexobj(z) else z


def _row(kind: str, shape: tuple[int, ...], axes: tuple[int, ...], length: int = 0) -> Row:
    params = fixed(kind=kind, axes=axes, length=length or shape[axes[-1]])
    variant = f"{kind} {axes} {length}"
    if kind == "rfftn":
        return Row("fft", arrays(shape), "f4 f8", params, variant=variant, onward=_parts, **LARGE)
    return Row("fft", arrays(shape, shape), "f4 f8", params, variant=variant, through=_complex, onward=_parts, **LARGE)


ROWS: tuple[Row, ...] = (
    _row("fftn", (3, 18), (1,)),
    _row("fftn", (3, 5, 2), (2, 0)),
    _row("ifftn", (3, 18), (0, 1)),
    _row("rfftn", (3, 18), (1,)),
    _row("rfftn", (3, 5), (1, 0)),
    _row("irfftn", (3, 10), (1,), 18),
    _row("irfftn", (3, 10), (1,), 19),
    _row("irfftn", (4, 3), (1, 0), 6),
)
