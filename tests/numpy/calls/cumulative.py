"""Calls of cumulative functions, differences, reductions without NaN, and correlations."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tests.numpy.strategies import FLOATS, add, arrays, axes, call, numbers, one_axis, operand

_axis = st.one_of(st.none(), one_axis)
_dtype = st.sampled_from([None, np.float32, np.int64, np.float64])
_large = [np.dtype(c) for c in "i4 i8 f4 f8".split()]
add("cumsum cumprod", call(numbers, axis=_axis, dtype=_dtype))
add("nancumsum nancumprod", call(arrays(dtypes=_large, special=False), axis=_axis))
add("cumulative_sum cumulative_prod", call(numbers, axis=_axis, dtype=_dtype, include_initial=st.booleans()))
add(
    "diff",
    call(
        numbers,
        n=st.sampled_from([0, 1, 2, 5, -1]),
        axis=one_axis,
        prepend=st.sampled_from([0, 1.5, np.ones((2, 1))]),
        append=st.sampled_from([0, np.zeros(3)]),
    ),
)
add("ediff1d", call(numbers, to_end=st.sampled_from([None, 1, [1, 2]]), to_begin=st.sampled_from([None, 0])))
add(
    "gradient",
    st.one_of(
        call(arrays([(3,), (5,), (3, 4)], _large, special=False), edge_order=st.sampled_from([1, 2, 3])),
        call(arrays([(3, 4)], _large, special=False), 2.0, axis=st.sampled_from([0, 1, (1, 0), 2])),
        call(
            arrays([(4,), (3,)], _large[1:], special=False),
            st.sampled_from([np.array([0.0, 1, 3, 4]), np.array([0, 1, 3, 4]), 0.5]),
            edge_order=st.sampled_from([1, 2]),
        ),
    ),
)
add(
    "trapezoid",
    call(
        arrays([(3,), (2, 3), (1,)], _large, special=False),
        x=st.sampled_from([None, np.array([0.0, 1.0, 3.0])]),
        dx=st.sampled_from([1.0, 0.5]),
        axis=one_axis,
    ),
)
add(
    "interp",
    call(
        operand,
        st.sampled_from([np.array([-1.0, 0, 2]), np.array([-2, 1, 3]), np.array([0.0])]),
        arrays([(3,)], _large, special=False),
        left=st.sampled_from([None, 7.0]),
        right=st.sampled_from([None, -7.0]),
        period=st.sampled_from([None, 5.0, 0]),
    ),
)

_reduced = {"axis": axes, "keepdims": st.booleans()}
add("nansum nanprod", call(arrays(special=False), **_reduced, initial=st.sampled_from([0, 2])))
add("nanmax nanmin", call(arrays(), **_reduced))
add("nanmean", call(arrays(dtypes=FLOATS[1:]).map(np.nan_to_num), **_reduced))
add("nanvar nanstd", call(arrays(special=False), **_reduced, ddof=st.sampled_from([0, 1])))
add("nanargmax nanargmin", call(arrays(special=False), axis=_axis, keepdims=st.booleans()))
add(
    "cov",
    call(
        arrays([(5,), (3, 4), (1, 3), (2, 3, 4)], _large, special=False),
        rowvar=st.booleans(),
        bias=st.booleans(),
        ddof=st.sampled_from([None, 0, 2]),
    ),
)
add("corrcoef", call(arrays([(2, 7), (3, 6)], FLOATS[2:], special=False)))
