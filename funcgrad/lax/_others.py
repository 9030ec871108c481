"""JAX's `lax` names that have little to do here: precision of products, barriers, derivatives by name."""

from __future__ import annotations

import enum
from typing import Any

from funcgrad import tree
from funcgrad.dtypes import FLOATS
from funcgrad.lax._arguments import check_dtype, finished, same_dtype, same_shape, strong
from funcgrad.lax._arguments import operand as checked
from funcgrad.ops import special
from funcgrad.ops.shape import broadcast_in_dim
from funcgrad.trace.frame import type_of

__all__ = ["Precision", "igamma_grad_a", "optimization_barrier"]


class Precision(enum.Enum):
    """How accurate products are asked to be; here they always have the precision of their dtype."""

    DEFAULT = 0
    HIGH = 1
    HIGHEST = 2


def optimization_barrier(operand: Any) -> Any:
    """The same arrays (a pytree of them): exact simplification has nothing that a barrier would have to stop.

    Returns
    -------
    pytree of Array
        The structure, shapes and dtypes of `operand`.

    Examples
    --------
    >>> optimization_barrier(2.0)
    Array(2.)
    """
    return tree.map(lambda x: finished(strong(checked(x, "optimization_barrier"))), operand)


def igamma_grad_a(a: Any, x: Any) -> Any:
    """The derivative of `igamma` by its first argument.

    Returns
    -------
    Array
        Of the operands' shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> bool(np.isclose(igamma_grad_a(1.0, 2.0), -0.22082543))
    True
    """
    xs = same_dtype("igamma_grad_a", a, x)
    check_dtype("igamma_grad_a", xs[0], FLOATS, "floats")
    a, x = same_shape("igamma_grad_a", *xs)
    shape = type_of(a).shape or type_of(x).shape
    one = broadcast_in_dim(type_of(a).dtype.type(1), shape=shape, broadcast_dimensions=())
    rule: Any = special.igamma.jvp
    a = a if type_of(a).shape == shape else broadcast_in_dim(a, shape=shape, broadcast_dimensions=())
    return finished(rule((a, x), (one, None), {})[1][0])
