"""Where do buffers lie?  Temporaries that live at the same time never overlap, and nobody's memory is another's."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import funcgrad as fg
from funcgrad.ir.program import Var
from funcgrad.ir.types import ArrayType
from funcgrad.lower.plan import ALIGNMENT, _arena
from tests.lower.programs import floats

LIVES = st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 30), st.integers(0, 10)), max_size=40)


@given(LIVES)
def test_places_in_the_arena(lives: list[tuple[int, int, int]]) -> None:
    table = {Var(ArrayType((size,), np.dtype("f4"))): (first, first + length) for size, first, length in lives}
    offsets, total = _arena(table)
    assert set(offsets) == set(table)
    spans = [(offsets[v], offsets[v] + max(v.type.nbytes, 1), *life) for v, life in table.items()]
    for k, (low, high, first, last) in enumerate(spans):
        assert low % ALIGNMENT == 0
        assert 0 <= low < high <= total
        for other_low, other_high, other_first, other_last in spans[:k]:
            together = first <= other_last and other_first <= last
            assert not together or high <= other_low or other_high <= low
    busiest = max((sum(v.type.nbytes for v, (f, t) in table.items() if f <= s <= t) for s in range(42)), default=0)
    assert total >= busiest


def test_places_are_used_again() -> None:
    lives = {Var(ArrayType((1000,), np.dtype("f8"))): (k, k + 1) for k in range(100)}
    assert _arena(lives)[1] == 2 * 8000


def test_a_chain_of_products_keeps_two_temporaries() -> None:
    def chain(x: Any) -> Any:
        for _ in range(10):
            x = x @ x
        return x

    analysis = fg.jit(chain).lower(floats(64, 64)).memory_analysis()
    assert analysis["temp_size_in_bytes"] == 2 * 64 * 64 * 4
    assert analysis["argument_size_in_bytes"] == analysis["output_size_in_bytes"] == 64 * 64 * 4
    assert analysis["peak_size_in_bytes"] == 4 * 64 * 64 * 4


def test_costs_of_a_known_program() -> None:
    cost = fg.jit(lambda x, w: np.tanh(x @ w)).lower(floats(30, 40), floats(40, 50)).cost_analysis()
    assert cost["flops"] == 2 * 30 * 40 * 50 + 30 * 50
    assert cost["transcendentals"] == 30 * 50
    assert cost["bytes accessed"] == 4 * (30 * 40 + 40 * 50 + 30 * 50 + 2 * 30 * 50)
    assert (cost["kernels"], cost["products"]) == (1, 1)


def test_products_are_added_up_in_place() -> None:
    low = fg.jit(lambda x, y, z: ((x @ y) + (y @ z) - (z @ x)).T).lower(*(floats(64, 64) for _ in range(3)))
    cost = low.cost_analysis()
    assert (cost["kernels"], cost["products"], cost["calls"]) == (0, 3, 0)
    assert low.memory_analysis()["temp_size_in_bytes"] == 0
    x, y, z = (floats(64, 64) * k for k in (1, 2, 3))
    np.testing.assert_allclose(low.compile()(x, y, z), (x @ y + y @ z - z @ x).T, rtol=1e-5, atol=1e-5)


def test_constants_are_counted() -> None:
    table = floats(100, 3)
    assert fg.jit(lambda x: x + table).lower(floats(100, 3)).memory_analysis()["constant_size_in_bytes"] == 1200


def test_deep_chains_are_stored_now_and_then() -> None:
    def deep(x: Any) -> Any:
        for k in range(1000):
            x = np.sin(x) + x[::-1] * (k % 3)
        return x

    x = floats(7, dtype="f8") / 1e3
    low = fg.jit(deep).lower(x)
    assert 5 < low.cost_analysis()["kernels"] < 200


def test_a_chain_in_one_kernel_may_be_longer_than_pythons_stack() -> None:
    def chain(x: Any) -> Any:
        for k in range(400):
            x = x * 0.5 + k
        return np.sum(x)

    x = floats(3, dtype="f8")
    np.testing.assert_allclose(fg.jit(chain)(x), chain(x), rtol=1e-14)
    np.testing.assert_array_equal(fg.jit(fg.grad(chain))(x), np.full(3, 0.5**400))


def test_what_is_stored_late_is_read_where_it_lies() -> None:
    """A group was surveyed when its operand was an expression of a single number;
    then that was stored, for an output.
    """

    def function(x: Any) -> Any:
        pair = np.tile(x, 2)
        wide = np.broadcast_to(pair, (3, 2))
        return np.broadcast_to(-pair, (2, 2)), -pair, np.broadcast_to(wide, (2, 3, 2)), wide, pair

    x = np.full(1, -2.0)
    for result, expected in zip(fg.jit(function)(x), function(x), strict=True):
        np.testing.assert_array_equal(result, expected)
