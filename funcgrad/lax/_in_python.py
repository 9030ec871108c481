"""What are loops and branches while `disable_jit` is on?  Python's own, whose functions see values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import config, tree
from funcgrad.array import as_array
from funcgrad.trace.frame import running
from funcgrad.trace.tracer import Tracer, known

__all__: list[str] = []


def wanted(*values: Any) -> bool:
    """Whether Python can run a loop or branch that depends on these values, and is meant to.

    While a program is being made (`make_jaxpr`) no values are to be seen, and a loop stays one.
    """
    if not config.disable_jit.value or running.builders:
        return False
    return all(known(x) is not None for x in tree.leaves(values))


def own(x: Any) -> Any:
    """A result as the caller's own array; a tracer as it is."""
    return x if type(x) is Tracer else as_array(np.array(x))


def scan(f: Callable[..., Any], init: Any, xs: Any, count: int, reverse: bool) -> tuple[Any, Any]:
    """`lax.scan` of at least one iteration."""
    carry, ys = init, [None] * count
    for i in reversed(range(count)) if reverse else range(count):
        carry, ys[i] = f(carry, tree.map(lambda x, i=i: x[i], xs))
    return tree.map(own, carry), tree.map(lambda *each: own(np.stack(each)), *ys)


def while_loop(cond_fun: Callable[[Any], Any], body_fun: Callable[[Any], Any], val: Any) -> Any:
    """`lax.while_loop`."""
    while cond_fun(val):
        val = body_fun(val)
    return tree.map(own, val)


def choose(number: Any, branches: Sequence[Callable[..., Any]], operands: Sequence[Any]) -> Any:
    """`lax.cond` and `lax.switch`."""
    return tree.map(own, branches[int(number)](*operands))
