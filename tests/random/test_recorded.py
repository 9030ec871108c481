"""Are the numbers those of JAX?  Calls and their recorded values."""

from __future__ import annotations

import json

import ml_dtypes
import numpy as np
import pytest

from funcgrad import random
from funcgrad.ops.random import threefry2x32
from tests.random.odd import ODD
from tests.random.record import EXACT, PATH, ROUNDED, call

RECORDED = json.loads(PATH.read_text(encoding="utf-8"))


def expected(text: str) -> np.ndarray:
    row = RECORDED[text]
    dtype = np.dtype(ml_dtypes.bfloat16 if row["dtype"] == "bfloat16" else row["dtype"])
    parts = np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype
    return np.array(row["values"], parts).view(dtype).reshape(row["shape"])


@pytest.mark.parametrize("text", EXACT)
def test_to_the_last_bit(text):
    want, got = expected(text), call(text, random)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("text", ODD)
def test_odd_calls(text):
    if expected(text).dtype.kind in "iub":
        test_to_the_last_bit(text)
    else:
        test_within_rounding(text)


@pytest.mark.parametrize("text", ROUNDED)
def test_within_rounding(text):
    want, got = expected(text), call(text, random)
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    real = np.dtype(f"f{want.dtype.itemsize // 2}") if want.dtype.kind == "c" else want.dtype
    ulps = 4 if want.dtype.itemsize == 2 else 64  # where zero is near: of 1
    tolerance = ulps * float(ml_dtypes.finfo(real).eps)
    wide = np.complex128 if want.dtype.kind == "c" else np.float64
    np.testing.assert_allclose(got.astype(wide), want.astype(wide), rtol=tolerance, atol=tolerance)


# Random123's known answers for 20 rounds: key, count, result
KNOWN = (
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
)


@pytest.mark.parametrize(("key", "count", "result"), KNOWN)
def test_known_answers_of_the_cipher(key, count, result):
    found = int(threefry2x32(*map(np.uint32, (*key, *count))))
    assert (found >> 32, found & 0xFFFFFFFF) == result


def test_the_cipher_is_the_split_of_a_key():
    first = int(threefry2x32(*random.key(7), np.uint32(0), np.uint32(1)))
    assert random.split(random.key(7))[1].tolist() == [first >> 32, first & 0xFFFFFFFF]
