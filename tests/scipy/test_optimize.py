"""Does `minimize` find minima, compiled, batched and differentiated, and refuse what it cannot do?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.scipy.optimize import minimize

METHODS = ("BFGS", "L-BFGS")


def rosenbrock(x: Any) -> Any:
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def himmelblau(x: Any) -> Any:
    return (x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2


def matyas(x: Any) -> Any:
    return 0.26 * np.sum(x**2) - 0.48 * x[0] * x[1]


def quartic(x: Any) -> Any:
    return np.sum(np.arange(1, len(x) + 1) * (x - 1) ** 4 + (x - 1) ** 2)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    ("fun", "start"),
    [
        (rosenbrock, np.linspace(-1, 1, 7)),
        (himmelblau, np.ones(2)),
        (matyas, np.array([3.0, -2])),
        (quartic, np.zeros(9)),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_minima(fun: Any, start: np.ndarray, method: str, compiled: bool) -> None:
    search = lambda x: minimize(fun, x, method=method, tol=1e-8)  # noqa: E731
    found = (fg.jit(search) if compiled else search)(start)
    assert bool(found.success)
    assert int(found.status) == 0
    assert np.max(np.abs(fg.grad(fun)(np.asarray(found.x)))) <= 1e-8
    assert float(found.fun) == pytest.approx(float(fun(np.asarray(found.x))), abs=1e-14)
    assert int(found.nfev) >= int(found.nit) > 0


def test_the_inverse_hessian() -> None:
    matrix = np.diag([1.0, 4.0, 9.0]) + 0.3
    found = minimize(lambda x: 0.5 * x @ matrix @ x - np.sum(x), np.zeros(3), method="BFGS", tol=1e-10)
    np.testing.assert_allclose(found.x, np.linalg.solve(matrix, np.ones(3)), rtol=1e-7)
    np.testing.assert_allclose(found.hess_inv, found.hess_inv.T, atol=1e-12)
    assert np.all(np.linalg.eigvalsh(found.hess_inv) > 0)
    longer = minimize(rosenbrock, np.array([-1.0, 1.5]), method="BFGS", tol=1e-9)
    curvature = fg.jacfwd(fg.grad(rosenbrock))(np.ones(2))
    np.testing.assert_allclose(longer.hess_inv, np.linalg.inv(curvature), rtol=0.1)


def test_a_batch_takes_each_examples_own_steps() -> None:
    starts = np.random.default_rng(0).normal(size=(4, 3))
    search = lambda x: minimize(rosenbrock, x, method="BFGS")  # noqa: E731
    together = fg.jit(fg.vmap(search))(starts)
    counts = [int(search(x).nit) for x in starts]
    assert together.nit.tolist() == counts
    assert len(set(counts)) > 1
    np.testing.assert_allclose(together.x, 1, atol=1e-4)


def test_arguments_float32_and_too_few_iterations() -> None:
    fun = lambda x, c, scale: np.sum(scale * (x - c) ** 2)  # noqa: E731
    centre = np.arange(3, dtype=np.float32)
    found = minimize(fun, np.zeros(3, np.float32), (centre, np.float32(2)), method="BFGS")
    assert found.x.dtype == np.float32
    np.testing.assert_allclose(found.x, centre, atol=1e-5)
    short = minimize(rosenbrock, np.linspace(-1, 1, 7), method="L-BFGS", options={"maxiter": 3})
    assert (bool(short.success), int(short.status), int(short.nit)) == (False, 1, 3)


def test_at_a_minimum_there_is_nothing_to_do() -> None:
    found = minimize(rosenbrock, np.ones(4), method="BFGS")
    assert (bool(found.success), int(found.nit), int(found.nfev)) == (True, 0, 1)


@pytest.mark.parametrize("method", METHODS)
def test_scales_that_lie_far_apart(method: str) -> None:
    scaled = minimize(lambda x: 1e8 * (x[0] - 1) ** 2 + 1e-4 * (x[1] - 3) ** 2, np.zeros(2), method=method, tol=1e-8)
    np.testing.assert_allclose(scaled.x, [1, 3], rtol=1e-4)
    steep = minimize(lambda x: np.sum(np.exp(x) - x), np.array([30.0, -30.0]), method=method)
    assert bool(steep.success)
    np.testing.assert_allclose(steep.x, 0, atol=1e-4)


@pytest.mark.parametrize("start", [np.array([np.nan, 1.0]), np.array([np.inf, 1.0])], ids=str)
def test_a_start_without_a_value_stays(start: np.ndarray) -> None:
    found = minimize(lambda x: np.sum((x - 1) ** 2), start, method="BFGS")
    assert (bool(found.success), int(found.status), int(found.nit)) == (False, 3, 0)
    np.testing.assert_array_equal(found.x, start)


def test_steps_out_of_the_domain_are_taken_back() -> None:
    found = minimize(lambda x: np.sum(x - np.log(x)), np.array([0.01, 50.0]), method="BFGS")
    np.testing.assert_allclose(found.x, 1, rtol=1e-4)


def test_a_function_in_another_precision_and_results_as_arrays() -> None:
    centre = np.array([0.5, 2.0])  # float64
    found = minimize(lambda x: np.sum((x - centre) ** 2), np.zeros(2, np.float32), method="BFGS")
    np.testing.assert_allclose(found.x, centre, rtol=1e-5)
    assert (found.x.dtype, found.fun.dtype, found.hess_inv.dtype) == ("f4", "f4", "f4")
    assert all(isinstance(value, fg.Array) for value in found)
    nothing = minimize(lambda x: np.sum(x * x), np.zeros(0), method="L-BFGS")
    assert bool(nothing.success)


def test_against_jax() -> None:
    jax = pytest.importorskip("jax")
    from jax.scipy.optimize import minimize as theirs

    with jax.enable_x64(True):
        want = theirs(lambda x: jax.numpy.sum((x - 2) ** 4 + x**2), jax.numpy.zeros(3), method="BFGS", tol=1e-9)
    got = minimize(lambda x: np.sum((x - 2) ** 4 + x**2), np.zeros(3), method="BFGS", tol=1e-9)
    np.testing.assert_allclose(got.x, want.x, rtol=1e-6)  # JAX's line search gives up a little before


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: minimize(rosenbrock, np.ones(2), 3, method="BFGS"), TypeError, "args must be a tuple"),
        (lambda: minimize(rosenbrock, np.ones(2), method="Powell"), ValueError, "'BFGS'"),
        (lambda: minimize(rosenbrock, np.ones((2, 2)), method="BFGS"), TypeError, "vector of floats"),
        (lambda: minimize(rosenbrock, np.ones(2, int), method="BFGS"), TypeError, "vector of floats"),
        (lambda: minimize(lambda x: x, np.ones(2), method="BFGS"), TypeError, "real scalar"),
        (lambda: minimize(rosenbrock, np.ones(2), method="BFGS", options={"ftol": 1}), ValueError, "'ftol'"),
    ],
)
def test_mistakes(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    assert "test_optimize.py" in str(caught.value)
