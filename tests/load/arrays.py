"""Do arrays of more than 2³¹ elements work?  Positions beyond what 32 bits hold, of every kind of kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad import lax

SIZE = (1 << 31) + 1000


def _marked() -> Any:
    x = np.zeros(SIZE, np.uint8)
    x[-3], x[5] = 7, 2
    return x


def elementwise(x: Any) -> None:
    """One result for each element."""
    y = fg.jit(lambda x: x + np.uint8(1))(x)
    assert (y[-3], y[-1], y[5], y[0]) == (8, 1, 3, 1)


def comparison(x: Any) -> None:
    """Truth values."""
    y = fg.jit(lambda x: x > 6)(x)
    assert y[-3]
    assert np.count_nonzero(y) == 1


def total(x: Any) -> None:
    """A sum."""
    assert fg.jit(lambda x: np.sum(x))(x) == 9


def search(x: Any) -> None:
    """The place of the greatest."""
    assert fg.jit(np.argmax)(x) == SIZE - 3
    assert fg.jit(np.max)(x) == 7


def slices(x: Any) -> None:
    """Parts from far behind."""
    np.testing.assert_array_equal(fg.jit(lambda x: x[-4:] * 2)(x), [0, 14, 0, 0])
    np.testing.assert_array_equal(fg.jit(lambda x: x[::-1][:4])(x), [0, 0, 7, 0])
    np.testing.assert_array_equal(fg.jit(lambda x, k: lax.dynamic_slice(x, (k,), (3,)))(x, SIZE - 4), [0, 7, 0])


def gathers(x: Any) -> None:
    """Elements by number."""
    assert list(fg.jit(lambda x, k: np.take(x, k))(x, np.array([5, SIZE - 3, 0, -3]))) == [2, 7, 0, 7]


def columns(x: Any) -> None:
    """Folds of a matrix with a long axis, either way."""
    y = x[: 1 << 31].reshape(2, 1 << 30)
    assert list(fg.jit(lambda y: np.max(y, axis=1))(y)) == [2, 0]
    assert list(fg.jit(lambda y: np.max(y.T, axis=0))(y)) == [2, 0]


def product(x: Any) -> None:
    """A product over the long axis, in float32."""
    del x
    y = np.zeros(SIZE, np.float32)
    y[-1], y[0] = 3.0, 2.0
    assert fg.jit(lambda y: y @ y)(y) == 13.0


def gradient(x: Any) -> None:
    """A derivative of so many elements, in float16."""
    del x
    slope = fg.jit(fg.grad(lambda y: np.sum(y[-2:] * np.float16(3))))(np.zeros(SIZE, np.float16))
    np.testing.assert_array_equal(slope[-3:], [0, 3, 3])


KINDS: dict[str, Callable[[Any], None]] = {
    made.__name__: made
    for made in (elementwise, comparison, total, search, slices, gathers, columns, product, gradient)
}


def check(name: str) -> str:
    """Hold one kind against what is right."""
    KINDS[name](_marked())
    return "right"
