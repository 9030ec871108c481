"""`jax.lax.fft`: Fourier transforms of the last axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum
from typing import Any

from funcgrad.errors import at_line
from funcgrad.lax._arguments import finished
from funcgrad.ops.fft import fft as _transform
from funcgrad.trace.frame import type_of


class FftType(Enum):
    """Which transform: forward, inverse, from real numbers, to real numbers."""

    FFT = "fftn"
    IFFT = "ifftn"
    RFFT = "rfftn"
    IRFFT = "irfftn"


def fft(x: Any, fft_type: FftType | str, fft_lengths: Sequence[int]) -> Any:
    """The discrete Fourier transform of the last ``len(fft_lengths)`` axes.

    Parameters
    ----------
    x
        Complex numbers; real ones for `FftType.RFFT`.
    fft_type
        A member of `FftType`, or its name.
    fft_lengths
        The extents of these axes; for `FftType.IRFFT` those of the result.

    Returns
    -------
    Array
        Complex (floats for `IRFFT`), of the operand's shape but for the lengths of the axes transformed.

    Raises
    ------
    TypeError
        The dtype does not fit the transform.
    ValueError
        The lengths do not fit the shape.

    Examples
    --------
    >>> import numpy as np
    >>> fft(np.array([1.0, 0.0, 0.0, 0.0]), "RFFT", (4,))
    Array([1.+0.j, 1.+0.j, 1.+0.j])
    """
    kind = (FftType[fft_type.upper()] if isinstance(fft_type, str) else fft_type).value
    lengths, shape = tuple(map(int, fft_lengths)), type_of(x).shape
    count = len(lengths)
    expected = (*lengths[:-1], lengths[-1] // 2 + 1) if kind == "irfftn" else lengths
    if not count or tuple(shape[-count:]) != tuple(expected):
        raise ValueError(f"fft: lengths {lengths} do not fit an array of shape {shape}{at_line()}")
    if not math.prod(shape):
        raise ValueError(f"fft: an array of shape {shape} has nothing to transform{at_line()}")
    return finished(_transform(x, kind=kind, axes=tuple(range(len(shape) - count, len(shape))), length=lengths[-1]))


__all__ = ["FftType", "fft"]
