"""What are calls of jitted functions while a switch is on?  They are looked at, or not compiled."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

from funcgrad import config, forks
from funcgrad.runtime.dispatch import JitFunction
from funcgrad.tracebacks import boundary

Watch = Callable[..., Any]  # watch(call, jitted, args, kwargs): a call of a jitted function, looked at

_compiled_call = JitFunction.__call__
_watches: dict[config.Switch, Watch | None] = {config.disable_jit: None}
_switched_on, _switch = [0], forks.held(threading.Lock())


@boundary
def _watched_call(self: JitFunction[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What calls of jitted functions are while a switch is on in some thread."""
    if config.disable_jit.value:
        return self._fun(*args, **kwargs)
    call: Callable[..., Any] = _compiled_call
    for switch, watch in _watches.items():
        if watch is not None and switch.value:
            call = functools.partial(watch, call)
    return call(self, *args, **kwargs)


def _any_switch(active: bool) -> None:
    """Have calls looked at, or no longer; so a call costs nothing while all switches are off."""
    with _switch:
        _switched_on[0] += 1 if active else -1
        JitFunction.__call__ = _watched_call if _switched_on[0] else _compiled_call  # type: ignore[method-assign]


def watch_calls(switch: config.Switch, watch: Watch | None) -> Callable[[bool], None]:
    """Have ``watch(call, jitted, *args, **kwargs)`` in the place of calls while a switch is on; what to tell of it."""
    _watches[switch] = watch
    return _any_switch


config.disable_jit.changed = watch_calls(config.disable_jit, None)


@contextlib.contextmanager
def disable_jit(disable: bool = True) -> Iterator[None]:
    """Within this context, and this thread, jitted functions are the Python functions that they were made of.

    For debuggers, ``print`` and profilers. ``lax.scan``, ``while_loop``, ``cond`` and their like are Python's loops and
    branches then, whose functions see values.

    Returns
    -------
    context manager
        For a ``with`` block.

    Examples
    --------
    >>> import funcgrad as fg
    >>> f = fg.jit(lambda x: x * 2 if x > 0 else x)
    >>> with fg.disable_jit():
    ...     f(3.0)
    6.0
    """
    with config.disable_jit(bool(disable)):
        yield
