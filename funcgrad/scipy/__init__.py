"""SciPy's functions, differentiable: one submodule for each of SciPy's, imported when somebody asks for it."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from funcgrad.scipy import (
        cluster,
        fft,
        integrate,
        interpolate,
        linalg,
        ndimage,
        optimize,
        signal,
        sparse,
        special,
        stats,
    )

_submodules = tuple("cluster fft integrate interpolate linalg ndimage optimize signal sparse special stats".split())
__all__ = [
    "cluster",
    "fft",
    "integrate",
    "interpolate",
    "linalg",
    "ndimage",
    "optimize",
    "signal",
    "sparse",
    "special",
    "stats",
]


if not TYPE_CHECKING:  # so that type checkers know which names there are

    def __getattr__(name: str) -> ModuleType:
        if name in _submodules:
            return importlib.import_module(f"funcgrad.scipy.{name}")
        raise AttributeError(f"module 'funcgrad.scipy' has no attribute {name!r}")
