"""Calls of functions that sort, search, count, and treat arrays as sets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.numpy.strategies import FLOATS, NONEMPTY, REFERENCES, Call, add, arrays, axes, call, one_axis, operand

LINES = [(3,), (7,), (1,), (0,), (2, 3)]
FULL = [(3,), (7,), (1,), (2, 3)]
REAL = [np.dtype(c) for c in "b1 i1 i4 i8 u1 u8 f2 f4 f8".split()]
whole = arrays(special=False)


def sized(*args: Any, **kwargs: Any) -> st.SearchStrategy[Call]:
    """A call that says how long the result is, and what stands in places left over."""
    ends = {"size": st.sampled_from([0, 2, 5, 30]), "fill_value": st.sampled_from([0, 3])}
    return st.builds(lambda c, k: (c[0], {**c[1], **k}), call(*args, **kwargs), st.fixed_dictionaries(ends))


def padded(reference: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy's function with JAX's `size`."""

    def function(*args: Any, size: int, fill_value: Any, **kwargs: Any) -> Any:
        found = reference(*args, **kwargs)
        out = [_padded(x, size, fill_value) for x in (found if isinstance(found, tuple) else (found,))]
        return tuple(out) if isinstance(found, tuple) else out[0]

    return function


def _padded(x: np.ndarray, size: int, fill_value: Any) -> np.ndarray:
    out = np.full((size, *x.shape[1:]), fill_value, x.dtype)
    n = min(size, len(x))
    out[:n] = x[:n]
    return out


_kinds = st.sampled_from(["stable", None, "quicksort", "wrong"])
add("sort", call(arrays(), axis=st.one_of(st.none(), one_axis), kind=_kinds))
add(
    "argsort",
    st.builds(
        lambda c: (c[0], {"kind": "stable", **c[1]}),
        call(arrays(), axis=st.one_of(st.none(), one_axis)),
    ),
)
add("sort_complex", call(arrays([(3,), (2, 3), (0,)])))
add("lexsort", call(st.lists(arrays([(3,), (3,), (2, 3)]), min_size=1, max_size=3), axis=one_axis))
add(
    "searchsorted",
    call(
        arrays([(5,), (0,), (2, 3)], REAL, special=False).map(lambda x: np.sort(x, -1)),
        operand,
        side=st.sampled_from(["left", "right", "middle"]),
    ),
)
add(
    "digitize",
    call(
        operand,
        st.sampled_from([np.array([-1.0, 0, 2]), np.array([3, 1, 0]), np.array([1.0])]),
        right=st.booleans(),
    ),
)
for _name in "nonzero flatnonzero argwhere".split():
    add(_name, sized(arrays(FULL if _name != "argwhere" else LINES)))
    REFERENCES[_name] = padded(getattr(np, _name))
add("unique", sized(arrays(LINES)))
add("union1d", sized(arrays(LINES), arrays(LINES)))
for _name in "setxor1d intersect1d setdiff1d".split():
    add(_name, sized(arrays(LINES, special=False), arrays(LINES, special=False)))
for _name in "unique union1d intersect1d setdiff1d setxor1d".split():
    REFERENCES[_name] = padded(getattr(np, _name))
add("isin", call(operand, arrays(LINES), invert=st.booleans(), kind=st.sampled_from([None, "sort"])))

_counts = arrays([(5,), (0,), (1,), (2, 3)], [np.dtype(c) for c in "u1 u2 i8 f8".split()], special=False)
add(
    "bincount",
    st.builds(
        lambda c: ((abs(c[0][0]), *c[0][1:]), {**c[1], "length": 12}),
        call(_counts, weights=st.sampled_from([None, np.arange(5.0), np.ones(5, np.float32)])),
    ),
)


def _bincount(x: Any, weights: Any = None, minlength: int = 0, *, length: int) -> Any:
    return np.bincount(x, weights, max(minlength, length))[:length]


REFERENCES["bincount"] = _bincount

_range = st.sampled_from([None, (-2, 3), (0, 1), (2, 1), (1, 1)])
_bins = st.sampled_from([3, 10, np.array([-2.0, -1, 0, 4]), [0, 1, 5], 0, [2, 1]])
_data = arrays([(7,), (2, 3), (1,), (0,)], [np.dtype(c) for c in "i4 f8 f4 u1".split()], special=False)
add("histogram_bin_edges", call(_data, bins=_bins, range=_range))
add("histogram", call(_data, bins=_bins, range=_range, density=st.booleans()))
_points = arrays([(7,)], FLOATS[2:], special=False)
add("histogram2d", call(_points, _points, bins=st.sampled_from([3, (2, 3), [1]]), density=st.booleans()))

_methods = (
    "inverted_cdf averaged_inverted_cdf closest_observation interpolated_inverted_cdf hazen weibull linear "
    "median_unbiased normal_unbiased lower higher midpoint nearest nothing"
).split()
_fractions = st.sampled_from([0.5, 0.25, 0, 1, 0.1, np.array([0.0, 0.3, 1.0]), [0.5, 0.75], 1.5, -0.1])
_percents = st.sampled_from([50, 25.0, 0, 100, np.array([0.0, 30, 100]), 101])
_wide = [np.dtype(c) for c in "i4 i8 f4 f8".split()]
for _name, _which in (("quantile", _fractions), ("percentile", _percents)):
    _options = {"axis": axes, "keepdims": st.booleans(), "method": st.sampled_from(_methods)}
    add(f"{_name} nan{_name}", call(arrays(NONEMPTY, _wide, special=False), _which, **_options))
add("median nanmedian", call(arrays(special=False), axis=axes, keepdims=st.booleans()))
