"""JAX's array-level functions: `jax.lax` by name, argument order and meaning.

Nothing is promoted or broadcast here that `jax.lax` does not promote or broadcast; `funcgrad.numpy` does both.
"""

from __future__ import annotations

from types import ModuleType

from funcgrad.lax import (
    _associative,
    _branches,
    _collectives,
    _control,
    _convolution,
    _cumulative,
    _dtypes,
    _elementwise,
    _fft,
    _gather,
    _layouts,
    _others,
    _reductions,
    _segments,
    _shapes,
    _slicing,
    _solves,
    _sorting,
    _windows,
    linalg,
)
from funcgrad.tracebacks import bounded as _bounded

_modules: tuple[ModuleType, ...] = (
    _convolution,
    _dtypes,
    _associative,
    _branches,
    _collectives,
    _control,
    _solves,
    _elementwise,
    _fft,
    _gather,
    _layouts,
    _others,
    _reductions,
    _segments,
    _shapes,
    _slicing,
    _windows,
    _cumulative,
    _sorting,
)
for _module in _modules:
    globals().update({name: getattr(_module, name) for name in _module.__all__})
_bounded(globals())
__all__ = sorted(["linalg", *(name for module in _modules for name in module.__all__)])  # noqa: PLE0605
