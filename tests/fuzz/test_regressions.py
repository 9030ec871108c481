"""What have random programs found?  Each mismatch, by a name that says what was wrong, in its smallest form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import lax
from tests.fuzz.checks import Given, Subject

X = np.linspace(-1.0, 1.0, 12).reshape(3, 4)


def into_another_place(x: Any) -> Any:
    """A carry that the body changes in place."""

    def step(c: Any, i: Any) -> Any:
        return lax.dynamic_update_index_in_dim(c, np.sin(lax.sort(c[i])), i, 0), c[i]

    return lax.scan(step, np.stack([x] * 3), np.arange(3))


def loop_with_a_tape(x: Any) -> Any:
    """A gradient of a loop whose length is not known."""

    def loss(x: Any) -> Any:
        return np.sum(lax.while_loop(lambda s: np.sum(s[0] ** 2) < 3, lambda s: (s[0] * 1.5, s[1] + 1), (x, 0))[0])

    return fg.grad(loss)(x)


def slices_of_a_reshaped_array(x: Any) -> Any:
    """What is stacked lies in the buffer of a value of another shape."""
    step = lax.scan(lambda c, v: (lax.sort(c) + v, c), x * 0.5, np.reshape(x, (1, 3, 4)))
    return step[1], step[0]


def complex_constant_of_a_branch(x: Any) -> Any:
    """A complex constant, which is a pair of real ones in memory, as an operand of a loop."""
    table = np.exp(1j * np.arange(16.0))

    def step(c: Any, v: Any) -> Any:
        return c, np.real(fnp.fft.fft(table) * np.sum(v))

    return lax.scan(step, 0.0, x)[1]


def early_and_checked(x: Any) -> Any:
    """Mathematics of nothing that the loop counts, beside a check of what it counts."""

    def step(c: Any, i: Any) -> Any:
        return c.at[i % 2].set((np.tanh(np.exp(np.ones(33))) + 0.25 * c)[0]), None

    return lax.scan(step, x, np.arange(3))[0]


AGREE: list[tuple[str, Callable[..., Any], tuple[Any, ...], tuple[str, ...]]] = [
    # The check of an index that no loop changes was made before the loop, though the loop had no iterations.
    ("an index of no elements", lambda x, i: (x[np.broadcast_to(i, (0,))],), (np.ones(3), np.int64(7)), ("jit",)),
    (
        "an index of no elements, printed",
        lambda x, i: (x[np.broadcast_to(i, (0,))],),
        (np.ones(0), np.int64(7)),
        ("printed",),
    ),
    (
        "places of the elements of nothing",
        lambda x: (np.take_along_axis(np.ravel(x), np.argsort(np.ravel(x)) % x.size, 0),),
        (np.zeros((2, 0, 3)),),
        ("jit",),
    ),
    (
        "a sum over nothing of what no loop changes, printed",
        lambda x: (np.sum(np.ravel(x)[np.int64(3) * np.arange(x.size) % max(x.size, 1)] * np.sum(x)),),
        (np.zeros((2, 0, 3)),),
        ("printed",),
    ),
    # What no iteration changes was computed before a loop together with checks of what each of them reads.
    ("mathematics before a loop with checks", lambda x: (early_and_checked(x),), (np.ones(33),), ("printed",)),
    # A window that covers one axis as a whole took no notice of its steps along the others.
    (
        "a window over a whole axis with steps along another",
        lambda x: (lax.reduce_window(x, 0.0, lax.add, (3, 1), (1, 2), "VALID"),),
        (X,),
        ("jit",),
    ),
    # Printed bodies of loops: buffers that were renamed, and operands in buffers of other types.
    ("a carry changed in place, printed", into_another_place, (X[0],), ("printed",)),
    ("a tape, printed", loop_with_a_tape, (X,), ("printed",)),
    (
        "the bits of a number, printed",
        lambda x: lax.top_k(np.where(x > 0, x, 0), 1),
        (np.array([-5, 3]),),
        ("printed",),
    ),
    ("the bits of a parameter, printed", lambda x: (np.nextafter(np.where(x > 0, x, 0.1), x),), (X,), ("printed",)),
    (
        "infinite constants, printed",
        lambda x: (np.maximum(x, np.nan), x + np.array([np.inf, 1.0, -np.inf, np.nan]), np.where(x > 0, np.inf, x)),
        (X,),
        ("printed",),
    ),
    ("slices of a reshaped array, printed", slices_of_a_reshaped_array, (X,), ("printed",)),
    ("a complex constant of a loop, printed", complex_constant_of_a_branch, (X,), ("printed",)),
]


@pytest.mark.parametrize(
    ("function", "values", "way"), [pytest.param(f, values, way, id=name) for name, f, values, way in AGREE]
)
def test_agrees(function: Callable[..., Any], values: tuple[Any, ...], way: tuple[str, ...]) -> None:
    subject = Subject(Given(function, *values))
    subject.verify(way)


def test_rows_of_no_columns_are_still_checked() -> None:
    f = fg.jit(lambda x, i: np.sum(x[i], axis=1))
    assert not f(np.ones((5, 0)), np.array([4, 1])).any()
    with pytest.raises(IndexError, match="size 5"):
        f(np.ones((5, 0)), np.array([7, 1]))


def test_checks_of_what_nothing_reads_are_made_in_loops() -> None:
    def f(x: np.ndarray, table: np.ndarray) -> np.ndarray:
        def step(c: Any, i: Any) -> Any:
            table[i]
            return c + np.sum(np.exp(np.tanh(np.ones(33) * i))), None

        return lax.scan(step, 0.0, x)[0]

    jitted = fg.jit(f)
    want = 33 * np.sum(np.exp(np.tanh(np.arange(3.0))))
    np.testing.assert_allclose(jitted(np.arange(3), np.ones(3)), want, rtol=1e-14)
    with pytest.raises(IndexError, match="size 3"):
        jitted(np.arange(1, 4), np.ones(3))


def test_a_condition_with_checks_is_not_overwritten_by_them() -> None:
    def f(x: Any, t: Any) -> Any:
        def goes_on(s: Any) -> Any:
            answer = np.any(s[0] < 5)
            t[s[1] * 0]  # a check that nothing reads: its position was written where the answer was
            return answer

        return lax.while_loop(goes_on, lambda s: (np.sort(s[0]) + 1, s[1] + 1), (x, 0))

    x = np.linspace(0, 3, 500)
    for way in (("jit",), ("guarded",)):
        Subject(Given(f, x, np.ones(3))).verify(way)
    assert fg.jit(f)(x, np.ones(3))[1] == 5
