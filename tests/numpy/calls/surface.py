"""Calls of predicates, polynomials, windows, bits, products of stacks, grids, arrangements, padding, and reductions."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.numpy.strategies import (
    DTYPES,
    FLOATS,
    NONEMPTY,
    add,
    arrays,
    axes,
    call,
    numbers,
    one_axis,
    operand,
    scalars,
)

F48 = FLOATS[1:]
INTEGERS = [d for d in DTYPES if d.kind in "iu"]
near = arrays([(3,), (2, 3), (), (1, 3)])
add("isclose allclose", call(near, near, equal_nan=st.booleans(), rtol=st.sampled_from([1e-5, 0.5])))
add("array_equal", call(near, near, equal_nan=st.booleans()))
add("array_equiv", call(near, near))
add("iscomplexobj isrealobj iscomplex isreal isneginf isposinf", call(operand))
add("i0 unwrap", call(arrays(dtypes=F48, special=False)))

# Reductions with masks
mask = arrays([(3,), (2, 3), (1, 3), ()], [np.dtype(bool)])
shaped = arrays([(2, 3)], special=False)
masked: dict[str, Any] = {"axis": st.sampled_from([None, 0, 1]), "keepdims": st.booleans(), "where": mask}
add("all any", st.one_of(call(arrays(), axis=axes, keepdims=st.booleans()), call(shaped, **masked)))
add(
    "mean",
    st.one_of(
        call(numbers, axis=axes, keepdims=st.booleans(), dtype=st.sampled_from([None, np.float32])),
        call(shaped, **masked),
    ),
)
add(
    "var std",
    st.one_of(
        call(numbers, axis=axes, keepdims=st.booleans(), ddof=st.sampled_from([0, 1])),
        call(shaped, **masked, correction=st.sampled_from([0, 1])),
    ),
)
add(
    "sum prod",
    st.one_of(
        call(
            numbers,
            axis=axes,
            keepdims=st.booleans(),
            dtype=st.sampled_from([None, np.float32, np.int64, np.float64]),
            initial=st.sampled_from([0, 2, 1.5]),
        ),
        call(shaped, **masked, initial=st.sampled_from([0, 2])),
    ),
)
add(
    "max min amax amin",
    st.one_of(
        call(arrays(), axis=axes, keepdims=st.booleans(), initial=st.sampled_from([0, 1])),
        call(shaped, **masked, initial=st.sampled_from([0, 1])),
    ),
)
add(
    "average",
    st.one_of(
        call(arrays(NONEMPTY, special=False), axis=st.one_of(st.none(), one_axis), keepdims=st.booleans()),
        call(
            arrays([(2, 3)], special=False),
            axis=st.sampled_from([None, 0, 1, (0, 1), (1, 0)]),
            weights=arrays([(2, 3), (3,), (2,), (3, 2)], F48, special=False),
            returned=st.booleans(),
            keepdims=st.booleans(),
        ),
    ),
)

# Polynomials: what NumPy trims are zeros, so coefficients are none
ones = arrays([(1,), (2,), (3,), (4,)], F48, special=False)
points = arrays([(5,)], F48, special=False)
add("polyval", call(st.one_of(numbers, ones), numbers))
add("polyadd polysub polymul", call(ones, ones))
add("polyder", call(st.one_of(ones, arrays([(3,), ()])), m=st.sampled_from([0, 1, 2, 5, -1])))
add(
    "polyint",
    call(
        st.one_of(ones, arrays([(3,)])),
        m=st.sampled_from([0, 1, 2, -1]),
        k=st.sampled_from([None, 1.0, [1.0, 2.0], [3]]),
    ),
)
add(
    "vander",
    call(arrays([(3,), (0,), (2, 3), ()], special=False), N=st.sampled_from([None, 0, 1, 4]), increasing=st.booleans()),
)
add("poly", call(st.one_of(arrays([(0,), (1,), (3,)], F48, special=False), arrays([(2, 3), (2, 2, 2)], F48))))
add(
    "polyfit",
    call(points, st.one_of(points, arrays([(5, 2), (4,), ()], F48, special=False)), st.sampled_from([0, 1, 2, -1])),
)

# Windows and grids
add("bartlett blackman hamming hanning", call(st.sampled_from([0, 1, 2, 7])))
add("kaiser", call(st.sampled_from([0, 1, 2, 7]), st.sampled_from([0.0, 3.5])))
ends = arrays([(), (2,)], F48, special=False)
spaced: dict[str, Any] = {
    "num": st.sampled_from([1, 5, 0]),
    "endpoint": st.booleans(),
    "axis": st.sampled_from([0, -1]),
}
add(
    "logspace", call(ends, ends, **spaced, base=st.sampled_from([2.0, 10.0]), dtype=st.sampled_from([None, np.float32]))
)
add("geomspace", call(ends.map(lambda x: np.abs(x) + 0.5), ends.map(lambda x: np.abs(x) + 0.5), **spaced))
add("indices", call(st.sampled_from([(2, 3), (0,), ()]), dtype=st.sampled_from([int, float])))
add("fromfunction", call(st.just(lambda i, j: i * 2 + j), st.sampled_from([(2, 3), (1, 1)])))
add("frombuffer", call(st.just(b"12345678"), dtype=st.sampled_from([np.uint8, np.int16, np.float64])))
add("fromiter", call(st.just([1, 2, 3]), st.sampled_from([np.int64, np.float32])))
add("fromstring", call(st.just("1 2 3"), sep=st.just(" ")))
add("can_cast", call(st.sampled_from([np.int8, np.float64, "f4"]), st.sampled_from([np.int16, np.float32])))
add("astype", call(arrays(special=False), st.sampled_from([np.float32, np.int32, bool, np.float16])))

# Integers and bits
whole = arrays(dtypes=INTEGERS)
add(
    "packbits",
    call(
        st.one_of(whole, arrays(dtypes=[np.dtype(bool)]), arrays()),
        axis=st.one_of(st.none(), one_axis),
        bitorder=st.sampled_from(["big", "little"]),
    ),
)
add(
    "unpackbits",
    call(
        # of no bytes NumPy fills up with whatever stands in memory, where more bits are asked for
        st.one_of(arrays(dtypes=[np.dtype("u1")]), arrays()).filter(lambda x: np.size(x) > 0),
        axis=st.one_of(st.none(), one_axis),
        count=st.sampled_from([None, 3, 20, -2]),
        bitorder=st.sampled_from(["big", "little"]),
    ),
)

# Products
vectors = arrays([(3,), (2, 3), (2, 1, 3), (2,), ()], special=False)
stacks = arrays([(3, 3), (2, 3), (2, 3, 3), (3,), (2, 1, 3, 3)], special=False)
add("vecdot", call(vectors, vectors, axis=st.sampled_from([-1, 0])))
add("matvec", call(stacks, vectors))
add("vecmat", call(vectors, stacks))
add("kron", call(arrays([(2,), (2, 3), (), (2, 1, 2)], special=False), arrays([(2,), (3, 2), ()], special=False)))
add("cross", call(vectors, vectors, axis=st.sampled_from([-1, 0])))

# Arrangements
several = st.lists(arrays([(2, 3), (3,), ()]), min_size=1, max_size=3)
add("atleast_3d", st.one_of(call(operand), call(operand, operand)))
add("dstack", call(several))
cuts = st.sampled_from([1, 2, 3, [1], [1, 2]])
add("hsplit vsplit dsplit", call(arrays(), cuts))
add("unstack", call(arrays(), axis=one_axis))
add("fliplr flipud", call(arrays()))
add(
    "rot90",
    call(
        arrays(),
        k=st.sampled_from([0, 1, 2, 3, -1]),
        axes=st.sampled_from([(0, 1), (1, 0), (0, -1), (0, 0), (0, 1, 2), (0, 3)]),
    ),
)
add("rollaxis", call(arrays(), one_axis, start=st.sampled_from([0, 1, 2, -1, 3, 9])))
block = arrays([(2, 3), (3,), (1, 3)])
add(
    "block",
    call(st.one_of(block, st.lists(block, max_size=3), st.lists(st.lists(block, min_size=1, max_size=2), max_size=2))),
)
add("resize", call(arrays(), st.sampled_from([(2, 3), (5,), 4, (0,), (), (-1,)])))
add("apply_over_axes", call(st.just(np.sum), numbers, st.sampled_from([0, [0, 1], (0, -1), 7])))
add(
    "apply_along_axis",
    call(
        st.just(lambda x: x[::-1] * 2), st.sampled_from([0, -1, 1, 4]), arrays([(2, 3), (3,), (2, 3, 4)], special=False)
    ),
)
constants = call(
    arrays(),
    st.sampled_from([1, (1, 2), ((1, 2),), 0, -1, 1.5]),
    mode=st.sampled_from(["constant"]),
    constant_values=st.sampled_from([0, 3, (1, 2)]),
)
bordered = call(
    arrays([(3,), (2, 3), (1,), (2, 3, 4)], special=False),
    st.sampled_from([1, (1, 2), (5, 4), 0]),
    mode=st.sampled_from(
        ["edge", "reflect", "symmetric", "wrap", "maximum", "minimum", "mean", "linear_ramp", "nothing"]
    ),
)
odd = call(
    arrays([(3,), (2, 3)], special=False),
    st.sampled_from([1, (5, 4)]),
    st.sampled_from(["reflect", "symmetric"]),
    reflect_type=st.just("odd"),
)
add("pad", st.one_of(constants, bordered, odd))
add("isscalar", call(scalars))
add("fix", call(arrays(dtypes=F48)))
add(
    "asanyarray ascontiguousarray asfortranarray require",
    call(arrays([(3,), (2, 3)]), dtype=st.sampled_from([None, np.float32])),
)
add("angle", call(arrays(), deg=st.booleans()))
