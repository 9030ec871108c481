"""Which cases is every primitive tested with?  THE table: one row or more for each registered primitive.

Every module of this package has its family's `ROWS`.
"""

from __future__ import annotations

import importlib
import pkgutil

from tests.ops.rows import Row

ROWS: tuple[Row, ...] = tuple(
    row
    for module in pkgutil.iter_modules(__path__)
    for row in importlib.import_module(f"{__name__}.{module.name}").ROWS
)
