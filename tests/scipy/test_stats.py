"""Do distributions agree with SciPy's, inside, at the ends of and outside their supports, jitted, differentiated?"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import scipy.stats

import funcgrad as fg
from funcgrad.scipy import stats
from tests.ops.numerics import richardson

REAL = np.array([-30.0, -4.5, -2.0, -1.0, -0.3, 0.0, 0.25, 0.7, 1.0, 1.5, 2.0, 3.0, 6.0, 9.5, 40.0, np.nan])
WHOLE = np.array([-1, 0, 1, 2, 3, 4, 7, 12])
QUANTILES = np.array([0.0, 1e-12, 0.2, 0.5, 0.9, 1.0, -0.5, 1.5, np.nan])
# distribution: shape parameters (several sets), whether it has loc and scale
SHAPES: dict[str, tuple[tuple[float, ...], ...]] = {
    "bernoulli": ((0.3,), (0.0,), (1.0,)),
    "beta": ((2.0, 3.0), (0.5, 0.5), (1.0, 1.0), (30.0, 4.0)),
    "betabinom": ((7, 2.0, 3.0), (3, 0.5, 0.5)),
    "binom": ((7, 0.3), (4, 1.0), (0, 0.5)),
    "cauchy": ((),),
    "chi2": ((1.0,), (2.0,), (7.5,)),
    "expon": ((),),
    "gamma": ((0.5,), (1.0,), (4.5,), (60.0,)),
    "gennorm": ((0.7,), (2.0,), (5.0,)),
    "geom": ((0.3,), (1.0,)),
    "gumbel_l": ((),),
    "gumbel_r": ((),),
    "laplace": ((),),
    "logistic": ((),),
    "nbinom": ((2.0, 0.3), (7.0, 1.0)),
    "norm": ((),),
    "pareto": ((0.5,), (3.0,)),
    "poisson": ((0.0,), (0.7,), (12.0,)),
    "t": ((1.0,), (2.5,), (1e6,)),
    "truncnorm": ((-1.0, 2.0), (1.0, 7.0), (-9.0, -3.0), (-np.inf, 0.5), (8.0, np.inf)),
    "uniform": ((),),
    "vonmises": ((0.0,), (0.7,), (300.0,)),
    "wrapcauchy": ((0.2,), (0.9,)),
}
FUNCTIONS = "pdf logpdf pmf logpmf cdf logcdf sf logsf ppf isf".split()
PAIRS = [(name, function) for name in SHAPES for function in FUNCTIONS if hasattr(getattr(stats, name), function)]


def points(function: str) -> np.ndarray:
    if function in ("ppf", "isf"):
        return QUANTILES
    return np.concatenate([WHOLE.astype(float), [0.5, np.nan]]) if function in ("pmf", "logpmf") else REAL


def placed(name: str, function: str) -> dict[str, float]:
    """Keywords that move and stretch the distribution, where there are such."""
    parameters = inspect.signature(getattr(getattr(stats, name), function)).parameters
    moved = {"loc": 1.0, "scale": 2.0}
    return {key: value for key, value in moved.items() if key in parameters}


@pytest.mark.parametrize(("name", "function"), PAIRS)
def test_values_are_those_of_scipy(name: str, function: str) -> None:
    ours, theirs = (getattr(getattr(m, name), function) for m in (stats, scipy.stats))
    x = points(function)
    for shapes in SHAPES[name]:
        for keywords in ({}, placed(name, function)):
            with np.errstate(all="ignore"):
                want = theirs(x, *shapes, **keywords)
            for form in (ours, fg.jit(ours)):
                got = form(x, *shapes, **keywords)
                assert got.dtype == want.dtype
                atol = 1e-15 if function in ("cdf", "sf", "pdf", "pmf") else 1e-13
                np.testing.assert_allclose(got, want, rtol=2e-12, atol=atol, err_msg=f"{shapes} {keywords}")


@pytest.mark.parametrize(("name", "function"), PAIRS)
def test_float32_stays_float32(name: str, function: str) -> None:
    ours = getattr(getattr(stats, name), function)
    x = points(function).astype(np.float32)
    shapes = tuple(np.float32(s) for s in SHAPES[name][0])
    want = ours(x.astype(np.float64), *map(np.float64, shapes))
    for form in (ours, fg.jit(ours)):
        got = form(x, *shapes)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


SMOOTH = {"beta": 0.4, "wrapcauchy": 1.3, "uniform": 0.4, "pareto": 2.3}


@pytest.mark.parametrize(("name", "function"), [(n, f) for n, f in PAIRS if f not in ("pmf", "ppf", "isf")])
def test_derivatives_by_every_parameter(name: str, function: str) -> None:
    if name == "bernoulli" and function == "cdf":
        x = 0.5
    else:
        x = (
            2.0
            if function == "logpmf" and name != "bernoulli"
            else SMOOTH.get(name, 1.0 if function == "logpmf" else 0.7)
        )
    shapes = next(s for s in SHAPES[name] if all(v not in (0.0, 1.0) and np.isfinite(v) for v in s))
    ours = getattr(getattr(stats, name), function)
    whole = function == "logpmf" or name in ("binom", "poisson", "bernoulli")
    moving = [*(() if whole else (x,)), *(v for v in shapes if isinstance(v, float))]
    still = [*((x,) if whole else ()), *(v for v in shapes if not isinstance(v, float))]
    operands = [np.float64(v) for v in moving]
    if not operands:
        return

    def f(*given: Any) -> Any:
        return ours(*(still + list(given) if whole else list(given)))

    tangents = [np.float64(t) for t in np.linspace(0.5, 1.0, len(operands))]
    _, moved = fg.jvp(f, tuple(operands), tuple(tangents))
    np.testing.assert_allclose(moved, richardson(f, operands, [0.2 * t for t in tangents]) / 0.2, rtol=1e-8, atol=1e-10)
    gradient = fg.jit(fg.grad(f, argnums=tuple(range(len(operands)))))(*operands)
    np.testing.assert_allclose(np.dot(gradient, tangents), moved, rtol=1e-10, atol=1e-14)


def test_no_derivative_outside_of_the_support_is_nan() -> None:
    for name, x, shapes in (
        ("gamma", -1.0, (2.0,)), ("beta", 1.5, (2.0, 3.0)), ("expon", -1.0, ()), ("pareto", 0.5, (2.0,)),
        ("truncnorm", 3.0, (-1.0, 2.0)), ("uniform", 2.0, ()),
    ):  # fmt: skip
        count = tuple(range(1 + len(shapes)))
        assert not np.any(np.isnan(fg.grad(getattr(stats, name).logpdf, argnums=count)(x, *shapes))), name


def test_vmap_over_parameters() -> None:
    a, x = np.array([0.5, 2.0, 9.0]), np.array([0.3, 1.0, 8.0])
    got = fg.jit(fg.vmap(fg.value_and_grad(stats.gamma.cdf, argnums=(0, 1))))(x, a)
    np.testing.assert_allclose(got[0], scipy.stats.gamma.cdf(x, a), rtol=1e-14)
    np.testing.assert_allclose(got[1][0], scipy.stats.gamma.pdf(x, a), rtol=1e-13)


def test_what_jax_has_is_there_with_its_signatures() -> None:
    jax_stats = pytest.importorskip("jax.scipy.stats")
    for name in filter(str.isidentifier, dir(jax_stats)):
        theirs = getattr(jax_stats, name)
        if name.startswith("_"):
            continue
        assert hasattr(stats, name), name
        if not inspect.ismodule(theirs):
            continue
        for function in (f for f in dir(theirs) if not f.startswith("_")):
            ours = getattr(getattr(stats, name), function)
            want = [(p.name, p.default) for p in inspect.signature(getattr(theirs, function)).parameters.values()]
            assert [(p.name, p.default) for p in inspect.signature(ours).parameters.values()] == want, (name, function)


# Distributions of several numbers ------------------------------------------------------------------------------------


def test_dirichlet() -> None:
    alpha = np.array([0.5, 2.0, 3.0])
    x = np.array([[0.2, 0.1, 0.5], [0.3, 0.7, 0.4], [0.5, 0.2, 0.1]])
    want = scipy.stats.dirichlet.logpdf(x, alpha)
    for form in (stats.dirichlet.logpdf, fg.jit(stats.dirichlet.logpdf)):
        np.testing.assert_allclose(form(x, alpha), want, rtol=1e-13)
        np.testing.assert_allclose(form(x[:2], alpha), want, rtol=1e-13)
        np.testing.assert_allclose(form(x[:, 0], alpha), want[0], rtol=1e-13)
        assert form(np.array([0.5, 0.6, 0.5]), alpha) == -np.inf
    np.testing.assert_allclose(stats.dirichlet.pdf(x, alpha), np.exp(want), rtol=1e-13)
    with pytest.raises(ValueError, match=r"shapes \(5,\) and \(3,\)"):
        stats.dirichlet.logpdf(np.ones(5) / 5, alpha)


def test_multinomial() -> None:
    x, p = np.array([[1, 2, 3], [6, 0, 0], [1, 1, 1]]), np.array([0.2, 0.3, 0.5])
    want = scipy.stats.multinomial.logpmf(x, 6, p)
    for form in (stats.multinomial.logpmf, fg.jit(stats.multinomial.logpmf)):
        np.testing.assert_allclose(form(x, 6, p), want, rtol=1e-13)
    np.testing.assert_allclose(stats.multinomial.pmf(x, 6, p), np.exp(want), rtol=1e-13)


def test_multivariate_normal() -> None:
    rng = np.random.default_rng(3)
    mean, root = rng.normal(size=3), rng.normal(size=(3, 3))
    cov, x = root @ root.T + np.eye(3), rng.normal(size=(4, 2, 3))
    want = scipy.stats.multivariate_normal.logpdf(x, mean, cov)
    for form in (stats.multivariate_normal.logpdf, fg.jit(stats.multivariate_normal.logpdf)):
        np.testing.assert_allclose(form(x, mean, cov), want, rtol=1e-12)
        np.testing.assert_allclose(form(x[0, 0], mean, cov), want[0, 0], rtol=1e-12)
        np.testing.assert_allclose(form(x, mean, np.broadcast_to(cov, (2, 3, 3))), want, rtol=1e-12)
        np.testing.assert_allclose(
            form(x, mean, 2.0), scipy.stats.multivariate_normal.logpdf(x, mean, 2.0 * np.eye(3)), rtol=1e-12
        )
        np.testing.assert_allclose(form(x, 0.5, 2.0), scipy.stats.norm.logpdf(x, 0.5, 2.0**0.5), rtol=1e-12)
    gradient = fg.grad(lambda m: np.sum(stats.multivariate_normal.logpdf(x, m, cov)))(mean)
    np.testing.assert_allclose(gradient, np.linalg.solve(cov, np.sum(x - mean, axis=(0, 1))), rtol=1e-11)
    with pytest.raises(ValueError, match=r"\(3,\) and \(2, 2\)"):
        stats.multivariate_normal.logpdf(x, mean, np.eye(2))
    with pytest.raises(NotImplementedError, match="allow_singular"):
        stats.multivariate_normal.logpdf(x, mean, cov, allow_singular=True)


def test_the_entropy_of_poisson_variables() -> None:
    mu = np.array([0.0, 0.3, 1.0, 7.0, 59.0, 61.0, 500.0])
    np.testing.assert_allclose(stats.poisson.entropy(mu), scipy.stats.poisson.entropy(mu), rtol=1e-9, atol=1e-290)
    np.testing.assert_allclose(fg.jit(stats.poisson.entropy)(mu), stats.poisson.entropy(mu), rtol=1e-13)


# Samples -------------------------------------------------------------------------------------------------------------

SAMPLES = np.random.default_rng(5).integers(0, 6, (4, 9, 3))


@pytest.mark.parametrize("method", ["average", "min", "max", "dense", "ordinal"])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_rankdata(method: str, axis: int | None) -> None:
    with_nan = np.where(SAMPLES == 2, np.nan, SAMPLES)[:, :4]
    for x in (SAMPLES, SAMPLES.astype(np.float32), with_nan, with_nan[:0]):
        want = scipy.stats.rankdata(x, method, axis=axis)
        for form in (stats.rankdata, lambda x, **options: fg.jit(lambda x: stats.rankdata(x, **options))(x)):
            np.testing.assert_array_equal(form(x, method=method, axis=axis), want)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_mode(axis: int | None, keepdims: bool) -> None:
    for x in (SAMPLES, SAMPLES.astype(np.float32), np.where(SAMPLES == 2, np.nan, SAMPLES)):
        want = scipy.stats.mode(x, axis=axis, keepdims=keepdims)
        for got in (
            stats.mode(x, axis, keepdims=keepdims),
            fg.jit(lambda x: stats.mode(x, axis, keepdims=keepdims))(x),
        ):
            np.testing.assert_array_equal(got.mode, want.mode)
            np.testing.assert_array_equal(got.count, want.count)


@pytest.mark.parametrize("policy", ["propagate", "omit"])
@pytest.mark.parametrize("axis", [None, 0, -1])
def test_sem(axis: int | None, policy: str) -> None:
    x = np.where((SAMPLES == 2) & (np.arange(3) == 1), np.nan, SAMPLES)
    for data in (x, SAMPLES * 1.0):
        want = scipy.stats.sem(data, axis=axis, nan_policy=policy)
        np.testing.assert_allclose(stats.sem(data, axis, nan_policy=policy), want, rtol=1e-13)
        np.testing.assert_allclose(fg.jit(lambda x: stats.sem(x, axis, nan_policy=policy))(data), want, rtol=1e-13)


def test_unknown_ways_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown method 'best'"):
        stats.rankdata([1, 2], "best")
    with pytest.raises(ValueError, match="nan_policy"):
        stats.mode([1, 2], nan_policy="ignore")
    with pytest.raises(NotImplementedError, match="omit"):
        stats.rankdata([1, 2], nan_policy="omit")
    with pytest.raises(ValueError, match="axis 0 of shape"):
        stats.mode(np.zeros((0, 2)))
    with pytest.raises(TypeError, match="complex"):
        stats.norm.pdf(1j)


@pytest.mark.parametrize("method", [None, "scott", "silverman", 0.3])
@pytest.mark.parametrize("d", [1, 2])
def test_gaussian_kde(method: Any, d: int) -> None:
    rng = np.random.default_rng(d)
    data, points, weights = rng.normal(size=(d, 30)), rng.normal(size=(d, 7)), rng.random(30)
    for w in (None, weights):
        ours, theirs = stats.gaussian_kde(data, method, w), scipy.stats.gaussian_kde(data, method, w)
        np.testing.assert_allclose(ours(points), theirs(points), rtol=1e-12)
        np.testing.assert_allclose(ours.logpdf(points), theirs.logpdf(points), rtol=1e-12)
        np.testing.assert_allclose(ours.integrate_kde(ours), theirs.integrate_kde(theirs), rtol=1e-12)
        want = theirs.integrate_gaussian(np.zeros(d), np.eye(d))
        np.testing.assert_allclose(ours.integrate_gaussian(np.zeros(d), np.eye(d)), want, rtol=1e-12)
        if d == 1:
            np.testing.assert_allclose(ours.integrate_box_1d(-1, 2), theirs.integrate_box_1d(-1, 2), rtol=1e-12)
        through = fg.jit(lambda kde, x: kde.logpdf(x))(ours, points)
        np.testing.assert_allclose(through, theirs.logpdf(points), rtol=1e-12)
    slope = fg.grad(lambda data: np.sum(stats.gaussian_kde(data, method).logpdf(points)))(data)
    assert slope.shape == data.shape
    assert np.all(np.isfinite(slope))


def test_gaussian_kde_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="several elements"):
        stats.gaussian_kde([1.0])
    with pytest.raises(ValueError, match="weights have shape"):
        stats.gaussian_kde([1.0, 2.0], weights=[1.0])
    with pytest.raises(ValueError, match="bw_method"):
        stats.gaussian_kde([1.0, 2.0], bw_method="wide")
    with pytest.raises(ValueError, match="dimension 2"):
        stats.gaussian_kde([1.0, 2.0, 4.0])(np.zeros((2, 3)))


NONE: dict[str, tuple[float, ...]] = {
    "beta": (2.0, -1.0), "chi2": (0.0,), "gamma": (-0.5,), "gennorm": (0.0,), "pareto": (-2.0,), "t": (-1.0,),
    "truncnorm": (2.0, 1.0),
}  # fmt: skip


@pytest.mark.parametrize("name", NONE)
def test_parameters_that_are_none_give_nan(name: str) -> None:
    x = np.array([-3.0, 0.0, 0.5, 7.0])  # outside of the support too
    for mode in FUNCTIONS:
        if function := getattr(getattr(stats, name), mode, None):
            assert np.all(np.isnan(function(x, *NONE[name]))), mode


FAR: dict[str, tuple[tuple[float, ...], list[float]]] = {
    "beta": ((0.5, 0.5), [-3.0, -0.1, 1.1, 50.0]),
    "chi2": ((5.0,), [-3.0, -0.1, 0.0]),
    "expon": ((), [-3.0, -0.1]),
    "gamma": ((0.5,), [-3.0, -0.1]),
    "gumbel_l": ((), [1000.0]),
    "gumbel_r": ((), [-1000.0]),
    "pareto": ((2.0,), [-3.0, 0.5]),
    "truncnorm": ((0.0, np.inf), [-3.0, -0.1]),
    "uniform": ((), [-3.0, 1.5]),
}


@pytest.mark.parametrize("name", FAR)
@pytest.mark.parametrize("mode", ["pdf", "cdf", "sf", "logcdf", "logsf"])
def test_nothing_changes_outside_of_the_support(name: str, mode: str) -> None:
    parameters, points = FAR[name]
    function = getattr(getattr(stats, name), mode, None)
    if function is None or (name.startswith("gumbel") and mode.startswith("log")):
        pytest.skip(f"{name}.{mode} is not there, or not flat")
    x = np.array(points)
    np.testing.assert_array_equal(fg.grad(lambda x: function(x, *parameters).sum())(x), np.zeros(x.shape))


@pytest.mark.parametrize("mode", ["cdf", "sf", "logcdf", "logsf"])
def test_an_open_end_has_no_derivative_of_its_own(mode: str) -> None:
    function = getattr(stats.truncnorm, mode)
    want = richardson(lambda a: function(1.5, a, np.inf), [np.float64(0.25)], [1.0], 1e-3)
    np.testing.assert_allclose(fg.grad(lambda a: function(1.5, a, np.inf))(0.25), want, rtol=1e-9)


def test_densities_at_the_ends_of_the_support() -> None:
    assert fg.grad(stats.gamma.pdf)(0.0, 2.0) == 0
    assert fg.grad(stats.beta.pdf)(1.0, 2.0, 3.0) == 0
    assert fg.grad(lambda p: stats.geom.pmf(2, p))(1.0) == -1
    assert fg.grad(lambda p: stats.bernoulli.pmf(1, p))(0.0) == 1
    np.testing.assert_allclose(fg.grad(stats.gennorm.cdf)(0.0, 2.0), stats.gennorm.pdf(0.0, 2.0), rtol=1e-15)


@pytest.mark.parametrize("name", ["gumbel_l", "gumbel_r"])
def test_far_tails_of_extreme_values(name: str) -> None:
    x = np.array([-600.0, -50.0, -30.0, -0.5, 0.3, 2.0, 30.0, 50.0, 600.0])
    for mode in ("logcdf", "logsf"):
        with np.errstate(over="ignore"):
            want = getattr(getattr(scipy.stats, name), mode)(x)
        np.testing.assert_allclose(getattr(getattr(stats, name), mode)(x), want, rtol=1e-13)
    log_of_rest = stats.gumbel_l.logcdf if name == "gumbel_l" else lambda x: stats.gumbel_r.logsf(-x)
    np.testing.assert_allclose(fg.value_and_grad(log_of_rest)(-800.0), (-800.0, 1.0), rtol=1e-15)  # SciPy: -inf
