"""Does `odeint` solve equations to their tolerances, differentiate them both ways, and refuse what it cannot solve?"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import funcgrad as fg
from funcgrad.experimental.ode import odeint

T = np.linspace(0, 5, 6)
METHODS = ["adjoint", "discrete"]


def oscillator(y: Any, t: Any, stiffness: Any, friction: Any) -> Any:
    """A driven oscillator on a pytree."""
    return {"x": y["v"], "v": -stiffness * y["x"] - friction * y["v"] + 0.1 * np.sin(t)}


def volterra(y: Any, t: Any, rates: Any) -> Any:
    """Predators and prey."""
    return np.stack([rates[0] * y[0] - y[0] * y[1], y[0] * y[1] - rates[1] * y[1]])


RATES, PREY = np.array([1.1, 0.7]), np.array([1.0, 0.5])


def exact(t: np.ndarray, rates: np.ndarray = RATES, y0: np.ndarray = PREY) -> np.ndarray:
    found = solve_ivp(
        lambda t, y: volterra(y, t, rates), (t[0], t[-1]), y0, t_eval=t, rtol=1e-13, atol=1e-13, method="DOP853"
    )
    return found.y.T


@pytest.mark.parametrize("tolerance", [1e-4, 1e-6, 1e-8, 1e-10])
def test_errors_follow_the_tolerance(tolerance: float) -> None:
    got = odeint(volterra, PREY, T, RATES, rtol=tolerance, atol=tolerance)
    assert np.abs(got - exact(T)).max() < 100 * tolerance


def test_between_steps_the_solution_is_as_exact() -> None:
    many = np.linspace(0, 10, 2001)  # some thirty steps
    got = odeint(volterra, PREY, many, RATES, rtol=1e-6, atol=1e-6)
    assert np.abs(got - exact(many)).max() < 1e-4
    few = odeint(volterra, PREY, many[::500], RATES, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(got[::500], few)  # steps do not depend on where the solution is asked for


def test_a_pytree_as_in_jax() -> None:
    jax = pytest.importorskip("jax")
    ode = pytest.importorskip("jax.experimental.ode")
    y0 = {"x": 1.0, "v": np.array(0.0)}
    with jax.enable_x64(True):
        ported = type(oscillator)(oscillator.__code__, {"np": jax.numpy})
        want = ode.odeint(ported, jax.tree.map(jax.numpy.asarray, y0), T, 1.3, 0.2)

        def loss(odeint: Any, function: Any, x: Any, stiffness: Any, t: Any) -> Any:
            return (odeint(function, {"x": x, "v": 0.0 * x}, t, stiffness, 0.2)["x"] ** 2).sum()

        slopes = jax.jit(jax.grad(partial(loss, ode.odeint, ported), (0, 1, 2)))(1.0, 1.3, jax.numpy.asarray(T))
    got = fg.jit(partial(odeint, oscillator))(y0, T, 1.3, 0.2)
    for name in y0:
        np.testing.assert_allclose(got[name], want[name], atol=1e-6)
    for method in METHODS:
        ours = fg.jit(fg.grad(partial(loss, partial(odeint, gradient=method), oscillator), (0, 1, 2)))(1.0, 1.3, T)
        for a, b in zip(ours, slopes, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def loss(method: str) -> Any:
    def f(y0: Any, rates: Any, t: Any) -> Any:
        ys = odeint(volterra, y0, t, rates, gradient=method, rtol=1e-10, atol=1e-10)
        return np.sum(np.sin(ys) * np.arange(2 * len(T)).reshape(-1, 2) * 0.1)

    return f


@pytest.mark.parametrize("method", METHODS)
def test_gradients_are_differences(method: str) -> None:
    def value(y0: np.ndarray, rates: np.ndarray, t: np.ndarray) -> float:
        return float(np.sum(np.sin(exact(t, rates, y0)) * np.arange(2 * len(T)).reshape(-1, 2) * 0.1))

    got = fg.jit(fg.grad(loss(method), (0, 1, 2)))(PREY, RATES, T)
    directions = (np.array([1.0, -0.5]), np.array([0.3, 1.0]), np.cos(T))
    for k, d in enumerate(directions):
        args = [PREY, RATES, T]
        ends = [value(*(a + s * 1e-4 * d if i == k else a for i, a in enumerate(args))) for s in (1, -1)]
        assert np.sum(got[k] * d) == pytest.approx((ends[0] - ends[1]) / 2e-4, rel=2e-6)


def test_modes_and_orders_agree() -> None:
    by_steps, adjoint = (fg.jit(fg.grad(loss(m), 1)) for m in ("discrete", "adjoint"))
    f = loss("adjoint")
    _, moved = fg.jvp(lambda r: f(PREY, r, T), (RATES,), (np.ones(2),))
    np.testing.assert_allclose(moved, np.sum(by_steps(PREY, RATES, T)), rtol=1e-8)
    np.testing.assert_allclose(adjoint(PREY, RATES, T), by_steps(PREY, RATES, T), rtol=1e-6)

    def small(rate: Any, method: str) -> Any:
        return odeint(lambda y, t: -rate * y * y, 1.0, np.array([0.0, 1.0]), gradient=method)[-1]

    for method in METHODS:  # y = 1 / (1 + rate), whose second derivative is 2 / (1 + rate)**3
        slope = fg.jit(fg.grad(partial(small, method=method)))
        assert float(fg.jit(fg.grad(slope))(0.5)) == pytest.approx(2 / 1.5**3, rel=1e-6)
        assert float(fg.jit(lambda r, s=slope: fg.jvp(s, (r,), (1.0,))[1])(0.5)) == pytest.approx(2 / 1.5**3, rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_each_example_takes_its_own_steps(method: str) -> None:
    def last(rate: Any, y0: Any) -> Any:
        return odeint(lambda y, t: -rate * y, y0, np.array([0.0, 0.3, 1.0]), gradient=method)[-1]

    rates = np.array([0.1, 30.0, 3.0])
    got, slopes = fg.jit(fg.vmap(fg.value_and_grad(last), (0, None)))(rates, 2.0)
    np.testing.assert_array_equal(got, [last(r, 2.0) for r in rates])
    np.testing.assert_allclose(slopes, -2 * np.exp(-rates), atol=1e-7)
    np.testing.assert_allclose(
        fg.grad(lambda y0: np.sum(fg.vmap(last, (0, None))(rates, y0)))(2.0), np.exp(-rates).sum()
    )


def test_backwards_in_time() -> None:
    there = odeint(volterra, PREY, T, RATES, rtol=1e-11, atol=1e-11)
    back = odeint(volterra, there[-1], T[::-1], RATES, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(back[::-1], there, atol=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_gradients_by_times_that_run_backwards(method: str) -> None:
    slope = fg.grad(lambda t: odeint(lambda y, t: y * np.cos(t), 1.0, t, gradient=method)[-1])
    y = np.exp(np.sin(-0.5) - np.sin(2.0))
    np.testing.assert_allclose(slope(np.array([2.0, 1.0, -0.5])), [-y * np.cos(2.0), 0, y * np.cos(-0.5)], atol=1e-6)


def test_what_func_closes_over_is_differentiated() -> None:
    @fg.jit
    def f(rate: Any) -> Any:
        return odeint(lambda y, t: -rate * y, 1.0, np.array([0.0, 1.0]))[-1]

    assert float(fg.grad(f)(0.5)) == pytest.approx(-np.exp(-0.5), rel=1e-6)


def test_dtypes() -> None:
    t = np.array([0.0, 1.0])
    single = odeint(lambda y, t: -y, np.float32(1), t, rtol=1e-5, atol=1e-5)
    assert single.dtype == np.float32
    assert float(single[-1]) == pytest.approx(np.exp(-1), rel=1e-4)
    assert odeint(lambda y, t: -y, 1, [0, 1]).dtype == np.float64
    turned = odeint(lambda z, t: 1j * z, 1 + 0j, np.array([0.0, np.pi]))
    np.testing.assert_allclose(turned, [1, -1], atol=1e-6)
    for method in METHODS:
        slope = fg.grad(lambda w, m=method: odeint(lambda z, t: 1j * w * z, 1 + 0j, t, gradient=m)[-1].real)(0.7)
        assert float(slope) == pytest.approx(-np.sin(0.7), rel=1e-6)
    counted = odeint(lambda y, t, n: n * y, 1.0, t, 2)  # an integer argument has no derivative
    assert float(counted[-1]) == pytest.approx(np.exp(2), rel=1e-6)


def test_small_cases() -> None:
    assert odeint(lambda y, t: -y, 1.0, np.array([3.0])).tolist() == [1.0]
    assert odeint(lambda y, t: y, (), T) == ()
    assert odeint(lambda y, t: 0 * y, np.ones((2, 0)), T).shape == (6, 2, 0)
    np.testing.assert_array_equal(odeint(lambda y, t: 0 * y, 2.0, T), np.full(6, 2.0))
    repeated = odeint(lambda y, t: -y, 1.0, np.array([0.0, 0.0, 1.0, 1.0]))
    np.testing.assert_allclose(repeated, np.exp([0, 0, -1, -1]), rtol=1e-6)


def test_the_longest_step_is_kept() -> None:
    pulse = lambda y, t: np.exp(-(((t - 50) / 0.1) ** 2)) + 0 * y  # noqa: E731
    t = np.array([0.0, 100.0])
    found = odeint(pulse, 0.0, t, hmax=0.1)[-1]
    assert float(found) == pytest.approx(0.1 * np.sqrt(np.pi), rel=1e-6)


def test_where_steps_run_out_or_the_solution_ends_there_is_nan() -> None:
    few = odeint(volterra, PREY, T, RATES, mxstep=3)
    assert np.isfinite(few[0]).all()
    assert np.isnan(few[-1]).all()
    ends = odeint(lambda y, t: y * y, 1.0, np.array([0.0, 0.5, 2.0]))  # 1 / (1 - t)
    assert float(ends[1]) == pytest.approx(2, rel=1e-6)
    assert np.isnan(ends[2])
    undefined = odeint(lambda y, t: np.log(-y), 1.0, np.array([0.0, 1.0]))
    assert np.isnan(undefined[1])


def test_the_adjoint_keeps_the_solution_only() -> None:
    def kept(method: str, end: float) -> int:
        f = lambda y: odeint(volterra, y, np.array([0.0, end]), RATES, gradient=method)[-1][0]  # noqa: E731
        return fg.debug.saved_residuals(f)(PREY).bytes

    assert kept("adjoint", 1) == kept("adjoint", 1000) < 200


MISTAKES: dict[str, tuple[Any, type[Exception], str]] = {
    "t of rank 0": (lambda: odeint(lambda y, t: y, 1.0, 1.0), ValueError, r"t must be 1-d and not empty.*shape \(\)"),
    "t of rank 2": (lambda: odeint(lambda y, t: y, 1.0, np.ones((2, 2))), ValueError, r"t must be 1-d.*\(2, 2\)"),
    "no t": (lambda: odeint(lambda y, t: y, 1.0, np.ones(0)), ValueError, "t must be 1-d and not empty"),
    "t to and fro": (lambda: odeint(lambda y, t: y, 1.0, np.array([0.0, 2, 1])), ValueError, "increase or decrease"),
    "nan in t": (lambda: odeint(lambda y, t: y, 1.0, np.array([0.0, np.nan])), ValueError, "increase or decrease"),
    "complex t": (lambda: odeint(lambda y, t: y, 1.0, np.array([0j, 1])), TypeError, "t must be real"),
    "text": (lambda: odeint(lambda y, t: y, "one", T), TypeError, "y0"),
    "booleans": (lambda: odeint(lambda y, t: y, True, T), TypeError, "y0 must be numbers"),
    "structure": (lambda: odeint(lambda y, t: [y], 1.0, T), TypeError, r"func returns the structure .*but y0 has"),
    "shape": (
        lambda: odeint(lambda y, t: {"a": np.stack([y["a"], t])}, {"a": 1.0}, T),
        TypeError,
        r"func returns f64\[2\] at .*a.*y0 has f64\[\]",
    ),
    "complex slope": (lambda: odeint(lambda y, t: 1j * y, 1.0, T), TypeError, r"func returns c128\[\].*f64\[\]"),
    "an argument": (lambda: odeint(lambda y, t, a: y, 1.0, T, "a"), TypeError, "arguments of func must be arrays"),
    "tolerance": (lambda: odeint(lambda y, t: y, 1.0, T, rtol=-1), ValueError, "rtol and atol must not be negative"),
    "no tolerance": (lambda: odeint(lambda y, t: y, 1.0, T, rtol=0, atol=0), ValueError, "nor both 0"),
    "no steps": (lambda: odeint(lambda y, t: y, 1.0, T, mxstep=0), ValueError, "mxstep and hmax must be positive"),
    "method": (lambda: odeint(lambda y, t: y, 1.0, T, gradient="both"), ValueError, '"adjoint" or "discrete"'),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str) -> None:
    call, kind, message = MISTAKES[name]
    with pytest.raises(kind, match=message):
        call()
