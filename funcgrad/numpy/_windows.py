"""NumPy's windows, which weigh the samples of a signal: bartlett, blackman, hamming, hanning, kaiser."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.numpy._common import implements, operand
from funcgrad.numpy._creation import eager

bartlett, blackman, hamming, hanning = map(eager, (np.bartlett, np.blackman, np.hamming, np.hanning))


@implements(np.kaiser)
def kaiser(M: int, beta: Any) -> Any:
    """The Kaiser window of `M` points; `beta` may be traced."""
    count = M.__index__()
    if count <= 1:
        return np.ones(max(count, 0))
    place = np.arange(count)
    half = (count - 1) / 2.0
    beta = operand(beta, "kaiser")
    return np.i0(beta * np.sqrt(1 - ((place - half) / half) ** 2.0)) / np.i0(beta)
