"""What is a row of the tables of mistakes?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import funcgrad as fg

JIT = ("where", "cond", "static")  # the remedies inside jit


class Row(NamedTuple):
    """A mistake: the exception (also a standard one), and what the message must say, the remedy among it.

    `line` says whether the message names the user's line: all do that are raised by funcgrad and not by Python itself.
    """

    name: str
    call: Callable[[], Any]
    error: type[BaseException]
    says: tuple[str, ...]
    line: bool = True


def in_jit(function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    """A call of a jitted function."""
    return lambda: fg.jit(function)(*(arguments or (2.0,)))
