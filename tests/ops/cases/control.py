"""Rows of loops and branches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import funcgrad as fg
from tests.ops.rows import FLOATS, Draw, Row

LENGTH, WIDTH = 5, 18


def _scan(reverse: bool, **more: int) -> Callable[[np.dtype], Mapping[str, Any]]:
    def params(dtype: np.dtype) -> Mapping[str, Any]:
        x = np.ones(WIDTH, dtype)
        program = fg.make_jaxpr(lambda c, s, x: (s * c + x, np.sin(s) * x))(x, x, x)
        return {"program": program, "consts": 1, "carry": 1, "length": LENGTH, "reverse": reverse, **more}

    return params


def _scanned(draw: Draw) -> tuple[Any, ...]:
    return draw.off((WIDTH,), 0.5, 1), draw.normal(WIDTH), draw.normal(LENGTH, WIDTH)


def _cond(dtype: np.dtype) -> Mapping[str, Any]:
    x = np.ones(WIDTH, dtype)
    functions = (lambda x, y: (x * y, x), lambda x, y: (np.sin(x), y * y), lambda x, y: (y, x))
    return {"branches": tuple(fg.make_jaxpr(f)(x, x) for f in functions)}


def _chosen(draw: Draw) -> tuple[Any, ...]:
    return np.int64(1), draw.normal(WIDTH), draw.normal(WIDTH)


def _loop(dtype: np.dtype) -> Mapping[str, Any]:
    x, i = np.ones(3, dtype), np.int64(1)
    cond = fg.make_jaxpr(lambda n, i, x: i < n)(i, i, x)
    body = fg.make_jaxpr(lambda c, i, x: (i + 1, np.sin(x) * c + x))(x, i, x)
    return {"cond": cond, "body": body, "cond_consts": 1, "body_consts": 1}


def _kept(dtype: np.dtype) -> Mapping[str, Any]:
    return {**_loop(dtype), "snapshots": 2}


def _looped(draw: Draw) -> tuple[Any, ...]:
    return np.int64(4), draw.off((3,), 0.2, 0.5), np.int64(0), draw.normal(3)


def _pulled(draw: Draw) -> tuple[Any, ...]:
    return (*_looped(draw), draw.off((3,), 0.5, 1))


ROWS = (
    *(
        Row(
            "scan",
            _scanned,
            FLOATS,
            _scan(reverse, **more),
            ulps=8,
            slope_ulps=64,
            normwise=True,
            analytic=False,
            variant=f"{name}-{output}",
            output=output,
        )
        for name, reverse, more in (
            ("forward", False, {}),
            ("backward", True, {}),
            ("kept forward", False, {"snapshots": 2}),
            ("kept backward", True, {"snapshots": 3}),
        )
        for output in (0, 1)
    ),
    *(
        Row(
            "cond",
            _chosen,
            FLOATS,
            _cond,
            ulps=2,
            slope_ulps=16,
            normwise=True,
            analytic=False,
            variant=str(output),
            output=output,
        )
        for output in (0, 1)
    ),
    *(
        Row(
            "while",
            _looped,
            FLOATS,
            params,
            ulps=16,
            slope_ulps=64,
            normwise=True,
            analytic=False,
            variant=name,
            output=1,
        )
        for name, params in (("tape", _loop), ("kept", _kept))
    ),
    *(
        Row(
            "while_pull",
            _pulled,
            FLOATS,
            _loop,
            ulps=16,
            slope_ulps=128,
            normwise=True,
            analytic=False,
            variant=str(output),
            output=output,
        )
        for output in (0, 1)
    ),
)
