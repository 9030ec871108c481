"""Is `Array` an ndarray that goes everywhere an ndarray goes?"""

from __future__ import annotations

import copy
import pickle

import numpy as np

import funcgrad as fg
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
