"""Do the laws of derivatives hold?  For random programs, and for random nestings of all transformations.

Programs and their nestings are drawn by Hypothesis; they are held against each other, against composed differences, and
against loops over examples.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import funcgrad as fg
from tests.effort import drawn
from tests.ops.numerics import assert_near, richardson
from tests.test_laws import arguments, run, seeds, steps

Function = Callable[[Any], Any]
SHAPES = st.sampled_from([(), (4,), (3, 4)])


def vector(program: Any, y: Any) -> Function:
    """A random program of one argument."""
    return lambda x: np.sin(run(program, x, y))


# The laws -------------------------------------------------------------------------------------------------------------


@given(steps(), SHAPES, seeds)
@drawn(6)
def test_first_order(program: Any, shape: Any, seed: int) -> None:
    x, y = arguments(seed, shape)
    t, noise = arguments(seed + 1, shape)
    f = vector(program, y)
    out, moved = fg.jvp(f, (x,), (t,))
    _, pull = fg.vjp(f, x)
    rng = np.random.default_rng(seed)
    ct = rng.normal(size=np.shape(out))
    (pulled,) = pull(ct)
    assert_near(np.sum(ct * moved), np.sum(pulled * t), 1e-11)  # adjoint
    value, push = fg.linearize(f, x)
    assert_near(value, out, 1e-14)
    assert_near(push(t), moved, 1e-12)  # linearize is jvp
    assert_near(push(t + 2 * noise), push(t) + 2 * push(noise), 1e-11)  # and linear
    back = fg.linear_transpose(push, x)
    assert_near(back(ct)[0], pulled, 1e-11)  # its transpose is vjp
    again = fg.linear_transpose(lambda c: back(c)[0], out)
    assert_near(again(t)[0], moved, 1e-11)  # transposed twice: itself
    assert_near(fg.jit(lambda x: fg.linearize(f, x)[1](t))(x), moved, 1e-11)


@given(steps(), st.sampled_from([(), (3,)]), seeds)
@drawn(5)
def test_jacobians_and_hessians(program: Any, shape: Any, seed: int) -> None:
    x, y = arguments(seed, shape)
    f = vector(program, y)
    forward, reverse = fg.jacfwd(f)(x), fg.jacrev(f)(x)
    assert_near(forward, reverse, 1e-11)
    assert_near(fg.jit(fg.jacfwd(f))(x), forward, 1e-11)
    g = lambda x: np.sum(f(x))  # noqa: E731
    second = np.reshape(fg.hessian(g)(x), (x.size, x.size))
    assert_near(second, second.T, 1e-10)
    assert_near(np.reshape(fg.jacrev(fg.jacrev(g))(x), second.shape), second, 1e-10)
    assert_near(np.reshape(fg.jit(fg.hessian(g))(x), second.shape), second, 1e-10)
    flat = fg.sparse_jacobian(f)(x).toarray()
    assert_near(flat, np.reshape(forward, (-1, x.size)), 1e-11)


@given(steps(), SHAPES, seeds)
@drawn(6)
def test_batches_of_gradients(program: Any, shape: Any, seed: int) -> None:
    xs, ys = (np.stack(column) for column in zip(*(arguments(seed + k, shape) for k in range(3)), strict=True))
    slope = fg.grad(lambda x, y: np.sum(vector(program, y)(x)))
    stacked = np.stack([slope(x, y) for x, y in zip(xs, ys, strict=True)])
    assert_near(fg.vmap(slope)(xs, ys), stacked, 1e-11)
    assert_near(fg.jit(fg.vmap(slope))(xs, ys), stacked, 1e-11)


# Nestings -------------------------------------------------------------------------------------------------------------


def with_jvp(f: Function) -> Function:
    """`f` with the rule that it has anyway."""
    g = fg.custom_jvp(f)
    g.defjvp(lambda p, t: fg.jvp(f, p, t))
    return g


def with_vjp(f: Function) -> Function:
    """Likewise; no forward mode."""
    g = fg.custom_vjp(f)

    def fwd(x: Any) -> Any:
        return f(x), x

    g.defvjp(fwd, lambda x, ct: fg.vjp(f, x)[1](ct))
    return g


def with_vmap(f: Function) -> Function:
    """Likewise for batches."""
    g = fg.custom_batching.custom_vmap(f)
    g.def_vmap(lambda size, batched, x: (fg.vmap(f)(x) if batched[0] else f(x), batched[0]))
    return g


def converted(f: Function, x: Any) -> Any:
    """`f` applied after its closure has been converted."""
    g, hoisted = fg.closure_convert(f, x)
    return g(x, *hoisted)


KEEPING: dict[str, Callable[[Function], Function]] = {  # what leaves a function as it is
    "jit": fg.jit,
    "checkpoint": fg.checkpoint,
    "saving products": lambda f: fg.checkpoint(f, policy=fg.checkpoint_policies.dots_saveable),
    "custom_jvp": with_jvp,
    "custom_vmap": with_vmap,
    "closure_convert": lambda f: lambda x: converted(f, x),
    "named": lambda f: fg.named_call(f, name="inner"),
    "a loop of one": lambda f: lambda x: fg.lax.scan(lambda c, v: (c, f(v)), 0.0, x[None])[1][0],
    "a batch of two": lambda f: lambda x: fg.vmap(f)(np.stack([x, x]))[0],
}
REVERSE_ONLY: dict[str, Callable[[Function], Function]] = {"custom_vjp": with_vjp}
DERIVING: dict[str, Callable[[Function], Function]] = {  # what makes a scalar's slope along a fixed direction of it
    "grad": lambda f: lambda x: fg.grad(lambda v: np.sum(np.sin(f(v))))(x),
    "jvp": lambda f: lambda x: fg.jvp(f, (x,), (0.5 * x,))[1],
    "linearize": lambda f: lambda x: fg.linearize(f, x)[1](0.5 * x),
    "vjp": lambda f: lambda x: fg.vjp(f, x)[1](np.cos(x))[0],
}


def base(x: Any) -> Any:
    """A smooth function of a vector to a vector of the same length."""
    return np.tanh(x * np.roll(x, 1)) + np.sin(x[0]) * x


def reference(names: list[str]) -> Function:
    """The nesting, its derivatives taken by differences of the function inside."""
    f: Function = base
    for name in names:
        if name in DERIVING:
            f = differences(name, f)
    return f


def differences(name: str, f: Function) -> Function:
    """A derivative by differences, one direction at a time."""

    def along(g: Function, x: np.ndarray, t: np.ndarray) -> np.ndarray:
        return richardson(g, [x], [t], h=2e-2)

    def derived(x: np.ndarray) -> np.ndarray:
        if name in ("jvp", "linearize"):
            return along(f, x, 0.5 * x)
        weight = np.cos(x) if name == "vjp" else np.cos(f(x))
        return np.stack([np.sum(weight * along(f, x, e)) for e in np.eye(x.size)])

    return derived


names = st.lists(st.sampled_from(sorted(KEEPING) + sorted(DERIVING)), min_size=2, max_size=5).filter(
    lambda found: 1 <= sum(name in DERIVING for name in found) <= 2
)


@given(names, seeds)
@drawn(5)
def test_nestings(nesting: list[str], seed: int) -> None:
    x = np.random.default_rng(seed).uniform(-1, 1, 3)
    f: Function = base
    for name in nesting:
        f = (KEEPING | DERIVING)[name](f)
    want = reference(nesting)(x)
    assert_near(f(x), want, 2e-6)
    assert_near(fg.jit(f)(x), f(x), 1e-12)


@given(st.lists(st.sampled_from(sorted(KEEPING) + ["custom_vjp", "grad", "vjp"]), min_size=2, max_size=5), seeds)
@drawn(5)
def test_nestings_in_reverse(nesting: list[str], seed: int) -> None:
    nesting = [name for k, name in enumerate(nesting) if name not in DERIVING or k in (1, 3)]
    x = np.random.default_rng(seed).uniform(-1, 1, 3)
    f: Function = base
    for name in nesting:
        if name == "custom_jvp":
            continue
        f = (KEEPING | REVERSE_ONLY | DERIVING)[name](f)
    assert_near(f(x), reference(nesting)(x), 2e-6)
    assert_near(fg.jit(f)(x), f(x), 1e-12)


# Perturbation confusion, by all modes --------------------------------------------------------------------------------


SLOPES: dict[str, Callable[[Function, Any], Any]] = {
    "grad": lambda f, x: fg.grad(f)(x),
    "jvp": lambda f, x: fg.jvp(f, (x,), (1.0,))[1],
    "linearize": lambda f, x: fg.linearize(f, x)[1](1.0),
    "jacfwd": lambda f, x: fg.jacfwd(f)(x),
    "jacrev": lambda f, x: fg.jacrev(f)(x),
    "vjp of jit": lambda f, x: fg.vjp(fg.jit(f), x)[1](1.0)[0],
    "checkpoint": lambda f, x: fg.grad(fg.checkpoint(f))(x),
    "vmap": lambda f, x: fg.vmap(fg.grad(f))(np.stack([x, x]))[1] if not isinstance(x, float) else fg.grad(f)(x),
}


@pytest.mark.parametrize("outer", SLOPES)
@pytest.mark.parametrize("inner", SLOPES)
def test_perturbations_are_told_apart(outer: str, inner: str) -> None:
    d, e = SLOPES[outer], SLOPES[inner]
    assert d(lambda x: x * e(lambda y: x + y, 1.0), 1.0) == 1  # Siskind and Pearlmutter 2005
    assert d(lambda x: x * e(lambda y: x * y, 2.0), 3.0) == 6
    assert d(lambda x: e(lambda y: x * x, 2.0), 3.0) == 0
    assert d(lambda x: e(lambda y: x * y * y, x), 3.0) == 12  # d/dx 2x²
    third = d(lambda x: e(lambda y: d(lambda z: x * y * z, x), x) * x, 2.0)
    assert third == 4  # d/dx x · x


def test_functions_that_are_returned() -> None:
    """Manzyuk et al. 2019: derivatives of curried functions."""

    def derivative(f: Any, x: Any) -> Callable[[Any], Any]:
        return lambda y: fg.jvp(lambda u: f(u)(y), (x,), (1.0,))[1]

    h = derivative(lambda u: lambda y: np.exp(y + u), 0.0)
    assert_near(h(1.0), np.e, 1e-15)
    twice = derivative(lambda u: derivative(lambda v: lambda y: y * u * u * v * v, 3.0), 2.0)
    assert twice(5.0) == 5 * 4 * 6


def test_closures_over_three_levels() -> None:
    def f(x: Any) -> Any:
        def g(y: Any) -> Any:
            inner = fg.checkpoint(fg.jit(lambda z: np.sin(x * y) * z))
            return fg.vmap(inner)(np.stack([x, y]))[0] + fg.linearize(inner, y)[1](x)

        return fg.grad(g)(x)

    x, h = 0.7, 1e-5
    # g(y) = 2 x sin(x y), g'(y) = 2 x² cos(x y)
    assert_near(f(x), 2 * x * x * np.cos(x * x), 1e-14)
    assert_near(fg.grad(f)(x), (f(x + h) - f(x - h)) / (2 * h), 1e-8)
    assert_near(fg.jit(fg.grad(f))(x), fg.grad(f)(x), 1e-14)
