"""What remembers past updates?  Traces (momentum), moving averages, and sums over several steps."""

from __future__ import annotations

from typing import Any, NamedTuple

from funcgrad import numpy as np
from funcgrad.arguments import check_within
from funcgrad.optim import tree
from funcgrad.optim._base import (
    GradientTransformation,
    OptState,
    Params,
    Updates,
    check_averages,
    like,
    safe_increment,
    transformation,
    zero_count,
)
from funcgrad.optim._leaves import map_trees


class TraceState(NamedTuple):
    """The decaying sum of past updates."""

    trace: Any


class EmaState(NamedTuple):
    """The moving average of past updates."""

    count: Any
    ema: Any


class ApplyEvery(NamedTuple):
    """The sum of the updates since the last time."""

    count: Any
    grad_acc: Any


def trace(decay: Any, nesterov: bool = False, accumulator_dtype: Any = None) -> GradientTransformation:
    """Momentum: t ← g + decay · t, and the update is t (with Nesterov's form, g + decay · t).

    Parameters
    ----------
    decay
        How much of the trace remains.
    nesterov
        Look one step ahead.
    accumulator_dtype
        Of the trace; by default the parameters'.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.trace(0.9)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 0.5, -1. ])
    """
    check_within("trace", "decay (the momentum)", decay, 0, 1)

    def init(params: Params) -> OptState:
        return TraceState(tree.zeros_like(params, accumulator_dtype))

    def update(updates: Updates, state: OptState, params: Params | None) -> tuple[Updates, OptState]:
        def add(g: Any, t: Any) -> Any:
            return g + like(decay, t) * t

        new = map_trees(add, updates, state.trace)
        updates = map_trees(add, updates, new) if nesterov else new
        return updates, TraceState(tree.cast(new, accumulator_dtype))

    return transformation("trace", init, update)


def ema(decay: Any, debias: bool = True, accumulator_dtype: Any = None) -> GradientTransformation:
    """The exponential moving average of the updates; with `debias`, without the weight of its first zero.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import optim
    >>> tx = optim.ema(0.9)
    >>> tx.update(np.array([2.0]), tx.init(np.zeros(1)))[0]
    Array([2.])
    """
    check_averages("ema", 0, decay=decay)

    def init(params: Params) -> OptState:
        return EmaState(zero_count(), tree.zeros_like(params, accumulator_dtype))

    def update(updates: Updates, state: OptState, params: Params | None) -> tuple[Updates, OptState]:
        new = tree.update_moment(updates, state.ema, decay, 1)
        count = safe_increment(state.count)
        updates = tree.bias_correction(new, decay, count) if debias else new
        return updates, EmaState(count, tree.cast(new, accumulator_dtype))

    return transformation("ema", init, update)


def apply_every(k: Any = 1) -> GradientTransformation:
    """The sum of the last `k` updates every `k` steps, zeros in between.

    In a chain the states of what follows change at every step all the same: see `MultiSteps` for batches in parts.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.apply_every(2)
    >>> state = optimizer.init(x)
    >>> updates, state = optimizer.update(x, state)
    >>> updates
    Array([0., 0.])
    >>> fg.optim.apply_every(1).update(x, fg.optim.apply_every(1).init(x))[0]
    Array([1., 2.])
    """
    check_within("apply_every", "k", k, 1)

    def init(params: Params) -> OptState:
        return ApplyEvery(zero_count(), tree.zeros_like(params))

    def update(updates: Updates, state: OptState, params: Params | None) -> tuple[Updates, OptState]:
        place = state.count % k
        sums = map_trees(lambda g, s: np.where(place != 0, s, np.zeros_like(s)) + g, updates, state.grad_acc)
        updates = map_trees(lambda s: np.where(place == k - 1, s, np.zeros_like(s)), sums)
        return updates, ApplyEvery((safe_increment(state.count) % k).astype(np.int32), sums)

    return transformation("apply_every", init, update)
