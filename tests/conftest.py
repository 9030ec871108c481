"""What do all tests share?  Settings of Hypothesis (the same examples in every run, no clocks), and memory.

Programs are forgotten after each file: every kernel takes one or two of the 65,530 mappings that a process has.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

import funcgrad as fg

settings.register_profile(
    "funcgrad",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=12,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
settings.load_profile("funcgrad")


@pytest.fixture(autouse=True, scope="module")
def programs_are_forgotten() -> Iterator[None]:
    """After each file of tests."""
    yield
    fg.clear_caches()
