"""Does a mistake with a transformation say which argument it is, by its key path, and the user's line?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg

X = np.ones((3, 2))
STRUCT = {"a": fg.ShapeDtypeStruct((2,), np.float64)}
kept: list[Any] = []


def backwards(bwd: Any, fwd: Any = lambda d: (np.sum(d["a"]), None)) -> Callable[[], Any]:
    """The gradient of a function with these halves of reverse mode."""
    function = fg.custom_vjp(lambda d: np.sum(d["a"]))
    function.defvjp(fwd, bwd)
    return lambda: fg.grad(function)({"a": X})


def forwards(rule: Any) -> Callable[[], Any]:
    """Forward mode of a function with this rule."""
    function = fg.custom_jvp(lambda x: {"y": x * 2})
    function.defjvp(rule)
    return lambda: fg.jvp(function, (1.0,), (1.0,))


def batched(rule: Any) -> Callable[[], Any]:
    """A batch of a function with this rule."""
    function = fg.custom_batching.custom_vmap(lambda x: {"a": x})
    function.def_vmap(rule)
    return lambda: fg.vmap(function)(X)


def leaked(transform: Callable[[Callable[[Any], Any]], Callable[[Any], Any]]) -> Callable[[], Any]:
    """A value used after its trace."""

    def call() -> Any:
        kept.clear()
        transform(lambda x: kept.append(x) or x)(X)
        return np.sin(kept[0])

    return call


def called(result: Any) -> Callable[[], Any]:
    return lambda: fg.pure_callback(lambda x: result, STRUCT, X)


ROWS: dict[str, tuple[Callable[[], Any], type[Exception], tuple[str, ...]]] = {
    "in_axes, type": (lambda: fg.vmap(lambda x: x, in_axes="a")(X), TypeError, ("in_axes", "'a'")),
    "in_axes, number": (
        lambda: fg.vmap(lambda x: x, in_axes=(0, 0))(X),
        ValueError,
        ("in_axes=(0, 0)", "1 positional"),
    ),
    "in_axes, structure": (
        lambda: fg.vmap(lambda d: d, in_axes=({"b": 0},))({"a": X}),
        ValueError,
        ("{'b': 0}", "{'a': *}"),
    ),
    "in_axes, too far": (
        lambda: fg.vmap(lambda d: d, in_axes=({"a": 5},))({"a": X}),
        ValueError,
        ("axis 5", "argument 0['a']", "(3, 2)"),
    ),
    "in_axes, no axis": (lambda: fg.vmap(lambda d: d)({"a": 1.0}), ValueError, ("argument 0['a']", "()")),
    "batches of other sizes": (
        lambda: fg.vmap(lambda a, d: a)(X, {"w": np.ones(4)}),
        ValueError,
        ("3, 4", "argument 1['w']"),
    ),
    "out_axes, too far": (lambda: fg.vmap(lambda x: x, out_axes=3)(X), ValueError, ("out_axes", "3", "(2,)")),
    "out_axes, None": (lambda: fg.vmap(lambda x: x, out_axes=None)(X), ValueError, ("out_axes is None",)),
    "out_axes, structure": (
        lambda: fg.vmap(lambda x: {"a": x}, out_axes={"b": 0})(X),
        ValueError,
        ("out_axes={'b': 0}", "{'a': *}"),
    ),
    "no such axis name": (
        lambda: fg.vmap(lambda x: fg.lax.psum(x, "j"), axis_name="i")(X),
        NameError,
        ("unbound axis name: j",),
    ),
    "grad by an integer": (lambda: fg.grad(lambda d: d["n"] * 1.0)({"n": 3}), TypeError, ("argument 0['n']", "int64")),
    "jvp along an integer": (
        lambda: fg.jvp(lambda d: d["n"], ({"n": 3},), ({"n": 1},)),
        TypeError,
        ("[0]['n']", "int64", "no tangents but zero"),
    ),
    "jacobian by an integer": (
        lambda: fg.jacfwd(lambda d: d["n"] * 1.0)({"n": np.arange(3)}),
        TypeError,
        ("argument 0['n']", "int64"),
    ),
    "jacobian of an integer": (lambda: fg.jacrev(np.argmax)(X), TypeError, ("real-valued outputs", "int64")),
    "vjp, structure": (lambda: fg.vjp(lambda x: {"a": x}, X)[1]({"b": X}), ValueError, ("{'b': *}", "{'a': *}")),
    "vjp, shape": (
        lambda: fg.vjp(lambda x: {"a": x}, X)[1]({"a": np.ones(7)}),
        ValueError,
        ("['a']", "f64[7]", "f64[3,2]"),
    ),
    "linearize, shape": (
        lambda: fg.linearize(lambda d: d, {"a": X})[1]({"a": np.ones(5)}),
        ValueError,
        ("[0]['a']", "f64[5]", "f64[3,2]"),
    ),
    "linear_transpose, structure": (
        lambda: fg.linear_transpose(lambda x: {"a": x}, X)(X),
        TypeError,
        ("cotangents", "{'a': *}"),
    ),
    "no defvjp": (lambda: fg.grad(fg.custom_vjp(np.sin))(1.0), AttributeError, ("No VJP defined", "sin")),
    "bwd, structure": (backwards(lambda r, ct: ({"b": X},)), TypeError, ("argument 0", "{'b': *}", "{'a': *}")),
    "bwd, shape": (backwards(lambda r, ct: ({"a": X[:2]},)), ValueError, ("[0]['a']", "f64[3,2]", "f64[2,2]")),
    "bwd, dtype": (
        backwards(lambda r, ct: ({"a": X.astype(np.float32)},)),
        ValueError,
        ("[0]['a']", "f64[3,2]", "f32[3,2]"),
    ),
    "bwd, nothing": (backwards(lambda r, ct: None), TypeError, ("must produce a tuple", "got None")),
    "bwd, two for one": (backwards(lambda r, ct: ({"a": X}, X)), TypeError, ("must produce a tuple", "1")),
    "fwd, no pair": (backwards(lambda r, ct: (None,), lambda d: np.sum(d["a"])), TypeError, ("must produce a pair",)),
    "no defjvp": (lambda: fg.jvp(fg.custom_jvp(np.sin), (1.0,), (1.0,)), AttributeError, ("No JVP defined", "sin")),
    "jvp rule, structure": (
        forwards(lambda p, t: ({"y": p[0]}, {"z": t[0]})),
        TypeError,
        ("one structure", "'y'", "'z'"),
    ),
    "jvp rule, shape": (
        forwards(lambda p, t: ({"y": p[0]}, {"y": np.ones(3)})),
        TypeError,
        ("['y']", "f64[]", "f64[3]"),
    ),
    "jvp rule, dtype": (
        forwards(lambda p, t: ({"y": p[0]}, {"y": np.float32(1)})),
        TypeError,
        ("['y']", "f64[]", "f32[]"),
    ),
    "jvp rule, no pair": (forwards(lambda p, t: p[0]), TypeError, ("must produce a pair",)),
    "custom_gradient, no pair": (
        lambda: fg.grad(fg.custom_gradient(lambda x: x * x))(2.0),
        TypeError,
        ("custom_gradient", "a pair (output, vjp)"),
    ),
    "no def_vmap": (
        lambda: fg.vmap(fg.custom_batching.custom_vmap(lambda x: x))(X),
        AttributeError,
        ("No batching rule",),
    ),
    "vmap rule, shape": (
        batched(lambda n, b, x: ({"a": x[:1]}, {"a": True})),
        ValueError,
        ("['a']", "(1, 2)", "size 3"),
    ),
    "callback, shape": (called({"a": np.ones(3)}), ValueError, ("['a']", "f64[3]", "f64[2]")),
    "callback, dtype": (called({"a": np.ones(2, np.float32)}), ValueError, ("['a']", "f32[2]", "f64[2]")),
    "callback, structure": (called(np.ones(2)), TypeError, ("{'a': *}",)),
    "callback, nothing": (called(None), TypeError, ("{'a': *}",)),
    "a write": (lambda: fg.grad(lambda x: x.__setitem__(0, 1.0))(X), TypeError, ("cannot be written to", ".at[i].set")),
    "leaked from jit": (leaked(fg.jit), fg.errors.UnexpectedTracerError, ("trace has ended",)),
    "leaked from vmap": (leaked(fg.vmap), fg.errors.UnexpectedTracerError, ("trace has ended",)),
    "leaked from a loop": (
        leaked(lambda f: lambda x: fg.lax.map(f, x)),
        fg.errors.UnexpectedTracerError,
        ("trace has ended",),
    ),
    "leaked from linearize": (
        leaked(lambda f: lambda x: fg.linearize(f, x)),
        fg.errors.UnexpectedTracerError,
        ("trace has ended",),
    ),
    "policy": (lambda: fg.checkpoint(np.sin, policy=3), TypeError, ("policy", "3")),
}


@pytest.mark.parametrize("name", ROWS)
def test_mistakes(name: str) -> None:
    call, error, says = ROWS[name]
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    for part in says:
        assert part in message
    assert f"\n  at {__file__}:" in message


@pytest.mark.parametrize("tangent", [0, np.int64(0), False, np.zeros((), [("float0", np.void)])], ids=repr)
def test_integers_have_zero_tangents(tangent: Any) -> None:
    assert fg.jvp(lambda n, x: n * x, (3, 2.0), (tangent, 1.0)) == (6, 3)
