"""SciPy's special functions, differentiable: what `jax.scipy.special` has, by name, argument order and meaning.

On plain arrays SciPy's own universal functions are called; on traced arrays they become equations of primitives, as
`scipy.special`'s own do.

>>> import numpy as np
>>> import funcgrad as fg
>>> fg.grad(gammaln)(1.0)  # -0.5772..., Euler's constant
Array(-0.57721566)
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from funcgrad.scipy.special import _orders, _sums, _ufuncs


def _public(module: ModuleType) -> dict[str, Any]:
    own = {name: f for name, f in vars(module).items() if getattr(f, "__module__", "") == module.__name__}
    return {name: f for name, f in own.items() if not name.startswith("_")}


_names = {**_ufuncs.namespace, **_public(_orders), **_public(_sums)}
globals().update(_names)
__all__ = sorted(_names)  # noqa: PLE0605
