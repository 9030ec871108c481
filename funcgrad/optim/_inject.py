"""How can hyperparameters change while training?  `inject_hyperparams` keeps them in the state."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as _np

from funcgrad import numpy as np
from funcgrad.errors import at_line
from funcgrad.optim import tree
from funcgrad.optim._base import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Schedule,
    Updates,
    safe_increment,
    with_extra_args_support,
    zero_count,
)
from funcgrad.optim._leaves import dtype_of, owned
from funcgrad.trace.tracer import Tracer


class InjectStatefulHyperparamsState(NamedTuple):
    """The hyperparameters of the last update, by name, and the states of their schedules."""

    count: Any
    hyperparams: Any
    hyperparams_states: Any
    inner_state: Any


InjectHyperparamsState = InjectStatefulHyperparamsState


class WrappedScheduleState(NamedTuple):
    """How often the schedule has been asked."""

    count: Any


class WrappedSchedule:
    """A schedule with its own count, as `inject_hyperparams` uses them.

    Other classes with these three methods may keep other states.

    Parameters
    ----------
    schedule_fn
        The value for a count of steps.

    Examples
    --------
    >>> import funcgrad as fg
    >>> schedule = fg.optim.WrappedSchedule(lambda count: 0.1 * 0.5**count)
    >>> state = schedule.init()
    >>> float(schedule(schedule.update(state)))
    0.05
    """

    def __init__(self, schedule_fn: Schedule) -> None:
        self.schedule_fn = schedule_fn

    def init(self) -> Any:
        """The state at the beginning.

        Returns
        -------
        WrappedScheduleState
            The count 0, int32.
        """
        return WrappedScheduleState(zero_count())

    def update(self, state: Any, **extra_args: Any) -> Any:
        """The state one step later.

        Parameters
        ----------
        state
            The state before.
        **extra_args
            What the optimiser was given beside the gradients; not looked at here.

        Returns
        -------
        WrappedScheduleState
            The next count, which stays where int32 ends.
        """
        return WrappedScheduleState(safe_increment(state.count))

    def __call__(self, state: Any, **extra_args: Any) -> Any:
        """The value at the count."""
        return self.schedule_fn(state.count)


def inject_hyperparams(
    inner_factory: Callable[..., GradientTransformation],
    static_args: str | Iterable[str] = (),
    hyperparam_dtype: Any = None,
) -> Callable[..., GradientTransformationExtraArgs]:
    """An optimiser's function whose numbers live in the state, where they can be read and changed between steps.

    Parameters
    ----------
    inner_factory
        Such as `adam`.
    static_args
        The arguments to leave alone: those that choose shapes or code, and functions that are no schedules.
    hyperparam_dtype
        Of floating hyperparameters; by default the largest of the parameters' dtypes.

    Returns
    -------
    Callable
        With `inner_factory`'s arguments. Numbers and arrays become ``state.hyperparams[name]``; schedules are asked at
        every step.

    Raises
    ------
    ValueError
        `static_args` names what the function does not take.
    TypeError
        `inner_factory` is no function.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import optim
    >>> optimizer = optim.inject_hyperparams(optim.sgd)(learning_rate=1.0)
    >>> state = optimizer.init(np.zeros(1))
    >>> state.hyperparams["learning_rate"] = np.array(0.5)
    >>> optimizer.update(np.array([1.0]), state)[0]
    Array([-0.5])
    """
    static = {static_args} if isinstance(static_args, str) else set(static_args)
    if not callable(inner_factory):
        raise TypeError(
            "inject_hyperparams takes a function that makes an optimiser, such as adam itself and not what adam(0.1) "
            f"gives: not {type(inner_factory).__name__}{at_line()}"
        )
    signature = inspect.signature(inner_factory)
    unknown = sorted(static - set(signature.parameters))
    if unknown:
        raise ValueError(
            f"inject_hyperparams: static_args names {', '.join(unknown)}, which are no parameters of the function; "
            f"it has {', '.join(signature.parameters)}{at_line()}"
        )

    @functools.wraps(inner_factory)
    def factory(*args: Any, **kwargs: Any) -> GradientTransformationExtraArgs:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return _injected(inner_factory, *_sorted_out(bound, static), hyperparam_dtype)

    return factory


def _sorted_out(bound: inspect.BoundArguments, static: set[str]) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Schedules, numbers, and the arguments (as ``(args, kwargs)``) that stay as they are."""
    schedules: dict[str, Any] = {}
    numbers: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        if name in static or isinstance(value, (bool, _np.bool_)):
            rest[name] = value
        elif isinstance(value, (int, float, _np.number, _np.ndarray, Tracer)):
            numbers[name] = value
        elif all(callable(getattr(value, method, None)) for method in ("init", "update", "__call__")):
            schedules[name] = value
        elif callable(value):
            schedules[name] = WrappedSchedule(value)
        else:
            rest[name] = value
    return schedules, numbers, rest


def _injected(
    inner_factory: Callable[..., GradientTransformation],
    schedules: dict[str, Any],
    numbers: dict[str, Any],
    rest: dict[str, Any],
    dtype: Any,
) -> GradientTransformationExtraArgs:
    def converted(value: Any, to: Any) -> Any:
        value = np.asarray(value)
        return value.astype(to) if to is not None and dtype_of(value).kind == "f" else value

    def init(params: Params) -> OptState:
        to = dtype or tree.dtype(params, "highest")
        to = to if to is None or _np.dtype(to).kind not in "iub" else None
        states = {name: schedule.init() for name, schedule in schedules.items()}
        values = {name: converted(value, to) for name, value in numbers.items()}
        values |= {name: converted(schedule(states[name]), to) for name, schedule in schedules.items()}
        inner_state = inner_factory(**rest, **values).init(params)
        return owned(InjectStatefulHyperparamsState(zero_count(), values, states, inner_state), params)

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any
    ) -> tuple[Updates, OptState]:
        values = dict(state.hyperparams)
        for name, schedule in schedules.items():
            value = schedule(state.hyperparams_states[name], **extra_args)
            values[name] = converted(value, dtype_of(values[name]))
        states = {name: s.update(state.hyperparams_states[name], **extra_args) for name, s in schedules.items()}
        inner = with_extra_args_support(inner_factory(**rest, **values))
        updates, inner_state = inner.update(updates, state.inner_state, params, **extra_args)
        count, values, states = owned((safe_increment(state.count), values, states), state)
        return updates, InjectStatefulHyperparamsState(count, values, states, inner_state)

    return GradientTransformationExtraArgs(init, update)
