"""Calls of ufuncs, reductions, shapes, products, indexing and creation."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

import funcgrad.numpy as fnp
from tests.numpy.strategies import (
    FLOATS,
    add,
    arrays,
    axes,
    call,
    matrices,
    numbers,
    one_axis,
    operand,
    scalars,
)

for _name in fnp.__all__:
    _reference = getattr(np, _name, None)
    if isinstance(_reference, np.ufunc):
        add(_name, call(*[operand] * _reference.nin))

add("reciprocal", call(arrays(dtypes=FLOATS)))
add("matmul dot inner outer vdot", call(arrays(matrices, special=False), arrays(matrices, special=False)))
add(
    "tensordot",
    call(
        arrays(matrices, special=False),
        arrays(matrices, special=False),
        axes=st.sampled_from([0, 1, 2, ([0], [0]), (-1, 0), ([0, 1], [1, 0])]),
    ),
)
add("argmax argmin", call(arrays(), axis=st.one_of(st.none(), one_axis), keepdims=st.booleans()))
add("count_nonzero", call(arrays(), axis=axes, keepdims=st.booleans()))
add("ptp", call(numbers, axis=axes, keepdims=st.booleans()))
add(
    "reshape",
    call(
        arrays(),
        st.sampled_from([(-1,), (6,), (3, 2), (2, -1), (-1, -1), (), (0,), (0, -1), 6]),
        order=st.sampled_from("CF"),
    ),
)
add("ravel", call(arrays(), order=st.sampled_from("CF")))
add(
    "transpose permute_dims",
    call(arrays(), axes=st.sampled_from([None, (0,), (1, 0), (2, 0, 1), (-1, 0), (0, 0), (0, 3)])),
)
add("matrix_transpose", call(arrays()))
add("swapaxes", call(arrays(), one_axis, one_axis))
add(
    "moveaxis",
    call(arrays(), st.sampled_from([0, -1, (0, 1), [0, 2], (0, 0)]), st.sampled_from([0, 1, (1, 0), (-1, 0), 7])),
)
add("squeeze", call(arrays(), axis=st.sampled_from([0, -1, (0, 1), 1, 4])))
add("expand_dims", call(arrays(), st.sampled_from([0, -1, (0, 1), 1, 4])))  # the standard has a default, not NumPy
add("broadcast_to", call(arrays(), st.sampled_from([(3,), (2, 3), (4, 2, 3), (), 3, (2, 3, 4)])))
add("broadcast_arrays", call(operand, operand))
_several = st.lists(st.one_of(numbers, arrays([(2, 3)], special=False)), min_size=0, max_size=3)
_alike = st.lists(arrays([(2, 3)]), min_size=1, max_size=3)
add("concatenate concat", call(st.one_of(_several, _alike), axis=st.sampled_from([0, 1, -1, None, 3])))
add("stack", call(st.one_of(_several, _alike), axis=st.sampled_from([0, 1, -1, 2, 4])))
add("vstack hstack", call(st.one_of(_several, _alike)))
add("column_stack", call(st.one_of(_several, _alike)))
add("atleast_1d atleast_2d", st.one_of(call(operand), call(operand, operand)))
_cuts = st.sampled_from([1, 2, 3, [1], [1, 2], [0, 2, 1], [-1], [9]])
add("split array_split", call(arrays(), _cuts, axis=one_axis))
add("flip", call(arrays(), axis=axes))
add(
    "roll",
    st.one_of(
        call(arrays(), st.sampled_from([0, 1, -2, 7]), axis=one_axis),
        call(arrays([(2, 3), (2, 3, 4)]), st.just((1, 2)), axis=st.just((0, 1))),
    ),
)
add("tile", call(arrays(), st.sampled_from([2, (2,), (2, 3), (1, 2, 2), (), 0])))
add("repeat", call(arrays(), st.sampled_from([0, 1, 2, [2], [1, 0, 2]]), axis=st.one_of(st.none(), one_axis)))
add("tril triu", call(arrays(), k=st.sampled_from([0, 1, -1, 4])))
add(
    "take",
    call(
        arrays([(3,), (2, 3), (2, 3, 4)]),
        st.one_of(
            arrays([(), (2,), (2, 2)], [np.dtype("i8"), np.dtype("i4"), np.dtype("u1")]),
            st.sampled_from([0, -1, 7, [0, 1]]),
        ),
        axis=st.one_of(st.none(), one_axis),
        mode=st.sampled_from(["raise", "clip", "wrap"]),
    ),
)
add(
    "take_along_axis",
    call(
        arrays([(2, 3)]),
        arrays([(2, 1), (1, 3), (2, 2), (3,)], [np.dtype("i8"), np.dtype("i4")]),
        axis=st.sampled_from([0, 1, -1, 3]),
    ),
)
add(
    "diagonal trace",
    call(
        arrays([(3,), (2, 3), (3, 2), (2, 3, 4), (0, 2)], special=False),
        offset=st.sampled_from([0, 1, -1, 5]),
        axis1=st.sampled_from([0, 1]),
        axis2=st.sampled_from([1, 0, 2]),
    ),
)
_terms = [
    ("ij,jk->ik", 2),
    ("ij,ij->", 2),
    ("ii->i", 1),
    ("ij->ji", 1),
    ("i,j", 2),
    ("...i,i->...", 2),
    ("ij,jk,kl->il", 3),
    ("ii", 1),
    ("ij->j", 1),
    ("ij,kj", 2),
]
add(
    "einsum",
    st.sampled_from(_terms).flatmap(
        lambda t: call(
            t[0],
            *[
                arrays(
                    [(3, 3)] if "i," not in t[0] or "..." in t[0] else [(3,)],
                    [np.dtype("i8"), *FLOATS[1:]],
                    special=False,
                )
            ]
            * t[1],
        )
    ),
)
add(
    "array asarray",
    call(
        st.one_of(
            numbers,
            st.lists(arrays([(3,)], special=False), min_size=1, max_size=2),
            st.lists(scalars, min_size=1, max_size=3),
        ),
        dtype=st.sampled_from([None, np.float32, np.int64]),
    ),
)
add(
    "zeros_like ones_like",
    call(operand, dtype=st.sampled_from([None, np.float32]), shape=st.sampled_from([None, (2,)])),
)
add("full_like", call(arrays(), st.sampled_from([0, 3, 1.5]), dtype=st.sampled_from([None, np.float64])))
add(
    "full",
    call(
        st.sampled_from([(2, 3), (3,), 3]),
        st.one_of(scalars, arrays([(), (1,), (3,)])),
        dtype=st.sampled_from([None, np.float32]),
    ),
)
add(
    "linspace",
    call(
        st.one_of(scalars, arrays([(), (2,)], FLOATS[1:], special=False)),
        arrays([(), (2,)], FLOATS[1:], special=False),
        num=st.sampled_from([1, 5, 0]),
        endpoint=st.booleans(),
        axis=st.sampled_from([0, -1]),
    ),
)
add("copy shape ndim size", call(operand))
add("result_type", call(operand, operand))
add("where", call(arrays(), operand, operand))
add("clip", call(arrays(), operand, operand))
add("sinc nan_to_num real imag", call(arrays()))
add("round around", call(arrays(), decimals=st.sampled_from([0, 1, 2, -1])))
# functions of known arguments: traced ones are sizes, which are unknown
add("arange", call(st.sampled_from([0, 5])))
add("zeros ones empty", call(st.sampled_from([(2, 3), 2, ()]), dtype=st.sampled_from([np.float32, np.int8])))
add("eye identity tri", call(st.sampled_from([0, 2])))
add("meshgrid", call(st.just(np.arange(3.0)), st.just(np.arange(2))))
