"""Which code computes Fourier transforms?  SciPy's extension module, found without `import scipy.fft`.

The package around it takes a tenth of a second to import, ten times what a transform of a million numbers takes, and
offers no result in given memory.  Where there is no such module, or one that does not answer as expected, the package
does it.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

import numpy as np

from funcgrad.ops.extensions import extension

_NOT, _BY_LENGTH = 0, 2  # how a result is divided


def transform(x: np.ndarray, kind: str, axes: tuple[int, ...], length: int, out: np.ndarray | None = None) -> Any:
    """One of SciPy's ``fftn``, ``ifftn``, ``rfftn`` and ``irfftn`` (whose last axis gets `length`), into `out`."""
    module = checked()
    if module is None:
        return _by_package(x, kind, axes, length, out)
    x = np.require(x, x.dtype.newbyteorder("="), "A")
    if kind == "rfftn":
        return module.r2c(x, axes, True, _NOT, out, 1)
    if kind == "irfftn":
        return module.c2r(x, axes, length, False, _BY_LENGTH, out, 1)
    return module.c2c(x, axes, kind == "fftn", _NOT if kind == "fftn" else _BY_LENGTH, out, 1)


@functools.cache
def checked() -> Any:
    """SciPy's extension module, if it computes what it should; else None."""
    module = extension("scipy.fft._pocketfft.pypocketfft")
    half, back, whole = np.zeros(3, np.complex64), np.zeros(4, np.float32), np.zeros(2, np.complex64)
    try:
        module.r2c(np.array([1, 2, 3, 6], np.float32), (0,), True, _NOT, half, 1)
        module.c2r(half, (0,), 4, False, _BY_LENGTH, back, 1)
        module.c2c(half[:2], (0,), True, _NOT, whole, 1)
    except (AttributeError, TypeError):  # None, or one whose functions are others
        return None
    answers = [*half, *back, *whole]
    return module if np.array_equal(answers, [12, -2 + 4j, -4, 1, 2, 3, 6, 10 + 4j, 14 - 4j]) else None


def _by_package(x: np.ndarray, kind: str, axes: tuple[int, ...], length: int, out: np.ndarray | None) -> Any:
    transforms = importlib.import_module("scipy.fft")
    sizes = {"s": (*(x.shape[k] for k in axes[:-1]), length)} if kind == "irfftn" else {}
    found = getattr(transforms, kind)(x, axes=axes, **sizes)
    if out is None:
        return found
    out[...] = found
    return out
