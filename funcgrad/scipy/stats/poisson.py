"""The Poisson distribution."""

from __future__ import annotations

import math
from typing import Any

import numpy as _np

from funcgrad import numpy as np
from funcgrad.ops.special import igammac, lgamma, xlogy
from funcgrad.scipy._values import public
from funcgrad.scipy.stats._arguments import at_edges, constant, factor, safe, shifted, supported, valid, whole
from funcgrad.trace.frame import type_of

MANY, TERMS = 60.0, 160  # the mean from which on the entropy is a series, and the terms of its sum below


@public
def logpmf(k: Any, mu: Any, loc: Any = 0) -> Any:
    """The logarithm of the probability.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> logpmf(0, 2.0)
    Array(-2.)
    """
    k, mu = _given("poisson.logpmf", k, loc, mu)
    inside = (k >= 0) & whole(k) & (mu == mu)
    y = safe(inside, k)
    return supported(inside, xlogy(y, mu) - lgamma(y + 1) - mu, -np.inf, k, mu)


def _given(name: str, k: Any, loc: Any, mu: Any) -> list[Any]:
    k, mu = shifted(name, k, loc, mu)
    return [k, valid(mu >= 0, mu)]


@public
def pmf(k: Any, mu: Any, loc: Any = 0) -> Any:
    """The probability.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import poisson
    >>> poisson.pmf(2, 1.5)
    Array(0.25102143)
    """
    k, mu = _given("poisson.pmf", k, loc, mu)

    def by_powers(mu: Any) -> Any:
        inside = (k >= 0) & whole(k)
        y = safe(inside, k, 1)
        return supported(inside, factor(-lgamma(y + 1)) * mu**y * np.exp(-mu), 0.0, k, mu)

    return at_edges(mu == 0, mu, lambda mu: np.exp(logpmf(k, mu)), by_powers)


@public
def cdf(k: Any, mu: Any, loc: Any = 0) -> Any:
    """The probability of values up to `k`.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import poisson
    >>> poisson.cdf(2, 1.5)
    Array(0.80884683)
    """
    k, mu = _given("poisson.cdf", k, loc, mu)
    inside = (k >= 0) & (mu == mu)
    return supported(inside, igammac(np.floor(safe(inside, k)) + 1, mu + 0 * k), 0.0, k, mu)


@public
def entropy(mu: Any, loc: Any = 0) -> Any:
    """The entropy, in natural units: a sum for small means, a series in 1/μ for large ones (Evans and Boersma 1988).

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> entropy(1.0)
    Array(1.30484224)
    """
    mu, _ = shifted("poisson.entropy", mu, 0, loc)
    many = mu > MANY
    large, small = safe(many, mu, MANY), np.expand_dims(np.where(many, constant(1, mu), mu), -1)
    y = 1 / large
    series = 0.5 * np.log(2 * math.pi * math.e * large) - y / 12 * (1 + y * (0.5 + y * (19 / 30 + y * (27 / 20))))
    k = _np.arange(TERMS).astype(type_of(mu).dtype)
    logarithms = np.maximum(logpmf(k, small), -700.0)  # where the mean is 0
    return np.where(many, series, -np.sum(np.exp(logarithms) * logarithms, axis=-1))
