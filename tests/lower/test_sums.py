"""How exact are sums, and does the number of threads show in them?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compile import native

N = 2_500_000


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = native.threads()
    yield
    native.set_threads(before)


@pytest.fixture(scope="module")
def many() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 1, N).astype("f4")


def ulps(result: Any, exact: float) -> float:
    return abs(float(result) - exact) / float(np.spacing(np.float32(exact)))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_float32_sum_of_one_sign_is_within_an_ulp(many: np.ndarray, sign: int) -> None:
    exact = sign * math.fsum(many.tolist())
    assert ulps(fg.jit(np.sum)(sign * many), exact) <= 1
    assert ulps(fg.jit(lambda x: np.sum(x.reshape(500, -1), 1).sum())(sign * many), exact) <= 4
    assert ulps(fg.jit(lambda x: np.mean(x))(sign * many), exact / N) <= 2


def test_a_product_with_ones_is_a_sum(many: np.ndarray) -> None:
    assert ulps(fg.jit(lambda x: x @ np.ones_like(x))(many), math.fsum(many.tolist())) <= 4


def test_a_column_sum_loses_no_more_than_numpys(many: np.ndarray) -> None:
    x = many.reshape(-1, 4)
    exact = np.array([math.fsum(column) for column in x.T.tolist()])
    error = np.abs(fg.jit(lambda x: np.sum(x, 0))(x) - exact)
    assert (error <= np.abs(np.sum(x, 0) - exact)).all()


def test_integers_wrap_and_bools_count() -> None:
    x = np.full(5000, 2**62)
    assert fg.jit(np.sum)(x) == np.sum(x)
    assert fg.jit(np.sum)(x > 0) == 5000
    assert fg.jit(np.sum)(np.full(300, 200, np.uint8)) == 60_000


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_special_values_reach_the_sum(special: float) -> None:
    for n in (3, 40, 5000, 300_000):
        for place in (0, n // 2, n - 1):
            x = np.ones(n, "f4")
            x[place] = special
            np.testing.assert_array_equal(fg.jit(np.sum)(x), np.sum(x))
            np.testing.assert_array_equal(fg.jit(np.max)(x), np.max(x))
            np.testing.assert_array_equal(fg.jit(np.min)(x), np.min(x))
            assert fg.jit(np.argmax)(x) == np.argmax(x)


def test_half_precision_sums_are_made_in_more() -> None:
    x = np.full(40_000, 0.1, "f2")
    assert fg.jit(np.sum)(x) == np.float16(Fraction(float(np.float16(0.1))) * 40_000)


@pytest.mark.parametrize(
    "function",
    [
        np.sum,
        lambda x: np.sum(x.reshape(-1, 100), 0),
        lambda x: np.sum(x.reshape(-1, 100), 1),
        lambda x: fg.value_and_grad(lambda x: np.sum(np.tanh(x) * np.exp(-x * x)))(x),
        lambda x: x.reshape(1000, -1).T @ x.reshape(1000, -1)[:, :50],
    ],
)
def test_neither_threads_nor_runs_show(many: np.ndarray, function: Any) -> None:
    compiled = fg.jit(function)
    seen = set()
    for count in (1, 2, 3, 1, 2):
        native.set_threads(count)
        for _ in range(3):
            seen.add(b"".join(np.asarray(leaf).tobytes() for leaf in fg.tree.leaves(compiled(many))))
    assert len(seen) == 1
