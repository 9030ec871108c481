"""How do losses take their arguments?  As floats of one dtype, narrow ones computed in float32."""

from __future__ import annotations

from typing import Any

import numpy as _np

from funcgrad import numpy as np
from funcgrad.dtypes import DType, kind_of, promote, widened
from funcgrad.errors import at_line
from funcgrad.nn._common import array
from funcgrad.numpy._common import cast, wrap
from funcgrad.numpy._indexing import as_int64
from funcgrad.ops.comparison import stop_gradient
from funcgrad.ops.indexing import check_label
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer


def floats(name: str, **operands: Any) -> tuple[Any, ...]:
    """The operands as floats to compute with, and the dtype of the result at the end.

    Raises
    ------
    TypeError
        For integers, bools and complex numbers.
    """
    arrays = [array(x, name) for x in operands.values()]
    for what, x in zip(operands, arrays, strict=True):
        if kind_of(type_of(x).dtype) != "f":
            raise TypeError(f"{name}: {what} must be floats, not {type_of(x).dtype.name}{at_line()}")
    dtype, _ = promote((type_of(x).dtype, False) for x in arrays)
    return *(cast(x, widened(dtype)) for x in arrays), dtype


def like(name: str, x: Any, other: Any) -> Any:
    """Labels or targets, whatever their dtype, in that of the floats `other`."""
    return cast(array(x, name), type_of(other).dtype)


def integers(name: str, what: str, x: Any, hint: str = "") -> Any:
    """An operand of integers."""
    x = array(x, name)
    if type_of(x).dtype.kind not in "iu":
        raise TypeError(f"{name}: {what} must be integers, not {type_of(x).dtype.name}{hint}{at_line()}")
    return x


def class_numbers(name: str, labels: Any, classes: int, *, negative: bool = False) -> Any:
    """Labels as numbers from 0 to classes - 1; `negative` ones may count from the end.

    Raises
    ------
    IndexError
        A label is no class; traced ones when the program runs.
    """
    return check_label(as_int64(labels), size=classes, least=-classes if negative else 0, of=name)


def same_shapes(name: str, **operands: Any) -> None:
    """Raise a ValueError unless the operands have one shape."""
    shapes = {what: type_of(x).shape for what, x in operands.items()}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{what} {shape}" for what, shape in shapes.items())
        raise ValueError(f"{name}: shapes differ: {listed}{at_line()}")


def result(x: Any, dtype: DType) -> Any:
    """The loss in its dtype, as the caller's own array."""
    return wrap(cast(x, dtype))


def constant(x: Any) -> Any:
    """`x`, through which no derivative flows."""
    return stop_gradient(x) if type(x) is Tracer else x


def counted(where: Any) -> dict[str, Any]:
    """The keyword of reductions for elements that count."""
    return {} if where is None else {"where": where}


def weighted(weight: Any, x: Any, where: Any = None) -> Any:
    """``weight * x``, 0 where the weight is 0 and x infinite (0 log 0 is 0), and where it does not count.

    Derivatives are those of the product.
    """
    lost = (weight == 0) & (np.abs(x) == _np.inf)
    lost = lost if where is None else lost | ~where
    return weight * np.where(lost, type_of(x).dtype.type(0), x)
