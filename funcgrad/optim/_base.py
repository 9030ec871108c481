"""What is a gradient transformation?  A pair of pure functions; here is what all of them are made of.

``init(params) -> state`` and ``update(updates, state, params) -> (updates, state)``, as in optax. States are named
tuples of arrays, so that they pass through `jit`, `scan`, `vmap`, `grad` and into checkpoints like any pytree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as _np

from funcgrad import numpy as np
from funcgrad import tree
from funcgrad.arguments import check_within
from funcgrad.dtypes import BFLOAT16
from funcgrad.errors import at_line
from funcgrad.optim._leaves import arrays, check_match, dtype_of, is_float, map_trees, owned, with_dtypes_of
from funcgrad.quiet import quiet
from funcgrad.tracebacks import boundary

Params = Any
Updates = Any
OptState = Any
Schedule = Callable[[Any], Any]
ScalarOrSchedule = Any
MaskOrFn = Any
Init = Callable[[Any], Any]
Update = Callable[..., tuple[Any, Any]]
F = TypeVar("F", bound=Callable[..., Any])

LAST_COUNT = 2**31 - 1


class GradientTransformation(NamedTuple):
    """A pair of pure functions that turns gradients into updates.

    Attributes
    ----------
    init
        ``init(params) -> state``.
    update
        ``update(updates, state, params=None) -> (updates, state)``: what to add to the parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import optim
    >>> optimizer = optim.sgd(0.5)
    >>> params = {"w": np.array([1.0, 2.0])}
    >>> state = optimizer.init(params)
    >>> updates, state = optimizer.update({"w": np.array([1.0, 1.0])}, state, params)
    >>> optim.apply_updates(params, updates)
    {'w': Array([0.5, 1.5])}
    """

    init: Init
    update: Update


class GradientTransformationExtraArgs(GradientTransformation):
    """A transformation whose `update` takes more keyword arguments, such as ``value=`` for line searches.

    Those that it does not know it ignores.
    """


class EmptyState(NamedTuple):
    """The state of what keeps none."""


def init_empty_state(params: Params) -> EmptyState:
    """The `init` of what keeps no state.

    Returns
    -------
    EmptyState
        A state without leaves.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.optim.init_empty_state(np.ones(2))
    EmptyState()
    """
    return EmptyState()


# Transformations ------------------------------------------------------------------------------------------------------


def transformation(name: str, init: Init, update: Update, *, needs_params: bool = False) -> GradientTransformation:
    """A transformation whose arguments are checked and whose results are the caller's own arrays.

    Parameters
    ----------
    name
        Of the function that the user called: it begins every message.
    init, update
        On trees of arrays; `update` takes ``(updates, state, params)``.
    needs_params
        Whether `update` cannot do without `params`.
    """
    extra = transformation_with_args(name, init, update, needs_params=needs_params)

    @boundary
    def plain(updates: Updates, state: OptState, params: Params | None = None) -> tuple[Updates, OptState]:
        return extra.update(updates, state, params)

    return GradientTransformation(extra.init, plain)


def transformation_with_args(
    name: str, init: Init, update: Update, *, needs_params: bool = False
) -> GradientTransformationExtraArgs:
    """As `transformation`, for an `update` with keyword arguments of its own."""

    @boundary
    def checked_init(params: Params) -> OptState:
        with quiet():
            return owned(init(arrays(params)), params)

    @boundary
    def checked_update(updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any) -> Any:
        if params is None:
            if needs_params:
                raise ValueError(
                    f"{name}: the update depends on the parameters, and they were not given: "
                    f"call update(updates, state, params){at_line()}"
                )
        else:
            check_match(name, updates, params, "params")
            params = arrays(params)
        try:
            with quiet():  # 0 / 0 and the like are meant, as in compiled code
                results, after = update(arrays(updates), state, params, **extra_args)
        except AttributeError as error:
            if error.obj is not state:
                raise
            raise ValueError(
                f"{name}: the state is not one of this transformation but a {type(state).__name__}, which has no "
                f"{error.name!r}; begin with state = optimizer.init(params){at_line()}"
            ) from None
        if not any(is_float(x) and dtype_of(x) != BFLOAT16 for x in tree.leaves(state)):
            results = with_dtypes_of(updates, results)
        return owned((results, with_dtypes_of(state, after)), (updates, state, params))

    return GradientTransformationExtraArgs(checked_init, checked_update)


def with_extra_args_support(tx: Any) -> GradientTransformationExtraArgs:
    """The transformation as one that ignores keyword arguments that it does not know.

    Returns
    -------
    GradientTransformationExtraArgs
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.with_extra_args_support(fg.optim.sgd(0.1))
    >>> optimizer.update(x, optimizer.init(x), x, value=3.0)[0]
    Array([-0.1, -0.2])
    """
    if isinstance(tx, GradientTransformationExtraArgs):
        return tx
    check_transformation("with_extra_args_support", "tx", tx)

    def update(updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any) -> Any:
        return tx.update(updates, state, params)

    return GradientTransformationExtraArgs(tx.init, update)


def check_transformation(name: str, argument: str, tx: Any) -> None:
    """Raise unless `tx` has `init` and `update`."""
    if callable(getattr(tx, "init", None)) and callable(getattr(tx, "update", None)):
        return
    hint = f": call it first, as in {tx.__name__}(...)" if callable(tx) and hasattr(tx, "__name__") else ""
    raise TypeError(f"{name}: {argument} is no gradient transformation but {tx!r}{hint}{at_line()}")


def identity() -> GradientTransformation:
    """What leaves the updates as they are.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.identity()
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 0.5, -1. ])
    """
    return transformation("identity", init_empty_state, lambda updates, state, params: (updates, state))


def set_to_zero() -> GradientTransformation:
    """What makes all updates zero: the parameters stay as they are.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.set_to_zero()
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([0., 0.])
    """

    def update(updates: Updates, state: OptState, params: Params | None) -> tuple[Updates, OptState]:
        return map_trees(np.zeros_like, updates), state

    return transformation("set_to_zero", init_empty_state, update)


def stateless(f: Callable[[Updates, Params | None], Updates]) -> GradientTransformation:
    """The transformation without a state that computes ``f(updates, params)``.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import optim
    >>> half = optim.stateless(lambda updates, params: updates / 2)
    >>> half.update(np.array([4.0]), half.init(None))[0]
    Array([2.])
    """
    return transformation("stateless", init_empty_state, lambda updates, state, params: (f(updates, params), state))


def stateless_with_tree_map(f: Callable[[Any, Any], Any]) -> GradientTransformation:
    """As `stateless`, for a function of each leaf: ``f(update, param)`` (``None`` where there are no parameters).

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.stateless_with_tree_map(lambda g, p: g + 0.1 * p)
    >>> optimizer.update(x, optimizer.init(x), x)[0]
    Array([1.1, 2.2])
    """

    def whole(updates: Updates, params: Params | None) -> Updates:
        if params is None:
            return map_trees(lambda u: f(u, None), updates)
        return map_trees(f, updates, params)

    return stateless(whole)


# Numbers --------------------------------------------------------------------------------------------------------------


def like(value: Any, x: Any) -> Any:
    """A hyperparameter as a number of the dtype of `x`: schedules and arrays must not widen the parameters."""
    if type(value) in (bool, int, float):
        return value
    dtype = dtype_of(x)
    return value if dtype_of(value) == dtype else np.asarray(value).astype(dtype)


def check_averages(name: str, eps: Any, **decays: Any) -> None:
    """Raise if a decay of moving averages that is known is not within [0, 1), or `eps` is negative."""
    for argument, decay in decays.items():
        check_within(name, argument, decay, 0, 1, below=True)
    check_within(name, "eps", eps, 0)


def safe_increment(count: Any) -> Any:
    """The count plus 1, or the largest of its dtype for good.

    Returns
    -------
    Array
        Of the dtype of `count`.

    Raises
    ------
    ValueError
        The count is neither an integer nor a float.

    Examples
    --------
    >>> safe_increment(0)
    Array(1)
    """
    dtype = dtype_of(count)
    if dtype.kind not in "iuf":
        raise ValueError(f"safe_increment: a count is an integer or a floating number, not {dtype}{at_line()}")
    last, one = dtype.type((_np.finfo if dtype.kind == "f" else _np.iinfo)(dtype).max), dtype.type(1)
    return np.add(np.minimum(count, last - one), one)


safe_int32_increment = safe_increment


def zero_count() -> Any:
    """The count of a fresh state."""
    return np.zeros((), _np.int32)


def abs_sq(x: Any) -> Any:
    """|x|², real for complex numbers."""
    return x * x if dtype_of(x).kind != "c" else np.real(x) * np.real(x) + np.imag(x) * np.imag(x)
