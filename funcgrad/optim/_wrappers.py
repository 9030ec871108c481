"""What goes around a whole optimiser?  Lookahead, one flat vector, and less on a plateau."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as _np

from funcgrad import numpy as np
from funcgrad.arguments import check_within
from funcgrad.errors import at_line
from funcgrad.flatten_util import ravel_pytree
from funcgrad.optim import tree
from funcgrad.optim._base import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Updates,
    like,
    safe_increment,
    transformation_with_args,
    with_extra_args_support,
    zero_count,
)
from funcgrad.optim._leaves import arrays, check_match, map_trees, owned


class LookaheadState(NamedTuple):
    """The fast optimiser's state, and its steps since both parameters met."""

    fast_state: Any
    steps_since_sync: Any


class LookaheadParams(NamedTuple):
    """The parameters that the gradients are of, and those that follow them slowly."""

    fast: Any
    slow: Any

    @classmethod
    def init_synced(cls, params: Params) -> LookaheadParams:
        """Parameters to begin with: both the same.

        Parameters
        ----------
        params
            The parameters.

        Returns
        -------
        LookaheadParams
            With `params` as the fast and as the slow ones.

        Examples
        --------
        >>> import funcgrad as fg
        >>> fg.optim.LookaheadParams.init_synced(1.0)
        LookaheadParams(fast=1.0, slow=1.0)
        """
        return cls(fast=params, slow=params)


def lookahead(
    fast_optimizer: GradientTransformation, sync_period: int, slow_step_size: Any, reset_state: bool = False
) -> GradientTransformation:
    """`k` steps forward, one step back (Zhang et al. 2019, arXiv:1907.08610).

    Parameters
    ----------
    fast_optimizer
        Takes the steps of the fast parameters.
    sync_period
        After how many of them both parameters meet.
    slow_step_size
        How far from the slow ones to the fast ones.
    reset_state
        Whether the fast optimiser begins anew then.

    Returns
    -------
    GradientTransformation
        Its parameters are `LookaheadParams`; gradients are those of the fast ones.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import optim
    >>> params = optim.LookaheadParams.init_synced(np.array([1.0]))
    >>> optimizer = optim.lookahead(optim.sgd(1.0), sync_period=1, slow_step_size=0.5)
    >>> updates, state = optimizer.update(np.array([1.0]), optimizer.init(params), params)
    >>> optim.apply_updates(params, updates)
    LookaheadParams(fast=Array([0.5]), slow=Array([0.5]))
    """
    check_within("lookahead", "sync_period", sync_period, 1)

    def init(params: Params) -> OptState:
        fast = params.fast if isinstance(params, LookaheadParams) else params
        return LookaheadState(fast_optimizer.init(fast), owned(zero_count(), ()))

    def update(updates: Updates, state: OptState, params: Params | None = None) -> Any:
        if not isinstance(params, LookaheadParams):
            raise TypeError(
                f"lookahead: params must be LookaheadParams (LookaheadParams.init_synced(params) makes them), not "
                f"{type(params).__name__}{at_line()}"
            )
        check_match("lookahead", updates, params.fast, "params.fast")
        params = arrays(params)
        updates, fast_state = fast_optimizer.update(updates, state.fast_state, params.fast)
        meet = np.asarray(state.steps_since_sync) == sync_period - 1
        apart = map_trees(lambda f, u, s: f + u - s, params.fast, updates, params.slow)
        slow = map_trees(lambda d: np.where(meet, like(slow_step_size, d) * d, np.zeros_like(d)), apart)
        fast = map_trees(lambda u, d: np.where(meet, u - like(1 - slow_step_size, d) * d, u), updates, apart)
        if reset_state:
            fast_state = tree.where(meet, fast_optimizer.init(params.fast), fast_state)
        since = (np.asarray(state.steps_since_sync) + 1) % sync_period
        results = LookaheadParams(fast, slow), LookaheadState(fast_state, since.astype(_np.int32))
        return owned(results, (state, params))

    return GradientTransformation(init, update)


def flatten(inner: GradientTransformation) -> GradientTransformationExtraArgs:
    """Let `inner` see all leaves as one vector: fewer operations for many small leaves.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.flatten(fg.optim.sgd(0.1))
    >>> updates, state = optimizer.update({"w": x}, optimizer.init({"w": x}))
    >>> updates
    {'w': Array([-0.1, -0.2])}
    """
    inner = with_extra_args_support(inner)

    def init(params: Params) -> OptState:
        return inner.init(ravel_pytree(params)[0])

    def update(updates: Updates, state: OptState, params: Params | None, **extra_args: Any) -> tuple[Updates, OptState]:
        vector, restore = ravel_pytree(updates)
        flat_params = None if params is None else ravel_pytree(params)[0]
        vector, state = inner.update(vector, state, flat_params, **extra_args)
        return restore(vector), state

    return transformation_with_args("flatten", init, update)


class ReduceLROnPlateauState(NamedTuple):
    """The factor, the best loss, and counts."""

    scale: Any
    best_value: Any
    plateau_count: Any
    cooldown_count: Any
    count: Any
    avg_value: Any


def reduce_on_plateau(
    factor: float = 0.1,
    patience: int = 10,
    rtol: float = 1e-4,
    atol: float = 0.0,
    cooldown: int = 0,
    accumulation_size: int = 1,
    min_scale: Any = 0.0,
) -> GradientTransformationExtraArgs:
    """Multiply the updates by a factor that shrinks when the loss does not improve; `update` takes it as ``value=``.

    Parameters
    ----------
    factor
        By which the scale is multiplied, between 0 and 1.
    patience
        After how many losses without improvement.
    rtol, atol
        What counts: a loss below ``(1 - rtol) * best - atol``.
    cooldown
        For how many losses to wait after a reduction.
    accumulation_size
        How many values are averaged to one loss.
    min_scale
        The least scale.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Raises
    ------
    ValueError
        `factor` or a tolerance is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import optim
    >>> tx = optim.reduce_on_plateau(factor=0.5, patience=1)
    >>> state = tx.init(np.zeros(1))
    >>> for loss in (1.0, 1.0):
    ...     updates, state = tx.update(np.array([1.0]), state, value=loss)
    >>> updates
    Array([0.5])
    """
    if not 0.0 < factor < 1.0:
        raise ValueError(f"reduce_on_plateau: factor must be between 0 and 1, not {factor!r}{at_line()}")
    if not (0.0 <= rtol <= 1.0 and atol >= 0.0 and rtol + atol > 0.0):
        raise ValueError(
            f"reduce_on_plateau: rtol must be between 0 and 1, atol not negative, and one of them positive, not "
            f"rtol={rtol!r} and atol={atol!r}{at_line()}"
        )
    check_within("reduce_on_plateau", "patience", patience, 1)
    check_within("reduce_on_plateau", "accumulation_size", accumulation_size, 1)
    check_within("reduce_on_plateau", "cooldown", cooldown, 0)

    def init(params: Params) -> OptState:
        low, high = tree.dtype(params, "lowest"), tree.dtype(params, "highest")
        plateau, cooling, count = (zero_count() for _ in range(3))
        best = np.full((), _np.inf, high)
        return ReduceLROnPlateauState(np.ones((), low), best, plateau, cooling, count, np.zeros((), high))

    def judged(state: ReduceLROnPlateauState) -> ReduceLROnPlateauState:
        """The state after a whole loss."""
        better = state.avg_value < like(1 - rtol, state.best_value) * state.best_value - like(atol, state.best_value)
        flat = np.where(better, np.zeros((), _np.int32), safe_increment(state.plateau_count))
        cooling = state.cooldown_count > 0
        reduce = ~cooling & (flat == patience)
        smaller = np.maximum(state.scale * like(factor, state.scale), like(min_scale, state.scale))
        kept = np.maximum(state.scale, like(min_scale, state.scale))
        waiting = np.where(reduce, np.full((), cooldown, _np.int32), np.zeros((), _np.int32))
        return ReduceLROnPlateauState(
            np.where(cooling, state.scale, np.where(reduce, smaller, kept)),
            np.where(better, state.avg_value, state.best_value),
            np.where(cooling | reduce, np.zeros((), _np.int32), flat),
            np.where(cooling, state.cooldown_count - _np.int32(1), waiting),
            zero_count(),
            np.zeros_like(state.avg_value),
        )

    def update(
        updates: Updates, state: OptState, params: Params | None, *, value: Any, **extra_args: Any
    ) -> tuple[Updates, OptState]:
        count = safe_increment(state.count)
        value = np.asarray(value).astype(state.avg_value.dtype)
        average = (like(state.count, value) * state.avg_value + value) / like(count, value)
        gathered = state._replace(count=count, avg_value=average)
        new = tree.where(count == accumulation_size, judged(gathered), gathered)
        return tree.scale(new.scale, updates), new

    return transformation_with_args("reduce_on_plateau", init, update)
