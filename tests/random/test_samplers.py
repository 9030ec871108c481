"""Do samplers work under jit, vmap and grad, and have their numbers the distributions that they are named after?"""

from __future__ import annotations

import inspect
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from scipy import special, stats

import funcgrad as fg
from funcgrad import random
from tests.random.record import NAMES

KEY = random.key(11)
# each sampler: its arguments after the key
CALLS = {
    "ball": "3, shape=(2,)", "bernoulli": "0.3, (4,)", "beta": "2.0, 3.0, (4,)", "binomial": "20, 0.4, (4,)",
    "bits": "(4,)", "categorical": "p, shape=(4,)", "cauchy": "(4,)", "chisquare": "3.0, (4,)", "choice": "9, (4,)",
    "dirichlet": "a, (2,)", "double_sided_maxwell": "1.0, 2.0, (4,)", "exponential": "(4,)", "f": "3.0, 4.0, (4,)",
    "fold_in": "3", "gamma": "2.0, (4,)", "generalized_normal": "1.5, (4,)", "geometric": "0.3, (4,)",
    "gumbel": "(4,)", "laplace": "(4,)", "loggamma": "2.0, (4,)", "logistic": "(4,)", "lognormal": "0.5, (4,)",
    "maxwell": "(4,)", "multinomial": "10, p", "multivariate_normal": "a[:3], cov, (2,)", "normal": "(4,)",
    "orthogonal": "2", "pareto": "2.0, (4,)", "permutation": "7", "poisson": "4.0, (4,)", "rademacher": "(4,)",
    "randint": "(4,), 0, 9", "rayleigh": "2.0, (4,)", "split": "3", "t": "3.0, (4,)",
    "triangular": "0.0, 0.5, 1.0, (4,)", "truncated_normal": "-1.0, 2.0, (4,)", "uniform": "(4,)",
    "wald": "2.0, (4,)", "weibull_min": "2.0, 1.5, (4,)",
    "clone": "",
}  # fmt: skip
KEYS_ONLY = {"PRNGKey", "key", "key_data", "key_dtype", "key_impl", "wrap_key_data"}


def sampler(name: str):
    arguments = eval(f"(lambda *args, **kwargs: (args, kwargs))({CALLS[name]})", NAMES)
    return lambda key: getattr(random, name)(key, *arguments[0], **arguments[1])


def test_every_name_has_a_call():
    assert CALLS.keys() | KEYS_ONLY == set(random.__all__)
    assert all(getattr(random, name).__doc__ for name in random.__all__)


@pytest.mark.parametrize("name", CALLS)
def test_jit_and_vmap_give_the_same_numbers(name):
    keys, sample = random.split(KEY, 3), sampler(name)
    single = np.stack([sample(key) for key in keys])
    np.testing.assert_allclose(fg.jit(sample)(keys[0]), single[0], rtol=1e-13)
    np.testing.assert_allclose(fg.jit(fg.vmap(sample))(keys), single, rtol=1e-13)


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32, np.uint32, np.int64, np.uint64])
@pytest.mark.parametrize(
    ("low", "high"), [(0, 2), (3, 4), (0, 64), (0, 1 << 16), (5, 5 + (1 << 30)), (0, 1 << 31), (5, 5)]
)
def test_integers_within_known_limits_are_those_within_traced_ones(dtype: type, low: int, high: int) -> None:
    traced = fg.jit(lambda low, high: random.randint(KEY, (100,), low, high, dtype))(np.int64(low), np.int64(high))
    np.testing.assert_array_equal(random.randint(KEY, (100,), low, high, dtype), traced)


@pytest.mark.parametrize("name", ["uniform", "normal", "randint", "gamma", "permutation", "poisson"])
def test_the_number_of_threads_changes_nothing(name):
    call = {
        "gamma": lambda: random.gamma(KEY, 2.0, (20_000,)),
        "permutation": lambda: random.permutation(KEY, 200_000),
        "poisson": lambda: random.poisson(KEY, 5.0, (100_000,)),
        "randint": lambda: random.randint(KEY, (100_000,), 0, 10),
    }.get(name, lambda: getattr(random, name)(KEY, (100_003,)))
    before = fg.get_num_threads()
    try:
        fg.set_num_threads(1)
        single = call()
    finally:
        fg.set_num_threads(before)
    np.testing.assert_array_equal(call(), single)


def test_an_element_depends_on_its_place_alone():
    """What the partitionable scheme promises: a longer sample begins with a shorter one."""
    np.testing.assert_array_equal(random.bits(KEY, (100,))[:7], random.bits(KEY, (7,)))
    np.testing.assert_array_equal(random.normal(KEY, (4, 6)).ravel(), random.normal(KEY, (24,)))


def test_keys_may_be_strided_and_shapes_empty():
    keys = random.split(KEY, 4)
    wide = np.zeros((4, 4), np.uint32)
    wide[:, ::2] = keys
    np.testing.assert_array_equal(random.bits(wide[2, ::2], (3,)), random.bits(keys[2], (3,)))
    for name in ("uniform", "normal", "bits", "exponential"):
        assert getattr(random, name)(KEY, (0, 3)).shape == (0, 3)
    assert random.gamma(KEY, np.zeros((0,))).shape == (0,)
    assert random.split(KEY, 0).shape == (0, 2)
    assert random.permutation(KEY, 0).shape == random.choice(KEY, 0, (0,)).shape == (0,)
    assert random.randint(KEY, (0,), 0, 5).shape == random.poisson(KEY, 3.0, (0,)).shape == (0,)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_matrices_of_half_precision_are_factorised_in_float32(dtype):
    q = random.orthogonal(KEY, 4, (2,), dtype, m=3)
    assert q.dtype == dtype
    wide = q.astype(np.float64)
    np.testing.assert_allclose(
        np.swapaxes(wide, 1, 2) @ wide, [np.eye(3)] * 2, atol=3 * float(ml_dtypes.finfo(dtype).eps)
    )
    mean, cov = np.arange(3).astype(dtype), (np.eye(3) + 1).astype(dtype)
    for method in ("cholesky", "eigh", "svd"):
        drawn = random.multivariate_normal(KEY, mean, cov, (4000,), method=method)
        assert drawn.dtype == dtype
        np.testing.assert_allclose(np.cov(drawn.astype(np.float64), rowvar=False), cov.astype(float), atol=0.15)


def test_known_limits_do_not_load_scipy_special():
    text = "import sys, funcgrad as fg; r = fg.random; fg.jit(lambda k: r.truncated_normal(k, -1.0, 1.0))(r.key(0)); "
    done = subprocess.run([sys.executable, "-c", f"{text}print('scipy.special' in sys.modules)"], capture_output=True)
    assert done.stdout == b"False\n", done.stderr


def test_wald_numbers_of_large_means_keep_their_digits():
    """For a mean without end the distribution is that of 1 / z² (Lévy's)."""
    z = random.normal(random.split(KEY)[0], (50,))
    np.testing.assert_allclose(random.wald(KEY, 1e100, (50,)), 1 / z**2, rtol=1e-13)
    assert np.isfinite(random.wald(KEY, np.float32(1e18), (50,), np.float32)).all()
    assert np.isnan(random.wald(KEY, np.array([-1.0, 0.0, np.nan]), (9, 3))).all()


def test_keys_are_traced():
    assert fg.jit(random.key)(np.int64(-5)).tolist() == random.key(-5).tolist()
    assert fg.jit(random.key)(np.int32(-5)).tolist() == random.key(np.int32(-5)).tolist() == [0, 2**32 - 5]
    assert fg.vmap(random.key)(np.arange(3)).tolist() == [[0, 0], [0, 1], [0, 2]]
    steps = fg.jit(fg.vmap(random.fold_in, (None, 0)))(KEY, np.arange(3))
    np.testing.assert_array_equal(steps, [random.fold_in(KEY, n) for n in range(3)])


# Derivatives ---------------------------------------------------------------------------------------------------------


LARGE = 10**12  # elements that no memory has
HUGE = {
    "bernoulli": "0.3, (n,)", "beta": "2.0, 3.0, (n,)", "binomial": "20, 0.4, (n,)", "bits": "(n,)",
    "categorical": "p, shape=(n,)", "cauchy": "(n,)", "choice": "9, (n,)", "dirichlet": "a, (n,)",
    "exponential": "(n,)", "gamma": "2.0, (n,)", "geometric": "0.3, (n,)", "gumbel": "(n,)", "laplace": "(n,)",
    "logistic": "(n,)", "maxwell": "(n,)", "multinomial": "10, p[:2], shape=(n, 2)",
    "multivariate_normal": "a[:3], cov, (n,)", "normal": "(n,)", "orthogonal": "2, (n,)", "permutation": "n",
    "poisson": "4.0, (n,)", "rademacher": "(n,)", "randint": "(n,), 0, 9", "split": "n", "t": "3.0, (n,)",
    "truncated_normal": "-1.0, 2.0, (n,)", "uniform": "(n,)",
}  # fmt: skip


@pytest.mark.parametrize("name", HUGE)
def test_tracing_makes_no_array_of_the_size(name):
    arguments, given = eval(f"(lambda *args, **kwargs: (args, kwargs))({HUGE[name]})", {**NAMES, "n": LARGE})

    def draw(key, scale):
        found = getattr(random, name)(key, *arguments, **given)
        return (found * scale).sum() if found.dtype.kind == "f" else found

    shape = fg.eval_shape(fg.jit(draw), KEY, 2.0).shape
    assert fg.eval_shape(fg.jit(fg.vmap(draw, (0, None))), np.stack([KEY, KEY]), 2.0).shape == (2, *shape)
    if shape == ():
        assert fg.eval_shape(fg.jit(fg.value_and_grad(draw, 1)), KEY, 2.0)[1].shape == ()


def test_derivatives_of_places_and_scales():
    low, high = fg.grad(lambda ends: random.uniform(KEY, (), None, ends[0], ends[1]))((1.0, 3.0))
    u = random.uniform(KEY)
    np.testing.assert_allclose([low, high], [1 - u, u], rtol=1e-15)
    slope = fg.jit(fg.grad(lambda s: random.lognormal(KEY, s)))(0.5)
    z = random.normal(KEY)
    np.testing.assert_allclose(slope, z * np.exp(0.5 * z), rtol=1e-14)


@pytest.mark.parametrize("a", [0.2, 1.0, 4.5])
def test_implicit_derivatives_of_gamma_numbers(a):
    """The derivative of the quantile function at a fixed probability, by differences."""
    x, slope = fg.value_and_grad(lambda a: random.gamma(KEY, a))(a)
    p, h = special.gammainc(a, x), 1e-5 * a
    want = (special.gammaincinv(a + h, p) - special.gammaincinv(a - h, p)) / (2 * h)
    np.testing.assert_allclose(slope, want, rtol=1e-6)
    log_slope = fg.jit(fg.grad(lambda a: random.loggamma(KEY, a)))(a)
    np.testing.assert_allclose(log_slope, slope / x, rtol=1e-12)


MADE_OF_GAMMA = {
    "beta": lambda key, a: random.beta(key, a, 2.0),
    "chisquare": random.chisquare,
    "dirichlet": lambda key, a: (random.dirichlet(key, np.ones(3) * a) * np.arange(3.0)).sum(),
    "t": random.t,
}


@pytest.mark.parametrize("name", MADE_OF_GAMMA)
def test_derivatives_go_through_what_gamma_numbers_are_made_into(name):
    keys = random.split(KEY, 4)

    def means(a):
        return fg.vmap(lambda key: MADE_OF_GAMMA[name](key, a))(keys).sum()

    slope = fg.grad(means)(1.5)
    assert np.isfinite(slope)
    np.testing.assert_allclose(fg.jit(fg.grad(means))(1.5), slope, rtol=1e-9)
    assert fg.jvp(means, (1.5,), (1.0,))[1] == pytest.approx(slope, rel=1e-9)


# Distributions -------------------------------------------------------------------------------------------------------

CONTINUOUS = {
    "uniform": ("", "(n,)", stats.uniform()),
    "normal": ("", "(n,)", stats.norm()),
    "truncated_normal": ("-1.0, 2.0", ", (n,)", stats.truncnorm(-1, 2)),
    "exponential": ("", "(n,)", stats.expon()),
    "gumbel": ("", "(n,)", stats.gumbel_r()),
    "laplace": ("", "(n,)", stats.laplace()),
    "logistic": ("", "(n,)", stats.logistic()),
    "cauchy": ("", "(n,)", stats.cauchy()),
    "maxwell": ("", "(n,)", stats.maxwell()),
    "gamma": ("0.7", ", (n,)", stats.gamma(0.7)),
    "beta": ("0.7, 2.0", ", (n,)", stats.beta(0.7, 2.0)),
    "t": ("3.0", ", (n,)", stats.t(3.0)),
    "chisquare": ("3.0", ", (n,)", stats.chi2(3.0)),
    "f": ("3.0, 5.0", ", (n,)", stats.f(3.0, 5.0)),
    "pareto": ("2.0", ", (n,)", stats.pareto(2.0)),
    "weibull_min": ("2.0, 1.5", ", (n,)", stats.weibull_min(1.5, scale=2.0)),
    "rayleigh": ("2.0", ", (n,)", stats.rayleigh(scale=2.0)),
    "wald": ("2.0", ", (n,)", stats.invgauss(2.0)),
    "triangular": ("0.0, 0.25, 1.0", ", (n,)", stats.triang(0.25)),
    "lognormal": ("0.5", ", (n,)", stats.lognorm(0.5)),
    "generalized_normal": ("1.5", ", (n,)", stats.gennorm(1.5)),
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_distribution(name):
    """Kolmogorov's and Smirnov's test of 5,000 numbers; the key is fixed, so that it passes always or never."""
    first, last, distribution = CONTINUOUS[name]
    x = eval(f"sample(key, {first}{last})", {"sample": getattr(random, name), "key": KEY, "n": 5000})
    assert stats.kstest(x, distribution.cdf).pvalue > 1e-3


DISCRETE = {
    "poisson": ("6.0, (n,)", stats.poisson(6.0)),
    "binomial": ("40, 0.4, (n,)", stats.binom(40, 0.4)),
    "geometric": ("0.3, (n,)", stats.geom(0.3)),
    "randint": ("(n,), 3, 11", stats.randint(3, 11)),
}


@pytest.mark.parametrize("name", DISCRETE)
def test_discrete_distribution(name):
    arguments, distribution = DISCRETE[name]
    n = 5000
    x = eval(f"sample(key, {arguments})", {"sample": getattr(random, name), "key": KEY, "n": n})
    values = np.arange(distribution.ppf(0.01), distribution.ppf(0.99))
    counts, expected = [(x == v).sum() for v in values], n * distribution.pmf(values)
    assert stats.chisquare([*counts, n - sum(counts)], [*expected, n - sum(expected)]).pvalue > 1e-3


def test_categories_have_their_probabilities():
    p = np.array([0.1, 0.2, 0.7])
    x = random.categorical(KEY, np.log(p), shape=(5000,))
    assert stats.chisquare(np.bincount(x), 5000 * p).pvalue > 1e-3
    without = random.categorical(KEY, np.log(p), shape=(3,), replace=False)
    assert sorted(without) == [0, 1, 2]


def test_orthogonal_matrices_and_balls():
    q = random.orthogonal(KEY, 5, (3,))
    np.testing.assert_allclose(q @ q.mT, np.broadcast_to(np.eye(5), (3, 5, 5)), atol=1e-14)
    x = random.ball(KEY, 2, shape=(5000,))
    assert stats.kstest((x**2).sum(-1), "uniform").pvalue > 1e-3  # the area within a radius


def test_permutations_of_rows_keep_rows_together():
    x = np.arange(12).reshape(4, 3)
    got = random.permutation(KEY, x)
    assert sorted(got[:, 0]) == [0, 3, 6, 9]
    np.testing.assert_array_equal(got - got[:, :1], np.tile([0, 1, 2], (4, 1)))


def test_signatures_have_jax_order():
    jax = pytest.importorskip("jax")
    for name in random.__all__:
        theirs = [
            p for p in inspect.signature(getattr(jax.random, name)).parameters if p not in ("out_sharding", "unroll")
        ]
        assert list(inspect.signature(getattr(random, name)).parameters) == theirs, name
