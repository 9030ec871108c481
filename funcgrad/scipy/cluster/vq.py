"""Which of some centres is a point nearest to?"""

from __future__ import annotations

from typing import Any

from funcgrad import numpy as np
from funcgrad.errors import at_line
from funcgrad.numpy._common import promoted
from funcgrad.scipy._values import floating, public
from funcgrad.trace.frame import type_of

__all__ = ["vq"]


@public
def vq(obs: Any, code_book: Any, check_finite: bool = True) -> tuple[Any, Any]:
    """The nearest code of each observation, and the distance to it.

    Parameters
    ----------
    obs
        Shape (m, n), or (m,) for points on a line.
    code_book
        Shape (k, n), or (k,).
    check_finite
        Without effect, as in JAX.

    Returns
    -------
    code, dist
        Integers and distances of shape (m,); of codes equally near the first one counts. The distance to a code at
        hand has the derivative 0.

    Raises
    ------
    ValueError
        If the shapes do not fit, or there is no code.

    Examples
    --------
    >>> vq([[0.0, 1.0], [3.0, 4.0]], [[0.0, 0.0], [4.0, 4.0]])
    (Array([0, 1]), Array([1., 1.]))
    """
    points, codes = promoted("vq", *floating("vq", obs, code_book))
    (left, right) = type_of(points).shape, type_of(codes).shape
    if len(left) != len(right) or len(left) not in (1, 2) or left[1:] != right[1:]:
        message = f"vq: observations of shape {left} do not fit codes of shape {right}: (m, n) and (k, n) are needed"
        raise ValueError(message + at_line())
    if right[0] == 0:
        raise ValueError(f"vq: the code book is empty{at_line()}")
    if len(left) == 1:
        points, codes = np.reshape(points, (-1, 1)), np.reshape(codes, (-1, 1))
    squares = np.sum(np.square(points[:, None, :] - codes[None, :, :]), axis=-1)
    nearest = np.argmin(squares, axis=-1)
    square = np.take_along_axis(squares, nearest[:, None], axis=-1)[:, 0]
    at_code = square == type_of(square).dtype.type(0)
    one = type_of(square).dtype.type(1)
    return nearest, np.where(at_code, one - one, np.sqrt(np.where(at_code, one, square)))
