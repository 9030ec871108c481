"""How is Python called from a transformed function?  `pure_callback`, `io_callback`; `debug` has its own two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad import tree
from funcgrad.arguments import owned
from funcgrad.control import callback as control
from funcgrad.errors import at_line
from funcgrad.tracebacks import boundary

METHODS = (None, "sequential", "sequential_unrolled", "expand_dims", "broadcast_all", "legacy_vectorized")


def _one_device(name: str, sharding: Any) -> None:
    if sharding is not None:
        raise NotImplementedError(f"{name}: sharding has no meaning on one CPU: leave it out{at_line()}")


@boundary
def pure_callback(
    callback: Callable[..., Any],
    result_shape_dtypes: Any,
    *args: Any,
    sharding: None = None,
    vmap_method: str | None = None,
    **kwargs: Any,
) -> Any:
    """Call a Python function without side effects from a function under transformation.

    Parameters
    ----------
    callback
        Takes NumPy arrays (its own), returns what `result_shape_dtypes` describes. It may be called any number of
        times, or never when nothing needs its results.
    result_shape_dtypes
        A pytree of `ShapeDtypeStruct` or arrays.
    *args, **kwargs
        Pytrees of arrays; anything else is passed on as it is.
    sharding
        Refused unless None.
    vmap_method
        How it is batched: ``"sequential"`` calls it per example; ``"expand_dims"`` and ``"broadcast_all"`` call it
        once, with a batch axis in front of all arguments (of extent 1, or repeated, where an argument has none). None
        refuses.

    Returns
    -------
    pytree of Array
        The callback's result, checked to have the shapes and dtypes of `result_shape_dtypes`.

    Raises
    ------
    TypeError, ValueError
        For results of another structure, shape or dtype than promised, with the key path; for derivatives (give the
        function that calls it a `custom_jvp` rule).

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> @fg.jit
    ... def f(x):
    ...     return 2 * fg.pure_callback(lambda v: np.sort(v), x, x)
    >>> f(np.array([3.0, 1.0]))
    Array([2., 6.])
    """
    _one_device("pure_callback", sharding)
    if vmap_method not in METHODS:
        raise ValueError(f"pure_callback: vmap_method must be one of {METHODS}, not {vmap_method!r}{at_line()}")
    types, structure = control.result_types("pure_callback", result_shape_dtypes)
    outputs = control.call(control.pure_callback, callback, types, structure, args, kwargs, vmap_method=vmap_method)
    return tree.unflatten(structure, owned(outputs, ()))


@boundary
def io_callback(
    callback: Callable[..., Any],
    result_shape_dtypes: Any,
    *args: Any,
    sharding: None = None,
    ordered: bool = False,
    **kwargs: Any,
) -> Any:
    """Call a Python function with side effects: once each time that the program runs, in the order of the program.

    Parameters and errors are those of `pure_callback`; under `vmap` it is called for one example after the other, which
    `ordered` forbids.

    Returns
    -------
    pytree of Array
        The callback's result, checked to have the shapes and dtypes of `result_shape_dtypes`.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> log = []
    >>> f = fg.jit(lambda x: fg.io_callback(lambda v: log.append(float(v)), None, x))
    >>> f(1.0), f(2.0), log
    (None, None, [1.0, 2.0])
    """
    _one_device("io_callback", sharding)
    types, structure = control.result_types("io_callback", result_shape_dtypes)
    outputs = control.call(control.io_callback, callback, types, structure, args, kwargs, ordered=ordered)
    return tree.unflatten(structure, owned(outputs, ()))
