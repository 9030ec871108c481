"""Is everything counted that an installation brings, once, and no extra?"""

from __future__ import annotations

import pytest

from benchmarks import size


def test_requirements_are_followed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    requires = {
        "a": (1, ["B_b>=2", "c", "never; python_version < '3'", "extra-only; extra == 'test'"]),
        "b-b": (10, ["c"]),
        "c": (100, ["a"]),
    }
    monkeypatch.setattr(size, "_from_metadata", requires.__getitem__)
    assert size.installed_size("A") == {"a": 1, "b-b": 10, "c": 100}


def test_funcgrad_from_its_clone_counts_its_package_and_requirements() -> None:
    found = size.installed_size("funcgrad")
    assert found["funcgrad"] > 0
    assert {"numpy", "scipy", "llvmlite"} <= found.keys()
