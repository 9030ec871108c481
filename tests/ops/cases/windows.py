"""Rows of folds over windows."""

from __future__ import annotations

from typing import Any

from tests.ops.rows import ALL, COMPLEX, FLOATS, REALS, Draw, Row, arrays, drawn, fixed

Ints = tuple[int, ...]


def _window(
    dimensions: Ints,
    strides: Ints | None = None,
    padding: Any = None,
    base: Ints | None = None,
    own: Ints | None = None,
    **more: Any,
) -> Any:
    ones = (1,) * len(dimensions)
    return fixed(
        window_dimensions=dimensions,
        window_strides=strides or ones,
        padding=padding or ((0, 0),) * len(dimensions),
        base_dilation=base or ones,
        window_dilation=own or ones,
        **more,
    )


WINDOWS: tuple[tuple[str, Ints, tuple[Any, ...]], ...] = (
    ("plain", (2, 5, 18), ((1, 3, 2),)),
    ("tiles", (2, 4, 6, 3), ((1, 2, 3, 1), (1, 2, 3, 1))),
    ("tiles and rest", (5, 7), ((2, 3), (2, 3))),
    ("padded", (5, 6), ((3, 2), (2, 1), ((1, 2), (0, 1)))),
    ("cut", (6, 7), ((2, 2), (1, 2), ((-1, 1), (1, -2)))),
    ("holes", (4, 5), ((3, 3), (1, 2), ((1, 0), (2, 2)), (2, 3), (1, 1))),
    ("dilated", (6, 5), ((3, 2), (1, 2), ((1, 0), (2, 1)), (1, 1), (2, 3))),
    ("whole axes", (3, 5, 4), ((1, 5, 4),)),
    ("whole axis", (5, 6), ((5, 2), (1, 2))),
    ("long", (70, 2), ((66, 1),)),
    ("no place", (2, 3), ((3, 1),)),
    ("nothing", (0, 3), ((2, 2), (1, 1), ((2, 1), (0, 0)))),
    ("repeated", (3, 4), ((2, 1), (1, 1), ((1, 1), (0, 0)), (2, 1))),
)


def _pairs(draw: Draw, first: Ints, second: Ints) -> tuple[Any, ...]:
    return draw.normal(*first), draw.distinct(*second)


def _rows() -> list[Row]:
    rows = []
    for number, (variant, shape, arguments) in enumerate(WINDOWS):
        few = number > 0
        params = _window(*arguments)
        rows.append(
            Row(
                "reduce_window_sum",
                arrays(shape),
                "f4 f8" if few else f"{REALS} {COMPLEX}",
                params,
                ulps=16,
                slope_ulps=32,
                variant=variant,
                normwise=True,
            )
        )
        rows += [
            Row(f"reduce_window_{kind}", drawn(Draw.distinct, shape), "f4 f8" if few else ALL, params, analytic=False,
                variant=variant)
            for kind in (("max",) if few and variant != "padded" else ("max", "min"))
            if variant != "nothing"  # of nothing but padding the extremum is infinite
        ]  # fmt: skip
    return rows


MOVED = ("plain", "tiles", "tiles and rest", "padded", "holes", "dilated", "no place", "nothing")


def _moves() -> list[Row]:
    rows = []
    for variant, shape, arguments in WINDOWS:
        if variant not in MOVED:
            continue
        plain = _window(*arguments)(None)
        places = tuple(_places(shape, plain))
        for name, first in (("window_gather", shape), ("window_scatter", places)):
            for kind in ("max", "min") if variant == "padded" else ("max",):
                rows.append(
                    Row(
                        name,
                        lambda draw, first=first, second=shape: _pairs(draw, first, second),
                        FLOATS if variant in ("tiles", "padded") else "f4 f8",
                        _window(*arguments, kind=kind),
                        ulps=8,
                        slope_ulps=16,
                        analytic=False,
                        variant=f"{variant} {kind}",
                        normwise=True,
                    )
                )
    return rows


def _places(shape: Ints, window: Any) -> Any:
    rows = zip(shape, *(window[key] for key in window), strict=True)
    for n, size, stride, (low, high), base, own in rows:
        room = ((n - 1) * base + 1 if n else 0) + low + high - ((size - 1) * own + 1)
        yield max(room // stride + 1, 0)


ROWS = (*_rows(), *_moves())
