"""The functions of numpy.linalg that multiply, and that look at matrices otherwise."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.linalg import LinAlgError

from funcgrad.errors import at_line
from funcgrad.numpy._common import axis_numbers, implements, operand
from funcgrad.ops.shape import reshape
from funcgrad.trace.frame import type_of

Shape = tuple[int, ...]


def plain_shape(name: str, x: Any) -> Shape:
    """The shape of a matrix that is no stack of them."""
    shape = type_of(x).shape
    if len(shape) != 2:
        raise LinAlgError(f"{name}: {len(shape)}-dimensional array given. Array must be two-dimensional{at_line()}")
    return shape


@implements(np.linalg.multi_dot)
def multi_dot(arrays: Sequence[Any], *, out: None = None) -> Any:
    """The product of matrices in the order that takes the fewest multiplications."""
    if out is not None:
        raise TypeError(f"multi_dot: out= would write into an array: traced functions are pure{at_line()}")
    parts = [operand(x, "multi_dot") for x in arrays]
    if len(parts) < 2:
        raise ValueError(f"multi_dot: Expecting at least two arrays.{at_line()}")
    if len(parts) == 2:
        return np.dot(*parts)
    first, last = (type_of(parts[k]).ndim == 1 for k in (0, -1))
    parts[0] = reshape(parts[0], shape=(1, type_of(parts[0]).size)) if first else parts[0]
    parts[-1] = reshape(parts[-1], shape=(type_of(parts[-1]).size, 1)) if last else parts[-1]
    sizes = [plain_shape("multi_dot", x)[0] for x in parts] + [type_of(parts[-1]).shape[-1]]
    product = _chain(parts, sizes)
    shape = type_of(product).shape
    return (
        reshape(product, shape=(*(() if first else shape[:1]), *(() if last else shape[1:])))
        if first or last
        else product
    )


def _chain(parts: list[Any], sizes: list[int]) -> Any:
    """Dynamic programming over all brackets (Cormen et al., "Introduction to Algorithms", section 15.2)."""

    @functools.cache
    def best(i: int, j: int) -> tuple[int, int]:
        """The cost of parts i ... j, and after which of them the outermost bracket ends."""
        if i == j:
            return 0, i
        return min((best(i, k)[0] + best(k + 1, j)[0] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j))

    def product(i: int, j: int) -> Any:
        k = best(i, j)[1]
        return parts[i] if i == j else product(i, k) @ product(k + 1, j)

    return product(0, len(parts) - 1)


@implements(np.linalg.matmul)
def matmul(x1: Any, x2: Any, /) -> Any:
    """The matrix product."""
    return np.matmul(x1, x2)


@implements(np.linalg.tensordot)
def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Any:
    """The sum product over pairs of axes."""
    return np.tensordot(x1, x2, axes=axes)


@implements(np.linalg.vecdot)
def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """The inner product along an axis; the first operand is conjugated."""
    product: Any = np.vecdot
    return product(x1, x2, axis=axis)


@implements(np.linalg.outer)
def outer(x1: Any, x2: Any, /) -> Any:
    """All products of elements of two vectors."""
    shapes = [type_of(operand(x, "outer")).shape for x in (x1, x2)]
    if any(len(s) != 1 for s in shapes):
        raise ValueError(
            f"outer: Input arrays must be one-dimensional, not of shapes {shapes[0]}, {shapes[1]}{at_line()}"
        )
    return np.outer(x1, x2)


@implements(np.linalg.cross)
def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """The cross product of vectors of three elements."""
    x1, x2 = operand(x1, "cross"), operand(x2, "cross")
    for x in (x1, x2):
        shape = type_of(x).shape
        if shape[axis_numbers(axis, len(shape), "cross")[0]] != 3:
            raise ValueError(
                f"cross: Both input arrays must be (arrays of) 3-dimensional vectors, not {shape}{at_line()}"
            )
    return np.cross(x1, x2, axis=axis)


@implements(np.linalg.diagonal)
def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """The diagonals of matrices (the last two axes)."""
    return np.diagonal(x, offset, axis1=-2, axis2=-1)


@implements(np.linalg.trace)
def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """The sums of the diagonals of matrices."""
    return np.trace(x, offset, axis1=-2, axis2=-1, dtype=dtype)


@implements(np.linalg.matrix_transpose)
def matrix_transpose(x: Any, /) -> Any:
    """The last two axes exchanged."""
    return np.matrix_transpose(x)
