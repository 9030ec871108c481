"""How are matrices multiplied whose blocks share a scale?  In float32, as `jax.nn` does on a CPU."""

from __future__ import annotations

from typing import Any

import numpy as _np

from funcgrad import numpy as np
from funcgrad.errors import at_line
from funcgrad.lax._reductions import dot_general
from funcgrad.nn._common import array, public
from funcgrad.numpy._common import cast, dtype_of
from funcgrad.trace.frame import type_of

_SINGLE = _np.dtype(_np.float32)


@public
def scaled_matmul(
    lhs: Any, rhs: Any, lhs_scales: Any, rhs_scales: Any, preferred_element_type: Any = _np.float32
) -> Any:
    """The products of rows of `lhs` and rows of `rhs`, each block of a row times its scale.

    Parameters
    ----------
    lhs, rhs
        Of shapes (B, M, K) and (B, N, K).
    lhs_scales, rhs_scales
        Of shapes (B, M, k) and (B, N, k): one scale for K / k elements in a row.
    preferred_element_type
        The dtype of the result; it is computed in float32.

    Returns
    -------
    Array
        Of shape (B, M, N).

    Raises
    ------
    ValueError
        For shapes that do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> a, b, half = np.array([[[1, 2, 3]]]), np.array([[[4, 5, 6]]]), np.array([[[0.5]]])
    >>> scaled_matmul(a, b, half, half)
    Array([[[8.]]], dtype=float32)
    """
    operands = [array(x, "scaled_matmul") for x in (lhs, rhs, lhs_scales, rhs_scales)]
    a, b, s, t = (type_of(x).shape for x in operands)
    if any(len(shape) != 3 for shape in (a, b, s, t)):
        raise ValueError(f"scaled_matmul: operands of three axes are needed, not {a}, {b}, {s}, {t}{at_line()}")
    if a[0] != b[0] or a[2] != b[2]:
        raise ValueError(f"scaled_matmul: lhs {a} and rhs {b} must agree in their first and last extents{at_line()}")
    if s[:2] != a[:2] or t[:2] != b[:2] or s[2] != t[2]:
        raise ValueError(f"scaled_matmul: scales of shapes {s} and {t} do not fit lhs {a} and rhs {b}{at_line()}")
    if not s[2] or a[2] % s[2]:
        raise ValueError(f"scaled_matmul: rows of {a[2]} elements do not divide into {s[2]} blocks{at_line()}")
    x, y, x_scales, y_scales = (cast(v, _SINGLE) for v in operands)
    scaled = [np.reshape(v, (*shape[:2], s[2], -1)) * np.expand_dims(scale, 3)
              for v, shape, scale in ((x, a, x_scales), (y, b, y_scales))]  # fmt: skip
    left, right = (np.reshape(v, shape) for v, shape in zip(scaled, (a, b), strict=True))
    return cast(np.matmul(left, np.swapaxes(right, 1, 2)), dtype_of(preferred_element_type))


@public
def scaled_dot_general(
    lhs: Any,
    rhs: Any,
    dimension_numbers: Any,
    preferred_element_type: Any = _np.float32,
    configs: None = None,
    implementation: None = None,
) -> Any:
    """The sum product `lax.dot_general`; quantised products (`configs`) are for accelerators and refused.

    Returns
    -------
    Array
        The batch axes, then what is left of `lhs`, then of `rhs`.

    Raises
    ------
    NotImplementedError
        `configs` is given.
    ValueError
        `implementation` is given.

    Examples
    --------
    >>> import numpy as np
    >>> scaled_dot_general(np.ones((2, 3), "f4"), np.ones((3, 4), "f4"), (((1,), (0,)), ((), ()))).shape
    (2, 4)
    """
    if configs is not None:
        raise NotImplementedError(f"scaled_dot_general: there are no quantised formats (configs){at_line()}")
    if implementation is not None:
        raise ValueError(f"scaled_dot_general: implementation {implementation!r} is unknown{at_line()}")
    return dot_general(lhs, rhs, dimension_numbers, preferred_element_type=preferred_element_type)
