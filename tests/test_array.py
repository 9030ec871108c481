"""Is `Array` an ndarray that goes everywhere an ndarray goes?"""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.array import as_array

A = as_array(np.arange(3.0))


def test_repr() -> None:
    assert repr(A) == "Array([0., 1., 2.])"
    assert repr(as_array(np.float32(2))) == "Array(2., dtype=float32)"
    assert str(A) == "[0. 1. 2.]"


def test_numpy_functions_give_plain_numpy() -> None:
    for result in (A + 1, np.sin(A), A @ np.eye(3), -A):
        assert type(result) is np.ndarray
    assert type(np.sum(A)) is np.float64
    assert type(as_array(np.float64(2)) * 2) is np.float64


def test_it_is_an_ndarray() -> None:
    assert isinstance(A, np.ndarray)
    assert float(as_array(np.float64(2))) == 2
    assert f"{as_array(np.float64(2)):.1f}" == "2.0"
    assert as_array(np.int64(2)).__index__() == 2
    assert np.array_equal(pickle.loads(pickle.dumps(A)), A)
    assert type(copy.deepcopy(A)) is fg.Array
    assert not hasattr(A, "__dict__")


def test_it_is_traced_like_any_array() -> None:
    assert fg.grad(lambda x: np.sum(x * A))(A)[2] == 2
    assert fg.jit(lambda x: x + A)(A)[2] == 4


@pytest.mark.parametrize(
    "function",
    [
        *(fnp.zeros_like, fnp.ones_like, fnp.argsort, fnp.isnan, fnp.signbit, lambda x: fnp.greater(x, 1)),
        *(lambda x: fnp.nonzero(x)[0], lambda x: fnp.unique(fnp.sign(x), return_index=True)[1]),
    ],
)
def test_what_is_known_under_a_gradient_is_an_array_as_ever(function: Any) -> None:
    """Outside `jit`, what does not depend on values differentiably is known at once, and was a plain NumPy array."""
    seen: list[Any] = []

    def f(x: Any) -> Any:
        seen.append(function(x))
        return fnp.sum(x * x)

    x = np.array([1.0, 2.0, 3.0])
    fg.grad(f)(x)
    fg.jvp(f, (x,), (x,))
    assert [type(value) for value in seen] == [fg.Array] * 2
    np.testing.assert_array_equal(seen[0], function(x))
    np.testing.assert_array_equal(seen[0].at[0].set(0)[1:], seen[0][1:])
