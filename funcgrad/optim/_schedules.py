"""How do learning rates change with the number of steps?  Functions of a count, which may be traced."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from funcgrad import numpy as np
from funcgrad.arguments import check_within
from funcgrad.errors import at_line
from funcgrad.optim._base import Schedule


def constant_schedule(value: Any) -> Schedule:
    """Always `value`.

    Returns
    -------
    callable
        From the number of steps so far to `value`.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> schedule = fg.optim.constant_schedule(0.1)
    >>> [round(float(schedule(k)), 4) for k in (0, 5, 10)]
    [0.1, 0.1, 0.1]
    """
    return lambda count: value


def polynomial_schedule(
    init_value: Any, end_value: Any, power: Any, transition_steps: int, transition_begin: int = 0
) -> Schedule:
    """From `init_value` to `end_value` as ``(1 - progress) ** power``.

    Parameters
    ----------
    init_value, end_value
        Values before and after the transition.
    power
        1 is a straight line.
    transition_steps
        How long the transition takes, at least 1.
    transition_begin
        The count at which it begins.

    Returns
    -------
    callable
        From the number of steps so far, an integer or an array of them, to the value: float64 of that shape.

    Examples
    --------
    >>> schedule = polynomial_schedule(1.0, 0.0, 2, 10)
    >>> schedule(0), schedule(5), schedule(99)
    (Array(1.), Array(0.25), Array(0.))
    """
    check_within("polynomial_schedule", "transition_steps", transition_steps, 1)
    check_within("polynomial_schedule", "transition_begin", transition_begin, 0)

    def schedule(count: Any) -> Any:
        left = 1 - np.clip(np.asarray(count) - transition_begin, 0, transition_steps) / transition_steps
        return np.add((init_value - end_value) * left**power, end_value)

    return schedule


def linear_schedule(init_value: Any, end_value: Any, transition_steps: int, transition_begin: int = 0) -> Schedule:
    """From `init_value` to `end_value` in a straight line.

    Returns
    -------
    callable
        From the number of steps so far, an integer or an array of them, to the value: float64 of that shape.

    Examples
    --------
    >>> linear_schedule(0.0, 1.0, 4)(1)
    Array(0.25)
    """
    check_within("linear_schedule", "transition_steps", transition_steps, 1)
    check_within("linear_schedule", "transition_begin", transition_begin, 0)
    return polynomial_schedule(init_value, end_value, 1, transition_steps, transition_begin)


def piecewise_constant_schedule(init_value: Any, boundaries_and_scales: Mapping[int, float] | None = None) -> Schedule:
    """`init_value`, multiplied by a factor at each boundary.

    Returns
    -------
    callable
        From the number of steps so far, an integer or an array of them, to the value: float64 of that shape.

    Examples
    --------
    >>> schedule = piecewise_constant_schedule(1.0, {10: 0.1, 20: 0.1})
    >>> schedule(9), schedule(10), schedule(20)
    (Array(1.), Array(0.1), Array(0.01))
    """
    pieces = _pieces("piecewise_constant_schedule", boundaries_and_scales)

    def schedule(count: Any) -> Any:
        value = init_value
        for boundary, scale in pieces:
            value = np.where(np.asarray(count) < boundary, value, value * scale)
        return value

    return schedule


def _pieces(name: str, boundaries_and_scales: Mapping[int, float] | None) -> list[tuple[int, float]]:
    """The pairs in order, with factors that are not negative."""
    pieces = sorted((boundaries_and_scales or {}).items())
    for boundary, scale in pieces:
        check_within(name, f"the scale at {boundary}", scale, 0)
    return pieces


def step_schedule(init_value: Any, step_size: int, decay_rate: Any = 0.1) -> Schedule:
    """`init_value`, multiplied by `decay_rate` every `step_size` steps (PyTorch's ``StepLR``).

    Returns
    -------
    callable
        From the number of steps so far, an integer or an array of them, to the value: float64 of that shape.

    Examples
    --------
    >>> schedule = step_schedule(1.0, 30)
    >>> schedule(29), schedule(30)
    (Array(1.), Array(0.1))
    """
    check_within("step_schedule", "step_size", step_size, 1)
    return lambda count: np.multiply(init_value, np.power(decay_rate, np.asarray(count) // step_size * 1.0))


def exponential_decay(
    init_value: Any,
    transition_steps: int,
    decay_rate: Any,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: Any = None,
) -> Schedule:
    """``init_value * decay_rate ** (count / transition_steps)``.

    Parameters
    ----------
    init_value
        The value until `transition_begin`.
    transition_steps
        In how many steps the value changes by a factor of `decay_rate`, at least 1.
    decay_rate
        The factor, not 0.
    transition_begin
        The count at which the decay begins.
    staircase
        Whether the value changes only every `transition_steps` steps.
    end_value
        Where the decay stops: a lower bound for rates below 1, else an upper one.

    Returns
    -------
    callable
        From the number of steps so far, an integer or an array of them, to the value: float64 of that shape.

    Examples
    --------
    >>> exponential_decay(1.0, 10, 0.5)(20)
    Array(0.25)
    """
    check_within("exponential_decay", "transition_steps", transition_steps, 1)
    check_within("exponential_decay", "transition_begin", transition_begin, 0)
    check_within("exponential_decay", "decay_rate", decay_rate, 0, above=True)
    bound = np.maximum if type(decay_rate) is not float or decay_rate < 1.0 else np.minimum

    def schedule(count: Any) -> Any:
        progress = np.maximum(np.asarray(count) - transition_begin, 0) / transition_steps
        value = np.multiply(init_value, np.power(decay_rate, np.floor(progress) if staircase else progress))
        return value if end_value is None else bound(value, end_value)

    return schedule


def cosine_decay_schedule(init_value: Any, decay_steps: int, alpha: Any = 0.0, exponent: Any = 1.0) -> Schedule:
    """From `init_value` to ``alpha * init_value`` along half a cosine (Loshchilov and Hutter 2016, arXiv:1608.03983).

    Parameters
    ----------
    init_value
        The first value.
    decay_steps
        How long the way down takes, at least 1.
    alpha
        The last value, as a share of the first.
    exponent
        Of the cosine.

    Returns
    -------
    callable
        From the number of steps so far, an integer or an array of them, to the value: float64 of that shape.

    Examples
    --------
    >>> schedule = cosine_decay_schedule(1.0, 100)
    >>> [round(float(schedule(count)), 3) for count in (0, 25, 50, 100, 200)]
    [1.0, 0.854, 0.5, 0.0, 0.0]
    """
    check_within("cosine_decay_schedule", "decay_steps", decay_steps, 0, above=True)

    def schedule(count: Any) -> Any:
        progress = np.minimum(np.asarray(count), decay_steps) / decay_steps
        decay = 0.5 * (1 + np.cos(math.pi * progress))
        return np.multiply(init_value, (1 - alpha) * decay**exponent + alpha)

    return schedule


def _line(start: Any, end: Any, share: Any) -> Any:
    return (end - start) * share + start


def _half_cosine(start: Any, end: Any, share: Any) -> Any:
    return end + (start - end) / 2.0 * (np.cos(math.pi * share) + 1)


INTERPOLATIONS: dict[str, Callable[[Any, Any, Any], Any]] = {"linear": _line, "cosine": _half_cosine}


def piecewise_interpolate_schedule(
    interpolate_type: str, init_value: Any, boundaries_and_scales: Mapping[int, float] | None = None
) -> Schedule:
    """Values at boundaries, each a factor of the one before, with lines or half cosines between them.

    Parameters
    ----------
    interpolate_type
        ``"linear"`` or ``"cosine"``.
    init_value
        The value at 0.
    boundaries_and_scales
        Boundaries, and the factor by which the value has changed there.

    Returns
    -------
    callable
        From the number of steps so far, an integer or an array of them, to the value: float64 of that shape.

    Raises
    ------
    ValueError
        There is no such interpolation.

    Examples
    --------
    >>> schedule = piecewise_interpolate_schedule("linear", 1.0, {10: 3.0, 20: 0.5})
    >>> schedule(5), schedule(10), schedule(15), schedule(30)
    (Array(2.), Array(3.), Array(2.25), Array(1.5))
    """
    if interpolate_type not in INTERPOLATIONS:
        raise ValueError(
            f"piecewise_interpolate_schedule: interpolate_type must be 'linear' or 'cosine', not "
            f"{interpolate_type!r}{at_line()}"
        )
    between = INTERPOLATIONS[interpolate_type]
    pieces = _pieces("piecewise_interpolate_schedule", boundaries_and_scales)

    def schedule(count: Any) -> Any:
        count = np.asarray(count)
        begins, values = [0], [init_value]
        for boundary, scale in pieces:
            begins.append(boundary)
            values.append(values[-1] * scale)
        result = values[-1]
        for k in reversed(range(len(pieces))):
            share = (count - begins[k]) / max(begins[k + 1] - begins[k], 1)
            result = np.where(count < begins[k + 1], between(values[k], values[k + 1], share), result)
        return result

    return schedule


def linear_onecycle_schedule(
    transition_steps: int,
    peak_value: Any,
    pct_start: float = 0.3,
    pct_final: float = 0.85,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> Schedule:
    """Up to `peak_value`, down again, and further down at the end, in straight lines (Smith and Topin 2017,
    arXiv:1708.07120).

    Parameters
    ----------
    transition_steps
        The length of the cycle, at least 1.
    peak_value
        The highest value.
    pct_start, pct_final
        The shares of the cycle after which the peak, and the first value again, are reached.
    div_factor
        The first value is ``peak_value / div_factor``.
    final_div_factor
        The last value is the first one divided by it.

    Returns
    -------
    callable
        From the number of steps so far, an integer or an array of them, to the value: float64 of that shape.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> schedule = fg.optim.linear_onecycle_schedule(10, 0.1)
    >>> [round(float(schedule(k)), 4) for k in (0, 5, 10)]
    [0.004, 0.0616, 0.0]
    """
    check_within("linear_onecycle_schedule", "transition_steps", transition_steps, 1)
    for argument, share in (("pct_start", pct_start), ("pct_final", pct_final)):
        check_within("linear_onecycle_schedule", argument, share, 0, 1)
    ends = {
        int(pct_start * transition_steps): div_factor,
        int(pct_final * transition_steps): 1.0 / div_factor,
        int(transition_steps): 1.0 / final_div_factor,
    }
    return piecewise_interpolate_schedule("linear", peak_value / div_factor, ends)


def cosine_onecycle_schedule(
    transition_steps: int,
    peak_value: Any,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> Schedule:
    """As `linear_onecycle_schedule`, along half cosines and in two parts: PyTorch's ``OneCycleLR``.

    Returns
    -------
    callable
        From the number of steps so far, an integer or an array of them, to the value: float64 of that shape.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> schedule = fg.optim.cosine_onecycle_schedule(10, 0.1)
    >>> [round(float(schedule(k)), 4) for k in (0, 5, 10)]
    [0.004, 0.0812, 0.0]
    """
    check_within("cosine_onecycle_schedule", "transition_steps", transition_steps, 1)
    check_within("cosine_onecycle_schedule", "pct_start", pct_start, 0, 1)
    ends = {
        int(pct_start * transition_steps): div_factor,
        int(transition_steps): 1.0 / (div_factor * final_div_factor),
    }
    return piecewise_interpolate_schedule("cosine", peak_value / div_factor, ends)


# Several in a row -----------------------------------------------------------------------------------------------------


def join_schedules(schedules: Sequence[Schedule], boundaries: Sequence[int]) -> Schedule:
    """One schedule after the other; each counts from its own boundary.

    Returns
    -------
    callable
        From the number of steps so far, an integer or an array of them, to the value: float64 of that shape.

    Raises
    ------
    ValueError
        There is not one boundary less than schedules, or they do not ascend.

    Examples
    --------
    >>> schedule = join_schedules([constant_schedule(1.0), linear_schedule(0.0, 1.0, 4)], [10])
    >>> schedule(9), schedule(11)
    (Array(1.), Array(0.25))
    """
    if len(schedules) != len(boundaries) + 1:
        raise ValueError(
            f"join_schedules: {len(schedules)} schedules need {max(len(schedules) - 1, 0)} boundaries between them, "
            f"not {len(boundaries)}{at_line()}"
        )
    if list(boundaries) != sorted(boundaries):
        raise ValueError(f"join_schedules: boundaries must ascend, but are {list(boundaries)}{at_line()}")

    def schedule(count: Any) -> Any:
        count = np.asarray(count)
        value = schedules[0](count)
        for boundary, later in zip(boundaries, schedules[1:], strict=True):
            value = np.where(count < boundary, value, later(count - boundary))
        return value

    return schedule


def _warmup(name: str, init_value: Any, peak_value: Any, warmup_steps: int) -> Schedule:
    """A straight line up; no steps of it at all are allowed, too."""
    check_within(name, "warmup_steps", warmup_steps, 0)
    return linear_schedule(init_value, peak_value, max(warmup_steps, 1))


def warmup_constant_schedule(init_value: Any, peak_value: Any, warmup_steps: int) -> Schedule:
    """Up in a straight line, then constant.

    Returns
    -------
    callable
        From the number of steps so far, an integer or an array of them, to the value: float64 of that shape.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> schedule = fg.optim.warmup_constant_schedule(0.0, 0.1, 5)
    >>> [round(float(schedule(k)), 4) for k in (0, 5, 10)]
    [0.0, 0.1, 0.1]
    """
    rise = _warmup("warmup_constant_schedule", init_value, peak_value, warmup_steps)
    return join_schedules([rise, constant_schedule(peak_value)], [warmup_steps])


def warmup_cosine_decay_schedule(
    init_value: Any,
    peak_value: Any,
    warmup_steps: int,
    decay_steps: int,
    end_value: Any = 0.0,
    exponent: Any = 1.0,
) -> Schedule:
    """Up in a straight line, then down along half a cosine.

    Parameters
    ----------
    init_value, peak_value, end_value
        Values at the beginning, after the warm-up, and at the end.
    warmup_steps
        How long the way up takes.
    decay_steps
        How long all of it takes, the warm-up included: more than `warmup_steps`.
    exponent
        Of the cosine.

    Returns
    -------
    callable
        From the number of steps so far, an integer or an array of them, to the value: float64 of that shape.

    Examples
    --------
    >>> schedule = warmup_cosine_decay_schedule(0.0, 1.0, 10, 110)
    >>> [round(float(schedule(count)), 3) for count in (0, 5, 10, 60, 110)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    name = "warmup_cosine_decay_schedule"
    rise = _warmup(name, init_value, peak_value, warmup_steps)
    check_within(name, "decay_steps (which include the warm-up)", decay_steps, warmup_steps, above=True)
    alpha = 0.0 if type(peak_value) in (int, float) and peak_value == 0.0 else end_value / peak_value
    fall = cosine_decay_schedule(peak_value, decay_steps - warmup_steps, alpha, exponent)
    return join_schedules([rise, fall], [warmup_steps])


def warmup_exponential_decay_schedule(
    init_value: Any,
    peak_value: Any,
    warmup_steps: int,
    transition_steps: int,
    decay_rate: Any,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: Any = None,
) -> Schedule:
    """Up in a straight line, then `exponential_decay`.

    Returns
    -------
    callable
        From the number of steps so far, an integer or an array of them, to the value: float64 of that shape.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> schedule = fg.optim.warmup_exponential_decay_schedule(0.0, 0.1, 5, 5, 0.5)
    >>> [round(float(schedule(k)), 4) for k in (0, 5, 10)]
    [0.0, 0.1, 0.05]
    """
    rise = _warmup("warmup_exponential_decay_schedule", init_value, peak_value, warmup_steps)
    fall = exponential_decay(peak_value, transition_steps, decay_rate, transition_begin, staircase, end_value)
    return join_schedules([rise, fall], [warmup_steps])


def sgdr_schedule(cosine_kwargs: Iterable[Mapping[str, Any]]) -> Schedule:
    """Several `warmup_cosine_decay_schedule`s in a row: descent with warm restarts (Loshchilov and Hutter 2016).

    `cosine_kwargs` has the arguments of each.

    Returns
    -------
    callable
        From the number of steps so far, an integer or an array of them, to the value: float64 of that shape.

    Raises
    ------
    ValueError
        There are no cycles.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> cycle = {"init_value": 0.0, "peak_value": 0.1, "decay_steps": 10, "warmup_steps": 5}
    >>> schedule = fg.optim.sgdr_schedule([cycle])
    >>> [round(float(schedule(k)), 4) for k in (0, 5, 10)]
    [0.0, 0.1, 0.0]
    """
    cycles = list(cosine_kwargs)
    if not cycles:
        raise ValueError(f"sgdr_schedule: at least one cycle is needed{at_line()}")
    ends = [sum(cycle["decay_steps"] for cycle in cycles[: k + 1]) for k in range(len(cycles))]
    return join_schedules([warmup_cosine_decay_schedule(**cycle) for cycle in cycles], ends[:-1])
