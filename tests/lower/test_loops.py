"""What becomes of loops: what is computed before and after them, written out, in lanes; and does it all still agree?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import lax
from funcgrad.lower.plan import Plan, make_plan
from funcgrad.lower.products import Product
from funcgrad.lower.schedule import KernelStep
from funcgrad.lower.structured import Structured
from funcgrad.simplify import simplify


def plan_of(function: Any, *arguments: Any) -> Plan:
    return make_plan(simplify(fg.make_jaxpr(function)(*arguments)))


def inside(plan: Plan) -> Iterator[Any]:
    """The steps of the loops of a plan."""
    for region in plan.steps:
        if isinstance(region, Structured):
            for inner in region.plans:
                yield from inner.steps
                yield from inside(inner)


def draw(*shape: int, dtype: str = "f8", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def unrolled_scan(step: Any, state: Any, xs: np.ndarray) -> tuple[Any, Any]:
    seen = []
    for x in xs:
        state, y = step(state, x)
        seen.append(y)
    return state, fnp.stack(seen)


# Before and behind ----------------------------------------------------------------------------------------------------


def recurrent(scan: Any) -> Any:
    def loss(w: Any, u: Any, xs: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            h = fnp.tanh(x @ w + h @ u)
            return h, h.sum()

        h, ys = scan(step, np.zeros((4, 24)), xs)
        return (h * h).sum() + (ys * ys).sum()

    return loss


def test_products_of_slices_are_computed_before_and_their_sums_behind() -> None:
    w, u, xs = draw(12, 24) * 0.2, draw(24, 24) * 0.2, draw(9, 4, 12)
    forward, both = recurrent(lax.scan), fg.value_and_grad(recurrent(lax.scan), (0, 1))
    assert sum(isinstance(s, Product) for s in inside(plan_of(forward, w, u, xs))) == 1
    assert sum(isinstance(s, Product) for s in inside(plan_of(both, w, u, xs))) == 2  # h @ u, and back
    value, ct = fg.jit(both)(w, u, xs)
    want, want_ct = fg.value_and_grad(recurrent(unrolled_scan), (0, 1))(w, u, xs)
    np.testing.assert_allclose(value, want, rtol=1e-12)
    for a, b in zip(ct, want_ct, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("reverse", [False, True])
def test_mathematics_of_what_is_given_is_computed_before(reverse: bool) -> None:
    def function(x: Any, xs: Any) -> Any:
        step = lambda c, t: (c * fnp.exp(-x) + fnp.sin(t), c + fnp.cos(t * x))  # noqa: E731
        return lax.scan(step, x, xs, reverse=reverse)

    x, xs = 0.7, draw(50)
    text = fg.jit(function).lower(x, xs).as_text("python")
    before, _, loop = text.partition("s0 =") if "s0 =" in text else text.rpartition("def kernel")
    assert "np.sin" in before
    assert "np.sin" not in loop
    last, found = fg.jit(function)(x, xs)
    c, want = x, []
    for t in xs[::-1] if reverse else xs:
        want.append(c + np.cos(t * x))
        c = c * np.exp(-x) + np.sin(t)
    np.testing.assert_allclose(last, c, rtol=1e-13)
    np.testing.assert_allclose(found, want[::-1] if reverse else want, rtol=1e-13)


# One kernel -----------------------------------------------------------------------------------------------------------


def planets(x: Any, v: Any, m: Any) -> Any:
    d = x[None] - x[:, None]
    pull = m * ((d * d).sum(-1) + 0.1) ** -1.5
    v = v + 0.01 * (d * pull[..., None]).sum(1)
    return x + 0.01 * v, v


def orbit(scan: Any) -> Any:
    def loss(x: Any, v: Any, m: Any) -> Any:
        (x, v), _ = scan(lambda s, _: (planets(*s, m), 0.0), (x, v), np.zeros(20))
        return (x * x).sum() + (v * v).sum()

    return loss


def test_a_simulation_and_its_gradient_are_one_kernel_each() -> None:
    x, v, m = draw(5, 3), draw(5, 3, seed=1), np.abs(draw(5, seed=2))
    plan = plan_of(fg.value_and_grad(orbit(lax.scan), (0, 1, 2)), x, v, m)
    assert not any(isinstance(s, Structured) for s in plan.steps)
    kept = [t for t in plan.offsets if t.type.shape[:1] == (20,)]
    assert sum(t.type.nbytes for t in kept) < 20 * 70 * 8, "positions and two powers, of some 300 numbers"
    value, ct = fg.jit(fg.value_and_grad(orbit(lax.scan), (0, 1, 2)))(x, v, m)
    want, want_ct = fg.jit(fg.value_and_grad(orbit(unrolled_scan), (0, 1, 2)))(x, v, m)
    np.testing.assert_allclose(value, want, rtol=1e-12)
    for a, b in zip(ct, want_ct, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9])
def test_functions_of_single_numbers_in_lanes(count: int, dtype: str) -> None:
    xs = draw(count, dtype=dtype)

    def step(c: Any) -> Any:
        turned = tuple(np.sin(c[k - 1]) + c[k] * 0.5 for k in range(count))
        return tuple(np.exp(-t * t) * np.power(np.abs(t) + 1, t) for t in turned)

    def function(*c: Any) -> Any:
        return lax.fori_loop(0, 3, lambda i, c: step(c), c)

    want = tuple(xs)
    for _ in range(3):
        want = step(want)
    np.testing.assert_allclose(fg.jit(function)(*xs), want, rtol=2e-5 if dtype == "f4" else 1e-13)


def test_a_check_inside_a_written_out_loop() -> None:
    function = fg.jit(lambda x, i: lax.fori_loop(0, 50, lambda k, s: s * 0.5 + x[i + k // 25].sum(), 0.0))
    assert function(np.ones((3, 5)), 1) == pytest.approx(10)
    with pytest.raises(IndexError, match="out of bounds"):
        function(np.ones((3, 5)), 2)


def test_branches_inside_one_kernel() -> None:
    def step(s: Any, x: Any) -> Any:
        s = lax.cond(x > 0, lambda s: s.at[0].add(x), lambda s: s * 0.5, s)
        return s, lax.switch((x > 1).astype(int), [lambda s: s[0], lambda s: s.sum()], s)

    xs = draw(30)
    plan = plan_of(lambda s, xs: lax.scan(step, s, xs), np.ones(5), xs)
    assert all(isinstance(s, KernelStep) for s in plan.steps)
    last, seen = fg.jit(lambda s, xs: lax.scan(step, s, xs))(np.ones(5), xs)
    s, want = np.ones(5), []
    for x in xs:
        if x > 0:
            s[0] += x
        else:
            s = s * 0.5
        want.append(s.sum() if x > 1 else s[0])
    np.testing.assert_allclose(last, s, rtol=1e-14)
    np.testing.assert_allclose(seen, want, rtol=1e-14)


@pytest.mark.parametrize("count", [0, 1, 4095, 4096, 4097, 9000])
def test_the_tape_of_a_while_loop_in_sections(count: int) -> None:
    def loss(x: Any, n: Any) -> Any:
        i, y = lax.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, s[1] * 0.999 + 0.001 * s[1] * s[1]), (0, x))
        return y + 0 * i

    got = fg.jit(fg.grad(loss))(0.5, count)
    y, slope = 0.5, 1.0
    for _ in range(count):
        slope *= 0.999 + 0.002 * y
        y = y * 0.999 + 0.001 * y * y
    np.testing.assert_allclose(got, slope, rtol=1e-10)


def test_a_power_with_a_half_in_the_exponent() -> None:
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -1, 1e-300, 4, 1e200])
    for y in (1.5, 2.5, -0.5, -1.5, -2.5):
        with np.errstate(all="ignore"):
            want = np.power(x, y)
        got = np.asarray(fg.jit(lambda x, y=y: x**y)(x))
        assert np.array_equal(np.isnan(got), np.isnan(want))
        assert np.array_equal(np.signbit(got[~np.isnan(got)]), np.signbit(want[~np.isnan(want)]))
        np.testing.assert_allclose(got, want, rtol=1e-15)


def test_complex_numbers_along_a_tape() -> None:
    def loss(z: Any) -> Any:
        z = lax.while_loop(lambda s: s[1] < 5, lambda s: (s[0] * s[0] * 0.5 + 0.3j, s[1] + 1), (z, 0))[0]
        return fnp.abs(z).sum() + z.real.sum()

    def written_out(z: Any) -> Any:
        for _ in range(5):
            z = z * z * 0.5 + 0.3j
        return fnp.abs(z).sum() + z.real.sum()

    z = draw(3) + 1j * draw(3, seed=1)
    np.testing.assert_allclose(fg.jit(fg.grad(loss))(z), fg.grad(written_out)(z), rtol=1e-12)


def test_a_distance_is_computed_once_for_both_ends() -> None:
    x = np.random.default_rng(0).standard_normal((4, 3))

    def step(x: Any, _: Any) -> Any:
        d = x[None] - x[:, None]
        return x + 1e-2 * np.sum(d / np.sqrt(np.sum(d * d, axis=-1) + 1)[..., None], axis=1), None

    f = fg.jit(lambda x: fg.lax.scan(step, x, None, length=5)[0])
    assert f.lower(x).as_text("python").count("np.sqrt(") == 4 + 6
    want = x
    for _ in range(5):
        want = step(want, None)[0]
    np.testing.assert_allclose(f(x), want, rtol=1e-13)
