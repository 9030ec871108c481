"""Are known numbers that make no sense refused, and all others let through?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.arguments import check_within

REFUSED: dict[str, tuple[Any, float, float, dict[str, bool], str]] = {
    "below": (-1, 0, math.inf, {}, "at least 0, not -1"),
    "at an end that does not count": (0.0, 0, math.inf, {"above": True}, "greater than 0, not 0.0"),
    "above": (2, 0, 1, {}, "between 0 and 1, not 2"),
    "above, where nothing is too small": (1, -math.inf, 0, {}, "at most 0, not 1"),
    "at the upper end": (1.0, 0, 1, {"below": True}, "at least 0 and less than 1, not 1.0"),
    "between ends of which neither counts": (
        1,
        0,
        1,
        {"above": True, "below": True},
        "greater than 0 and less than 1, not 1",
    ),
    "no number at all": (math.nan, 0, 1, {}, "between 0 and 1, not nan"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_known_number_outside_of_its_range_is_refused(name: str) -> None:
    value, low, high, ends, said = REFUSED[name]
    with pytest.raises(ValueError, match=rf"^f: x must be {said}\n  at .*test_arguments.py"):
        check_within("f", "x", value, low, high, **ends)


@pytest.mark.parametrize("value", [0, 0.5, 1, np.float64(7), np.ones(2), None, True, lambda step: -step])
def test_numbers_within_and_what_is_no_python_number_are_let_through(value: Any) -> None:
    check_within("f", "x", value, 0, 1)


def test_traced_numbers_are_let_through() -> None:
    def checked(x: Any) -> Any:
        check_within("f", "x", x, 0, 1)
        return x

    assert fg.jit(checked)(7.0) == 7.0
