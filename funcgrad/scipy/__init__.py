"""SciPy's functions, differentiable: one submodule for each of SciPy's, imported when somebody asks for it."""

from __future__ import annotations

import importlib
from types import ModuleType

_submodules = ("fft", "linalg", "optimize", "signal", "sparse", "special", "stats")
__all__ = list(_submodules)


def __getattr__(name: str) -> ModuleType:
    if name in _submodules:
        return importlib.import_module(f"funcgrad.scipy.{name}")
    raise AttributeError(f"module 'funcgrad.scipy' has no attribute {name!r}")
