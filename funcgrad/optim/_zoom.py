"""How far along a direction, by slopes too?  A line search for the strong Wolfe conditions, by zooming in.

Nocedal and Wright, Numerical Optimization, algorithms 3.5 and 3.6: steps grow until an interval is found that holds a
good one, then the interval shrinks by interpolation. Hager and Zhang's approximate condition (2005) takes over where
values no longer differ by more than rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as _np

from funcgrad import numpy as np
from funcgrad.api import value_and_grad
from funcgrad.arguments import check_within
from funcgrad.errors import at_line
from funcgrad.lax._branches import cond
from funcgrad.lax._control import while_loop
from funcgrad.optim import tree
from funcgrad.optim._base import GradientTransformationExtraArgs, OptState, Params, Updates, transformation_with_args
from funcgrad.optim._linesearch import number_in, value_dtype, with_arguments


class ZoomLinesearchInfo(NamedTuple):
    """How many steps were tried, and by how much the last one missed either condition."""

    num_linesearch_steps: Any
    decrease_error: Any
    curvature_error: Any


class ScaleByZoomLinesearchState(NamedTuple):
    """The last step size, and value and gradient at the point that it led to."""

    learning_rate: Any
    value: Any
    grad: Any
    info: Any


class _Point(NamedTuple):
    """A step along the direction, the value there and the slope."""

    step: Any
    value: Any
    slope: Any


class _Safe(NamedTuple):
    """The best step so far with enough decrease; 0 for none."""

    step: Any
    value: Any
    grad: Any


class _Search(NamedTuple):
    """A state of the search.

    Attributes
    ----------
    count
        Steps tried.
    point, grad
        The last of them, and the gradient there.
    decrease_error, curvature_error
        By how much it misses the conditions.
    found, done, failed
        Whether there is an interval; whether the search is over.
    low, high
        The interval's ends; the value at `low` is the smaller one.
    reference
        A third point, for cubic interpolation.
    safe
        What to fall back to.
    """

    count: Any
    point: _Point
    grad: Any
    decrease_error: Any
    curvature_error: Any
    found: Any
    done: Any
    failed: Any
    low: _Point
    high: _Point
    reference: _Point
    safe: _Safe


Along = Callable[[Any], tuple[_Point, Updates]]


class _Rules(NamedTuple):
    """The parameters of `scale_by_zoom_linesearch`, as numbers of the values' dtype."""

    max_steps: Any
    max_step: Any
    tol: Any
    increase_factor: Any
    slope_rtol: Any
    curv_rtol: Any
    approx_dec_rtol: Any
    precision: Any


def scale_by_zoom_linesearch(
    max_linesearch_steps: int,
    max_learning_rate: Any = None,
    tol: Any = 0.0,
    increase_factor: Any = 2.0,
    slope_rtol: Any = 1e-4,
    curv_rtol: Any = 0.9,
    approx_dec_rtol: Any = 1e-6,
    stepsize_precision: Any = 1e-5,
    initial_guess_strategy: str = "keep",
) -> GradientTransformationExtraArgs:
    """Choose a step with enough decrease and a small slope: the strong Wolfe conditions.

    `update` takes ``value=`` and ``grad=`` at the parameters, and the function as ``value_fn=``; further keyword
    arguments are its.

    Parameters
    ----------
    max_linesearch_steps
        How many steps may be tried.
    max_learning_rate
        The longest step, or None.
    tol
        By how much the conditions may be missed.
    increase_factor
        By which steps grow until an interval is found.
    slope_rtol, curv_rtol
        The decrease is at least `slope_rtol` times what the first slope promises; the slope is at most `curv_rtol`
        times the first one.
    approx_dec_rtol
        Where the value has risen by at most this share, slopes decide about the decrease; None: never.
    stepsize_precision
        The length of an interval at which the search gives up.
    initial_guess_strategy
        ``"keep"``: begin with the last step size; ``"one"``: with 1.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Raises
    ------
    ValueError
        There is no such strategy.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.scale_by_zoom_linesearch(max_linesearch_steps=10)
    >>> f = lambda x: np.sum(x**2)
    >>> updates, state = optimizer.update(-2 * x, optimizer.init(x), x, value=f(x), grad=2 * x, value_fn=f)
    >>> np.round(updates, 4)
    array([-1., -2.])
    """
    name = "scale_by_zoom_linesearch"
    check_within(name, "max_linesearch_steps", max_linesearch_steps, 1)
    if initial_guess_strategy not in ("keep", "one"):
        raise ValueError(
            f"{name}: initial_guess_strategy must be 'keep' or 'one', not {initial_guess_strategy!r}{at_line()}"
        )

    def init(params: Params) -> OptState:
        dtype = value_dtype(params)
        far = [np.full((), _np.inf, dtype) for _ in range(3)]
        info = ZoomLinesearchInfo(np.zeros((), _np.int32), far[0], far[1])
        return ScaleByZoomLinesearchState(np.ones((), dtype), far[2], tree.zeros_like(params), info)

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
        function = value_and_grad(with_arguments(name, value_fn, extra_args))

        def along(step: Any) -> tuple[_Point, Updates]:
            new, gradient = function(tree.add_scale(params, step, updates))
            slope = np.real(tree.vdot(gradient, updates))
            return _Point(step, number(new), number(slope)), tree.cast_like(gradient, params)

        limit = _np.inf if max_learning_rate is None else max_learning_rate
        close = _np.nan if approx_dec_rtol is None else approx_dec_rtol  # a comparison with NaN never holds
        numbers = (limit, tol, increase_factor, slope_rtol, curv_rtol, close, stepsize_precision)
        rules = _Rules(max_linesearch_steps, *(number(x) for x in numbers))
        first = _Point(number(0.0), number(value), number(np.real(tree.vdot(grad, updates))))
        guess = number(1.0) if initial_guess_strategy == "one" else number(state.learning_rate)
        end = _search(along, first, tree.cast_like(grad, params), guess, rules, number)
        info = ZoomLinesearchInfo(end.count, end.decrease_error, end.curvature_error)
        step = end.point.step
        return tree.scale(step, updates), ScaleByZoomLinesearchState(step, end.point.value, end.grad, info)

    return transformation_with_args(name, init, update, needs_params=True)


def _search(
    along: Along, first: _Point, grad: Updates, guess: Any, rules: _Rules, number: Callable[[Any], Any]
) -> _Search:
    """Run the search from the point at step 0."""
    no, far = np.asarray(False), number(_np.inf)
    safe = _Safe(first.step, first.value, grad)
    start = _Search(np.zeros((), _np.int32), first, grad, far, far, no, no, no, first, first, first, safe)

    def one(search: _Search) -> _Search:
        zoom, widen = partial(_zoom, along, first, rules), partial(_widen, along, first, rules, guess)
        return _fallen_back(cond(search.found, zoom, widen, search))

    end: _Search = while_loop(lambda s: ~(s.done | s.failed), one, start)
    return end


def _errors(first: _Point, new: _Point, rules: _Rules) -> tuple[Any, Any]:
    """By how much a point misses the decrease that is wanted, and the slope."""
    zero = np.zeros_like(new.value)
    rise = new.value - first.value
    missed = rise - rules.slope_rtol * new.step * first.slope
    by_slopes = np.maximum(
        new.slope - (2 * rules.slope_rtol - 1) * first.slope, rise - rules.approx_dec_rtol * np.abs(first.value)
    )
    missed = np.maximum(np.where(by_slopes < missed, by_slopes, missed), zero)
    steep = np.maximum(np.abs(new.slope) - rules.curv_rtol * np.abs(first.slope), zero)
    far = np.full_like(new.value, _np.inf)
    return np.where(np.isnan(missed), far, missed), np.where(np.isnan(steep), far, steep)


def _widen(along: Along, first: _Point, rules: _Rules, guess: Any, search: _Search) -> _Search:
    """Try a larger step; is there an interval between the last one and it?"""
    last = search.point
    step = np.where(search.count == 0, guess, rules.increase_factor * last.step)
    at_limit = step >= rules.max_step
    new, grad = along(np.minimum(step, rules.max_step))
    decrease, curvature = _errors(first, new, rules)
    error = np.maximum(decrease, curvature)
    safe = tree.where(decrease <= rules.tol, _Safe(new.step, new.value, grad), search.safe)
    too_far = (decrease > 0) | ((new.value >= last.value) & (search.count > 0))
    past = (new.slope >= 0) & ~too_far
    low, high = tree.where(past, new, last), tree.where(past, last, new)
    found = too_far | past | (error <= rules.tol)
    done = (error <= rules.tol) | (at_limit & ~found)
    count = search.count + _np.int32(1)
    failed = (count >= rules.max_steps) & ~done
    return _Search(count, new, grad, decrease, curvature, found, done, failed, low, high, low, safe)


def _zoom(along: Along, first: _Point, rules: _Rules, search: _Search) -> _Search:
    """Try a step inside the interval, and keep the part that holds a good one."""
    low, high = search.low, search.high
    new, grad = along(_inside(low, high, search.reference))
    decrease, curvature = _errors(first, new, rules)
    error = np.maximum(decrease, curvature)
    better = (decrease <= rules.tol) & (new.value < search.safe.value)
    safe = tree.where(better, _Safe(new.step, new.value, grad), search.safe)
    done = error <= rules.tol
    cut_above = (decrease > 0) | (new.value >= low.value)
    turn = (new.slope * (high.step - low.step) >= 0) & ~cut_above
    new_high = tree.where(turn, low, tree.where(cut_above, new, high))
    new_low = tree.where(cut_above, low, new)
    reference = tree.where(cut_above | turn, high, low)
    count = search.count + _np.int32(1)
    tiny = (np.abs(high.step - low.step) <= rules.precision) & (safe.step > 0)
    failed = ((count >= rules.max_steps) | tiny) & ~done
    return _Search(
        count, new, grad, decrease, curvature, search.found, done, failed, new_low, new_high, reference, safe
    )


def _inside(low: _Point, high: _Point, reference: _Point) -> Any:
    """A step inside the interval: the minimum of a cubic, of a parabola, or the middle, if it keeps from the ends."""
    length = np.abs(high.step - low.step)
    left, right = np.minimum(low.step, high.step), np.maximum(low.step, high.step)

    def keeps(step: Any, share: float) -> Any:
        return (step > left + share * length) & (step < right - share * length)

    cubic, parabola = _cubic_minimum(low, high, reference), _parabola_minimum(low, high)
    middle = (low.step + high.step) / 2
    return np.where(keeps(cubic, 0.2), cubic, np.where(keeps(parabola, 0.1), parabola, middle))


def _cubic_minimum(a: _Point, b: _Point, c: _Point) -> Any:
    """Where the cubic with a's value and slope and the values of b and c has its minimum (NaN for none)."""
    to_b, to_c = b.step - a.step, c.step - a.step
    rise_b, rise_c = b.value - a.value - a.slope * to_b, c.value - a.value - a.slope * to_c
    scale = (to_b * to_c) ** 2 * (to_b - to_c)
    third = (to_c**2 * rise_b - to_b**2 * rise_c) / scale
    second = (to_b**3 * rise_c - to_c**3 * rise_b) / scale
    return a.step + (-second + np.sqrt(second * second - 3 * third * a.slope)) / (3 * third)


def _parabola_minimum(a: _Point, b: _Point) -> Any:
    """Where the parabola with a's value and slope and b's value has its minimum."""
    length = b.step - a.step
    return a.step - a.slope / (2 * (b.value - a.value - a.slope * length) / length**2)


def _fallen_back(search: _Search) -> _Search:
    """After a failure: the best step with enough decrease, or none where values are not numbers."""
    back = search.failed & ((search.safe.step > 0) | np.isinf(search.decrease_error))
    point = search.point._replace(
        step=np.where(back, search.safe.step, search.point.step),
        value=np.where(back, search.safe.value, search.point.value),
    )
    return search._replace(point=point, grad=tree.where(back, search.safe.grad, search.grad))
