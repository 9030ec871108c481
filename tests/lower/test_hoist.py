"""What do scans compute before they begin, and what not?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.control.checkpoint import barrier

LENGTH, N = 16, 32
X = np.random.default_rng(0).standard_normal((LENGTH, N, N))
W = np.random.default_rng(1).standard_normal((N, N))


def steps(hold: Callable[[Any], Any]) -> Callable[..., Any]:
    def body(carry: Any, x: Any) -> tuple[Any, None]:
        return np.tanh(carry + np.exp(-((hold(x) @ W) ** 2))), None

    return lambda x: lax.scan(body, np.zeros((N, N)), x)[0]


@pytest.mark.parametrize(("hold", "hoisted"), [(lambda x: x, True), (barrier, False)], ids=["free", "held"])
def test_a_barrier_keeps_in_the_loop_what_could_be_computed_before(hold: Callable[[Any], Any], hoisted: bool) -> None:
    f = fg.jit(steps(hold))
    temporaries = f.lower(X).memory_analysis()["temp_size_in_bytes"]
    assert (temporaries >= X.nbytes) is hoisted
    want = np.zeros((N, N))
    for x in X:
        want = np.tanh(want + np.exp(-((x @ W) ** 2)))
    np.testing.assert_allclose(f(X), want, rtol=1e-12)


@pytest.mark.parametrize(("rows", "gathered"), [(32, True), (256, False)])
def test_sums_of_products_that_are_large_by_themselves_stay_in_the_loop(rows: int, gathered: bool) -> None:
    x = np.random.default_rng(0).standard_normal((8, rows, 160)).astype(np.float32)

    def total(x: Any) -> Any:
        def body(carry: Any, x: Any) -> tuple[Any, None]:
            last, total = carry
            last = np.tanh(last + x)
            return (last, total + last.T @ last), None

        zeros = np.zeros((rows, 160), np.float32), np.zeros((160, 160), np.float32)
        return lax.scan(body, zeros, x)[0][1]

    f = fg.jit(total)
    assert (f.lower(x).memory_analysis()["temp_size_in_bytes"] >= x.nbytes) is gathered
    last, want = np.zeros(x.shape[1:]), np.zeros((160, 160))
    for each in x.astype(float):
        last = np.tanh(last + each)
        want += last.T @ last
    np.testing.assert_allclose(f(x), want, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("length", "rows", "turned"), [(8, 24, True), (7, 24, False), (8, 300, False)])
def test_a_matrix_that_products_of_few_rows_read_transposed_is_turned_once(
    length: int, rows: int, turned: bool
) -> None:
    weights = np.random.default_rng(2).standard_normal((N, N)) / 8
    x = np.random.default_rng(3).standard_normal((rows, N))

    def steps(axis: int) -> Callable[..., Any]:
        def step(x: Any, weights: Any) -> Any:
            return np.tanh(lax.dot_general(x, weights, (((1,), (axis,)), ((), ()))))

        return fg.jit(lambda x, weights: lax.scan(lambda x, _: (step(x, weights), None), x, None, length=length)[0])

    temporaries = [steps(axis).lower(x, weights).memory_analysis()["temp_size_in_bytes"] for axis in (1, 0)]
    assert temporaries[0] - temporaries[1] == (weights.nbytes if turned else 0)
    want = x
    for _ in range(length):
        want = np.tanh(want @ weights.T)
    np.testing.assert_allclose(steps(1)(x, weights), want, rtol=1e-10)
