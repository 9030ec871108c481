"""Are quantiles with weights NumPy's, traced too?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad as fg

RNG = np.random.default_rng(0)
TABLE = RNG.integers(0, 6, (4, 3, 5)).astype(np.float64)
HOLES = np.where(RNG.random(TABLE.shape) < 0.2, np.nan, TABLE)
CASES: dict[str, tuple[Any, Any, Any, Any]] = {  # data, q, axis, weights
    "a line": (TABLE[0, 0], 0.5, None, RNG.random(5)),
    "a line, float32": (TABLE[0, 0].astype(np.float32), 0.3, None, RNG.random(5)),
    "integers": (TABLE[:, 0].astype(np.int64), 0.3, 1, RNG.integers(1, 4, (4, 5))),
    "along an axis": (TABLE, np.array([0.0, 0.25, 1.0]), 1, np.array([1.0, 0.0, 2.0])),
    "along the last": (TABLE, 0.9, -1, np.arange(1.0, 6.0)),
    "over two axes": (TABLE, 0.5, (0, 2), RNG.random((4, 5))),
    "all, one by one": (TABLE, np.array([0.1, 0.5]), None, RNG.random(TABLE.shape)),
    "nothing weighs first": (np.arange(5.0), np.array([0.0, 1.0]), 0, np.array([0.0, 0.0, 1.0, 1.0, 0.0])),
    "NaN": (HOLES, 0.5, 2, RNG.random(5)),
}


def spread(weights: Any, a: np.ndarray, axis: Any) -> np.ndarray:
    """Weights of the shape of the data."""
    if axis is None or np.shape(weights) == a.shape:
        return weights
    axes = [k % a.ndim for k in ((axis,) if isinstance(axis, int) else axis)]
    return np.array(
        np.broadcast_to(np.reshape(weights, [n if k in axes else 1 for k, n in enumerate(a.shape)]), a.shape)
    )


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("function", [np.quantile, np.nanquantile, np.percentile], ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", CASES)
def test_numpy_s(name: str, function: Any, keepdims: bool) -> None:
    a, q, axis, weights = CASES[name]
    q = 100 * q if function is np.percentile else q

    def call(a: Any, weights: Any) -> Any:
        return function(a, q, axis=axis, weights=weights, method="inverted_cdf", keepdims=keepdims)

    # NumPy's own nanquantile fails where weights have fewer axes than the data
    want = call(a, spread(weights, a, axis) if function is np.nanquantile else weights)
    for got in (fg.jit(call)(a, weights), fg.vjp(lambda a: call(a, weights), a)[0] if a.dtype.kind == "f" else want):
        np.testing.assert_array_equal(got, want)
        assert got.dtype == want.dtype


def test_the_gradient_is_the_element_s() -> None:
    x, weights = np.array([3.0, 1.0, 2.0]), np.array([1.0, 5.0, 1.0])

    def middle(x: Any) -> Any:
        return np.quantile(x, 0.5, weights=weights, method="inverted_cdf")

    np.testing.assert_array_equal(fg.grad(middle)(x), [0, 1, 0])
    assert np.array_equal(fg.vmap(middle)(np.stack([x, x[::-1]])), [1, 1])


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"weights": np.ones(3)}, ValueError, "Only method 'inverted_cdf' supports weights"),
        ({"weights": np.ones(2), "method": "inverted_cdf"}, TypeError, "axis must be specified"),
        ({"weights": np.ones(2), "method": "inverted_cdf", "axis": 0}, ValueError, "shape of weights"),
        ({"weights": -np.ones(3), "method": "inverted_cdf"}, ValueError, "non-negative"),
    ],
)
def test_mistakes(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        fg.jit(lambda x: np.quantile(x, 0.5, **arguments))(np.ones(3))
    with pytest.raises(error):
        np.quantile(np.ones(3), 0.5, **arguments)
