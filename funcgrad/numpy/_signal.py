"""How are two sequences convolved and correlated?  As convolutions of one feature by one."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.errors import at_line
from funcgrad.numpy._common import cast, implements, kind_of, promoted
from funcgrad.ops.comparison import ne
from funcgrad.ops.complex import conj
from funcgrad.ops.convolution import conv_general_dilated
from funcgrad.ops.shape import reshape, rev

MODES = {"full": "full", "same": "same", "valid": "valid", 0: "valid", 1: "same", 2: "full"}


def _lines(name: str, a: Any, v: Any, mode: Any) -> tuple[Any, Any, str]:
    """Two sequences of one dtype, checked."""
    a, v = promoted(name, a, v)
    kinds = kind_of(a), kind_of(v)
    shapes = f"shapes {kinds[0].shape} and {kinds[1].shape}"
    if any(kind.ndim > 1 or (kind.ndim == 0 and name == "correlate") for kind in kinds):
        raise ValueError(f"{name} takes sequences, not arrays of {shapes}{at_line()}")
    if any(kind.size == 0 for kind in kinds):
        raise ValueError(f"{name}: a sequence cannot be empty ({shapes}){at_line()}")
    if not isinstance(mode, (str, int)) or mode not in MODES:
        raise ValueError(f"{name}: mode must be 'full', 'same' or 'valid', not {mode!r}{at_line()}")
    return (*(reshape(x, shape=(kind_of(x).size,)) for x in (a, v)), MODES[mode])


def correlated(a: Any, v: Any, mode: str) -> Any:
    """``out[k] = sum(a[k + j] * v[j])`` for two sequences of numbers, the longer one first."""
    kind, n, m = kind_of(a), kind_of(a).size, kind_of(v).size
    pads = {"full": (m - 1, m - 1), "same": (m // 2, m - m // 2 - 1), "valid": (0, 0)}[mode]
    if kind.dtype.kind == "b":
        wide = np.dtype(np.int64)
        return ne(correlated(cast(a, wide), cast(v, wide), mode), np.int64(0))
    ones = {"window_strides": (1,), "lhs_dilation": (1,), "rhs_dilation": (1,)}
    out = conv_general_dilated(reshape(a, shape=(1, 1, n, 1)), reshape(v, shape=(1, m, 1, 1)), padding=(pads,), **ones)
    return reshape(out, shape=(kind_of(out).size,))


def reversed_line(x: Any) -> Any:
    """A sequence from its end."""
    return rev(x, dimensions=(0,))


@implements(np.convolve)
def convolve(a: Any, v: Any, mode: Any = "full") -> Any:
    a, v, mode = _lines("convolve", a, v, mode)
    if kind_of(v).size > kind_of(a).size:
        a, v = v, a
    return correlated(a, reversed_line(v), mode)


@implements(np.correlate)
def correlate(a: Any, v: Any, mode: Any = "valid") -> Any:
    a, v, mode = _lines("correlate", a, v, mode)
    if kind_of(v).dtype.kind == "c":
        v = conj(v)
    if kind_of(v).size > kind_of(a).size:
        return reversed_line(correlated(v, a, mode))
    return correlated(a, v, mode)
