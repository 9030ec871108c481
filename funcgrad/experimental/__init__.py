"""Parts whose names may still move: `ode`, `checkify`."""

from __future__ import annotations

import importlib as _importlib
import typing as _typing
from types import ModuleType as _ModuleType
from typing import TYPE_CHECKING as _TYPE_CHECKING

if _TYPE_CHECKING:
    from funcgrad.experimental import checkify, ode

_submodules = ("checkify", "ode")
__all__ = ["checkify", "ode"]


if not _typing.TYPE_CHECKING:  # so that type checkers know which names there are

    def __getattr__(name: str) -> _ModuleType:
        if name in _submodules:
            return _importlib.import_module(f"funcgrad.experimental.{name}")
        raise AttributeError(f"module 'funcgrad.experimental' has no attribute {name!r}")
