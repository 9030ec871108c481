"""Rows of convolutions."""

from __future__ import annotations

from typing import Any

from tests.ops.rows import COMPLEX, FLOATS, REALS, Row, arrays, fixed

Ints = tuple[int, ...]


def _conv(
    variant: str,
    x: Ints,
    w: Ints,
    strides: Ints | None = None,
    padding: Any = None,
    lhs: Ints | None = None,
    rhs: Ints | None = None,
    dtypes: str = FLOATS,
) -> Row:
    rank = len(x) - 3
    ones = (1,) * rank
    params = fixed(
        window_strides=strides or ones,
        padding=padding or ((0, 0),) * rank,
        lhs_dilation=lhs or ones,
        rhs_dilation=rhs or ones,
    )
    return Row(
        "conv_general_dilated", arrays(x, w), dtypes, params, ulps=8, slope_ulps=32, variant=variant, normwise=True
    )


ROWS = (
    _conv("plain", (1, 2, 5, 6, 3), (1, 3, 2, 3, 4), dtypes=f"{REALS} {COMPLEX}"),
    _conv("padded", (1, 2, 5, 6, 3), (1, 3, 3, 3, 4), padding=((1, 1), (0, 2))),
    _conv("cut", (1, 2, 6, 7, 3), (1, 3, 2, 3, 4), padding=((-1, 1), (2, -2))),
    _conv("strided", (1, 2, 6, 7, 3), (1, 3, 2, 3, 4), (2, 3), ((1, 1), (0, 0))),
    _conv("dilated", (1, 2, 7, 6, 2), (1, 3, 2, 2, 5), rhs=(2, 3), padding=((1, 1), (0, 0))),
    _conv("opened", (1, 2, 3, 4, 2), (1, 3, 3, 2, 5), lhs=(2, 3), padding=((2, 1), (1, 1))),
    _conv("everything", (2, 2, 4, 5, 2), (2, 2, 3, 2, 3), (2, 1), ((2, 1), (-1, 3)), (3, 2), (2, 1)),
    _conv("groups", (3, 2, 5, 4, 2), (3, 2, 2, 2, 3)),
    _conv("one feature", (3, 2, 5, 4, 1), (3, 2, 2, 1, 1), padding=((1, 0), (0, 0))),
    _conv("depthwise", (9, 2, 5, 4, 1), (9, 3, 2, 1, 1), (2, 1), ((1, 0), (0, 1))),
    _conv("depthwise, dilated", (8, 2, 7, 1), (8, 3, 1, 1), (2,), ((2, 1),), (2,), (3,)),
    _conv("pointwise", (2, 2, 5, 4, 3), (2, 1, 1, 3, 4), (2, 1)),
    _conv("line", (1, 1, 40, 1), (1, 9, 1, 1)),
    _conv("long line", (1, 2, 77, 2), (1, 5, 2, 1), padding=((4, -1),)),
    _conv("long rows", (1, 1, 4, 70, 1), (1, 2, 6, 1, 1), (2, 1), ((1, 0), (0, 3)), (1, 1), (2, 1), "f4 f8"),
    _conv("many features", (1, 1, 9, 7, 17), (1, 3, 3, 17, 19), padding=((1, 1), (1, 1))),
    _conv("solid", (1, 2, 4, 3, 5, 2), (1, 2, 2, 3, 2, 3), (2, 1, 1), ((1, 0), (0, 0), (1, 1))),
    _conv("no space", (2, 3, 4), (2, 4, 5)),
    _conv("nothing to sum", (1, 2, 5, 0), (1, 3, 0, 4)),
    _conv("no example", (1, 0, 5, 2), (1, 3, 2, 4)),
    _conv("no place", (1, 2, 2, 2), (1, 3, 2, 4)),
)
