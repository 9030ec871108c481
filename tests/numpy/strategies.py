"""What arguments are functions called with?  Strategies of arrays and calls, from which `tests.numpy.calls` is made."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

DTYPES = [np.dtype(c) for c in "b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8".split()]
FLOATS = [np.dtype(c) for c in "f2 f4 f8".split()]
SPECIAL = [0.0, -0.0, 1.0, -1.0, 2.5, np.inf, -np.inf, np.nan]
NONEMPTY = [(), (3,), (2, 3), (2, 1), (2, 3, 4)]
SHAPES = [(), (3,), (2, 3), (1, 3), (2, 1), (2, 3, 4), (0,), (2, 0), (1,), (4, 2, 2)]
Call = tuple[tuple[Any, ...], dict[str, Any]]
CALLS: dict[str, st.SearchStrategy[Call]] = {}
REFERENCES: dict[str, Any] = {}  # what functions are held against that are not NumPy's by name


def elements(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype, special: bool) -> np.ndarray:
    """Small numbers of a dtype, with special ones among floats if asked for."""
    if dtype.kind == "b":
        return np.asarray(rng.random(shape) < 0.5)
    if dtype.kind == "u":
        return np.asarray(rng.integers(0, 9, shape)).astype(dtype)
    if dtype.kind == "i":
        return np.asarray(rng.integers(-6, 7, shape)).astype(dtype)
    x = np.asarray(rng.normal(0, 2, shape)).astype(dtype)
    if special and x.size:
        x = np.where(rng.random(shape) < 0.3, rng.choice(SPECIAL, shape), x).astype(dtype)
    return x


@st.composite
def arrays(draw: Any, shapes: Any = SHAPES, dtypes: Any = DTYPES, special: bool = True) -> np.ndarray:
    """An array of one of the shapes and dtypes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return elements(rng, draw(st.sampled_from(list(shapes))), draw(st.sampled_from(list(dtypes))), special)


scalars = st.sampled_from([True, 2, -3, 0, 1.5, -2.0, float("inf"), float("nan")])
axes = st.sampled_from([None, 0, 1, -1, 2, (0, 1), (-1, 0), (0, 0), 5, ()])
one_axis = st.sampled_from([0, 1, -1, 2, 5])


def call(*args: Any, **kwargs: Any) -> st.SearchStrategy[Call]:
    """A call with strategies (or values) as arguments; keywords may be left out."""

    def strategy(x: Any) -> st.SearchStrategy[Any]:
        return x if isinstance(x, st.SearchStrategy) else st.just(x)

    optional = {k: strategy(v) for k, v in kwargs.items()}
    return st.tuples(st.tuples(*map(strategy, args)), st.fixed_dictionaries({}, optional=optional))


def add(names: str, strategy: st.SearchStrategy[Call]) -> None:
    """Rows for several names."""
    CALLS.update(dict.fromkeys(names.split(), strategy))


operand = st.one_of(arrays(), arrays(), arrays(), scalars)
numbers = arrays(special=False)
matrices = [(3, 3), (2, 3), (3, 2), (3,), (2, 3, 3), (2, 1, 3, 3), (), (0, 3), (3, 0)]
