"""Rows of the operation that random bits come from."""

from __future__ import annotations

from tests.ops.rows import Row, elements, within

WORDS = within(0, 2**32 - 2)
ROWS: tuple[Row, ...] = (elements("threefry2x32", "u4", WORDS, WORDS, WORDS, WORDS),)
