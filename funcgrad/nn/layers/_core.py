"""What is a layer?  Pure functions that make parameters and apply them, with a name that errors and listings show.

Everything that a network keeps is handed in and out: parameters and state are nested dictionaries of arrays, keys of
random numbers are arguments.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from funcgrad import random
from funcgrad.api import eval_shape
from funcgrad.dtypes import BFLOAT16, promote
from funcgrad.errors import at_line, scopes
from funcgrad.numpy._common import broadcast_to, dtype_of, wrap
from funcgrad.ops.comparison import convert
from funcgrad.scopes import named_scope
from funcgrad.trace.frame import type_of
from funcgrad.trace.function import ShapeDtypeStruct
from funcgrad.trace.tracer import Tracer
from funcgrad.tracebacks import boundary

Shape = tuple[int, ...]
Params = dict[str, Any]
State = dict[str, Any]
FLOAT = np.float32  # the dtype of parameters, unless a layer is told otherwise
_HALF = frozenset({np.dtype(np.float16), BFLOAT16})


class Listening(threading.local):
    """Who wants to hear of every layer that is applied in this thread, and whether shapes of parameters will do
    (`summary` does both).
    """

    listener: Any = None
    shapes_only: bool = False


listening = Listening()


@dataclass(frozen=True)
class ScopedApply:
    """A layer's `apply`, in the scope of the layer's name."""

    name: str
    function: Callable[..., Any]

    @boundary
    def __call__(
        self, params: Any, x: Any, *, key: Any = None, train: bool = False, state: Any = None, **inputs: Any
    ) -> Any:
        """``y``, or ``(y, new_state)`` exactly when `state` is given."""
        with named_scope(self.name):
            listener = listening.listener
            if listener is None:
                return self.function(params, x, key=key, train=train, state=state, **inputs)
            row = listener.enter(self.name, params)
            result = self.function(params, x, key=key, train=train, state=state, **inputs)
            listener.leave(row, result if state is None else result[0])
            return result


@dataclass(frozen=True)
class ScopedInit:
    """A layer's `init`, in the scope of the layer's name."""

    name: str
    function: Callable[..., Any]

    @boundary
    def __call__(self, key: Any, input_shape: Any) -> Any:
        """The parameters for inputs of a shape."""
        with named_scope(self.name):
            return self.function(key, checked_shape(input_shape))


@dataclass(frozen=True)
class ScopedShapes:
    """A layer's `init_state`, `init_cache` or `output_shape`, in the scope of the layer's name."""

    name: str
    function: Callable[..., Any]

    @boundary
    def __call__(self, input_shape: Any) -> Any:
        """What there is for inputs of a shape."""
        with named_scope(self.name):
            return self.function(checked_shape(input_shape))


def no_params(key: Any, input_shape: Shape) -> Params:
    """The parameters of a layer that has none."""
    return {}


def no_state(input_shape: Shape) -> State:
    """The state of a layer that has none."""
    return {}


class Layer(NamedTuple):
    """A part of a network: functions without side effects, and a name.

    Attributes
    ----------
    init
        ``init(key, input_shape) -> params``. `input_shape` has the batch axis in front, with any extent. Parameters
        are a dictionary of arrays, or of a network's layers: ``params["0_dense"]["kernel"]``.
    apply
        ``apply(params, x, *, key=None, train=False, state=None, **inputs) -> y``; ``(y, new_state)`` exactly when
        `state` is given. `key` is needed by what draws random numbers (dropout), `train` says which way layers work
        that differ in training (dropout, batch norm).
    init_state
        ``init_state(input_shape) -> state``: what changes outside of the gradient (running statistics of batch norms);
        ``{}`` for most layers.
    name
        Of the scope in which `apply` runs: in listings, errors and reports.
    accepts
        Names of further inputs that `apply` understands, such as ``"mask"``. Networks hand them to those of their
        layers that accept them.
    output_shape
        ``output_shape(input_shape)``; None: found by tracing `apply`.
    init_cache
        ``init_cache(input_shape) -> state``: the state at the beginning of a sequence that is read piece by piece, of
        at most ``input_shape[-2]`` places: what recurrent layers carry, keys and values of attention. None: as
        `init_state`.

    Notes
    -----
    A layer of your own is ``Layer(init, apply)``; `stateless` makes `apply` from a function of parameters and input.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.nn import layers
    >>> scale = layers.Layer(
    ...     init=lambda key, shape: {"scale": np.ones(shape[-1])},
    ...     apply=layers.stateless(lambda params, x: x * params["scale"]),
    ...     name="scale",
    ... )
    >>> net = layers.serial(scale, layers.relu)
    >>> net.apply(net.init(None, (1, 2)), np.array([[-1.0, 2.0]]))
    Array([[0., 2.]])
    """

    init: Callable[..., Any]
    apply: Callable[..., Any]
    init_state: Callable[..., Any] = no_state
    name: str = "layer"
    accepts: tuple[str, ...] = ()
    output_shape: Callable[..., Any] | None = None
    init_cache: Callable[..., Any] | None = None

    def __repr__(self) -> str:
        return f"Layer(name={self.name!r})"

    def named(self, name: str) -> Layer:
        """The same layer with another name.

        Parameters
        ----------
        name
            The name, which listings, reports and errors show.

        Returns
        -------
        Layer
            A new one, of the same functions.

        Examples
        --------
        >>> from funcgrad.nn import layers
        >>> layers.dense(3).named("scores").name
        'scores'
        """
        return Layer(
            ScopedInit(name, bare(self.init)),
            ScopedApply(name, bare(self.apply)),
            ScopedShapes(name, bare(self.init_state)),
            name,
            self.accepts,
            None if self.output_shape is None else ScopedShapes(name, bare(self.output_shape)),
            None if self.init_cache is None else ScopedShapes(name, bare(self.init_cache)),
        )


def bare(function: Any) -> Any:
    """The function without its scope."""
    return function.function if isinstance(function, (ScopedApply, ScopedInit, ScopedShapes)) else function


def layer(
    name: str,
    forward: Callable[..., tuple[Any, State]],
    init: Callable[..., Params] = no_params,
    init_state: Callable[..., State] = no_state,
    *,
    accepts: Sequence[str] = (),
    output_shape: Callable[..., Any] | None = None,
    init_cache: Callable[..., State] | None = None,
) -> Layer:
    """A layer from ``forward(params, x, key=, train=, state=, **inputs) -> (y, new_state)``; `state` may be None."""
    known = frozenset(accepts)

    def apply(params: Any, x: Any, *, key: Any = None, train: bool = False, state: Any = None, **inputs: Any) -> Any:
        check_inputs(inputs, known)
        y, new_state = forward(params, x, key=key, train=train, state=state, **inputs)
        y = wrap(y, (x,))
        return y if state is None else (y, {label: wrap(value) for label, value in new_state.items()})

    made = Layer(init, apply, init_state, name, tuple(accepts), output_shape, init_cache)
    return made.named(name)


def check_inputs(inputs: Mapping[str, Any], known: frozenset[str]) -> None:
    unknown = [name for name in inputs if name not in known]
    if unknown:
        takes = f"it takes {', '.join(sorted(known))}" if known else "it takes none but x"
        raise TypeError(f"{here()}: no input of this layer is named {unknown[0]!r}; {takes}{at_line()}")


def stateless(function: Callable[..., Any]) -> Callable[..., Any]:
    """`Layer.apply` of a function ``function(params, x, **inputs) -> y``.

    Returns
    -------
    callable
        ``apply(params, x, *, key=None, train=False, state=None)``, which hands an empty state on.

    Examples
    --------
    >>> from funcgrad.nn import layers
    >>> layers.stateless(lambda params, x: x + params)(1.0, 2.0, state={})
    (3.0, {})
    """

    def apply(params: Any, x: Any, *, key: Any = None, train: bool = False, state: Any = None, **inputs: Any) -> Any:
        y = function(params, x, **inputs)
        return y if state is None else (y, {})

    return apply


def simple(name: str, function: Callable[..., Any], **others: Any) -> Layer:
    """A layer from ``function(params, x, **inputs) -> y``: neither random numbers nor state."""

    def forward(params: Any, x: Any, key: Any, train: bool, state: Any, **inputs: Any) -> tuple[Any, State]:
        return function(params, x, **inputs), {}

    return layer(name, forward, **others)


# Errors and arguments -------------------------------------------------------------------------------------------------


def here() -> str:
    """The path of the layer that is at work."""
    return scopes.path or "layer"


def wrong_shape(expected: str, received: Any, why: str = "") -> ValueError:
    """The error for an input whose shape does not fit."""
    reason = f" ({why})" if why else ""
    return ValueError(f"{here()}: x must have shape {expected}{reason}, not {tuple(received)}{at_line()}")


def parameter(params: Any, name: str) -> Any:
    """One of a layer's parameters, or an error that says what there is instead."""
    if isinstance(params, Mapping) and name in params:
        return params[name]
    held = f"hold {sorted(params)}" if isinstance(params, Mapping) else f"are of type {type(params).__name__}"
    raise ValueError(
        f"{here()}: there is no {name!r} among the parameters, which {held}: they must be what `init` of the same "
        f"network returns{at_line()}"
    )


def kept(state: Any, name: str) -> Any:
    """One of the arrays of a layer's state."""
    if isinstance(state, Mapping) and name in state:
        return state[name]
    held = f"holds {sorted(state)}" if isinstance(state, Mapping) else f"is of type {type(state).__name__}"
    raise ValueError(
        f"{here()}: there is no {name!r} in the state, which {held}: it must be what `init_state` of the same "
        f"network returns{at_line()}"
    )


def array(x: Any) -> Any:
    """The input as an array or tracer."""
    if type(x) is Tracer:
        return x
    if not isinstance(x, (np.ndarray, np.generic, bool, int, float, complex)) and not (isinstance(x, list) and x):
        raise TypeError(f"{here()}: x must be an array, not {x!r} of type {type(x).__name__}{at_line()}")
    try:
        x = np.asarray(x) if not isinstance(x, np.ndarray) else x
        type_of(x)
    except (TypeError, ValueError) as error:  # ragged lists, texts, objects
        raise type(error)(f"{here()}: x must be an array of numbers: {error}{at_line()}") from None
    return x


def shape_of(x: Any) -> Shape:
    return type_of(x).shape


def float_dtype(dtype: Any, name: str) -> np.dtype:
    """The dtype of parameters."""
    found = dtype_of(dtype)
    if found.kind != "f" and found != BFLOAT16:
        raise TypeError(f"{name}: parameters are floating, dtype cannot be {found}{at_line()}")
    return found


def common_dtype(*xs: Any) -> np.dtype:
    """The dtype that arrays promote to; integers count as they do for NumPy."""
    types = [type_of(x) for x in xs]
    return promote((t.dtype, t.weak) for t in types)[0]


def wide(dtype: np.dtype) -> np.dtype:
    """The dtype in which numbers of `dtype` are added up: float32 for half precision."""
    return np.dtype(np.float32) if dtype in _HALF else dtype


def cast(x: Any, dtype: Any) -> Any:
    """`x` with another dtype."""
    if type_of(x).dtype == dtype:
        return x
    return convert(x, dtype=np.dtype(dtype)) if type(x) is Tracer else np.asarray(x).astype(dtype)


def drawn(init: Callable[..., Any], key: Any, shape: Shape, dtype: np.dtype) -> Any:
    """A parameter from its initialiser; where shapes will do, an array of that shape that nobody computes."""
    if not callable(init):
        raise TypeError(
            f"{here()}: an initialiser is a function init(key, shape, dtype), such as "
            f"funcgrad.nn.initializers.he_normal(), not {init!r}{at_line()}"
        )
    if listening.shapes_only and type(key) is Tracer:
        return broadcast_to(cast(key[0], dtype), shape)
    made = init(known_key(key), shape, dtype)
    if callable(made):
        raise TypeError(f"{here()}: the initialiser returned a function: call it first, as in he_normal(){at_line()}")
    if shape_of(made) != shape:
        raise ValueError(
            f"{here()}: the initialiser returned an array of shape {shape_of(made)} for a parameter of shape {shape}"
            f"{at_line()}"
        )
    return made


def known_key(key: Any) -> Any:
    """The key, if there is one."""
    if key is None:
        raise ValueError(f"{here()}: init needs a key of random numbers, such as funcgrad.random.key(0){at_line()}")
    return key


def checked_shape(shape: Any) -> Shape:
    """An input's shape: a tuple of positive integers, the batch axis in front; tuples and dicts of them likewise."""
    if isinstance(shape, dict):
        return {name: checked_shape(part) for name, part in shape.items()}  # type: ignore[return-value]
    if isinstance(shape, (tuple, list)) and shape and all(isinstance(part, (tuple, list, dict)) for part in shape):
        return tuple(checked_shape(part) for part in shape)  # type: ignore[misc]
    try:
        extents = tuple(operator.index(n) for n in shape)
    except TypeError:
        raise TypeError(
            f"{here()}: input_shape must be a tuple of integers, such as (1, 28, 28, 1) with the batch axis in front, "
            f"not {shape!r}{at_line()}"
        ) from None
    if any(n < 0 for n in extents):
        raise ValueError(f"{here()}: input_shape {extents} is negative; any number will do for the batch{at_line()}")
    return extents


def positive(value: Any, name: str, what: str) -> int:
    """A positive integer, or an error that says of which layer."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: {what} must be an integer, not {value!r}{at_line()}") from None
    if number < 1:
        raise ValueError(f"{name}: {what} must be positive, not {number}{at_line()}")
    return number


def shape_after(layer: Layer, input_shape: Any) -> Any:
    """The shape of a layer's output (a pytree of shapes if that is one)."""
    if layer.output_shape is not None:
        return layer.output_shape(input_shape)
    params = eval_shape(lambda: layer.init(random.key(0), input_shape))
    return traced_shape(lambda p, x: layer.apply(p, x), input_shape, params)


def traced_shape(function: Callable[..., Any], input_shape: Any, *before: Any) -> Any:
    """The shape of ``function(*before, x)`` for floats x, from its trace."""
    x = _structs(input_shape)
    out = eval_shape(function, *before, x)
    return _shapes(out)


def _structs(shape: Any) -> Any:
    if isinstance(shape, dict):
        return {name: _structs(part) for name, part in shape.items()}
    if shape and isinstance(shape[0], (tuple, dict)):
        return tuple(_structs(part) for part in shape)
    return ShapeDtypeStruct(shape, FLOAT)


def _shapes(out: Any) -> Any:
    if isinstance(out, ShapeDtypeStruct):
        return out.shape
    return {n: _shapes(part) for n, part in out.items()} if isinstance(out, dict) else tuple(map(_shapes, out))
