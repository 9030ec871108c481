"""Rows of operations on bits, and of common divisors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.ops.rows import FLOATS, INTEGERS, SHAPE, Row, arrays, elements, fixed, off, within

WHOLE = {2: (5, 10), 4: (8, 23), 8: (11, 52)}


def _all_digits(dtype: np.dtype) -> Mapping[str, Any]:
    """The format of the dtype itself: rounding to a smaller one has no derivative that differences show."""
    exponent, mantissa = WHOLE[dtype.itemsize]
    return {"exponent_bits": exponent, "mantissa_bits": mantissa}


ROWS = [
    elements("population_count", INTEGERS, within(-100, 100)),
    elements("clz", INTEGERS, within(-100, 100)),
    elements("nextafter", FLOATS, off(0.2, 3), off(0.2, 3)),
    elements("reduce_precision", FLOATS, off(0.2, 3), params=_all_digits, analytic=False),
    *(
        Row(
            "bitcast_convert_type",
            arrays(SHAPE),
            f"f{size} i{size}",
            fixed(new_dtype=np.dtype(f"{kind}{size}")),
            variant=f"{kind}{size}",
        )
        for size in (2, 4, 8)
        for kind in "uf"
    ),
    Row("gcd", arrays(SHAPE, SHAPE), INTEGERS),
    Row("gcd", lambda draw: (draw.normal(*SHAPE), draw.normal()), "i8", variant="scalar"),
    Row("lcm", arrays(SHAPE, SHAPE), INTEGERS),
    Row("integer_power", lambda draw: (draw.normal(*SHAPE), draw.between(SHAPE, 0, 5)), INTEGERS),
]
