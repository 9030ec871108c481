"""Which transformations act only sometimes?  On finite gradients, on conditions, where parameters stay positive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as _np

from funcgrad import numpy as np
from funcgrad import tree as _tree
from funcgrad.arguments import check_within
from funcgrad.lax._branches import cond
from funcgrad.numpy._common import concrete
from funcgrad.optim import tree
from funcgrad.optim._base import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Updates,
    init_empty_state,
    safe_increment,
    transformation,
    transformation_with_args,
    with_extra_args_support,
    zero_count,
)
from funcgrad.optim._leaves import map_trees


class ApplyIfFiniteState(NamedTuple):
    """How many updates in a row were not finite, whether the last one was, how many were not in all."""

    notfinite_count: Any
    last_finite: Any
    total_notfinite: Any
    inner_state: Any


class ConditionallyTransformState(NamedTuple):
    """The inner state, and how many updates there have been."""

    inner_state: Any
    step: Any


class ConditionallyMaskState(NamedTuple):
    """How many updates there have been, and the inner state."""

    step: Any
    inner_state: Any


class ZeroNansState(NamedTuple):
    """For each leaf, whether the last update had a NaN."""

    found_nan: Any


def branch(condition: Any, yes: Callable[[], Any], no: Callable[[], Any]) -> Any:
    """``yes()`` or ``no()``: by Python where the condition is known, else in the program."""
    known = concrete(condition)
    if known is None:
        return cond(condition, yes, no)
    return yes() if known else no()


def all_finite(values: Any) -> Any:
    """Whether every element of every leaf is finite."""
    finite: Any = np.asarray(True)
    for x in _tree.leaves(values):
        finite = finite & np.all(np.isfinite(x))
    return finite


def apply_if_finite(inner: GradientTransformation, max_consecutive_errors: int) -> GradientTransformationExtraArgs:
    """Leave everything as it is when an update is not finite.

    Parameters
    ----------
    inner
        What to apply to finite updates.
    max_consecutive_errors
        After so many updates in a row that are not finite, the next one is applied all the same.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import optim
    >>> optimizer = optim.apply_if_finite(optim.sgd(0.1), 3)
    >>> state = optimizer.init(np.zeros(2))
    >>> updates, state = optimizer.update(np.array([1.0, np.nan]), state)
    >>> updates, state.total_notfinite
    (Array([0., 0.]), Array(1, dtype=int32))
    """
    inner = with_extra_args_support(inner)
    check_within("apply_if_finite", "max_consecutive_errors", max_consecutive_errors, 0)

    def init(params: Params) -> OptState:
        return ApplyIfFiniteState(zero_count(), np.asarray(True), zero_count(), inner.init(params))

    def update(updates: Updates, state: OptState, params: Params | None, **extra: Any) -> tuple[Updates, OptState]:
        finite = all_finite(updates)
        in_row = np.where(finite, np.zeros((), _np.int32), safe_increment(state.notfinite_count))
        total = np.where(finite, state.total_notfinite, safe_increment(state.total_notfinite))
        new, inner_state = branch(
            finite | (in_row > max_consecutive_errors),
            lambda: inner.update(updates, state.inner_state, params, **extra),
            lambda: (tree.zeros_like(updates), state.inner_state),
        )
        return new, ApplyIfFiniteState(in_row, finite, total, inner_state)

    return transformation_with_args("apply_if_finite", init, update)


def conditionally_transform(
    inner: GradientTransformation, should_transform_fn: Callable[..., Any], forward_extra_args: bool = False
) -> GradientTransformationExtraArgs:
    """Apply `inner` where ``should_transform_fn(step)`` holds; else hand the updates through.

    With `forward_extra_args` the function gets further keyword arguments of `update`.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.conditionally_transform(fg.optim.sgd(0.1), lambda step: step < 1)
    >>> state = optimizer.init(x)
    >>> updates, state = optimizer.update(x, state)
    >>> updates
    Array([-0.1, -0.2])
    >>> optimizer.update(x, state)[0]
    Array([1., 2.])
    """
    inner = with_extra_args_support(inner)

    def init(params: Params) -> OptState:
        return ConditionallyTransformState(inner.init(params), zero_count())

    def update(updates: Updates, state: OptState, params: Params | None, **extra: Any) -> tuple[Updates, OptState]:
        new, inner_state = branch(
            should_transform_fn(state.step, **(extra if forward_extra_args else {})),
            lambda: inner.update(updates, state.inner_state, params, **extra),
            lambda: (updates, state.inner_state),
        )
        return new, ConditionallyTransformState(inner_state, safe_increment(state.step))

    return transformation_with_args("conditionally_transform", init, update)


def conditionally_mask(
    inner: GradientTransformation, should_transform_fn: Callable[..., Any], forward_extra_args: bool = False
) -> GradientTransformationExtraArgs:
    """Apply `inner` where ``should_transform_fn(step)`` holds; else the updates are zero.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.conditionally_mask(fg.optim.sgd(0.1), lambda step: step < 1)
    >>> state = optimizer.init(x)
    >>> updates, state = optimizer.update(x, state)
    >>> updates
    Array([-0.1, -0.2])
    >>> optimizer.update(x, state)[0]
    Array([0., 0.])
    """
    inner = with_extra_args_support(inner)

    def init(params: Params) -> OptState:
        return ConditionallyMaskState(zero_count(), inner.init(params))

    def update(updates: Updates, state: OptState, params: Params | None, **extra: Any) -> tuple[Updates, OptState]:
        new, inner_state = branch(
            should_transform_fn(state.step, **(extra if forward_extra_args else {})),
            lambda: inner.update(updates, state.inner_state, params, **extra),
            lambda: (tree.zeros_like(updates), state.inner_state),
        )
        return new, ConditionallyMaskState(safe_increment(state.step), inner_state)

    return transformation_with_args("conditionally_mask", init, update)


def zero_nans() -> GradientTransformation:
    """Replace NaN by 0; the state tells in which leaves there were any.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.zero_nans()
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 0.5, -1. ])
    """

    def init(params: Params) -> OptState:
        return ZeroNansState(map_trees(lambda p: np.zeros((), bool), params))

    def update(updates: Updates, state: OptState, params: Params | None) -> tuple[Updates, OptState]:
        found = map_trees(lambda u: np.any(np.isnan(u)), updates)
        return map_trees(lambda u: np.where(np.isnan(u), np.zeros_like(u), u), updates), ZeroNansState(found)

    return transformation("zero_nans", init, update)


def keep_params_nonnegative() -> GradientTransformation:
    """Shorten updates so that no parameter falls below 0.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.keep_params_nonnegative()
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 0.5, -1. ])
    """

    def update(updates: Updates, state: OptState, params: Params) -> tuple[Updates, OptState]:
        return map_trees(lambda u, p: np.where(p + u < 0, -p, u), updates, params), state

    return transformation("keep_params_nonnegative", init_empty_state, update, needs_params=True)
