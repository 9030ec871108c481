"""Are numbers added where indices say, in order, whichever piece has a place, and is what is out of bounds told?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from funcgrad.compile import cpus
from funcgrad.compile.native.scattering import BLOCK, Add, add_address
from tests.compile.builder import ENTRY

RNG = np.random.default_rng(0)
WAYS = [False, pytest.param(True, marks=pytest.mark.skipif(not cpus.permutes_two(), reason="no such instructions"))]
STATUS = 5


def run(add: Add, x: np.ndarray, index: np.ndarray, updates: np.ndarray, pieces: int, order: Any = None) -> int:
    """Add in place, piece after piece; the status."""
    status = np.zeros(1, np.int64)
    buffers = np.array([a.ctypes.data for a in (status, x, updates, index)])
    integers = np.array([1, 2, 3, index.size, x.size, pieces, STATUS])
    kernel = ENTRY(add_address(add))
    for piece in order or range(pieces):
        kernel(buffers.ctypes.data, integers.ctypes.data, piece, piece + 1)
    return int(status[0])


def added(x: np.ndarray, index: np.ndarray, updates: np.ndarray) -> np.ndarray:
    """What NumPy adds, one after the other."""
    out = x.copy()
    np.add.at(out, index, updates)
    return out


def numbers(dtype: str, n: int) -> np.ndarray:
    """Whose sums depend on their order, if they are floats."""
    return (RNG.normal(size=n) * 100).astype(dtype) if dtype[0] == "f" else RNG.integers(0, 2**31, n).astype(dtype)


@pytest.mark.parametrize("compresses", WAYS)
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "u4", "i8", "u8"])
def test_every_length_and_number_of_pieces(dtype: str, wide: bool, compresses: bool) -> None:
    add = Add(dtype, "i4", wide, False, compresses)
    for n in (0, 1, 7, 8, 9, 15, 16, 17, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 37):
        for size, pieces in ((1, 1), (3, 5), (37, 2), (1000, 3)):
            x, updates = numbers(dtype, size), numbers(dtype, n)
            index = RNG.integers(-size, size, n).astype("i4")
            want = added(x, index, updates)
            assert run(add, x, index, updates, pieces, range(pieces)[::-1]) == 0
            np.testing.assert_array_equal(x, want)


@pytest.mark.parametrize("compresses", WAYS)
@pytest.mark.parametrize("indices", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_every_type_of_indices(dtype: str, indices: str, compresses: bool) -> None:
    add = Add(dtype, indices, indices in ("u4", "i8", "u8"), False, compresses)
    least = -100 if indices[0] == "i" else 0
    x, updates, index = numbers(dtype, 100), numbers(dtype, 999), RNG.integers(least, 100, 999).astype(indices)
    want = added(x, index, updates)
    assert run(add, x, index, updates, 3) == 0
    np.testing.assert_array_equal(x, want)


@pytest.mark.parametrize("compresses", WAYS)
@pytest.mark.parametrize("dtype", ["f4", "i8"])
def test_one_number_is_added_everywhere(dtype: str, compresses: bool) -> None:
    x, one, index = numbers(dtype, 50), numbers(dtype, 1), RNG.integers(-50, 50, 1234).astype("i4")
    want = added(x, index, one[0])
    assert run(Add(dtype, "i4", False, True, compresses), x, index, one, 2) == 0
    np.testing.assert_array_equal(x, want)


@pytest.mark.parametrize("compresses", WAYS)
@pytest.mark.parametrize("indices", ["i4", "u4", "i8", "u8"])
def test_what_is_out_of_bounds_is_told_and_left_out(indices: str, compresses: bool) -> None:
    add = Add("f4", indices, indices != "i4", False, compresses)
    limits = np.iinfo(indices)
    for wrong in {300, limits.max, limits.max - 1, -301 if limits.min else 301, limits.min if limits.min else 300}:
        for place in (0, BLOCK - 1, BLOCK, 1233):
            index = RNG.integers(0, 300, 1234).astype(indices)
            index[place] = wrong
            if indices == "u8" and wrong > 2**63:  # which says -1, as a conversion to int64 does
                continue
            x, updates = numbers("f4", 300), numbers("f4", 1234)
            kept = np.arange(1234) != place
            want = added(x, index[kept], updates[kept])
            assert run(add, x, index, updates, 2) == STATUS
            np.testing.assert_array_equal(x, want)
