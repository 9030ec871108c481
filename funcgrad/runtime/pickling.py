"""How does a jitted function get into another process?  By its name, or by value; never compiled.

A function that a module has under its own name is pickled as that name, as Python's functions are. Any other, a lambda,
one that is defined in another function or in the main program, or a gradient, travels as `cloudpickle` writes it (that
of Numba, if there is no other). The process that reads it keeps it, so that the next task with the same function finds
it traced and compiled.
"""

from __future__ import annotations

import importlib
import os
import pickle
import sys
from collections import deque
from collections.abc import Callable
from typing import Any
from weakref import WeakValueDictionary

from funcgrad.errors import at_line

KEPT = 256  # functions that were read last
_known: WeakValueDictionary[str, Any] = WeakValueDictionary()
_read: deque[Any] = deque(maxlen=KEPT)


def reduced(function: Any, fun: Callable[..., Any], options: tuple[Any, ...]) -> Any:
    """What ``function.__reduce__`` returns, for a wrapper that ``type(function)(fun, *options)`` makes anew.

    Raises
    ------
    pickle.PicklingError
        If something that `fun` refers to cannot be pickled: a lock, an open file.
    """
    name = getattr(function, "__qualname__", "")
    if name and _at(getattr(function, "__module__", None), name) is function:
        return name
    try:
        written = _by_value().dumps(fun)
    except Exception as error:
        raise pickle.PicklingError(
            f"{function!r} cannot be pickled, because something that it refers to cannot: {error}{at_line()}"
        ) from error
    function._token = function._token or os.urandom(8).hex()
    _known[function._token] = function
    return restored, (function._token, type(function), written, options)


def restored(token: str, kind: type, written: bytes, options: tuple[Any, ...]) -> Any:
    """The function that was pickled, or the one that was read from the same text before."""
    function = _known.get(token)
    if function is None:
        function = kind(pickle.loads(written), *options)
        function._token = token
        function = _known.setdefault(token, function)
        _read.append(function)
    return function


def _at(module: str | None, name: str) -> Any:
    """What an importable module has under a name. The main program is another one in every process."""
    found: Any = None if module in (None, "__main__", "__mp_main__") else sys.modules.get(str(module))
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _by_value() -> Any:
    try:
        return importlib.import_module("cloudpickle")
    except ImportError:
        return importlib.import_module("numba.cloudpickle")
