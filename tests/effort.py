"""How many examples do tests draw?  ``FUNCGRAD_EFFORT=10 python -m pytest ...`` draws ten times as many as usual."""

from __future__ import annotations

import os

from hypothesis import settings

EFFORT = float(os.environ.get("FUNCGRAD_EFFORT", "1"))


def drawn(examples: int) -> settings:
    """Settings for so many examples, times the effort that is asked for."""
    return settings(max_examples=max(1, round(examples * EFFORT)))
