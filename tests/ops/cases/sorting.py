"""Rows of sort, argsort and searchsorted."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ops.sorting import ARRANGED
from tests.ops.rows import ALL, FLOATS, Draw, Row, drawn, fixed

SHAPES = {"last": ((3, 18), 1), "first": ((37, 5), 0), "middle": ((2, 17, 3), 1)}


def _sorts(name: str, **options: Any) -> list[Row]:
    return [
        Row(
            name,
            drawn(Draw.distinct, shape),
            ALL if variant == "last" else FLOATS,
            fixed(dimension=axis, descending=descending),
            variant=f"{variant}{' descending' if descending else ''}",
            **options,
        )
        for variant, (shape, axis) in SHAPES.items()
        for descending in (False, True)
    ]


def _searched(draw: Draw, batch: tuple[int, ...], n: int, query: tuple[int, ...]) -> tuple[Any, Any]:
    ordered, query_values = draw.normal(*batch, n), draw.normal(*batch, *query)
    return np.sort(ordered, -1), query_values


def _arranged(draw: Draw, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Random bits, and places."""
    return draw.between(shape, 0, 2**32 - 2), draw.positions(shape, 2**32 - 1)


ROWS: tuple[Row, ...] = (
    *_sorts("sort", analytic=False),
    *_sorts("argsort"),
    *(
        Row(name, drawn(Draw.distinct, (37, 19)), ALL, fixed(dimension=dimension, descending=False), variant=variant)
        for name, dimension, variant in (("argsort", 0, "columns"), ("argsort", 1, "rows"), ("sort", 0, "columns"))
    ),
    *(
        Row(
            "arrange",
            lambda draw, shape=shape, places=places: _arranged(draw, shape)[: 1 + places],
            "u4",
            fixed(dimension=dimension),
            variant=f"{variant}{' of places' if places else ''}",
        )
        for variant, shape, dimension in (("line", (ARRANGED + 5,), 0), ("rows", (3, 18), 1), ("columns", (37, 2), 0))
        for places in (False, True)
    ),
    *(
        Row("top_places", draw, ALL, fixed(dimension=dimension, k=k, descending=descending), variant=variant)
        for variant, draw, dimension, k, descending in (
            ("few of many", drawn(Draw.distinct, (3, 1100)), 1, 4, True),
            ("smallest", drawn(Draw.distinct, (1030, 2)), 0, 3, False),
            ("ties", lambda draw: (draw.between((2, 1040), 0, 4).round(),), 1, 5, True),
            ("short lines", drawn(Draw.distinct, (4, 9)), 1, 2, True),
            ("all", drawn(Draw.distinct, (4, 9)), 0, 4, False),
            ("none", drawn(Draw.distinct, (4, 9)), 1, 0, True),
        )
    ),
    *(
        Row("argpartition", drawn(Draw.distinct, shape), ALL, fixed(dimension=dimension, kth=kth), variant=variant)
        for variant, shape, dimension, kth in (
            ("rows", (2, 140), 1, (3, 70)),
            ("columns", (140, 2), 0, (139,)),
            ("short lines", (4, 9), 1, (2,)),
            ("no place", (3, 130), 1, ()),
        )
    ),
    *(  # all places are asked for: the order of the others is open, so that differences would show nothing
        Row(
            "partition",
            drawn(Draw.distinct, shape),
            ALL,
            fixed(dimension=dimension, kth=tuple(range(shape[dimension]))),
            variant=variant,
            analytic=False,
        )
        for variant, shape, dimension in (("rows", (2, 140), 1), ("columns", (140, 2), 0), ("short lines", (4, 9), 1))
    ),
    Row("argsort", drawn(Draw.normal, (3, 1)), FLOATS, fixed(dimension=1, descending=False), variant="one element"),
    *(
        Row(name, drawn(Draw.normal, (3, 0)), FLOATS, fixed(dimension=1, descending=False), variant="empty")
        for name in ("sort", "argsort")
    ),
    *(
        Row(
            "searchsorted",
            lambda draw, shape=shape: _searched(draw, *shape),
            ALL,
            fixed(side=side, batch_ndim=len(shape[0])),
            variant=f"{variant} {side}",
        )
        for variant, shape in {
            "plain": ((), 18, (3, 5)),
            "batched": ((4,), 17, (3,)),
            "no places": ((), 0, (3,)),
        }.items()
        for side in ("left", "right")
    ),
)
