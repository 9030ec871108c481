"""Does a wrong result show?"""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.compare import worst_error

REFERENCE = {"loss": np.float64(2.0), "gradient": np.array([[1.0, -4.0], [0.0, 2.0]])}


def test_equal_values_have_no_error() -> None:
    assert worst_error(REFERENCE, REFERENCE)[0] == 0.0


def test_the_error_is_relative_to_the_largest_entry_and_names_its_array() -> None:
    values = REFERENCE | {"gradient": REFERENCE["gradient"] + [[0.0, 0.0], [0.4, 0.0]]}
    error, where = worst_error(values, REFERENCE)
    assert error == pytest.approx(0.1)
    assert where == "gradient"


@pytest.mark.parametrize(
    "wrong",
    [
        {"loss": np.float64(2.0)},
        REFERENCE | {"more": np.zeros(1)},
        REFERENCE | {"loss": np.float64(np.nan)},
        REFERENCE | {"loss": np.float64(np.inf)},
        REFERENCE | {"gradient": np.zeros((4,))},
        REFERENCE | {"gradient": REFERENCE["gradient"][None]},
    ],
    ids=["missing", "extra", "nan", "infinite", "size", "rank"],
)
def test_what_cannot_be_compared_is_infinitely_wrong(wrong: dict[str, np.ndarray]) -> None:
    assert worst_error(wrong, REFERENCE)[0] == float("inf")


def test_a_reference_of_zeros_is_compared_absolutely() -> None:
    assert worst_error({"a": np.full(3, 0.5)}, {"a": np.zeros(3)}) == (0.5, "a")


def test_empty_arrays_agree() -> None:
    assert worst_error({"a": np.zeros((0, 3))}, {"a": np.zeros((0, 3))}) == (0.0, "a")
