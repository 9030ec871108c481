"""How are gradients of several small batches gathered into one step?  `MultiSteps`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as _np

from funcgrad import numpy as np
from funcgrad import tree as _tree
from funcgrad.arguments import check_within
from funcgrad.errors import at_line
from funcgrad.optim import tree
from funcgrad.optim._base import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Updates,
    abs_sq,
    check_transformation,
    like,
    safe_increment,
    transformation_with_args,
    with_extra_args_support,
    zero_count,
)
from funcgrad.optim._conditions import branch
from funcgrad.optim._leaves import dtype_of, map_trees, shape_of
from funcgrad.tracebacks import boundary


class MultiStepsState(NamedTuple):
    """Small steps since the last large one, large ones so far, the inner state, the gathered gradients."""

    mini_step: Any
    gradient_step: Any
    inner_opt_state: Any
    acc_grads: Any
    skip_state: Any = ()


def skip_not_finite(updates: Updates, gradient_step: Any, params: Params | None) -> tuple[Any, Any]:
    """For `MultiSteps`: skip gradients with elements that are not finite.

    Returns
    -------
    tuple
        Whether to skip, a bool, and a dictionary of what was found.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> bool(fg.optim.skip_not_finite(np.array([1.0, np.nan]), 0, None)[0])
    True
    """
    count: Any = zero_count()
    for x in _tree.leaves(updates):
        count = count + np.sum(~np.isfinite(x)).astype(_np.int32)
    return count > 0, {"should_skip": count > 0, "num_not_finite": count}


def skip_large_updates(
    updates: Updates, gradient_step: Any, params: Params | None, max_squared_norm: Any
) -> tuple[Any, Any]:
    """For `MultiSteps` (with `functools.partial`): skip gradients whose squared norm is not below a bound.

    Returns
    -------
    tuple
        Whether to skip, a bool, and a dictionary of what was found.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> import funcgrad as fg
    >>> skip, _ = 0, 0
    >>> bool(fg.optim.skip_large_updates(np.array([3.0, 4.0]), 0, None, max_squared_norm=1.0)[0])
    True
    """
    square = sum((np.sum(abs_sq(x)) for x in _tree.leaves(updates)), start=np.asarray(_np.float32(0)))
    skip = ~(square < max_squared_norm)
    return skip, {"should_skip": skip, "norm_squared": square}


class MultiSteps:
    """An optimiser that takes a step every `k` calls, with the mean of the gradients since.

    The result is that of one large batch. Between steps the updates are zero.

    Parameters
    ----------
    opt
        The optimiser.
    every_k_schedule
        How many gradients make a step: a number, or a function of the number of steps so far.
    use_grad_mean
        Whether to use the mean of the gradients, else their sum.
    should_skip_update_fn
        ``(updates, gradient_step, params) -> (skip, state)``: which gradients to leave out, such as `skip_not_finite`.
    accumulator_dtype
        Of the gathered gradients; by default the parameters' (optax: float32).

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import optim
    >>> optimizer = optim.MultiSteps(optim.sgd(1.0), every_k_schedule=2)
    >>> state = optimizer.init(np.zeros(1))
    >>> for gradient in (1.0, 3.0):
    ...     updates, state = optimizer.update(np.array([gradient]), state)
    ...     print(updates, optimizer.has_updated(state))
    [0.] False
    [-2.] True
    >>> clipped = optim.chain(optim.clip(1.0), optimizer.gradient_transformation())
    """

    @boundary
    def __init__(
        self,
        opt: GradientTransformation,
        every_k_schedule: int | Callable[[Any], Any],
        use_grad_mean: bool = True,
        should_skip_update_fn: Callable[..., tuple[Any, Any]] | None = None,
        accumulator_dtype: Any = None,
    ) -> None:
        check_transformation("MultiSteps", "opt", opt)
        check_within("MultiSteps", "every_k_schedule", every_k_schedule, 1)
        self._opt = with_extra_args_support(opt)
        self._every = every_k_schedule if callable(every_k_schedule) else lambda step: every_k_schedule
        self._mean = use_grad_mean
        self._skip = should_skip_update_fn or (lambda updates, gradient_step, params: (np.zeros((), bool), ()))
        self._dtype = accumulator_dtype
        self._transformation = transformation_with_args("MultiSteps", self._init, self._update)
        self.init, self.update = self._transformation

    @property
    def inner_opt(self) -> GradientTransformationExtraArgs:
        """The optimiser."""
        return self._opt

    def _init(self, params: Params) -> MultiStepsState:
        zeros = tree.zeros_like(params)
        _, skip_state = self._skip(zeros, zero_count(), params)
        gathered = tree.zeros_like(params, self._dtype)
        return MultiStepsState(zero_count(), zero_count(), self._opt.init(params), gathered, skip_state)

    def _update(
        self, updates: Updates, state: MultiStepsState, params: Params | None, **extra_args: Any
    ) -> tuple[Updates, OptState]:
        skip, skip_state = self._skip(updates, state.gradient_step, params)
        if shape_of(skip) or dtype_of(skip).kind != "b":
            raise ValueError(
                f"MultiSteps: should_skip_update_fn must return one boolean first, not {dtype_of(skip)} of shape "
                f"{shape_of(skip)}{at_line()}"
            )
        every = self._every(state.gradient_step)

        def gather() -> Any:
            sums = self._gathered(updates, state)
            return branch(state.mini_step == every - 1, lambda: step(sums), lambda: wait(sums))

        def step(sums: Updates) -> tuple[Updates, Any]:
            final, inner = self._opt.update(tree.cast_like(sums, updates), state.inner_opt_state, params, **extra_args)
            return final, (zero_count(), safe_increment(state.gradient_step), inner, tree.zeros_like(sums))

        def wait(sums: Updates) -> tuple[Updates, Any]:
            place = safe_increment(state.mini_step)
            return tree.zeros_like(updates), (place, state.gradient_step, state.inner_opt_state, sums)

        new, rest = branch(skip, lambda: (tree.zeros_like(updates), state[:4]), gather)
        mini_step, gradient_step, inner, sums = rest
        return new, MultiStepsState(mini_step, gradient_step, inner, sums, skip_state)

    def _gathered(self, updates: Updates, state: MultiStepsState) -> Updates:
        """The running mean, or the sum, with one more gradient."""

        def add(g: Any, a: Any) -> Any:
            total = a + (g - a) / like(state.mini_step + 1, a) if self._mean else a + g
            return total.astype(dtype_of(a))

        return map_trees(add, updates, state.acc_grads)

    def has_updated(self, state: MultiStepsState) -> Any:
        """Whether the last call took a step.

        Parameters
        ----------
        state
            What that call returned.

        Returns
        -------
        Array
            A boolean.
        """
        return (state.mini_step == 0) & (state.gradient_step > 0)

    def gradient_transformation(self) -> GradientTransformation:
        """The pair of functions, for what takes no object.

        Returns
        -------
        GradientTransformation
            The `init` and `update` of this one.
        """
        return self._transformation
