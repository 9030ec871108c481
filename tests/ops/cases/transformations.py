"""Rows of what transformations leave in programs: barriers, names, checkpoints, functions with rules of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import funcgrad as fg
from tests.ops.rows import ALL, FLOATS, SHAPE, Row, arrays, fixed


def _checkpoint(policy: Any) -> Callable[[np.dtype], Mapping[str, Any]]:
    def params(dtype: np.dtype) -> Mapping[str, Any]:
        x = np.ones(SHAPE, dtype)
        program = fg.make_jaxpr(lambda x, y: x * y + x)(x, x)
        return {"program": program, "policy": policy, "prevent_cse": True}

    return params


def _custom_jvp(dtype: np.dtype) -> Mapping[str, Any]:
    f = fg.custom_jvp(lambda x, y: x * y)
    f.defjvps(lambda t, out, x, y: t * y, lambda t, out, x, y: x * t)
    x = np.ones(SHAPE, dtype)
    return dict(fg.make_jaxpr(f)(x, x).equations[0].params)


ROWS = (
    Row("optimization_barrier", arrays(SHAPE), FLOATS, analytic=False),
    Row("name", arrays(SHAPE), ALL, fixed(name="y"), analytic=False),
    Row("checkpoint", arrays(SHAPE, SHAPE), FLOATS, _checkpoint(None), ulps=1),
    Row(
        "checkpoint",
        arrays(SHAPE, SHAPE),
        FLOATS,
        _checkpoint(fg.checkpoint_policies.everything_saveable),
        ulps=1,
        variant="everything saved",
    ),
    Row("custom_jvp_call", arrays(SHAPE, SHAPE), FLOATS, _custom_jvp, ulps=1),
)
