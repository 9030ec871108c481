"""How far is a distribution from another one?  Kullback and Leibler's divergence, in logarithms."""

from __future__ import annotations

from typing import Any

from funcgrad import numpy as np
from funcgrad.losses._common import counted, floats, result, weighted
from funcgrad.nn._common import public
from funcgrad.trace.frame import type_of


@public
def kl_divergence(log_predictions: Any, targets: Any, axis: Any = -1, where: Any = None) -> Any:
    """Σ targets · (log(targets) - log_predictions) over an axis (Kullback and Leibler 1951).

    Parameters
    ----------
    log_predictions
        Logarithms of the predicted probabilities.
    targets
        Probabilities; where they are 0, nothing is added, whatever is predicted.
    axis
        An axis, several, or None for all.
    where
        Which elements count.

    Returns
    -------
    Array
        The predictions' shape without the axis; floats.

    Examples
    --------
    >>> import numpy as np
    >>> kl_divergence(np.log([0.5, 0.5]), [1.0, 0.0])
    Array(0.69314718)
    """
    log_p, q, dtype = floats("kl_divergence", log_predictions=log_predictions, targets=targets)
    return result(_divergence(log_p, q, axis, where), dtype)


def _divergence(log_p: Any, q: Any, axis: Any, where: Any) -> Any:
    kind = type_of(q).dtype.type
    log_q = np.where(q == 0, kind(0), np.log(np.where(q == 0, kind(1), q)))
    return np.sum(weighted(q, log_q - log_p), axis, **counted(where))


@public
def kl_divergence_with_log_targets(log_predictions: Any, log_targets: Any, axis: Any = -1, where: Any = None) -> Any:
    """`kl_divergence` of targets that are logarithms too.

    Returns
    -------
    Array
        The predictions' shape without the axis; floats.

    Examples
    --------
    >>> import numpy as np
    >>> kl_divergence_with_log_targets(np.log([0.5, 0.5]), [0.0, -float("inf")])
    Array(0.69314718)
    """
    name = "kl_divergence_with_log_targets"
    log_p, log_q, dtype = floats(name, log_predictions=log_predictions, log_targets=log_targets)
    never = log_q == -float("inf")
    gap = np.where(never, type_of(log_q).dtype.type(0), log_q - log_p)
    return result(np.sum(np.exp(log_q) * gap, axis, **counted(where)), dtype)


@public
def generalized_kl_divergence(log_predictions: Any, targets: Any, axis: Any = -1, where: Any = None) -> Any:
    """`kl_divergence` for measures that do not add up to 1: plus Σ (predictions - targets) (Bregman 1967).

    Returns
    -------
    Array
        The predictions' shape without the axis; floats.

    Examples
    --------
    >>> import numpy as np
    >>> generalized_kl_divergence(np.log([1.0, 1.0]), [1.0, 2.0])
    Array(0.38629436)
    """
    log_p, q, dtype = floats("generalized_kl_divergence", log_predictions=log_predictions, targets=targets)
    total = np.sum(np.exp(log_p) - q, axis, **counted(where))
    return result(_divergence(log_p, q, axis, where) + total, dtype)
