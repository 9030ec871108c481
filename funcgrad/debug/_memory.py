"""How is `check_memory` switched on?  Calls of jitted functions ask for executables that are looked after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad import config
from funcgrad.runtime.dispatch import JitFunction
from funcgrad.runtime.executable import EXECUTABLES
from funcgrad.runtime.switches import watch_calls


def _watch_call(call: Callable[..., Any], jitted: JitFunction[..., Any], *args: Any, **kwargs: Any) -> Any:
    """A call that passes the native entries of programs that are not looked after."""
    return jitted.call_slowly(args, kwargs)


def install() -> None:
    """Connect the switch, and take the environment's word."""
    calls = watch_calls(config.check_memory, _watch_call)

    def changed(active: bool) -> None:
        from funcgrad.runtime.guarded import GuardedExecutable

        EXECUTABLES[True] = GuardedExecutable
        calls(active)

    config.check_memory.changed = changed
    config.check_memory.start()
