"""Student's t distribution."""

from __future__ import annotations

from typing import Any

from funcgrad import numpy as np
from funcgrad.ops.special import lbeta
from funcgrad.scipy._values import public
from funcgrad.scipy.stats._arguments import constant, standard


@public
def logpdf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the density.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> logpdf(0.0, 1.0)
    Array(-1.14472989)
    """
    z, scale, df = standard("t.logpdf", x, loc, scale, df)
    constants = lbeta(0.5 * df, constant(0.5, df)) + 0.5 * np.log(df) + np.log(scale)
    return -0.5 * (df + 1) * np.log1p(z * z / df) - constants


@public
def pdf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The density.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape (integers count as float64).

    Examples
    --------
    >>> from funcgrad.scipy.stats import t
    >>> t.pdf(0.5, 3.0)
    Array(0.31318091)
    """
    return np.exp(logpdf(x, df, loc, scale))
