"""Which names can parts of a program have, and what is computed while tracing?  `named_scope`, `named_call`,
`ensure_compile_time_eval`.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

from funcgrad.errors import at_line, scopes
from funcgrad.tracebacks import boundary


@boundary
def named_scope(name: str) -> contextlib._GeneratorContextManager[None]:
    """A context manager and decorator: operations within carry the name in listings with lines, and in messages.

    Returns
    -------
    context manager
        It serves as a decorator too.

    Raises
    ------
    TypeError
        The name is no string.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> @fg.named_scope("layer")
    ... def f(x):
    ...     return np.sin(x)
    >>> fg.make_jaxpr(f)(1.0).equations[0].source.scope
    'layer'
    """
    if not isinstance(name, str):
        raise TypeError(f"named_scope takes a string, not {name!r} of type {type(name).__name__}{at_line()}")
    return _scope(name)


@contextlib.contextmanager
def _scope(name: str) -> Iterator[None]:
    before = scopes.path
    scopes.path = f"{before}/{name}" if before else name
    try:
        yield
    finally:
        scopes.path = before


def named_call(fun: Callable[..., Any], *, name: str | None = None) -> Callable[..., Any]:
    """`fun` in a scope of its own name, or of `name`; see `named_scope`.

    Returns
    -------
    callable
        A function with the parameters and results of `fun`.

    Examples
    --------
    >>> import funcgrad as fg
    >>> print(fg.named_call(lambda x: 2 * x, name="double")(3.0))
    6.0
    """
    label = str(name or getattr(fun, "__name__", "function"))

    @functools.wraps(fun)
    def call(*args: Any, **kwargs: Any) -> Any:
        with named_scope(label):
            return fun(*args, **kwargs)

    return call


@contextlib.contextmanager
def ensure_compile_time_eval() -> Iterator[None]:
    """A context in which operations on known arrays are done while tracing: as they are everywhere in funcgrad.

    Returns
    -------
    context manager
        For a ``with`` block.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> @fg.jit
    ... def f(x):
    ...     with fg.ensure_compile_time_eval():
    ...         n = int(np.sum(np.arange(3)))
    ...     return x * n
    >>> f(2.0)
    Array(6.)
    """
    yield
