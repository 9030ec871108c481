"""SciPy's distributions and statistics, differentiable: what `jax.scipy.stats` has, with its signatures.

Every distribution is a module of functions; on plain arrays they are computed by NumPy and `scipy.special`.

>>> import funcgrad as fg
>>> fg.grad(norm.logpdf)(1.0)
Array(-1.)
"""

from __future__ import annotations

from funcgrad.scipy.stats import (
    bernoulli,
    beta,
    betabinom,
    binom,
    cauchy,
    chi2,
    dirichlet,
    expon,
    gamma,
    gennorm,
    geom,
    gumbel_l,
    gumbel_r,
    laplace,
    logistic,
    multinomial,
    multivariate_normal,
    nbinom,
    norm,
    pareto,
    poisson,
    t,
    truncnorm,
    uniform,
    vonmises,
    wrapcauchy,
)
from funcgrad.scipy.stats._kde import gaussian_kde
from funcgrad.scipy.stats._ranks import mode, rankdata, sem

__all__ = (  # noqa: PLE0605
    "bernoulli beta betabinom binom cauchy chi2 dirichlet expon gamma gaussian_kde gennorm geom gumbel_l gumbel_r "
    "laplace logistic mode multinomial multivariate_normal nbinom norm pareto poisson rankdata sem t truncnorm uniform "
    "vonmises wrapcauchy"
).split()
