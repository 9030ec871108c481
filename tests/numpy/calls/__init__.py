"""How is every function of funcgrad.numpy called?  A Hypothesis strategy of arguments, good and bad, for each name.

Every module of this package adds its rows to `CALLS`.
"""

from __future__ import annotations

import importlib
import pkgutil

from tests.numpy.strategies import CALLS

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["CALLS"]
