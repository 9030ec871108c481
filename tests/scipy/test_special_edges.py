"""Are special functions right where their parts are infinite, and for numbers of every kind?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.special as sp

import funcgrad as fg
from funcgrad.scipy import special, stats

mp = mpmath.mp
QUOTIENTS: dict[str, tuple[Callable[..., Any], list[tuple[float, float]]]] = {
    # points where a digamma function has a pole, and the quotient of gamma functions has none
    "beta": (
        lambda a, b: mp.gamma(a) * mp.gamma(b) * mp.rgamma(a + b),
        [(0.5, -0.5), (-1.5, -1.5), (2.5, -4.5), (0.3, -2.3), (0.5, 0.7)],
    ),
    "binom": (
        lambda n, k: mp.gamma(n + 1) * mp.rgamma(k + 1) * mp.rgamma(n - k + 1),
        [(2.0, 5.0), (3.5, -2.0), (0.0, 1.0), (10.0, 30.0), (0.0, -1.0), (4.0, 2.0)],
    ),
    "poch": (
        lambda z, m: mp.gammaprod([z + m], [z]),
        [(-3.0, 0.5), (0.0, 0.5), (-2.0, 2.5), (-3.0, 5.0), (1.5, 2.0)],
    ),
}


@pytest.mark.parametrize("name", QUOTIENTS)
def test_quotients_of_gamma_functions_have_derivatives_at_the_poles_of_their_parts(name: str) -> None:
    exact, points = QUOTIENTS[name]
    function = getattr(special, name)
    derivatives = fg.jit(lambda *x: (fg.grad(function, (0, 1))(*x), fg.hessian(function, (0, 1))(*x)))
    for point in points:
        (by_a, by_b), (a_row, b_row) = derivatives(*point)
        got = [by_a, by_b, a_row[0], a_row[1], b_row[1]]
        with mp.workdps(40):
            at = tuple(map(mp.mpf, point))
            want = [float(mp.diff(exact, at, orders)) for orders in ((1, 0), (0, 1), (2, 0), (1, 1), (0, 2))]
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14, err_msg=f"{name}{point}")


def test_two_poles_leave_a_slope() -> None:
    assert fg.grad(special.beta)(-3.0, 2.0) == pytest.approx(1 / 9 + 1 / 36)  # B(a, 2) = 1/a - 1/(a + 1) there
    assert fg.grad(special.betaln)(-3.0, 2.0) == pytest.approx(5 / 6)
    assert fg.grad(special.poch)(-3.0, 2.0) == pytest.approx(-5.0)


MASSES: dict[str, tuple[Callable[..., Any], float, tuple[float, float, float]]] = {
    # a probability by its parameter, at an end: the value, and two derivatives
    "binom, none, 0": (lambda p: stats.binom.pmf(0, 5, p), 0.0, (1, -5, 20)),
    "binom, one, 0": (lambda p: stats.binom.pmf(1, 5, p), 0.0, (0, 5, -40)),
    "binom, two, 0": (lambda p: stats.binom.pmf(2, 5, p), 0.0, (0, 0, 20)),
    "binom, all, 1": (lambda p: stats.binom.pmf(5, 5, p), 1.0, (1, 5, 20)),
    "binom, many, 1": (lambda p: stats.binom.pmf(1000, 2000, p), 1.0, (0, 0, 0)),
    "binom, outside": (lambda p: stats.binom.pmf(6, 5, p), 0.0, (0, 0, 0)),
    "nbinom, one, 1": (lambda p: stats.nbinom.pmf(1, 3.0, p), 1.0, (0, -3, -18)),
    "nbinom, one, 0": (lambda p: stats.nbinom.pmf(1, 1.0, p), 0.0, (0, 1, -2)),
    "poisson, none": (lambda mu: stats.poisson.pmf(0, mu), 0.0, (1, -1, 1)),
    "poisson, one": (lambda mu: stats.poisson.pmf(1, mu), 0.0, (0, 1, -2)),
    "poisson, two": (lambda mu: stats.poisson.pmf(2, mu), 0.0, (0, 0, 1)),
    "geom, two, 1": (lambda p: stats.geom.pmf(2, p), 1.0, (0, -1, -2)),
    "multinomial": (lambda p: stats.multinomial.pmf([1, 0, 2], 3, np.array([0, 0.4, 0.6]) + p), 0.0, (0, 1.08, 7.2)),
}


@pytest.mark.parametrize("name", MASSES)
def test_probabilities_have_derivatives_at_the_ends_of_their_parameters(name: str) -> None:
    mass, at, want = MASSES[name]
    slope = fg.grad(mass)
    for form in (lambda f: f, fg.jit):
        np.testing.assert_allclose([form(f)(at) for f in (mass, slope, fg.grad(slope))], want, rtol=1e-13)


@pytest.mark.parametrize("name", ["pmf", "logpmf"])
def test_parameters_that_are_none_give_nan_as_in_scipy(name: str) -> None:
    scipy_stats = pytest.importorskip("scipy.stats")
    k = np.array([-1, 0, 1, 2, 5, 2.5, np.nan])
    bad = {
        "binom": [(-1, 0.3), (3, -0.1), (3, 1.1), (np.nan, 0.3)], "nbinom": [(0, 0.3), (3, -0.1), (3.0, 1.1)],
        "geom": [(-0.1,), (1.1,)], "bernoulli": [(-0.1,), (1.1,)], "poisson": [(-1,)],
    }  # fmt: skip
    for distribution, parameters in bad.items():
        for given in parameters:
            want = getattr(getattr(scipy_stats, distribution), name)(k, *given)
            got = getattr(getattr(stats, distribution), name)(k, *given)
            np.testing.assert_array_equal(got, want, err_msg=f"{distribution}{given}")
    np.testing.assert_array_equal(stats.poisson.cdf(k, -1), scipy_stats.poisson.cdf(k, -1))


Z = np.array([[0.5 + 1j, -1.0 - 2j, 2.0 + 0.25j], [700.0 + 3j, 710.0 - 1j, -3.0 + 0j]])


@pytest.mark.parametrize("dtype", ["c8", "c16"])
def test_sums_of_complex_exponentials(dtype: str) -> None:
    z, tolerance = Z.astype(dtype), 1e-5 if dtype == "c8" else 1e-13
    weights = np.array([1.0, -2.0, 0.5])
    calls: list[Callable[..., Any]] = [
        lambda m, z: m.logsumexp(z, axis=1),
        lambda m, z: m.logsumexp(z.real, axis=1, b=1j * weights.astype(z.real.dtype)),
        lambda m, z: m.logsumexp(z, axis=1, b=weights.astype(z.real.dtype), return_sign=True),
        lambda m, z: m.softmax(z[0]),
        lambda m, z: m.log_softmax(z[0]),
    ]
    for call in calls:
        want = call(sp, z)
        for got in (call(special, z), fg.jit(lambda z: call(special, z))(z)):  # noqa: B023
            for g, w in zip(*((x if isinstance(x, tuple) else (x,)) for x in (got, want)), strict=True):
                assert g.dtype == w.dtype
                np.testing.assert_allclose(g, w, rtol=tolerance)
    if dtype == "c16":
        _, slope = fg.jvp(lambda z: special.logsumexp(z[0]), (z,), (np.ones_like(z),))
        np.testing.assert_allclose(slope, 1, rtol=1e-14)
        gradient = fg.grad(lambda z: special.logsumexp(z[0]), holomorphic=True)(z)
        np.testing.assert_allclose(gradient[0], sp.softmax(z[0]), rtol=1e-13)


def test_softmax_of_infinities_is_nan_as_in_scipy() -> None:
    x = np.array([[0.5, np.inf, 2.0], [-np.inf, 1.0, 2.0], [-np.inf, -np.inf, -np.inf]])
    with np.errstate(invalid="ignore"):
        want = sp.softmax(x, axis=1)
    for got in (special.softmax(x, axis=1), fg.jit(lambda x: special.softmax(x, axis=1))(x)):
        np.testing.assert_allclose(got, want, rtol=1e-15)


def test_integers_count_as_float64_however_small() -> None:
    n = np.array([3, 10], np.int8)
    for function, args in (
        (special.factorial, (n,)), (special.comb, (n, n)), (special.logsumexp, (n,)), (special.multigammaln, (n, 1))
    ):  # fmt: skip
        assert function(*args).dtype == np.float64, function.__name__
    assert special.factorial(n)[1] == 3628800.0


def test_orders_may_be_whole_floats() -> None:
    x = np.array([0.5, 2.0, 3.0])
    orders = np.array([1.0, 2.0, 0.5])
    want = np.append(sp.polygamma([1, 2], x[:2]), np.nan)
    np.testing.assert_allclose(special.polygamma(orders, x), want, rtol=1e-15)
    np.testing.assert_allclose(fg.jit(special.polygamma)(orders, x), want, rtol=1e-15)
    assert fg.grad(special.polygamma, argnums=1)(1.0, 2.0) == sp.polygamma(2, 2.0)


def test_combinations_with_repetition_outside_of_counting() -> None:
    n, k = np.array([-0.5, -0.5, 0.0, np.nan, 3.0]), np.array([1.0, 3.0, 0.0, 1.0, 2.0])
    want = sp.comb(n, k, repetition=True)
    np.testing.assert_allclose(special.comb(n, k, repetition=True), want, rtol=1e-15)
    np.testing.assert_allclose(fg.jit(lambda n, k: special.comb(n, k, repetition=True))(n, k), want, rtol=1e-15)
