"""Custom derivatives, callbacks and checkpoints."""
# ruff: noqa: E501 - a row of the table is a line

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad import errors
from tests.misuse.rows import Row, in_jit

X = np.arange(6.0).reshape(2, 3)
V = np.arange(1.0, 4.0)


def jvp_function() -> Any:
    """Without a rule."""
    return fg.custom_jvp(lambda x: x * x)


def with_jvp(rule: Any) -> Any:
    f = fg.custom_jvp(lambda x: x * x)
    f.defjvp(rule)
    return f


def with_vjp(fwd: Any, bwd: Any) -> Any:
    f = fg.custom_vjp(lambda x, y: x * y)
    f.defvjp(fwd, bwd)
    return f


def fwd(x: Any, y: Any) -> Any:
    return x * y, (x, y)


ROWS = [
    Row("custom_jvp without a rule", lambda: fg.grad(jvp_function())(1.0), AttributeError, ("defjvp",)),
    Row("custom_vjp without a rule", lambda: fg.grad(fg.custom_vjp(lambda x: x))(1.0), AttributeError, ("defvjp",)),
    Row("custom_jvp rule that returns no pair", lambda: fg.grad(with_jvp(lambda p, t: t[0]))(1.0), TypeError, ("pair",)),
    Row("custom_jvp rule with another shape", lambda: fg.grad(lambda x: np.sum(with_jvp(lambda p, t: (p[0] ** 2, t[0][:1]))(x)))(V), (TypeError, ValueError), ("tangent", "f64[3]")),
    Row("custom_jvp rule with another dtype", lambda: fg.jvp(with_jvp(lambda p, t: (p[0] ** 2, np.float32(1))), (1.0,), (1.0,)), (TypeError, ValueError), ("tangent", "f32[]")),
    Row("custom_jvp rule with another structure", lambda: fg.jvp(with_jvp(lambda p, t: (p[0], (t[0], t[0]))), (1.0,), (1.0,)), (TypeError, ValueError), ("structure",)),
    Row("custom_vjp rule with too few cotangents", lambda: fg.grad(with_vjp(fwd, lambda r, ct: (ct,)))(1.0, 2.0), (TypeError, ValueError), ("2", "1", "tuple")),
    Row("custom_vjp rule that returns no tuple", lambda: fg.grad(with_vjp(fwd, lambda r, ct: ct))(1.0, 2.0), TypeError, ("tuple",)),
    Row("custom_vjp rule with another shape", lambda: fg.grad(with_vjp(fwd, lambda r, ct: (np.ones(3), ct)))(1.0, 2.0), ValueError, ("f64[3]", "f64[]")),
    Row("custom_vjp forward that returns no pair", lambda: fg.grad(with_vjp(lambda x, y: x * y, lambda r, ct: (ct, ct)))(1.0, 2.0), TypeError, ("pair",)),
    Row("custom_vjp in forward mode", lambda: fg.jvp(with_vjp(fwd, lambda r, ct: (ct, ct)), (1.0, 2.0), (1.0, 1.0)), TypeError, ("forward-mode", "custom_jvp")),
    Row("custom_jvp of no function", lambda: fg.custom_jvp(3.0), TypeError, ("function", "3.0")),
    Row("a callback that returns another shape", lambda: fg.pure_callback(lambda x: x[:1], V, V), ValueError, ("f64[1]", "f64[3]", "result_shape_dtypes")),
    Row("a callback that returns another structure", lambda: fg.pure_callback(lambda x: (x, x), V, V), TypeError, ("structure", "result_shape_dtypes")),
    Row("a callback that returns a string", lambda: fg.pure_callback(lambda x: "a", V, V), TypeError, ("something else than an array", "'a'")),
    Row("a callback that raises", in_jit(lambda x: fg.pure_callback(lambda v: 1 / 0, x, x)), ZeroDivisionError, ("division",)),
    Row("a callback without types", lambda: fg.pure_callback(np.sin, "float", V), TypeError, ("ShapeDtypeStruct", "'float'")),
    Row("a callback that is no function", lambda: fg.pure_callback(3, V, V), TypeError, ("takes a function", "3")),
    Row("a callback with an unknown method", lambda: fg.pure_callback(np.sin, V, V, vmap_method="loop"), ValueError, ("vmap_method", "sequential")),
    Row("io_callback under grad", lambda: fg.grad(lambda x: fg.io_callback(np.sin, x, x))(1.0), ValueError, ("derivatives", "custom_jvp")),
    Row("debug.print that does not fit", in_jit(lambda x: fg.debug.print("{} {}", x)), ValueError, ("'{} {}'", "fit")),
    Row("debug.print of a format", in_jit(lambda x: print(f"{x:.2f}")), errors.ConcretizationTypeError, ("format", "static")),
    Row("debug.breakpoint with another backend", lambda: fg.debug.breakpoint(backend="web"), ValueError, ("'web'", "pdb")),
    Row("checkpoint of no function", lambda: fg.checkpoint(3.0), TypeError, ("function", "3.0")),
    Row("checkpoint with a policy that is none", lambda: fg.checkpoint(np.sin, policy="dots"), TypeError, ("checkpoint_policies", "'dots'")),
    Row("named_scope of a number", lambda: fg.named_scope(3).__enter__(), TypeError, ("string", "3")),
]  # fmt: skip
