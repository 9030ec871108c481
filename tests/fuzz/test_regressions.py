"""What have random programs found?  Each mismatch, by a name that says what was wrong, in its smallest form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import lax
from funcgrad.ops.arithmetic import add_any
from funcgrad.ops.cumulative import linear_recurrence
from funcgrad.scipy import special
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


def closed_over_batch(x: Any) -> Any:
    """A jitted function that writes at places of a batch outside of it: positions in that batch were made inside."""

    def of_one(places: Any) -> Any:
        table = fg.jit(lambda y: np.sum(fnp.zeros(6).at[places].add(1.0) * np.arange(6.0)) + 0.25 * np.sum(y))
        return fg.grad(table)(x), table(x)

    return fg.vmap(of_one)(np.arange(12).reshape(3, 4) % 5)


def linear_part_of_a_loop(x: Any) -> Any:
    """The condition reads what moves: the loop of known length that stands for this one does without."""

    def grown(x: Any) -> Any:
        return lax.while_loop(lambda s: np.sum(s) < 3 * np.sum(x), lambda s: s * 1.5 + x, x)

    return fg.linearize(grown, x)[1](x)


def scattered_order(x: Any) -> Any:
    """Values of nothing but a scalar, added at places that were sorted."""
    return fg.grad(lambda a: np.sum(np.sin(lax.sort(np.ravel(a * x[0, 0])[np.zeros((3, 20, 21), int)], dimension=0))))(
        x
    )


def short_numbers_by_a_rule(x: Any) -> Any:
    """A function with a derivative of its own, of bfloat16 numbers beside a constant of such."""
    table = np.arange(4.0).astype(fnp.bfloat16)
    function = fg.custom_jvp(lambda y: fg.jit(lambda z: np.maximum(y, z) > y)(table))
    return function(x)


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
    # LAPACK goes on with a pivot that is NaN; what is written out for small matrices refused it.
    (
        "a NaN is no pivot that is not positive",
        lambda x: (np.linalg.cholesky(x),),
        (np.full((2, 4, 4), np.nan),),
        ("jit",),
    ),
    ("a NaN as a pivot, printed", lambda x: (np.linalg.cholesky(x),), (np.full((3, 3), np.nan),), ("printed",)),
    # A search along an axis of one element has no loop that would know the place.
    (
        "a search through one element",
        lambda x: (np.argmin(np.tanh(np.exp(x)), axis=-1), np.argmax(np.exp(x), axis=0)),
        (np.ones((7, 1)),),
        ("without simplification",),
    ),
    ("the linear part of a loop with a condition of its own", linear_part_of_a_loop, (np.ones(3),), ("eager",)),
    ("a batch that a program closes over", closed_over_batch, (X,), ("eager",)),
    ("a complex number less nothing", lambda x: (x * 1j - 0, 0 - x * 1j, x * 1j + 0), (X,), ("simplified",)),
    # A kernel without folds was written in blocks of rows.
    ("a scatter with what no loop changes", scattered_order, (X[:1, :1],), ("printed", "without joining")),
    (
        "the bits of numbers in the other byte order",
        lambda x, k: (lax.reduce_precision(x, 5, 3), lax.bitcast_convert_type(x, "int64"), lax.clz(k)),
        (X.astype(">f8"), np.arange(5).astype(">i4")),
        ("eager",),
    ),
    # The interpreter computes bfloat16 in float32, but what programs and users' functions get is as it is.
    ("bfloat16 in a function with a rule", short_numbers_by_a_rule, (X[0].astype(fnp.bfloat16),), ("simplified",)),
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


def test_callbacks_take_and_give_short_numbers() -> None:
    kind, seen = fg.ShapeDtypeStruct((4,), np.dtype(fnp.bfloat16)), []

    def called(x: np.ndarray) -> np.ndarray:
        seen.append(x.dtype)
        return x * 2

    x = X[0].astype(fnp.bfloat16)
    got = fg.jit(lambda x: fg.pure_callback(called, kind, x))(x)
    np.testing.assert_array_equal(got, x * 2)
    assert set(seen) == {kind.dtype}


@pytest.mark.parametrize("function", [special.xlogy, special.xlog1py])
def test_the_slope_of_x_log_y_by_y_has_a_slope_by_x_where_x_is_zero(function: Callable[..., Any]) -> None:
    y = 0.75
    both = fg.grad(fg.grad(function, 1), 0)
    for way in (both, fg.jit(both)):
        np.testing.assert_allclose(way(0.0, y), 1 / (y + (function is special.xlog1py)), rtol=1e-15)


def test_differences_of_bfloat16_have_numpys_dtype_when_traced_too() -> None:
    x = X[0].astype(fnp.bfloat16)
    np.testing.assert_array_equal(fg.jit(np.gradient)(x), np.gradient(x), strict=True)


def test_sums_of_cotangents_that_begin_with_a_scalar_are_arrays() -> None:
    def sums(a: Any, x: Any, y: Any) -> Any:
        return add_any(add_any(a, x), np.sin(y))

    def parts(a: Any, x: Any, y: Any) -> Any:
        left, right = (lax.pad(part, 0.0, [config]) for part, config in ((x, (0, 3, 0)), (y, (3, 0, 0))))
        return add_any(add_any(a, left), right)

    for function in (sums, parts):
        subject = Subject(Given(function, 0.5, X[0, :3], X[1, :3]))
        for way in (("simplified",), ("printed",), ("jit",)):
            subject.verify(way)


def test_the_slope_of_a_batched_loop_that_adds_to_what_the_batch_shares() -> None:
    def end(x: Any) -> Any:
        def step(c: Any, v: Any) -> Any:
            lower = np.linalg.cholesky(np.eye(2) + np.tile(c[0], (2, 2)) ** 2 / 4)
            return (c[1], np.tanh(lower[0, 0]) + 0.25 * c[0] + v), c[0]

        return lax.scan(step, (x, x * 0.5), np.stack([x] * 5))[0][0]

    f = fg.vmap(fg.grad(lambda x: np.tanh(end(x)) + 0.25 * x))
    x = np.linspace(0.5, 1.0, 3)
    np.testing.assert_allclose(fg.jit(f)(x), [fg.grad(lambda x: np.tanh(end(x)) + 0.25 * x)(v) for v in x], rtol=1e-12)


def test_a_place_along_one_element_may_vary_where_the_value_does_not() -> None:
    def f(x: Any, places: Any) -> Any:
        rows = np.max(x, axis=1, keepdims=True)
        return np.sum(np.sin(rows[np.arange(3)[:, None], places]), axis=1), places

    for way in (("jit",), ("printed", "without joining"), ("printed", "without fusion")):
        Subject(Given(f, X, np.zeros((3, 4), np.int64))).verify(way)
    with pytest.raises(IndexError, match="size 1"):
        fg.jit(f)(X, np.ones((3, 4), np.int64))


def test_the_slope_of_an_entropy_outside_of_its_range() -> None:
    x = np.array([-1.0, 0.5])
    slopes = [0.0, -1.0 - np.log(0.5)]
    np.testing.assert_allclose(fg.grad(lambda x: np.sum(special.entr(x)))(x), slopes, rtol=1e-15)
    np.testing.assert_allclose(fg.jvp(special.entr, (x,), (np.ones(2),))[1], slopes, rtol=1e-15)


def test_a_recurrence_by_rows_begins_with_a_factor_that_is_not_a_number() -> None:
    a, b = np.full((40, 30), 0.5), np.ones((40, 30))
    a[0, :2] = np.nan, np.inf
    for way in (("jit",), ("printed",), ("printed", "small limits: lines"), ("jit", "small limits: lines")):
        Subject(Given(lambda a, b: linear_recurrence(a, b, axis=0, reverse=False), a, b)).verify(way)


def test_the_slope_of_a_power_by_its_base_has_a_slope_by_an_exponent_of_zero() -> None:
    slope = fg.grad(fg.grad(np.power, 0), 1)
    assert slope(0.5, 0.0) == fg.jit(slope)(0.5, 0.0) == 2.0  # 1/x
    for dtype in (np.float16, np.float32, np.float64):
        for x in (0.0, np.nan, 0.5):
            assert fg.grad(np.power)(dtype(x), dtype(0)) == 0
