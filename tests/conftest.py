"""What do all tests share?  Settings of Hypothesis (the same examples in every run, no clocks), memory, slow parts.

Programs are forgotten after each file: every kernel takes one or two of the 65,530 mappings that a process has.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

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


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what the option -m does not want
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the parameters that ``slow.txt`` lists."""
    lines = Path(__file__).with_name("slow.txt").read_text(encoding="utf-8").splitlines()
    unmet = {line for line in lines if line and not line.startswith("#")}
    files = {item.nodeid.partition("::")[0] for item in items}
    for item in items:
        if item.nodeid in unmet:
            item.add_marker(pytest.mark.slow)
            unmet.remove(item.nodeid)
    stale = [name for name in sorted(unmet) if name.partition("::")[0] in files]
    if stale and not any("::" in argument for argument in config.args):
        raise pytest.UsageError(f"tests/slow.txt names {stale[0]}, and there is no such test")
