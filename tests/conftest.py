"""Settings of Hypothesis that all tests share: the same examples in every run, and no clocks."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "funcgrad",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=20,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
settings.load_profile("funcgrad")
