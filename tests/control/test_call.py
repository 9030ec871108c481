"""Does a jitted function inside other transformations do what it does alone?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.control import call
from funcgrad.ir.check import check
from tests.ops.numerics import assert_near

X = np.linspace(0.2, 1.0, 3)


@fg.jit
def inner(x: Any, y: Any) -> Any:
    """Two outputs, one of them an integer."""
    return {"value": np.sin(x) * y, "where": np.argmax(x)}


def loss(x: Any, y: Any) -> Any:
    """A scalar that uses the floating output."""
    return np.sum(inner(x, y)["value"] ** 2)


def plain(x: Any, y: Any) -> Any:
    """`loss` without jit."""
    return np.sum((np.sin(x) * y) ** 2)


def test_listing() -> None:
    program = check(fg.make_jaxpr(loss)(X, X))
    assert [e.primitive.name for e in program.equations] == ["jit", "integer_pow", "reduce_sum"]
    (equation, *_) = program.equations
    assert equation.params["name"] == "inner"
    assert [str(v.type) for v in equation.outputs] == ["f64[3]", "i64[]"]


@pytest.mark.parametrize("argnums", [0, 1, (0, 1)])
def test_grad_inside_and_outside(argnums: Any) -> None:
    want = fg.grad(plain, argnums)(X, X + 1)
    for gradient in (fg.grad(loss, argnums), fg.jit(fg.grad(loss, argnums)), fg.grad(fg.jit(loss), argnums)):
        got = gradient(X, X + 1)
        for g, w in zip(got, want, strict=True) if isinstance(argnums, tuple) else [(got, want)]:
            assert_near(g, w, 1e-14)


def test_the_gradient_calls_two_programs() -> None:
    program = check(fg.make_jaxpr(fg.grad(loss))(X, X))
    assert [e.primitive.name for e in program.equations if e.primitive.name == "jit"] == ["jit", "jit"]


def test_jvp_and_integer_outputs() -> None:
    out, moved = fg.jvp(inner, (X, X), (np.ones(3), np.zeros(3)))
    assert_near(moved["value"], np.cos(X) * X, 1e-15)
    assert out["where"] == 2
    assert moved["where"].shape == ()
    assert not np.any(moved["where"])


def test_vmap() -> None:
    batch = np.stack([X, X[::-1]])
    out = fg.vmap(inner, in_axes=(0, None))(batch, X)
    assert_near(out["value"], np.sin(batch) * X, 1e-15)
    np.testing.assert_array_equal(out["where"], [2, 0])
    assert_near(
        fg.vmap(fg.grad(loss), in_axes=(0, None))(batch, X), np.stack([fg.grad(plain)(b, X) for b in batch]), 1e-14
    )


def test_captured_tracers() -> None:
    def f(x: Any) -> Any:
        scale = x[0]
        scaled = fg.jit(lambda y: y * scale + x)
        return np.sum(scaled(x) * scaled(2 * x))

    def reference(x: Any) -> Any:
        return np.sum((x * x[0] + x) * (2 * x * x[0] + x))

    for transform in (lambda g: g, fg.grad, lambda g: fg.jit(fg.grad(g)), lambda g: lambda x: fg.jvp(g, (x,), (x,))[1]):
        assert_near(transform(f)(X), transform(reference)(X), 1e-14)
    batch = np.stack([X, 2 * X])
    assert_near(fg.vmap(fg.grad(f))(batch), np.stack([fg.grad(reference)(b) for b in batch]), 1e-14)


def test_one_captured_value_does_not_stay_for_the_next() -> None:
    f = fg.jit(lambda y: y)
    kept: list[Any] = []

    def outer(x: Any) -> Any:
        g = fg.jit(lambda y: y * x)
        kept.append(g)
        return g(2.0) + f(x)

    assert fg.grad(outer)(3.0) == 3
    assert fg.grad(outer)(4.0) == 3


def test_second_order_and_jit_in_jit() -> None:
    f = fg.jit(lambda x: fg.jit(np.sin)(x) * x)
    second = fg.grad(fg.grad(f))
    want = 2 * np.cos(0.7) - 0.7 * np.sin(0.7)
    assert second(0.7) == pytest.approx(want, rel=1e-14)
    assert fg.jit(second)(0.7) == pytest.approx(want, rel=1e-14)


def test_transformed_programs_are_kept() -> None:
    call.clear()
    f = fg.jit(lambda x: np.sum(np.sin(x)))
    for _ in range(3):
        fg.grad(f)(X)
    assert call._vjp.cache_info().misses == 1


def test_wrong_types_are_named() -> None:
    program = fg.make_jaxpr(np.sin)(X)
    with pytest.raises(TypeError, match=r"jit: mine takes f64\[3\], not f32\[3\]"):
        fg.make_jaxpr(lambda x: call.call(x, program=program, name="mine"))(X.astype(np.float32))


def test_unused_results_leave_no_trace() -> None:
    assert_near(fg.grad(lambda x: np.sum(x) + 0 * inner(x, x)["where"])(X), np.ones(3), 0)
    assert_near(fg.jit(lambda x: (inner(x, x), x)[1])(X), X, 0)
