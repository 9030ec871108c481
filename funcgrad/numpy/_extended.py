"""How does a function of NumPy's take arguments that only JAX's has?  `extends`: with them it is traced code that runs.

JAX's `size` and `fill_value` say how long a result is whose length depends on values; NumPy needs neither.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from funcgrad.array import Array
from funcgrad.errors import ConcretizationTypeError, at_line
from funcgrad.numpy._common import concrete, has_tracer, implements, wrap
from funcgrad.quiet import quiet
from funcgrad.tracebacks import boundary, shorten

F = TypeVar("F", bound=Callable[..., Any])


def extends(reference: Callable[..., Any], **extra: Any) -> Callable[[F], F]:
    """As `implements`, for a function with keywords that NumPy's does not have (given with their defaults)."""

    def decorate(traced: F) -> F:
        numpys = implements(reference)(traced)

        @functools.wraps(numpys)
        def function(*args: Any, **kwargs: Any) -> Any:
            try:
                if any(kwargs.get(name, default) is not default for name, default in extra.items()):
                    with quiet():
                        return wrap(traced(*args, **kwargs), args)
                return numpys(*args, **{name: value for name, value in kwargs.items() if name not in extra})
            except BaseException as error:
                shorten(error)
                raise

        del function.__wrapped__
        more = f"\n\nHas JAX's `{'`, `'.join(extra)}` as well."
        function.__doc__ = (numpys.__doc__ or "").replace("\n\nReturns\n", f"{more}\n\nReturns\n", 1)
        return function  # type: ignore[return-value]

    return decorate


def completed(complete: Callable[[int, dict[str, Any]], dict[str, Any]]) -> Callable[[F], F]:
    """The decorated function gets the keywords that `complete` makes of how many positional ones there are, and others.

    This is how arguments may be left out, or be None, where the Array API standard says so and NumPy does not.
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def with_defaults(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **complete(len(args), kwargs))
            except BaseException as error:
                shorten(error)
                raise

        return with_defaults  # type: ignore[return-value]

    return decorate


def sharing(reference: Callable[..., Any]) -> Callable[[F], F]:
    """With ``copy=False`` the decorated function gives known arrays NumPy's result, in the argument's memory."""

    def decorate(function: F) -> F:
        @boundary
        @functools.wraps(function)
        def shared(*args: Any, **kwargs: Any) -> Any:
            if kwargs.get("copy") is not False or has_tracer(args):
                return function(*args, **kwargs)
            result = reference(*args, **kwargs)
            return result if isinstance(result, Array) else np.asarray(result).view(Array)

        return shared  # type: ignore[return-value]

    return decorate


def length_of(mask: Any, size: int | None, name: str) -> int:
    """How many elements a result has: `size`, or as many as there are true ones in a known mask.

    Raises
    ------
    ConcretizationTypeError
        Neither is known.
    """
    if size is not None:
        return size.__index__()
    known = concrete(mask)
    if known is None:
        raise ConcretizationTypeError(
            f"numpy.{name}: the size of the result depends on the values of a traced array, which has none yet. Say "
            f"how large it is: {name}(..., size=n), with fill_value for what is left over; or work on the whole array "
            f"with a mask (np.where).{at_line()}"
        )
    return int(np.count_nonzero(known))
