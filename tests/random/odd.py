"""Which calls are out of the ordinary, and what does JAX give for them?  A table of texts for `tests.random.record`.

Empty and broadcast shapes, narrow dtypes, parameters out of their range, batches of keys, derivatives, loops. Integers
must be the same, floats within rounding. What differs on purpose stands in docs/differences.md instead.
"""

from __future__ import annotations

KEYS = (
    "split(key, (0, 2))",
    "split(key, ())",
    "split(key, True)",
    "fold_in(key, 2**32 - 1)",
    "fold_in(key, np.int64(-1))",
    "fold_in(key, np.int64(2**40))",
    "fold_in(key, True)",
    "PRNGKey(True)",
    "PRNGKey(-2**63)",
    "PRNGKey(np.uint8(200))",
    "vmap(uniform)(split(key, 4))",
    "vmap(lambda k: split(k, 3))(split(key, 4))",
    "vmap(vmap(uniform))(split(key, (2, 3)))",
    "vmap(fold_in, (None, 0))(key, np.arange(5))",
    "vmap(fold_in, (0, None))(split(key, 4), 7)",
    "vmap(PRNGKey)(np.arange(4))",
    "vmap(PRNGKey)(np.arange(4, dtype=np.int8))",
    "jit(lambda s: uniform(PRNGKey(s), (2,)))(-5)",
    "jit(lambda k: split(k, 3))(key)",
)

SHAPES = (
    *(
        f"{name}(key, {first}{shape})"
        for shape in ("()", "(3, 0, 2)", "[2, 3]")
        for name, first in {
            "uniform": "",
            "normal": "",
            "maxwell": "",
            "rademacher": "",
            "orthogonal": "2, ",
            "generalized_normal": "1.5, ",
            "gamma": "2.0, ",
            "binomial": "9, 0.3, ",
            "t": "3.0, ",
            "ball": "3, 2.0, ",
            "weibull_min": "2.0, 3.0, ",
            "multivariate_normal": "np.zeros(3), cov, ",
            "categorical": "p, -1, ",
            "choice": "5, ",
            "poisson": "3.0, ",
        }.items()
    ),
    "choice(key, grid, (), axis=-1)",
    "choice(key, grid, (2, 2), axis=1, replace=False)",
    "choice(key, 5, (0,))",
    "choice(key, grid, (4,), axis=1, p=np.ones(4) / 4)",
    "choice(key, grid, (3,), replace=False, axis=-2)",
    "choice(key, np.array([True, False]), (5,))",
    "choice(key, 5.0, (2,))",
    "choice(key, np.uint8(7), (4,))",
    "permutation(key, 0)",
    "permutation(key, -3)",
    "permutation(key, grid, axis=-1, independent=True)",
    "permutation(key, np.zeros((0, 3)))",
    "permutation(key, np.zeros((3, 0)), independent=True)",
    "permutation(key, np.arange(24).reshape(2, 3, 4), 1, True)",
    "permutation(key, a, independent=True)",
    "categorical(key, grid, axis=-2)",
    "categorical(key, np.zeros((0, 3)))",
    "categorical(key, grid, 0, (3, 4))",
    "categorical(key, np.zeros((2, 3, 4)), axis=1, shape=(5, 2, 4))",
    "categorical(key, np.zeros((1, 3)), shape=(5,))",
    "categorical(key, np.full(3, -inf))",
    "categorical(key, np.array([-inf, 0.0, nan]), shape=(5,))",
    "categorical(key, p, shape=(9,), mode='highest')",
    "binomial(key, np.array([5, 10]), np.array([[0.1], [0.9]]))",
    "orthogonal(key, 0)",
    "orthogonal(key, 3, m=0)",
    "orthogonal(key, 3, (2,), np.complex64, m=2)",
    "multivariate_normal(key, np.zeros((2, 1, 3)), np.stack([cov, cov * 2]))",
    "gamma(key, a, (3, 5))",
    "multivariate_normal(key, np.zeros(0), np.zeros((0, 0)))",
    "multivariate_normal(key, np.zeros(3), cov, method='svd')",
    "dirichlet(key, grid + 0.1)",
    "dirichlet(key, grid + 0.1, (2, 3))",
    "dirichlet(key, np.zeros((2, 0)))",
    "beta(key, a, a[:, None])",
    "ball(key, 0)",
    "ball(key, 1, shape=(4,))",
    "weibull_min(key, a[:, None], a, (5, 5))",
    "double_sided_maxwell(key, a, a[:, None], (2,))",
    "multinomial(key, 10, np.ones((2, 0)))",
    "multinomial(key, 10, np.ones((0, 3)))",
    "multinomial(key, 10, p, shape=(0, 5))",
    "triangular(key, np.zeros((2, 1)), 0.3, np.ones(3))",
    "truncated_normal(key, np.array([-1, 0]), np.array([[2.0], [3.0]]))",
)

DTYPES = (
    *(
        f"{call}, (5,), np.{sign}int{bits})"
        for sign in ("", "u")
        for bits in (8, 64)
        for call in ("poisson(key, 40.0", "poisson(key, 1000.0", "geometric(key, 1e-4")
    ),
    *(f"poisson(key, np.array([-1.0, nan, inf]), (3,), np.{name})" for name in ("int8", "int64", "uint32")),
    *(
        f"{name}(key, {first}(5,), {dtype})"
        for dtype in ("f2", "bf")
        for name, first in {
            "gamma": "2.0, ",
            "exponential": "",
            "laplace": "",
            "cauchy": "",
            "weibull_min": "2.0, 3.0, ",
            "binomial": "20, 0.3, ",
        }.items()
    ),
    *(f"choice(key, 5, (9,), p=p.astype({dtype}))" for dtype in ("f2", "bf")),
    *(f"categorical(key, np.log(p).astype({dtype}), shape=(9,))" for dtype in ("f2", "bf")),
    "randint(key, (5,), np.int8(3), np.uint64(99), np.int16)",
    "randint(key, (3,), 5, -5)",
    "randint(key, (3,), -5, 5, np.uint32)",
    "randint(key, (3,), 0, 2**31 + 5, np.int32)",
    "rademacher(key, (3,), complex)",
    "multivariate_normal(key, np.zeros(3, int), np.eye(3, dtype=int))",
    "lognormal(key, 1j, (3,), np.complex128)",
    "bernoulli(key, f4(1e-9), (5,), mode='high')",
    "uniform(key, (3,), f2, -60000, 60000)",
    "uniform(key, (3,), f8, -inf, inf)",
)

ONE = ("poisson", "gamma", "loggamma", "chisquare", "t", "pareto", "rayleigh", "lognormal", "bernoulli")
TWO = {
    "beta(key, {}, 2.0, (4,))",
    "f(key, {}, 2.0, (4,))",
    "binomial(key, {}, 0.3, (4,))",
    "binomial(key, 30, {}, (4,))",
    "dirichlet(key, np.array([1.0, {}, 2.0]), (2,))",
    "weibull_min(key, 2.0, {}, (3,))",
    "generalized_normal(key, {}, (4,))",
    "ball(key, 3, {}, (2,))",
    "truncated_normal(key, -1.0, {}, (3,))",
    "triangular(key, 0.0, {}, 2.0, (3,))",
    "uniform(key, (3,), f8, {}, 2.0)",
    "double_sided_maxwell(key, 1.0, {}, (3,))",
    "multinomial(key, {}, p)",
    "categorical(key, np.array([0.0, {}, 1.0]), shape=(4,))",
    "choice(key, 3, (4,), p=np.array([0.1, {}, 1.0]))",
}
OUT_OF_RANGE = (
    *(f"{name}(key, {value}, shape=(4,))" for name in ONE for value in ("-1.0", "0.0", "nan", "inf")),
    *(call.format(value) for call in sorted(TWO) for value in ("-1.0", "nan", "inf")),
    "binomial(key, 2.7, 0.5, (4,))",
    "binomial(key, 1e9, 0.3, (4,))",
    "poisson(key, 9.99, (4,))",
    "geometric(key, 1.0, (3,))",
    "truncated_normal(key, 2.0, -2.0, (3,))",
    "truncated_normal(key, 30.0, 31.0, (3,))",
    "triangular(key, 1.0, 1.0, 1.0, (3,))",
    "gamma(key, 1e6, (5,))",
    "loggamma(key, 1e-300, (3,))",
    "beta(key, 1e-6, 1e-6, (3,), f4)",
    "dirichlet(key, np.full(3, 1e-5))",
    "multinomial(key, 10, np.array([nan, 0.5, 0.5]))",
    "multinomial(key, 10, np.array([-0.1, 0.5, 0.6]))",
    "multivariate_normal(key, np.full(3, nan), cov)",
    "bernoulli(key, 2.0, (3,))",
    "t(key, 1e8, (3,), f4)",
)

TRANSFORMED = (
    *(
        f"vmap(lambda k, a: {call})(split(key, 5), a)"
        for call in (
            "gamma(k, a)",
            "poisson(k, 9 * a)",
            "binomial(k, 30, a / 10)",
            "beta(k, a, 2.0)",
            "dirichlet(k, a * np.ones(2))",
            "permutation(k, 6)",
            "choice(k, 5, (3,), False)",
            "categorical(k, p * a)",
            "randint(k, (3,), 0, 7)",
            "t(k, a)",
            "multivariate_normal(k, np.ones(3), cov)",
            "orthogonal(k, 2)",
            "truncated_normal(k, -a, a)",
            "multinomial(k, 9, p)",
        )
    ),
    "vmap(lambda m: randint(key, (3,), 0, m))(np.arange(1, 6))",
    "jit(lambda k, n: randint(k, (3,), 0, n))(key, 17)",
    "jit(lambda k, p: choice(k, 5, (4,), p=p))(key, p)",
    "jit(lambda k, lo: truncated_normal(k, lo, 5.0))(key, 2.0)",
    *(
        f"grad(lambda a: {call})({at})"
        for call, at in {
            "gamma(key, a)": 0.3,
            "gamma(key, a) ": 50.0,
            "gamma(key, a)  ": 1e-8,
            "loggamma(key, a)": 1e-3,
            "beta(key, a, 2.0)": 1.5,
            "beta(key, 2.0, a)": 1.5,
            "t(key, a)": 3.0,
            "chisquare(key, a)": 3.0,
            "f(key, a, 4.0)": 3.0,
            "f(key, 4.0, a)": 3.0,
            "pareto(key, a)": 3.0,
            "wald(key, a)": 3.0,
            "lognormal(key, a)": 0.5,
            "weibull_min(key, 2.0, a)": 3.0,
            "generalized_normal(key, a)": 1.5,
            "ball(key, 3, a)[0]": 1.5,
            "truncated_normal(key, a, 2.0)": -1.0,
            "triangular(key, 0.0, a, 1.0)": 0.5,
            "uniform(key, (), f8, a, 2.0)": -1.0,
            "gamma(key, a, dtype=f4)": "f4(0.5)",
            "dirichlet(key, a)[0]": "a",
            "binomial(key, 10, a)": 0.3,
            "permutation(key, a)[0]": "a",
            "choice(key, a, (3,)).sum()": "a",
            "vmap(lambda k: beta(k, a, a))(split(key, 5)).sum()": 0.7,
            "multivariate_normal(key, a, cov).sum()": "np.ones(3)",
            "scan(lambda k, i: (split(k)[1], gamma(k, a)), key, np.arange(3))[1].sum()": 2.0,
            "scan(lambda k, i: (split(k)[1], dirichlet(k, a)[1]), key, np.arange(3))[1].sum()": "a",
        }.items()
    ),
    *(
        f"scan(lambda k, a: (split(k)[1], {call}), key, a)[1]"
        for call in (
            "normal(k, (2,))",
            "gamma(k, a)",
            "poisson(k, 5 * a)",
            "binomial(k, 50, a / 10)",
            "permutation(k, 5)",
            "categorical(k, p)",
            "choice(k, 9, (2,), False)",
            "randint(k, (), 0, 9)",
            "beta(k, a, 0.5)",
            "multinomial(k, 9, p)",
            "orthogonal(k, 2)",
        )
    ),
)

ODD = (*KEYS, *SHAPES, *DTYPES, *OUT_OF_RANGE, *TRANSFORMED)
