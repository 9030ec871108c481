"""Do loops of a few calls share the code of a function, and only where that is the same?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.compile import shared
from funcgrad.lower.loops import INDEX, Buffer, Constant, Kernel, Load, Loop, Op, Store, Value


def in_steps(times: int) -> Callable[[Any], Any]:
    """Iterations with a sine and a power of three numbers, `times` after each other."""

    def step(c: Any, _: Any) -> Any:
        for _ in range(times):
            c = np.sin(c) * 1.1 + 0.2**c
        return c, None

    return lambda x: lax.scan(step, x, length=50)[0]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_many_calls_share_the_code_of_one(dtype: str) -> None:
    x = np.array([0.3, -0.7, 1.1], dtype)
    few, many = (fg.jit(in_steps(times)).lower(x).as_text("llvm") for times in (2, 20))
    assert "@calls0" not in few
    assert many.count("define internal void @calls") == 2  # sin, and the power of a number
    expected = x
    for _ in range(50 * 20):
        expected = np.sin(expected) * 1.1 + 0.2**expected
    np.testing.assert_allclose(fg.jit(in_steps(20))(x), expected, rtol=2e-4 if dtype == "f4" else 1e-12)


def kernel(loops: int, aliased: bool = False, change: Callable[[Loop], Loop] = lambda loop: loop) -> Kernel:
    """So many loops over four numbers that store their sines elsewhere."""

    def loop(number: int) -> Loop:
        index, value, result = Value(number, INDEX), Value(number + 1, "f8"), Value(number + 2, "f8")
        body = (Load(value, 0, index), Op(result, "sin", (value,)), Store(1, index, result))
        return change(Loop(index, Constant(0, INDEX), Constant(4, INDEX), body))

    buffers = (Buffer("f8", False), Buffer("f8", True))
    body = tuple(loop(3 * k) for k in range(loops))
    return Kernel(buffers, (), Value(-1, INDEX), Value(-2, INDEX), body, aliased=aliased)


def in_place(loop: Loop) -> Loop:
    *head, store = loop.body
    return loop._replace(body=(*head, store._replace(buffer=0)))


def of_the_index(loop: Loop) -> Loop:
    load, op, store = loop.body
    return loop._replace(body=(load, op._replace(operands=(Value(-3, "f8"),)), store))


def test_what_is_shared() -> None:
    calls = shared.Calls("sin", "f8", (None,), 4)
    assert shared.shared(kernel(shared.SEVERAL)) == {calls: "@calls0"}
    assert shared.shared(kernel(shared.SEVERAL - 1)) == {}
    assert shared.shared(kernel(9, aliased=True)) == {}  # the function says that its arguments do not overlap
    assert shared.shared(kernel(9, change=in_place)) == {}
    assert shared.shared(kernel(9, change=of_the_index)) == {}
    assert shared.shared(kernel(9, change=lambda loop: loop._replace(stop=Constant(1000, INDEX)))) == {}
    assert shared.shared(kernel(9, change=lambda loop: loop._replace(stop=Value(-4, INDEX)))) == {}
