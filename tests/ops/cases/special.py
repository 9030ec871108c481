"""Rows of special functions: gamma, beta, error functions, integrals, Bessel and hypergeometric functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.ops.rows import FLOATS, SHAPE, Draw, Row, Sampler, elements, fixed, off, within

REAL = "f4 f8"


def special(name: str, *samplers: Sampler, dtypes: str = REAL, **options: Any) -> Row:
    """A row of a function whose reference takes no complex numbers."""
    return elements(name, dtypes, *samplers, analytic=False, **options)


def slow(name: str, *samplers: Sampler, **options: Any) -> Row:
    """The same, without special values: SciPy takes minutes over them."""
    return Row(name, lambda draw: tuple(s(draw, SHAPE) for s in samplers), REAL, analytic=False, **options)


def of_order(name: str, low: float, high: float, *orders: tuple[int, int]) -> Row:
    """A row of a function with integer orders, each drawn from a range, and an argument."""

    def draw(draw: Draw) -> tuple[Any, ...]:
        return *(draw.rng.integers(*ends, SHAPE) for ends in orders), draw.between(SHAPE, low, high)

    return Row(name, draw, REAL, analytic=False, slope_ulps=16)


def holomorphic(name: str) -> Row:
    """A row of a function of complex numbers; `tests/scipy` checks its derivative."""

    def draw(draw: Draw) -> tuple[Any, ...]:
        return (np.asarray(draw.rng.normal(size=SHAPE) + 1j * draw.rng.normal(size=SHAPE)).astype(draw.dtype),)

    return Row(name, draw, "c8 c16")


def derivatives(name: str, *cases: tuple[tuple[int, ...], tuple[Sampler, ...]]) -> list[Row]:
    """Rows of the derivatives of some orders."""
    return [
        slow(name, *samplers, params=fixed(orders=orders), variant=str(orders), slope_ulps=64)
        for orders, samplers in cases
    ]


SHAPES_AND_VALUES: tuple[Callable[..., Any], ...] = (within(0.6, 4), within(0.5, 4))
PROBABILITIES = (within(0.6, 4), within(0.6, 4), within(0.15, 0.85))
KUMMER = (within(0.5, 3), within(1, 3), off(0.2, 2))
GAUSS = (within(0.5, 2), within(0.5, 2), within(1, 3), off(0.1, 0.4))

ROWS: tuple[Row, ...] = (
    special("xlogy", within(0.3, 3), within(0.2, 3), dtypes=FLOATS, ulps=4),
    special("xlog1py", within(0.3, 3), within(-0.5, 3), dtypes=FLOATS, ulps=4),
    # gamma
    special("lgamma", within(2.2, 9), dtypes=FLOATS, ulps=24),  # far from 1, where SciPy loses digits
    special("digamma", within(0.3, 5), dtypes=FLOATS, ulps=16),
    special("trigamma", within(0.3, 5), dtypes=FLOATS, ulps=16, slope_ulps=16),
    special("gamma", within(0.4, 4), slope_ulps=16),
    holomorphic("loggamma"),
    of_order("polygamma", 0.5, 4, (0, 3)),
    special("zeta", within(1.5, 5), within(0.5, 4), slope_ulps=16),
    *derivatives("zeta_derivative", ((1, 0), (within(2, 5), within(0.5, 3)))),
    special("poch", within(0.5, 3), within(0.5, 3), slope_ulps=64),
    special("binom", within(3, 5), within(0.5, 2.5), slope_ulps=32),
    special("lbeta", within(0.5, 4), within(0.5, 4), slope_ulps=16),
    special("beta", within(0.5, 4), within(0.5, 4), slope_ulps=16),
    special("regularized_incomplete_beta", *PROBABILITIES, slope_ulps=64),
    *derivatives("betainc_derivative", ((1, 0, 0), PROBABILITIES)),
    special("igamma", *SHAPES_AND_VALUES, slope_ulps=64),
    special("igammac", *SHAPES_AND_VALUES, slope_ulps=64),
    *derivatives("igamma_derivative", ((1, 0), SHAPES_AND_VALUES)),
    special("random_gamma_grad", *SHAPES_AND_VALUES, slope_ulps=128),
    # error functions and integrals
    special("logit", within(0.1, 0.9), dtypes=FLOATS, ulps=4, slope_ulps=16),
    special("erf_inv", within(-0.9, 0.9), dtypes=FLOATS, ulps=16, slope_ulps=16),
    special("ndtri", within(0.1, 0.9), dtypes=FLOATS, ulps=16, slope_ulps=16),
    special("log_ndtr", within(-4, 3), ulps=256, slope_ulps=16),  # SciPy's own error at 17
    special("erfcx", within(-1.5, 3), ulps=16, slope_ulps=64),
    special("dawsn", within(-2, 2), slope_ulps=32),
    holomorphic("wofz"),
    special("owens_t", within(-1.5, 1.5), within(-1.5, 1.5), slope_ulps=16),
    special("expi", off(0.4, 3)),
    of_order("expn", 0.5, 3, (1, 4)),
    special("sine_integral", off(0.2, 3)),
    special("cosine_integral", within(0.4, 3)),
    special("fresnel_sin", off(0.2, 1.2), slope_ulps=32),
    special("fresnel_cos", off(0.2, 1.2), slope_ulps=64),
    special("spence", within(0.3, 3)),
    # Bessel, hypergeometric and Legendre functions
    special("bessel_i0e", off(0.2, 6), ulps=16, slope_ulps=16),
    special("bessel_i1e", off(0.2, 1.2), ulps=16, slope_ulps=32),
    *(special("bessel_jn", off(0.2, 6), params=fixed(v=v), variant=str(v), slope_ulps=32) for v in (0, 1, 3)),
    slow("hyp1f1", *KUMMER, slope_ulps=64),
    *derivatives("hyp1f1_derivative", ((1, 0, 1), KUMMER)),
    slow("hyp2f1", *GAUSS, slope_ulps=64),
    *derivatives("hyp2f1_derivative", ((0, 0, 1, 0), GAUSS)),
    of_order("sph_legendre", 0.3, 2.8, (2, 5), (-2, 3)),
)
