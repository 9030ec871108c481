"""Does odd use of the transformations give what JAX gives: values, dtypes, structures, and the same errors?

Every row is a function of a library, run with funcgrad and with JAX. Where JAX has zeros of dtype float0 (cotangents
and tangents of integers) funcgrad has zeros of the integer's own dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

import funcgrad as fg

jax = pytest.importorskip("jax")
ravel_pytree = pytest.importorskip("jax.flatten_util").ravel_pytree

X = np.linspace(0.3, 1.2, 4)
X2 = np.stack([X, 2 * X, 3 * X])
Z = np.array([1 + 2j, 3 - 1j])
FLOAT0 = np.dtype([("float0", np.void)])
NO_TANGENT = np.zeros((), FLOAT0)


class Pair(NamedTuple):
    """A named tuple."""

    a: Any
    b: Any


@dataclass
class Point:
    """A registered dataclass."""

    x: Any
    y: Any


jax.tree_util.register_dataclass(Point, ["x", "y"], [])
fg.tree_util.register_dataclass(Point, ["x", "y"], [])

OURS = SimpleNamespace(api=fg, np=fg.numpy, lax=fg.lax, ravel=fg.flatten_util.ravel_pytree)
THEIRS = SimpleNamespace(api=jax, np=jax.numpy, lax=jax.lax, ravel=ravel_pytree)
Row = Callable[[Any], Any]


# Functions to be transformed ------------------------------------------------------------------------------------------


def looped(m: Any) -> Callable[[Any], Any]:
    """A scan of a checkpoint."""

    @m.api.checkpoint
    def body(c: Any, v: Any) -> Any:
        return m.np.sin(c) * v, m.np.cos(c)

    def f(x: Any) -> Any:
        c, ys = m.lax.scan(body, x, m.np.asarray([0.5, 1.0, 1.5]))
        return m.np.sum(c) + m.np.sum(ys)

    return f


def ruled(m: Any, inner: Any = None) -> Callable[..., Any]:
    """A custom_vjp, whose rule gives twice the gradient by the first argument."""
    inner = inner or looped(m)
    f = m.api.custom_vjp(lambda x, k: inner(x) * k)

    def backward(residuals: Any, ct: Any) -> Any:
        x, k = residuals
        return 2 * ct * k * m.api.grad(inner)(x), ct * inner(x)

    f.defvjp(lambda x, k: (f(x, k), (x, k)), backward)
    return f  # type: ignore[no-any-return]


def pushed(m: Any) -> Callable[..., Any]:
    """A custom_jvp with arguments that are no values, whose rule gives three times the derivative of sin."""

    @partial(m.api.custom_jvp, nondiff_argnums=(0, 2))
    def f(g: Any, x: Any, n: int) -> Any:
        return g(x) * n

    @f.defjvp
    def rule(g: Any, n: int, primals: Any, tangents: Any) -> Any:
        return f(g, primals[0], n), 3 * m.np.cos(primals[0]) * tangents[0] * n

    return f  # type: ignore[no-any-return]


def unbounded(m: Any) -> Callable[[Any], Any]:
    """A while_loop."""

    def step(c: Any) -> Any:
        return c[0] * 1.5 + m.np.sin(c[1]), c[1] * 1.1

    return lambda x: m.lax.while_loop(lambda c: m.np.sum(c[0]) < 20, step, (x, x))


def energy(m: Any) -> Callable[[Any], Any]:
    return lambda x: m.np.sum(pushed(m)(m.np.sin, x, 2) ** 2)


def with_jvp_rule(rule: Any) -> Row:
    def row(m: Any) -> Any:
        f = m.api.custom_jvp(lambda x: x * 2)
        f.defjvp(rule)
        return m.api.jvp(f, (m.np.asarray(X),), (m.np.asarray(X),))

    return row


def with_vjp_rule(forward: Any, backward: Any, at: Any = 2.0) -> Row:
    def row(m: Any) -> Any:
        f = m.api.custom_vjp(lambda x: m.np.sum(x) * 2)
        f.defvjp(partial(forward, m), backward)
        return m.api.grad(f)(m.np.asarray(at))

    return row


def linearized(m: Any, f: Any, x: Any, *tangents: Any) -> Any:
    y, f_jvp = m.api.linearize(f, *x)
    return y, f_jvp(*tangents)


def pulled(m: Any, f: Any, x: Any, ct: Any) -> Any:
    y, pull = m.api.vjp(f, *x)
    return y, pull(ct)


ROWS: dict[str, Row] = {
    # pytrees
    "jacfwd, dict": lambda m: m.api.jacfwd(lambda p: {"s": m.np.sum(p["a"]) * p["b"][0], "t": (p["a"] * 2,)})(
        {"a": m.np.asarray(X), "b": (2.0, None)}
    ),
    "jacfwd, named tuple": lambda m: m.api.jacfwd(lambda p: Pair(p.a * p.b, p.b))(Pair(m.np.asarray(X), 2.0)),
    "jacrev, named tuple": lambda m: m.api.jacrev(lambda p: Pair(p.a * p.b, p.b))(Pair(m.np.asarray(X), 2.0)),
    "hessian, named tuple": lambda m: m.api.hessian(lambda p: m.np.sum(p.a**2 * p.b))(Pair(m.np.asarray(X), 2.0)),
    "hessian, dataclass": lambda m: m.api.hessian(lambda p: m.np.sum(p.x**2 * p.y))(Point(m.np.asarray(X), 2.0)),
    "grad, None and nothing": lambda m: m.api.grad(lambda p: p[0] * 2)((2.0, None, (), {}, [])),
    "jacfwd, None in the output": lambda m: m.api.jacfwd(lambda q: (q * 2, None, ()))(m.np.asarray(X)),
    "jacrev, None in the output": lambda m: m.api.jacrev(lambda q: (q * 2, None, ()))(m.np.asarray(X)),
    "jacfwd, empty array": lambda m: m.api.jacfwd(lambda p: p * 2)(m.np.zeros((0, 3))),
    "jacrev, empty array": lambda m: m.api.jacrev(lambda p: p * 2)(m.np.zeros((0, 3))),
    "hessian, empty array": lambda m: m.api.hessian(lambda p: m.np.sum(p * p))(m.np.zeros((0,))),
    "jacfwd, list of argnums": lambda m: m.api.jacfwd(lambda a, b: {"o": a * b}, [0, 1])(*map(m.np.asarray, (X, X))),
    "hessian, aux": lambda m: m.api.hessian(lambda a: (m.np.sum(a**3), {"k": a.sum(), "n": None}), has_aux=True)(
        m.np.asarray(X)
    ),
    "ravel_pytree": lambda m: m.ravel({"a": m.np.asarray(X2), "n": None, "s": 2.0})[0],
    # integers
    "grad, allow_int": lambda m: m.api.grad(lambda a: a["i"] * a["f"], allow_int=True)(
        {"i": m.np.asarray(3), "f": 2.0}
    ),
    "vjp, integer leaf": lambda m: pulled(
        m, lambda a: a["i"] * a["f"], ({"i": m.np.asarray([3, 4]), "f": 2.0},), m.np.ones(2)
    ),
    "vjp, integer output": lambda m: pulled(m, lambda a: (a * 2, m.np.asarray(3)), (2.0,), (1.0, NO_TANGENT)),
    "jvp, integer leaf": lambda m: m.api.jvp(lambda a, i: a * i, (2.0, m.np.asarray(3)), (1.0, NO_TANGENT)),
    "jvp, integer output": lambda m: m.api.jvp(lambda a: (a, m.np.argmax(a)), (m.np.asarray(X),), (m.np.asarray(X),)),
    "linearize, integer leaf": lambda m: linearized(
        m, lambda a, i: a * i, (m.np.asarray(X), m.np.asarray(3)), m.np.asarray(X), NO_TANGENT
    ),
    "linearize, integer output": lambda m: linearized(
        m, lambda a: (a, m.np.argmax(a)), (m.np.asarray(X),), m.np.asarray(X)
    ),
    "jacfwd, integer output": lambda m: m.api.jacfwd(lambda a: (a, m.np.argmax(a)))(m.np.asarray(X)),
    "jacrev, integer output": lambda m: m.api.jacrev(lambda a: (a, m.np.argmax(a)))(m.np.asarray(X)),
    "grad of an integer": lambda m: m.api.grad(lambda a: a * 2.0)(3),
    # complex numbers
    "jacfwd, holomorphic": lambda m: m.api.jacfwd(lambda z: z**3 * z[::-1], holomorphic=True)(m.np.asarray(Z)),
    "hessian, holomorphic": lambda m: m.api.hessian(lambda z: m.np.sum(z**3), holomorphic=True)(m.np.asarray(Z)),
    "jacfwd, real to complex": lambda m: m.api.jacfwd(lambda x: x * (1 + 2j))(m.np.asarray(X)),
    "jacrev, real to complex": lambda m: m.api.jacrev(lambda x: x * (1 + 2j))(m.np.asarray(X)),
    "jacrev, complex to real": lambda m: m.api.jacrev(m.np.abs)(m.np.asarray(Z)),
    "grad, holomorphic of a real": lambda m: m.api.grad(lambda z: z**3, holomorphic=True)(2.0),
    # rules of the user's in compositions
    "vmap grad custom_vjp scan checkpoint": lambda m: m.api.vmap(m.api.grad(ruled(m)), (0, None))(
        m.np.asarray(X2), 2.0
    ),
    "grad vmap custom_vjp, by what is shared": lambda m: m.api.grad(
        lambda k: m.np.sum(m.api.vmap(ruled(m), (0, None))(m.np.asarray(X2), k))
    )(2.0),
    "jit jacrev grad custom_vjp": lambda m: m.api.jit(m.api.jacrev(m.api.grad(ruled(m))))(m.np.asarray(X), 2.0),
    "checkpoint of custom_vjp": lambda m: m.api.grad(m.api.checkpoint(lambda x: m.np.sin(ruled(m)(x, 2.0))))(
        m.np.asarray(X)
    ),
    "vmap grad scan custom_vjp": lambda m: m.api.vmap(
        m.api.grad(
            lambda x: m.lax.scan(
                lambda c, v: (c * ruled(m, lambda x: m.np.sum(m.np.sin(x)))(x, v), c),
                1.0,
                m.np.asarray([1.0, 2.0]),
            )[0]
        )
    )(m.np.asarray(X2)),
    "hessian custom_jvp": lambda m: m.api.hessian(energy(m))(m.np.asarray(X)),
    "jit jacrev jacrev custom_jvp": lambda m: m.api.jit(m.api.jacrev(m.api.jacrev(energy(m))))(m.np.asarray(X)),
    "vmap hessian custom_jvp": lambda m: m.api.vmap(m.api.hessian(energy(m)))(m.np.asarray(X2)),
    "linearize vmap while": lambda m: linearized(m, m.api.vmap(unbounded(m)), (m.np.asarray(X2),), m.np.ones((3, 4))),
    "vmap linearize while": lambda m: m.api.vmap(lambda x: linearized(m, unbounded(m), (x,), m.np.ones(4)))(
        m.np.asarray(X2)
    ),
    "jacfwd jacfwd while": lambda m: m.api.jacfwd(m.api.jacfwd(lambda x: unbounded(m)(x)[0]))(m.np.asarray(X)),
    "vjp of a vjp": lambda m: pulled(
        m,
        lambda x: pulled(m, lambda z: m.np.sin(z) * x, (x,), m.np.ones(4))[1][0],
        (m.np.asarray(X),),
        m.np.asarray(X),
    ),
    "transposed linearize": lambda m: m.api.linear_transpose(
        m.api.linearize(lambda x: {"a": m.np.sin(x), "b": x[0]}, m.np.asarray(X))[1], m.np.asarray(X)
    )({"a": m.np.ones(4), "b": 2.0}),
    # batches
    "out_axes, a tree": lambda m: m.api.vmap(lambda x: (x, {"k": x * 2}), out_axes=(0, {"k": 1}))(m.np.asarray(X2)),
    "out_axes, None": lambda m: m.api.vmap(lambda x: (x, 3.0), out_axes=(0, None))(m.np.asarray(X2)),
    "in_axes, named tuple": lambda m: m.api.vmap(lambda p: p.a * p.b, in_axes=(Pair(0, None),))(
        Pair(m.np.asarray(X), 2.0)
    ),
    "an empty batch": lambda m: m.api.vmap(lambda x: x * 2)(m.np.zeros((0, 3))),
    "no arguments": lambda m: m.api.vmap(lambda: 1.0, axis_size=3)(),
    "collectives in a scan": lambda m: m.api.vmap(
        lambda x: m.lax.scan(lambda c, v: (c + v * m.lax.axis_index("i"), c), x, m.np.asarray([0.0, 1.0])),
        axis_name="i",
    )(m.np.asarray(X)),
    # mistakes
    "in_axes, too many": lambda m: m.api.vmap(lambda x: x, in_axes=(0, 0))(m.np.asarray(X2)),
    "in_axes, a float": lambda m: m.api.vmap(lambda x: x, in_axes=1.0)(m.np.asarray(X2)),
    "in_axes, out of bounds": lambda m: m.api.vmap(lambda x: x, in_axes=2)(m.np.asarray(X2)),
    "in_axes, all None": lambda m: m.api.vmap(lambda x: x, in_axes=None)(m.np.asarray(X2)),
    "out_axes, None of a batch": lambda m: m.api.vmap(lambda x: x, out_axes=None)(m.np.asarray(X2)),
    "out_axes, another structure": lambda m: m.api.vmap(lambda x: (x, x), out_axes=(0,))(m.np.asarray(X2)),
    "sizes": lambda m: m.api.vmap(lambda x, y: x)(m.np.asarray(X2), m.np.asarray(X)),
    "an unknown axis": lambda m: m.api.vmap(lambda x: m.lax.psum(x, "j"), axis_name="i")(m.np.asarray(X)),
    "argnums": lambda m: m.api.grad(lambda x: x, argnums=1)(2.0),
    "a vector's gradient": lambda m: m.api.grad(lambda x: x * 2)(m.np.asarray(X)),
    "no pair": lambda m: m.api.grad(lambda x: x, has_aux=True)(2.0),
    "jvp, shapes": lambda m: m.api.jvp(lambda x: x, (m.np.asarray(X),), (m.np.asarray(X[:2]),)),
    "jvp, dtypes": lambda m: m.api.jvp(lambda x: x, (m.np.asarray(X),), (m.np.asarray(X.astype("f4")),)),
    "jvp, structures": lambda m: m.api.jvp(lambda x: x["a"], ({"a": 1.0},), ([1.0],)),
    "jvp, no sequences": lambda m: m.api.jvp(lambda x: x, 1.0, 1.0),
    "vjp, shapes": lambda m: pulled(m, lambda x: x * 2, (m.np.asarray(X),), m.np.ones(3)),
    "linearize, shapes": lambda m: linearized(m, m.np.sin, (m.np.asarray(X),), m.np.ones(3)),
    "linearize, dtypes": lambda m: linearized(m, m.np.sin, (m.np.asarray(X),), m.np.ones(4, "float32")),
    "jvp rule, no pair": with_jvp_rule(lambda p, t: p[0]),
    "jvp rule, None": with_jvp_rule(lambda p, t: (p[0], None)),
    "jvp rule, shapes": with_jvp_rule(lambda p, t: (p[0] * 2, t[0][:1])),
    "jvp rule, dtypes": with_jvp_rule(lambda p, t: (p[0] * 2, t[0].astype("float32"))),
    "vjp rule, no pair": with_vjp_rule(lambda m, x: x, lambda r, ct: (ct,)),
    "vjp rule, another structure": with_vjp_rule(lambda m, x: ((x, x), None), lambda r, ct: (ct,)),
    "vjp rule, another shape": with_vjp_rule(lambda m, x: (x, None), lambda r, ct: (ct,), X),
    "vjp rule, no tuple": with_vjp_rule(lambda m, x: (x * 2, None), lambda r, ct: ct),
    "vjp rule, too many": with_vjp_rule(lambda m, x: (x * 2, None), lambda r, ct: (ct, ct)),
    "vjp rule, shapes": with_vjp_rule(lambda m, x: (m.np.sum(x) * 2, None), lambda r, ct: (ct,), X),
}


def described(value: Any) -> Any:
    """A result as plain Python: structures by name, leaves as (shape, dtype, elements)."""
    if value is None:
        return None
    if isinstance(value, Point):
        return ("Point", described(value.x), described(value.y))
    if isinstance(value, (tuple, list)):
        return (type(value).__name__, *map(described, value))
    if isinstance(value, dict):
        return {k: described(v) for k, v in sorted(value.items())}
    array = np.asarray(value)
    zeros = array.dtype == FLOAT0 or (array.dtype.kind in "iu" and not array.any())
    return ("array", array.shape, "zeros" if zeros else str(array.dtype), None if zeros else array.ravel().tolist())


def result(row: Row, library: Any) -> Any:
    """What a row gives, or the name of its exception."""
    try:
        return described(row(library))
    except Exception as error:
        return type(error).__name__


def near(got: Any, want: Any) -> bool:
    """Whether two descriptions agree, numbers within rounding."""
    if isinstance(got, (tuple, list)) and isinstance(want, (tuple, list)):
        return len(got) == len(want) and all(map(near, got, want))
    if isinstance(got, dict) and isinstance(want, dict):
        return got.keys() == want.keys() and all(near(got[k], want[k]) for k in got)
    if isinstance(got, (float, complex)) and isinstance(want, (float, complex)):
        return abs(got - want) <= 1e-10 * max(1.0, abs(want))
    return type(got) is type(want) and bool(got == want)


@pytest.mark.parametrize("name", ROWS)
def test_as_jax(name: str) -> None:
    with jax.enable_x64(True):
        want = result(ROWS[name], THEIRS)
    got = result(ROWS[name], OURS)
    assert near(got, want), (got, want)
