"""How far along a direction?  Backtracking, and the values that a line search keeps for the next step."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as _np

from funcgrad import numpy as np
from funcgrad import tree as _tree
from funcgrad.api import value_and_grad
from funcgrad.arguments import check_within
from funcgrad.errors import at_line
from funcgrad.lax._control import while_loop
from funcgrad.optim import tree
from funcgrad.optim._base import (
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Updates,
    like,
    transformation_with_args,
)
from funcgrad.optim._conditions import branch


class BacktrackingLinesearchInfo(NamedTuple):
    """How many steps were tried, and by how much the last one missed the wanted decrease."""

    num_linesearch_steps: Any
    decrease_error: Any


class ScaleByBacktrackingLinesearchState(NamedTuple):
    """The last step size, and value and gradient (if it is stored) at the point that it led to."""

    learning_rate: Any
    value: Any
    grad: Any
    info: Any


def scale_by_backtracking_linesearch(
    max_backtracking_steps: int,
    slope_rtol: Any = 1e-4,
    decrease_factor: Any = 0.8,
    increase_factor: Any = 1.5,
    max_learning_rate: Any = 1.0,
    atol: Any = 0.0,
    rtol: Any = 0.0,
    store_grad: bool = False,
) -> GradientTransformationExtraArgs:
    """Shorten the step until the function decreases enough (Armijo 1966).

    A step η along u is accepted where ``f(w + ηu) <= (1 + rtol) f(w) + slope_rtol η <u, ∇f(w)> + atol``. `update` takes
    ``value=`` and ``grad=`` at the parameters, and the function as ``value_fn=``; further keyword arguments are its.

    Parameters
    ----------
    max_backtracking_steps
        How often a step may be shortened.
    slope_rtol, atol, rtol
        See above.
    decrease_factor
        By which a step is shortened.
    increase_factor
        By which the last step is lengthened for a first guess.
    max_learning_rate
        The longest step.
    store_grad
        Whether the state keeps the gradient at the new point: see `value_and_grad_from_state`.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import optim
    >>> f = lambda w: np.sum(w**2)
    >>> optimizer = optim.chain(optim.sgd(4.0), optim.scale_by_backtracking_linesearch(10))
    >>> w = np.array([1.0])
    >>> updates, state = optimizer.update(2 * w, optimizer.init(w), w, value=f(w), grad=2 * w, value_fn=f)
    >>> bool(f(w + updates) < f(w))
    True
    """
    check_within("scale_by_backtracking_linesearch", "max_backtracking_steps", max_backtracking_steps, 1)

    def init(params: Params) -> OptState:
        dtype = value_dtype(params)
        grad = tree.zeros_like(params) if store_grad else None
        info = BacktrackingLinesearchInfo(np.zeros((), _np.int32), np.full((), _np.inf, dtype))
        return ScaleByBacktrackingLinesearchState(np.ones((), dtype), np.full((), _np.inf, dtype), grad, info)

    def update(
        updates: Updates,
        state: OptState,
        params: Params,
        *,
        value: Any,
        grad: Updates,
        value_fn: Callable[..., Any],
        **extra_args: Any,
    ) -> tuple[Updates, OptState]:
        number = number_in(value_dtype(params))
        function = with_arguments("scale_by_backtracking_linesearch", value_fn, extra_args)
        slope = number(np.real(tree.vdot(grad, updates)))
        before = number(value)

        def error(step: Any, new: Any) -> Any:
            missed = new - number(1.0 + rtol) * before - step * number(slope_rtol) * slope
            return np.maximum(np.where(np.isnan(missed), number(_np.inf), missed), number(0.0))

        def goes_on(carry: Any) -> Any:
            _, _, missed, count = carry
            return ~(missed <= number(atol)) & (count <= max_backtracking_steps)

        def shorter(carry: Any) -> Any:
            step, _, _, count = carry
            step = np.where(count > 0, number(decrease_factor) * step, step)
            new = number(function(tree.add_scale(params, step, updates)))
            return step, new, error(step, new), count + _np.int32(1)

        first = np.minimum(number(increase_factor) * number(state.learning_rate), number(max_learning_rate))
        step, new, missed, count = while_loop(
            goes_on, shorter, (first, before, number(_np.inf), np.zeros((), _np.int32))
        )
        step = np.where(np.isinf(missed), number(0.0), step)
        scaled = tree.scale(step, updates)
        reached = value_and_grad(function)(tree.add_scale(params, step, updates))[1] if store_grad else None
        info = BacktrackingLinesearchInfo(count, missed)
        return scaled, ScaleByBacktrackingLinesearchState(step, new, reached, info)

    return transformation_with_args("scale_by_backtracking_linesearch", init, update, needs_params=True)


def value_dtype(params: Params) -> _np.dtype:
    """The dtype of values of functions of these parameters: that of the first leaf, real."""
    leaves = _tree.leaves(params)
    if not leaves:
        raise ValueError(f"line search: there are no parameters to search along{at_line()}")
    return tree.real_dtype(leaves[0])


def number_in(dtype: _np.dtype) -> Callable[[Any], Any]:
    """What makes a 0-d number of a dtype."""
    return lambda x: np.asarray(x).astype(dtype)


def with_arguments(name: str, function: Callable[..., Any], extra_args: dict[str, Any]) -> Callable[[Any], Any]:
    """The function of the parameters alone; keyword arguments that it does not take are an error."""
    parameters = inspect.signature(function).parameters
    if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        surplus = sorted(set(extra_args) - set(parameters))
        if surplus:
            raise TypeError(f"{name}: value_fn does not take the keyword arguments {', '.join(surplus)}{at_line()}")
    return lambda params: function(params, **extra_args)


def value_and_grad_from_state(value_fn: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """As `value_and_grad`, but taking both from an optimiser's state where a line search has left them.

    Parameters
    ----------
    value_fn
        The function of the parameters and further arguments.

    Returns
    -------
    Callable
        ``(params, *args, state=..., **kwargs) -> (value, grad)``.

    Raises
    ------
    ValueError
        By the result, for a state that keeps no value and gradient.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import optim
    >>> f = lambda w: np.sum((w - 1.0) ** 2)
    >>> optimizer, w = optim.lbfgs(), np.zeros(2)
    >>> state = optimizer.init(w)
    >>> for _ in range(3):
    ...     value, grad = optim.value_and_grad_from_state(f)(w, state=state)
    ...     updates, state = optimizer.update(grad, state, w, value=value, grad=grad, value_fn=f)
    ...     w = optim.apply_updates(w, updates)
    >>> w
    Array([1., 1.])
    """

    def from_state(params: Params, *args: Any, state: OptState, **kwargs: Any) -> Any:
        value, grad = tree.get(state, "value"), tree.get(state, "grad")
        if value is None or grad is None:
            raise ValueError(
                "value_and_grad_from_state: the state has no value and gradient: use lbfgs, or "
                f"scale_by_backtracking_linesearch(..., store_grad=True){at_line()}"
            )

        def computed() -> tuple[Any, Any]:
            new, gradient = value_and_grad(value_fn)(params, *args, **kwargs)
            return like(new, value), tree.cast_like(gradient, grad)

        return branch(np.isfinite(value), lambda: (value, grad), computed)

    return from_state
