"""Where do writes at computed places go?  Windows, updates in pieces, buffers used again, large arrays turned."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import lax
from funcgrad.ir.interpret import interpret
from funcgrad.lower.calls import Call
from funcgrad.lower.plan import make_plan
from funcgrad.lower.turning import SMALLEST, turn
from funcgrad.ops.scatter import MANY
from funcgrad.simplify import simplify

RNG = np.random.default_rng(0)


def plan(function: Any, *args: Any) -> Any:
    """The steps of a function."""
    return make_plan(simplify(fg.make_jaxpr(function)(*args)))


def source(function: Any, *args: Any) -> str:
    """Its kernels, printed."""
    return fg.jit(function).lower(*args).as_text("python")  # type: ignore[no-any-return]


# In place -------------------------------------------------------------------------------------------------------------


def test_a_temporary_is_written_to_without_a_copy() -> None:
    def f(x: Any, i: Any) -> Any:
        return np.concatenate([x, x]).at[i].set(0.0).at[i + 1].add(1.0)

    steps = plan(f, np.ones(40), np.array([1, 2])).steps
    written = {step.buffers[k] for step in steps for k, b in enumerate(step.kernel.buffers) if b.written}
    assert len(written) == 1


def argument(x: Any, i: Any) -> Any:
    return x.at[i].set(0.0)


def output(x: Any, i: Any) -> Any:
    y = np.concatenate([x, x])
    return y, y.at[i].set(0.0)


def read_later(x: Any, i: Any) -> Any:
    y = np.concatenate([x, x])
    return y.at[i].set(0.0) + y


def read_otherwise(x: Any, i: Any) -> Any:
    y = np.concatenate([x, x])
    return y.at[i].set(0.0).reshape(2, -1) * y.reshape(2, -1).sum(1, keepdims=True)


def read_in_between(x: Any, i: Any) -> Any:
    y = np.concatenate([x, x]).at[i].set(0.0)
    return y.at[i + 1].add(1.0).sum() + y


@pytest.mark.parametrize("function", [argument, output, read_later, read_otherwise, read_in_between])
def test_what_others_need_is_copied(function: Any) -> None:
    x, i = np.arange(40.0), np.array([1, 30])
    program = fg.make_jaxpr(function)(x, i)
    got = fg.jit(function)(x, i)
    for a, b in zip(got if isinstance(got, tuple) else (got,), interpret(program, [x, i]), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(x, np.arange(40.0))


# Windows and pieces ---------------------------------------------------------------------------------------------------


def test_windows_are_read_and_written_by_plain_loops() -> None:
    def f(x: Any, u: Any, i: Any) -> Any:
        return lax.dynamic_update_slice_in_dim(x, u, i, 0), lax.dynamic_slice_in_dim(x, i, 20, 0)

    kernels = [step.kernel for step in plan(f, np.ones((40, 30)), np.ones((20, 30)), 3).steps]
    loops = [loop for kernel in kernels for loop in kernel.body if type(loop).__name__ == "Loop"]
    assert loops
    assert all(loop.independent for loop in loops)


def test_rows_are_added_in_independent_loops() -> None:
    (*_, step) = plan(lambda x, i, v: x.at[i].add(v), np.ones((50, 30)), np.zeros(20, int), np.ones((20, 30))).steps
    (rows,) = (loop for loop in step.kernel.body if type(loop).__name__ == "Loop")
    (columns,) = (loop for loop in rows.body if type(loop).__name__ == "Loop")
    assert not rows.independent
    assert columns.independent


@pytest.mark.parametrize("count", [MANY, MANY + 5])
def test_many_updates_are_added_in_pieces(count: int) -> None:
    places, values = RNG.integers(-300, 300, count), RNG.normal(size=count)
    add = fg.jit(lambda x, i, v: x.at[i].add(v))
    x = RNG.normal(size=300)
    want = x.copy()
    np.add.at(want, places, values)
    got = add(x, places, values)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-10)
    threads = fg.get_num_threads()
    try:
        fg.set_num_threads(1)
        np.testing.assert_array_equal(add(x, places, values), got)
    finally:
        fg.set_num_threads(threads)
    for wrong in (0, count // 2, count - 1):
        bad = places.copy()
        bad[wrong] = 300
        with pytest.raises(IndexError, match="out of bounds for axis with size 300"):
            add(x, bad, values)


# Turning --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["b1", "i1", "u2", "f2", "f4", "f8"])
@pytest.mark.parametrize("shape", [(513, 300), (300, 219), (8, SMALLEST)])
def test_large_matrices_are_turned(shape: tuple[int, int], dtype: str) -> None:
    x = RNG.integers(0, 100, shape).astype(dtype)
    (step,) = plan(lambda x: np.transpose(x), x).steps
    assert isinstance(step, Call)
    np.testing.assert_array_equal(fg.jit(lambda x: np.transpose(x))(x), x.T)


def test_every_permutation() -> None:
    x = RNG.normal(size=(9, 70, 5, 33)).astype("f4")
    for order in itertools.permutations(range(4)):
        got = fg.jit(lambda x, order=order: np.transpose(x, order))(x)
        np.testing.assert_array_equal(got, np.transpose(x, order))


def test_what_is_turned_and_what_is_not() -> None:
    x, y = np.ones((300, 400), "f4"), np.ones((400, 300), "f4")
    calls = lambda f, *args: [s for s in plan(f, *args).steps if isinstance(s, Call)]  # noqa: E731
    assert len(calls(lambda x, y: np.transpose(x) * 2 + y, x, y)) == 1
    assert not calls(lambda x: np.transpose(x) @ x, x)  # a product is told
    assert not calls(lambda x: np.transpose(x), x[:20, :20])  # small
    assert not calls(lambda x: np.transpose(x, (1, 0, 2)), x.reshape(300, 10, 40))  # rows stay rows
    z = fg.jit(lambda x, y: np.transpose(x * 2) - y)(x, y)
    np.testing.assert_array_equal(z, x.T * 2 - y)
    program = fg.make_jaxpr(lambda x: x + 1)(x)
    assert turn(program.equations[0]) is None


def test_an_axis_that_becomes_several_is_a_view() -> None:
    assert "kernel_1" not in source(lambda x: (x * 2).reshape(4, 10, 3).sum((0, 2)), np.ones((40, 3)))
    x = fnp.arange(120.0).reshape(40, 3)
    got = fg.jit(lambda x: np.transpose((x + 1).reshape(4, 10, 3), (1, 0, 2))[::-1])(x)
    np.testing.assert_array_equal(got, np.transpose((x + 1).reshape(4, 10, 3), (1, 0, 2))[::-1])
