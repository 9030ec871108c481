"""Are arrays in a carry changed in place, and only where nobody reads what they were?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import lax
from tests.effort import drawn

N = 40
Step = Callable[[Any, Any, Any, Any], tuple[Any, Any, Any]]

# What one step may do with two arrays, a number, and the number of the iteration ------------------------------------

STEPS: dict[str, Step] = {
    "set": lambda a, b, s, i: (a.at[i].set(s * 0.5), b, s),
    "add what another holds": lambda a, b, s, i: (a.at[(3 * i) % N].add(b[i]), b, s),
    "read before": lambda a, b, s, i: (a.at[i].set(a[i - 1] * a[i]), b, s + a[2 * i % N]),
    "read after": lambda a, b, s, i: (c := a.at[i].multiply(0.5), b, s + c[i] + c[0]),
    "read both": lambda a, b, s, i: (c := a.at[0].add(s), b, a[0] - c[0] * 0.1),
    "window": lambda a, b, s, i: (
        lax.dynamic_update_slice(a, lax.dynamic_slice(a, (i % 30,), (4,)) * 0.9, ((7 * i) % 30,)), b, s,
    ),
    "shift": lambda a, b, s, i: (a.at[1:].set(a[:-1] * 0.5), b, s),
    "reversed": lambda a, b, s, i: (a.at[::-1].add(0.1 * a), b, s),
    "exchange": lambda a, b, s, i: (b, a, s),
    "same": lambda a, b, s, i: (a, a.at[i].set(1.5), s),
    "whole": lambda a, b, s, i: (a * 0.9 + b * 0.1, b.at[i].add(s), s),
    "sum": lambda a, b, s, i: (a.at[i].set(s), b, s + 0.01 * a.sum()),
    "fixed places": lambda a, b, s, i: (a.at[3].set(a[4] * 0.5 + s), b.at[2].add(a[3]), s),
    "branch": lambda a, b, s, i: (
        lax.cond(s > 0, lambda a: a.at[i].set(a[i + 1] * 0.7).at[i + 1].set(a[i]), lambda a: a, a), b, s,
    ),
    "branches": lambda a, b, s, i: (
        *lax.cond(i % 2 == 0, lambda a, b: (a.at[i].set(b[0]), b * 0.5), lambda a, b: (b, a.at[1].add(1)), a, b), s,
    ),
    "inner loop": lambda a, b, s, i: (
        lax.fori_loop(0, 3, lambda j, a: a.at[(i + 5 * j) % N].add(b[j] * s), a), b, s,
    ),
    "inner while": lambda a, b, s, i: (
        lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1].at[c[0]].multiply(0.5)), (0, a))[1], b, s,
    ),
}  # fmt: skip


def loss(names: list[str], looped: bool, a: Any, b: Any) -> Any:
    """The steps, again and again: in a loop, or written out."""

    def step(state: Any, i: Any) -> Any:
        a, b, s = state
        for name in names:
            a, b, s = STEPS[name](a, b, s, i)
        return (a, b, s), s

    state, total = (a, b, fnp.asarray(0.3)), 0.0
    if looped:
        state, seen = lax.scan(step, state, np.arange(1, 5))
        total = fnp.sum(seen)
    else:
        for i in range(1, 5):
            state, s = step(state, fnp.asarray(i))
            total = total + s
    weight = np.linspace(-1, 1, N)
    return fnp.sum(state[0] * weight) + fnp.sum(state[1] ** 2) + state[2] + total


@drawn(5)
@given(st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=4))
def test_as_if_written_out(names: list[str]) -> None:
    a, b = np.random.default_rng(0).standard_normal((2, N))
    value, ct = fg.jit(fg.value_and_grad(lambda a, b: loss(names, True, a, b), (0, 1)))(a, b)
    want, want_ct = fg.jit(fg.value_and_grad(lambda a, b: loss(names, False, a, b), (0, 1)))(a, b)
    np.testing.assert_allclose(value, want, rtol=1e-12)
    np.testing.assert_allclose(ct, want_ct, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", sorted(STEPS))
def test_each_as_if_written_out(name: str) -> None:
    a, b = np.random.default_rng(1).standard_normal((2, N))
    before = a.copy()
    value, ct = fg.jit(fg.value_and_grad(lambda a, b: loss([name], True, a, b), (0, 1)))(a, b)
    want, want_ct = fg.jit(fg.value_and_grad(lambda a, b: loss([name], False, a, b), (0, 1)))(a, b)
    np.testing.assert_allclose(value, want, rtol=1e-12)
    np.testing.assert_allclose(ct, want_ct, rtol=1e-11, atol=1e-12)
    assert np.array_equal(a, before), "the caller's array is not the loop's to change"


# What it costs ------------------------------------------------------------------------------------------------------

TOUCHES: dict[str, Callable[[Any, Any], Any]] = {
    "set": lambda i, a: a.at[i].set(a[i - 1] * 0.5 + a[i]),
    "window": lambda i, a: lax.dynamic_update_slice(a, lax.dynamic_slice(a, (i,), (3,)) * 2, (i + 1,)),
    "branch": lambda i, a: lax.cond(a[i] > 0, lambda a: a.at[i].add(1), lambda a: a, a),
    "nested": lambda i, a: lax.fori_loop(0, 4, lambda j, a: a.at[i + j].add(1.5), a),
    "while": lambda i, a: lax.while_loop(lambda a: a[i] < 0, lambda a: a.at[i].add(1.5), a),
    "fixed": lambda i, a: a.at[3].add(a[4]),
}
LARGE = 10_000


@pytest.mark.parametrize("name", sorted(TOUCHES))
def test_a_touched_array_has_no_second_copy(name: str) -> None:
    def function(a: Any) -> Any:
        return lax.fori_loop(1, 50, TOUCHES[name], a)

    analysis = fg.jit(function).lower(np.ones(LARGE)).memory_analysis()
    assert analysis["temp_size_in_bytes"] < LARGE * 8 / 2


@pytest.mark.parametrize("name", sorted(TOUCHES.keys() - {"while"}))
def test_nor_has_its_cotangent(name: str) -> None:
    """The loop's array itself, and what the cotangent begins with; nothing per iteration, no second buffers."""

    def function(a: Any) -> Any:
        return lax.fori_loop(1, 50, TOUCHES[name], a)[7]

    analysis = fg.jit(fg.grad(function)).lower(np.ones(LARGE)).memory_analysis()
    assert analysis["temp_size_in_bytes"] < 2.5 * LARGE * 8


def test_a_loop_that_counts_has_no_array_of_numbers() -> None:
    def function(x: Any) -> Any:
        return lax.fori_loop(3, LARGE, lambda i, s: s * 0.5 + i, x)

    lowered = fg.jit(function).lower(1.0)
    assert lowered.memory_analysis()["temp_size_in_bytes"] < LARGE
    assert "np.array([3, 4" not in lowered.as_text("python")
    want = 1.0
    for i in range(3, LARGE):
        want = want * 0.5 + i
    assert fg.jit(function)(1.0) == want


def test_counting_backwards_and_in_steps() -> None:
    for reverse in (False, True):
        for numbers in (np.arange(5), np.arange(20, 4, -3), np.array([1, 2, 4]), np.arange(4, dtype=np.int32)):
            step = lambda c, i: (c * 2 + i, c - i)  # noqa: E731
            want, seen = np.int64(1), []
            for i in numbers[::-1] if reverse else numbers:
                seen.append(want - i)
                want = want * 2 + i
            last, found = fg.jit(lambda x, n=numbers, r=reverse, s=step: lax.scan(s, x, n, reverse=r))(np.int64(1))
            assert last == want
            assert np.array_equal(found, seen[::-1] if reverse else seen)
