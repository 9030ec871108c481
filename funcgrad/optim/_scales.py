"""Which simple factors are there?  Numbers, schedules, signs, norms of parameters and of updates."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from funcgrad import numpy as np
from funcgrad.errors import at_line
from funcgrad.optim import tree
from funcgrad.optim._base import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    OptState,
    Params,
    ScalarOrSchedule,
    Schedule,
    Updates,
    abs_sq,
    identity,
    init_empty_state,
    like,
    safe_increment,
    transformation,
    transformation_with_args,
    zero_count,
)
from funcgrad.optim._leaves import map_trees, shape_of


class ScaleByScheduleState(NamedTuple):
    """How many updates there have been."""

    count: Any


def scale(step_size: Any) -> GradientTransformation:
    """Multiply the updates by a number.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import optim
    >>> tx = optim.scale(-0.1)
    >>> tx.update(np.array([1.0]), tx.init(None))[0]
    Array([-0.1])
    """
    return transformation(
        "scale", init_empty_state, lambda updates, state, params: (tree.scale(step_size, updates), state)
    )


def scale_by_learning_rate(
    learning_rate: ScalarOrSchedule | None = None, *, flip_sign: bool = True
) -> GradientTransformation:
    """Multiply the updates by minus the learning rate: a number, a schedule, or None for no scaling at all.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Raises
    ------
    TypeError
        The learning rate is neither a number nor a schedule.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.scale_by_learning_rate(0.1)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([-0.05,  0.1 ])
    """
    if learning_rate is None:
        return identity()
    sign = -1 if flip_sign else 1
    if callable(learning_rate):
        return scale_by_schedule(lambda count: sign * learning_rate(count))
    number = isinstance(learning_rate, (int, float)) and learning_rate == learning_rate
    if not number and not hasattr(learning_rate, "dtype"):
        raise TypeError(f"the learning rate must be a number or a schedule, not {learning_rate!r}{at_line()}")
    return scale(sign * learning_rate)


def scale_by_schedule(step_size_fn: Schedule) -> GradientTransformation:
    """Multiply the updates by ``step_size_fn(count)``, where `count` is the number of updates so far.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.scale_by_schedule(lambda count: 0.5)
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 0.25, -0.5 ])
    """

    def init(params: Params) -> OptState:
        return ScaleByScheduleState(zero_count())

    def update(updates: Updates, state: OptState, params: Params | None) -> tuple[Updates, OptState]:
        factor = step_size_fn(state.count)
        return tree.scale(factor, updates), ScaleByScheduleState(safe_increment(state.count))

    return transformation("scale_by_schedule", init, update)


def scale_by_sign() -> GradientTransformation:
    """Only the signs of the updates.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.scale_by_sign()
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 1., -1.])
    """
    return transformation(
        "scale_by_sign", init_empty_state, lambda updates, state, params: (map_trees(np.sign, updates), state)
    )


# Norms ----------------------------------------------------------------------------------------------------------------


def safe_norm(x: Any, min_norm: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """max(norm of `x`, `min_norm`), whose derivative is 0 where the norm is `min_norm` or less.

    Returns
    -------
    Array
        The shape of `x` without the axes (0-d for all), in its float dtype.

    Examples
    --------
    >>> import numpy as np
    >>> safe_norm(np.zeros(3), 0.5)
    Array(0.5)
    """
    return _safe_root(x, min_norm, lambda v: np.sum(abs_sq(v), axis, keepdims=keepdims))


def safe_root_mean_squares(x: Any, min_rms: Any) -> Any:
    """max(root of the mean of squares of `x`, `min_rms`), with derivative 0 below.

    Returns
    -------
    Array
        One number in the float dtype of `x`.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.safe_root_mean_squares(np.array([3.0, 4.0]), 0.0)
    Array(3.53553391)
    """
    return _safe_root(x, min_rms, lambda v: np.mean(abs_sq(v)))


def _safe_root(x: Any, least: Any, measure: Any) -> Any:
    """The root is taken of 1 where it would be of 0: its derivative is infinite there."""
    square = measure(x)
    least = like(least, square)
    small = square <= least * least
    return np.where(small, least, np.sqrt(np.where(small, like(1.0, square), square)))


def scale_by_param_block_norm(min_scale: Any = 1e-3) -> GradientTransformation:
    """Multiply each leaf by the norm of its parameters, at least `min_scale`.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.scale_by_param_block_norm()
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 1.118 , -2.2361])
    """

    def update(updates: Updates, state: OptState, params: Params) -> tuple[Updates, OptState]:
        return map_trees(lambda u, p: u * like(safe_norm(p, min_scale), u), updates, params), state

    return transformation("scale_by_param_block_norm", init_empty_state, update, needs_params=True)


def scale_by_param_block_rms(min_scale: Any = 1e-3) -> GradientTransformation:
    """Multiply each leaf by the root mean square of its parameters, at least `min_scale`.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.scale_by_param_block_rms()
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 0.7906, -1.5811])
    """

    def update(updates: Updates, state: OptState, params: Params) -> tuple[Updates, OptState]:
        return map_trees(lambda u, p: u * like(safe_root_mean_squares(p, min_scale), u), updates, params), state

    return transformation("scale_by_param_block_rms", init_empty_state, update, needs_params=True)


def scale_by_trust_ratio(min_norm: Any = 0.0, trust_coefficient: Any = 1.0, eps: Any = 0.0) -> GradientTransformation:
    """Multiply each leaf by ``trust_coefficient * |params| / (|updates| + eps)``: updates in proportion to weights.

    Where one of both norms is 0, the factor is 1 (You et al. 2017, arXiv:1708.03888).

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.scale_by_trust_ratio()
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 1., -2.])
    """

    def scaled(update: Any, param: Any) -> Any:
        param_norm, update_norm = safe_norm(param, min_norm), safe_norm(update, min_norm)
        zero = (param_norm == 0.0) | (update_norm == 0.0)
        divisor = np.where(zero, like(1.0, update_norm), update_norm + like(eps, update_norm))
        ratio = np.where(zero, like(1.0, update_norm), like(trust_coefficient, param_norm) * param_norm / divisor)
        return update * like(ratio, update)

    def update(updates: Updates, state: OptState, params: Params) -> tuple[Updates, OptState]:
        return map_trees(scaled, updates, params), state

    return transformation("scale_by_trust_ratio", init_empty_state, update, needs_params=True)


def normalize_by_update_norm(scale_factor: Any = 1.0, eps: Any = 1e-6) -> GradientTransformation:
    """``scale_factor * updates / (|updates| + eps)``, with the norm of all leaves together.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.normalize_by_update_norm()
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 0.4472, -0.8944])
    """

    def update(updates: Updates, state: OptState, params: Params | None) -> tuple[Updates, OptState]:
        return tree.scale(scale_factor / (tree.norm(updates) + eps), updates), state

    return transformation("normalize_by_update_norm", init_empty_state, update)


def centralize() -> GradientTransformation:
    """Subtract the mean over all axes but the first from matrices and larger arrays (Yong et al. 2020,
    arXiv:2004.01461).

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.centralize()
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 0.5, -1. ])
    """

    def centred(g: Any) -> Any:
        axes = tuple(range(1, len(shape_of(g))))
        return g - np.mean(g, axes, keepdims=True) if axes else g

    return transformation(
        "centralize", init_empty_state, lambda updates, state, params: (map_trees(centred, updates), state)
    )


def scale_by_polyak(
    f_min: Any = 0.0, max_learning_rate: Any = 1.0, eps: Any = 0.0, variant: str = "sps"
) -> GradientTransformationExtraArgs:
    """Multiply by Polyak's step size ``min((value - f_min) / (|grad|² + eps), max_learning_rate)``.

    `update` takes the loss as ``value=``. With ``variant="sps+"`` a gap below zero counts as zero
    (Loizou et al. 2021, arXiv:2002.10542; Garrigos et al. 2023, arXiv:2307.14528).

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Raises
    ------
    ValueError
        `variant` is something else.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.scale_by_polyak()
    >>> updates, state = optimizer.update(2 * x, optimizer.init(x), x, value=np.sum(x**2))
    >>> np.round(updates, 4)
    array([0.5, 1. ])
    """
    if variant not in ("sps", "sps+"):
        raise ValueError(f"scale_by_polyak: variant must be 'sps' or 'sps+', not {variant!r}{at_line()}")

    def update(
        updates: Updates, state: OptState, params: Params | None, *, value: Any, **extra_args: Any
    ) -> tuple[Updates, OptState]:
        square = tree.norm(updates, squared=True)
        gap = like(np.asarray(value) - f_min, square)
        gap = np.maximum(gap, 0) if variant == "sps+" else gap
        divisor = square + like(eps, square)
        flat = divisor <= math.ulp(1.0)
        ratio = gap / np.where(flat, like(1.0, divisor), divisor)
        step = np.where(flat, like(0.0, divisor), np.minimum(ratio, like(max_learning_rate, ratio)))
        return tree.scale(step, updates), state

    return transformation_with_args("scale_by_polyak", init_empty_state, update)


class ScaleByDistanceOverGradientsState(NamedTuple):
    """Distances from the first parameters, sums of squared gradients, and these parameters."""

    max_dist: Any
    grad_sum_of_squares: Any
    init_params: Any


def scale_by_distance_over_gradients(
    reps_rel: Any = 1e-6, eps: Any = 1e-8, param_dtype: Any = None, global_scale: Any = 1.0
) -> GradientTransformation:
    """Layer-wise distance over gradients: a step size without a learning rate (Ivgi et al. 2023, arXiv:2302.12022).

    Parameters
    ----------
    reps_rel
        The first step, relative to the norm of the parameters.
    eps
        Added under the root.
    param_dtype
        Of the copy of the first parameters; by default their own.
    global_scale
        A factor for all steps; -1 to descend.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.scale_by_distance_over_gradients()
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 0., -0.])
    """

    def distance(x: Any, y: Any) -> Any:
        return safe_norm(x - like(y, x), 0.0)

    def init(params: Params) -> OptState:
        start = map_trees(lambda p: like(reps_rel, p) * (1 + safe_norm(p, 0.0)), params)
        sums = map_trees(lambda p: np.zeros((), tree.real_dtype(p)), params)
        return ScaleByDistanceOverGradientsState(start, sums, tree.cast(params, param_dtype))

    def update(updates: Updates, state: OptState, params: Params) -> tuple[Updates, OptState]:
        reached = map_trees(lambda d, p, q: np.maximum(d, distance(p, q)), state.max_dist, params, state.init_params)
        sums = map_trees(lambda s, g: s + np.sum(abs_sq(g)), state.grad_sum_of_squares, updates)

        def step(g: Any, d: Any, s: Any) -> Any:
            return like(global_scale, g) * (d / np.sqrt(s + like(eps, s))) * g

        return (
            map_trees(step, updates, reached, sums),
            ScaleByDistanceOverGradientsState(reached, sums, state.init_params),
        )

    return transformation("scale_by_distance_over_gradients", init, update, needs_params=True)
