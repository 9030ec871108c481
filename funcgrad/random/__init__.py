"""Random numbers from keys: threefry2x32, with `jax.random`'s names and streams.

A key is an array of two uint32. Every sampler is a pure function of its key: the same key gives the same numbers, so a
key is used once and then split.

>>> from funcgrad import random
>>> key, subkey = random.split(random.key(0))
>>> random.normal(subkey, (3,))
Array([-1.4008841,  1.432145 ,  0.6248107])
"""

from funcgrad.random._continuous import (
    cauchy,
    exponential,
    geometric,
    laplace,
    logistic,
    pareto,
    rayleigh,
    triangular,
    weibull_min,
)
from funcgrad.random._counts import binomial, multinomial, poisson
from funcgrad.random._discrete import bernoulli, categorical, choice, permutation, rademacher
from funcgrad.random._gamma import ball, beta, chisquare, dirichlet, f, gamma, generalized_normal, loggamma, t
from funcgrad.random._gumbel import gumbel
from funcgrad.random._keys import PRNGKey, clone, fold_in, key, key_data, key_dtype, key_impl, split, wrap_key_data
from funcgrad.random._normal import (
    double_sided_maxwell,
    lognormal,
    maxwell,
    multivariate_normal,
    normal,
    orthogonal,
    truncated_normal,
    wald,
)
from funcgrad.random._uniform import bits, randint, uniform
from funcgrad.tracebacks import bounded as _bounded

__all__ = [
    "PRNGKey",
    "ball",
    "bernoulli",
    "beta",
    "binomial",
    "bits",
    "categorical",
    "cauchy",
    "chisquare",
    "choice",
    "clone",
    "dirichlet",
    "double_sided_maxwell",
    "exponential",
    "f",
    "fold_in",
    "gamma",
    "generalized_normal",
    "geometric",
    "gumbel",
    "key",
    "key_data",
    "key_dtype",
    "key_impl",
    "laplace",
    "loggamma",
    "logistic",
    "lognormal",
    "maxwell",
    "multinomial",
    "multivariate_normal",
    "normal",
    "orthogonal",
    "pareto",
    "permutation",
    "poisson",
    "rademacher",
    "randint",
    "rayleigh",
    "split",
    "t",
    "triangular",
    "truncated_normal",
    "uniform",
    "wald",
    "weibull_min",
    "wrap_key_data",
]

_bounded(globals())
