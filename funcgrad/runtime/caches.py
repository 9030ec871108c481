"""What is remembered between calls, and how is it forgotten?"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from funcgrad.compile import compiler, native
from funcgrad.control import bodies, call, checkpoint, while_loop
from funcgrad.lower import updates
from funcgrad.runtime import executable

if TYPE_CHECKING:
    from funcgrad.runtime.dispatch import JitFunction

functions: weakref.WeakSet[JitFunction[..., Any]] = weakref.WeakSet()  # every jitted function that is alive


def clear_caches() -> None:
    """Forget every traced and compiled program of this process, and give kept memory back; the disk cache stays.

    Jitted functions stay usable: they are traced anew.

    Examples
    --------
    >>> import funcgrad as fg
    >>> fg.clear_caches()
    >>> fg.jit(lambda x: x + 1)(1.0)
    Array(2.)
    """
    for function in list(functions):
        function.clear_cache()
    executable.clear()
    call.clear()
    bodies.clear()
    checkpoint.cut.cache_clear()
    while_loop.backward.cache_clear()
    updates.through_branches.cache_clear()
    compiler.clear()
    native.trim()
