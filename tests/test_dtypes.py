"""Is promotion NumPy's, and are weak Python numbers weak?"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from funcgrad import dtypes

CODES = "b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 c8 c16".split()


@pytest.mark.parametrize("left", CODES)
def test_promotion_of_arrays(left: str) -> None:
    for right in CODES:
        want = np.result_type(np.dtype(left), np.dtype(right))
        assert dtypes.promote([(np.dtype(left), False), (np.dtype(right), False)]) == (want, False)


@pytest.mark.parametrize("scalar", [True, 1, 1.0, 1j], ids=repr)
def test_promotion_of_arrays_and_numbers(scalar: complex) -> None:
    weak = (dtypes.WEAK[type(scalar)], type(scalar) is not bool)
    for c in CODES:
        want = np.result_type(np.dtype(c), scalar)
        assert dtypes.promote([(np.dtype(c), False), weak]) == (want, False)
        assert (np.ones(2, c) * scalar).dtype == want


def test_numbers_alone_stay_weak() -> None:
    kinds = {bool: 0, int: 1, float: 2, complex: 3}
    for a, b in itertools.product((int, float, complex), repeat=2):
        want = dtypes.WEAK[max(a, b, key=kinds.__getitem__)]
        assert dtypes.promote([(dtypes.WEAK[a], True), (dtypes.WEAK[b], True)]) == (want, True)


@pytest.mark.parametrize("c", CODES)
def test_to_inexact_is_what_sin_does(c: str) -> None:
    assert dtypes.to_inexact(np.dtype(c)) == np.sin(np.zeros(1, c)).dtype


@pytest.mark.parametrize("c", CODES)
def test_codes(c: str) -> None:
    assert dtypes.code(np.dtype(c)) == c
    assert dtypes.code(np.dtype(c).newbyteorder(">")) == c
    assert dtypes.check_supported(np.dtype(c).newbyteorder(">")) == np.dtype(c)
    assert dtypes.is_inexact(np.dtype(c)) == (c[0] in "fc")


@pytest.mark.parametrize("dtype", ["O", "U3", "S3", "M8[s]", "m8[s]", "g", "G", [("a", "f4")]], ids=str)
def test_other_dtypes_are_refused(dtype: object) -> None:
    with pytest.raises(TypeError, match="is not supported"):
        dtypes.check_supported(np.dtype(dtype))  # type: ignore[call-overload]
