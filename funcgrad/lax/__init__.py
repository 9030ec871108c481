"""JAX's array-level functions: `jax.lax` by name, argument order and meaning.

Nothing is promoted or broadcast here that `jax.lax` does not promote or broadcast; `funcgrad.numpy` does both.
"""

from __future__ import annotations

from types import ModuleType

_modules: tuple[ModuleType, ...] = ()
for _module in _modules:
    globals().update({name: getattr(_module, name) for name in _module.__all__})
__all__ = sorted(name for module in _modules for name in module.__all__)  # noqa: PLE0605
