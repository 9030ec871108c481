"""Calls of functions that pick, place, cut out and put in elements, and of those that make indices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.numpy.strategies import FLOATS, REFERENCES, add, arrays, call, numbers, operand

INTEGERS = [np.dtype("i8"), np.dtype("i4"), np.dtype("u1")]
WIDE = [(3,), (2, 3), (2, 3, 4)]
modes = st.sampled_from(["raise", "clip", "wrap"])


@st.composite
def places(draw: Any, size: int, shapes: Any = ((), (2,), (2, 2)), below: int = 0) -> np.ndarray:
    """Index arrays, sometimes out of bounds."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    high = size + draw(st.sampled_from([0, 0, 0, 2]))
    return np.asarray(rng.integers(-below, high, draw(st.sampled_from(list(shapes))))).astype(draw(kinds))


kinds = st.sampled_from([np.dtype("i8"), np.dtype("i4")])


def returning(function: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy's function that writes in place, as one that returns the new array."""

    def reference(a: Any, *args: Any, inplace: bool = True, **kwargs: Any) -> Any:
        if inplace:
            raise ValueError("in place")
        out = np.array(a)
        function(out, *args, **kwargs)
        return out

    return reference


for _function in (np.fill_diagonal, np.place, np.put, np.put_along_axis):
    REFERENCES[_function.__name__] = returning(_function)

square = arrays([(3, 3), (2, 3), (5, 2), (3,), (2, 2, 2), (2, 3, 2), (0, 2)])
same = st.just(False)
_numbers = st.one_of(st.just(7), arrays([(2,), ()], special=False))
add("fill_diagonal", call(square, _numbers, inplace=same, wrap=st.booleans()))
add("put", call(arrays([(6,), (2, 3)]), places(6, below=6), st.one_of(numbers, st.just(3)), inplace=same, mode=modes))
add(
    "put_along_axis",
    call(
        arrays([(2, 3)]),
        places(2, ((2, 1), (1, 3), (2, 3), (3,), (2, 2)), below=2),
        st.one_of(st.just(2), arrays([(2, 1), (1, 3), (3,)], special=False)),
        st.sampled_from([0, 1, -1, 3, None]),
        inplace=same,
    ),
)
add(
    "place",
    call(
        arrays([(2, 3), (6,)]),
        arrays([(2, 3), (6,), (3,)], [np.dtype(bool)]),
        arrays([(2,), (7,), (0,)], special=False),
        inplace=same,
    ),
)

# Picking: conditions that decide on a size are lists, which are not traced
_condition = st.sampled_from([[True, False, True], [False, True], [True, True, False], [0, 2], [[True]]])
add("compress", call(_condition, arrays(WIDE), axis=st.sampled_from([None, 0, -1, 1])))
_masks = st.sampled_from([[[True, False, True], [False, True, False]], [[1, 0, 0], [0, 2, 1]]])
add("extract", call(_masks, arrays([(2, 3), (6,)])))
_alternatives = st.lists(arrays([(2, 3), (3,), ()], special=False), min_size=2, max_size=3)
_either = places(2, ((2, 3), (3,), ())).map(lambda i: np.minimum(i, 1))
add("choose", call(_either, _alternatives, mode=modes))
_conditions = st.lists(arrays([(2, 3), (3,)], [np.dtype(bool)]), min_size=2, max_size=2)
add("select", call(_conditions, st.lists(operand, min_size=2, max_size=2), default=st.sampled_from([0, 1, 2.5])))
add("diag diagflat", call(arrays([(3,), (2, 3), (3, 2), (0,), (1,), (), (2, 2, 2)]), k=st.sampled_from([0, 1, -2, 4])))
_pieces = [[np.sin], [np.negative, 2.0], [np.sin, np.cos], [np.exp, 1, np.negative], [1, 2, 3, 4]]
_truths = [[[True, False, True]], [[True, False, True], [False, False, True]], [True, False, True]]
add("piecewise", call(arrays([(3,)], FLOATS[1:], special=False), st.sampled_from(_truths), st.sampled_from(_pieces)))

# Making indices
_offsets = st.sampled_from([0, 1, -1])
_matrices = arrays([(3, 3), (2, 3), (3,), (2, 2, 2)])
add("diag_indices", call(st.sampled_from([0, 1, 3]), ndim=st.sampled_from([1, 2, 3])))
add("diag_indices_from", call(_matrices))
add("tril_indices triu_indices", call(st.sampled_from([0, 2, 3]), k=_offsets, m=st.sampled_from([None, 4])))
add("tril_indices_from triu_indices_from", call(_matrices, k=_offsets))
add("mask_indices", call(st.sampled_from([0, 3]), st.sampled_from([np.triu, np.tril]), k=st.sampled_from([0, 1])))
_line = st.one_of(arrays([(2,), (3,), (0,), (2, 2)], INTEGERS), st.sampled_from([[0, 1], [True, False, True]]))
add("ix_", st.one_of(call(_line), call(_line, _line), call(_line, _line, _line)))
_flat = places(24, ((), (3,), (2, 2))).map(lambda i: np.minimum(i, 23))
_extents = st.sampled_from([(2, 3, 4), (24,), 24, (4, 6)])
add("unravel_index", call(_flat, _extents, order=st.sampled_from("CF")))
_rows = places(2, ((3,), ())).map(lambda i: np.minimum(i, 1))
_columns = places(3, ((3,), ())).map(lambda i: np.minimum(i, 2))
add(
    "ravel_multi_index",
    call(
        st.tuples(_rows, _columns),
        st.sampled_from([(2, 3), (3, 5)]),
        mode=st.sampled_from(["raise", "clip", "wrap", ("clip", "wrap")]),
        order=st.sampled_from("CF"),
    ),
)

# Cutting out and putting in
_axis = st.sampled_from([None, 0, -1, 3])
_cuts = [0, -1, 1, 9, [0, 1], [1], [], slice(0, 2), slice(None, None, 2), [True, False], [0, 0, -1], -7]
add("delete", call(arrays(WIDE), st.sampled_from(_cuts), axis=_axis))
_some = st.sampled_from([0, -1, 1, 2, 9, [0, 1], [1], [1, 1, 0], slice(0, 2)])
_put_in = st.one_of(st.just(3), arrays([(), (2,), (3,), (2, 3), (1, 3)], special=False))
add("insert", call(arrays(WIDE, special=False), _some, _put_in, axis=_axis))
_pair = arrays([(3,), (2, 3), ()]), arrays([(3,), (2, 3), (1, 3), ()])
add("append", call(*_pair, axis=st.sampled_from([None, 0, 1, -1])))
_padded = st.sampled_from([[0, 0, 1, 2, 0], [0, 0], [1], [0, 3]])
add("trim_zeros", call(_padded, trim=st.sampled_from(["fb", "f", "b"])))
