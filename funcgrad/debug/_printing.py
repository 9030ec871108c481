"""What can be seen while a transformed function runs?  `print` and `callback`."""

from __future__ import annotations

import builtins
import functools
from collections.abc import Callable
from typing import Any

from funcgrad.control import callback as control
from funcgrad.errors import at_line
from funcgrad.tracebacks import boundary


@boundary
def callback(
    callback: Callable[..., None] | None = None,
    *args: Any,
    ordered: bool = False,
    partitioned: bool = False,
    **kwargs: Any,
) -> Any:
    """Call a Python function for its side effects each time that the program runs; its result is not used.

    Under derivatives it sees the values, under `vmap` one example after the other. Without a function, it is a
    decorator. Calls are in the order of the program, with `ordered` or without; an ordered one cannot be batched.
    `partitioned` is accepted as JAX does, and without effect: there is one device.

    Returns
    -------
    None
        Nothing: the callback's result is not used.

    Examples
    --------
    >>> import funcgrad as fg
    >>> seen = []
    >>> fg.jit(lambda x: (fg.debug.callback(seen.append, x), x * x)[1])(3.0), seen
    (Array(9.), [Array(3.)])
    """
    if callback is None:
        return lambda function: lambda *a, **k: _call(function, a, k, ordered)
    _call(callback, args, kwargs, ordered)
    return None


def _call(function: Callable[..., None], args: Any, kwargs: Any, ordered: bool) -> None:
    control.call(control.debug_callback, function, (), None, args, kwargs, ordered=ordered)


class _Anything:
    """Stands for a value while a format is checked."""

    def __format__(self, spec: str) -> str:
        return ""

    def __getattr__(self, name: str) -> _Anything:
        return self

    def __getitem__(self, key: Any) -> _Anything:
        return self


def check_format(name: str, fmt: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """A `ValueError` if arguments do not fit a format, a `TypeError` if it is none."""
    if not isinstance(fmt, str):
        raise TypeError(f"{name}: the format must be a string, not {fmt!r} of type {type(fmt).__name__}{at_line()}")
    try:
        fmt.format(*(_Anything() for _ in args), **{key: _Anything() for key in kwargs})
    except (IndexError, KeyError, ValueError) as error:
        raise ValueError(f"{name}: the format {fmt!r} does not fit its arguments: {error!r}{at_line()}") from None


@boundary
def print(
    fmt: str | None = None,
    *args: Any,
    ordered: bool = False,
    partitioned: bool = False,
    skip_format_check: bool = False,
    **kwargs: Any,
) -> Any:
    """Print values each time that the program runs: ``fmt.format(*args, **kwargs)``.

    Parameters
    ----------
    fmt
        The format. Left out, the function that takes it and prints with these options is returned.
    ordered
        Keep the order with other ordered effects; calls are always in the order of the program.
    partitioned
        Accepted as JAX does, and without effect: there is one device.
    skip_format_check
        Find out whether the arguments fit when the program runs.
    *args, **kwargs
        Arrays, numbers and pytrees of them.

    Returns
    -------
    None or callable
        Nothing; a function where `fmt` is left out.

    Raises
    ------
    TypeError
        If the format is no string.
    ValueError
        If the arguments do not fit the format.

    Examples
    --------
    >>> import funcgrad as fg
    >>> @fg.jit
    ... def f(x):
    ...     fg.debug.print("x = {}, twice that is {twice:.1f}", x, twice=2 * x)
    ...     return x
    >>> _ = f(3.0)
    x = 3.0, twice that is 6.0
    """
    if fmt is None:
        return functools.partial(print, ordered=ordered, skip_format_check=skip_format_check)
    if not skip_format_check:
        check_format("debug.print", fmt, args, kwargs)

    def show(*values: Any, **named: Any) -> None:
        builtins.print(fmt.format(*map(_plain, values), **{key: _plain(x) for key, x in named.items()}))

    _call(show, args, kwargs, ordered)
    return None


def _plain(x: Any) -> Any:
    """A 0-d array as the number that formats know."""
    return x[()] if getattr(x, "shape", None) == () else x
