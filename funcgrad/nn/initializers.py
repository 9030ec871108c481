"""With which numbers does training begin?  `jax.nn.initializers`: functions that make ``init(key, shape, dtype)``.

>>> import funcgrad as fg
>>> init = he_normal()
>>> init(fg.random.key(0), (784, 128)).shape
(784, 128)

The dtype is float64 unless it is given, to the maker or to ``init`` itself. Of the shape, the axes `in_axis` and
`out_axis` are a layer's inputs and outputs (those of a dense layer by default), and those that are neither (and not in
`batch_axis`) the places of a convolution's window. `xavier_*` is `glorot_*`, `kaiming_*` is `he_*`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as _np

from funcgrad import numpy as np
from funcgrad import random
from funcgrad.arguments import check_within
from funcgrad.dtypes import kind_of
from funcgrad.errors import at_line
from funcgrad.numpy._common import axis_number, dtype_of, static_shape
from funcgrad.tracebacks import bounded as _bounded

Axes = int | Sequence[int]

# The standard deviation of a normal number, real or complex, that is cut off at 2.
CUT_REAL, CUT_COMPLEX = 0.87962566103423978, 0.95311164380491208


@runtime_checkable
class Initializer(Protocol):
    """What makes the numbers of an array: ``init(key, shape, dtype=None)``."""

    def __call__(self, key: Any, shape: Sequence[int], dtype: Any = None) -> Any:
        """An array of a shape and dtype."""
        ...


def _kind(dtype: Any, fallback: Any = None) -> _np.dtype:
    """The dtype that is given, or the maker's, or float64."""
    return dtype_of(next((d for d in (dtype, fallback) if d is not None), float))


def zeros(key: Any, shape: Sequence[int], dtype: Any = None) -> Any:
    """Zeros; the key is not used.

    Returns
    -------
    Array
        Of the given shape and dtype (default: float64).

    Examples
    --------
    >>> zeros(None, (2,))
    Array([0., 0.])
    """
    return np.zeros(static_shape(shape, "zeros"), _kind(dtype))


def ones(key: Any, shape: Sequence[int], dtype: Any = None) -> Any:
    """Ones; the key is not used.

    Returns
    -------
    Array
        Of the given shape and dtype (default: float64).

    Examples
    --------
    >>> ones(None, (2,))
    Array([1., 1.])
    """
    return np.ones(static_shape(shape, "ones"), _kind(dtype))


def constant(value: Any, dtype: Any = None) -> Initializer:
    """One value everywhere (or an array that broadcasts to the shape).

    Returns
    -------
    callable
        ``init(key, shape, dtype=...)``, which returns an array of that shape and dtype (float64 by default).

    Examples
    --------
    >>> constant(-7.0)(None, (2,))
    Array([-7., -7.])
    """
    own = dtype

    def init(key: Any, shape: Sequence[int], dtype: Any = None) -> Any:
        return np.full(static_shape(shape, "constant"), value, dtype=_kind(dtype, own))

    return init


def uniform(scale: Any = 1e-2, dtype: Any = None) -> Initializer:
    """Uniform numbers in [0, scale).

    Returns
    -------
    callable
        ``init(key, shape, dtype=...)``, which returns an array of that shape and dtype (float64 by default).

    Examples
    --------
    >>> import funcgrad as fg
    >>> uniform(0.5)(fg.random.key(0), (3,)).dtype
    dtype('float64')
    """
    return _scaled(random.uniform, scale, dtype)


def normal(stddev: Any = 1e-2, dtype: Any = None) -> Initializer:
    """Normal numbers with mean 0 and a standard deviation.

    Returns
    -------
    callable
        ``init(key, shape, dtype=...)``, which returns an array of that shape and dtype (float64 by default).

    Examples
    --------
    >>> import funcgrad as fg
    >>> normal(0.5)(fg.random.key(0), (10,)).shape
    (10,)
    """
    return _scaled(random.normal, stddev, dtype)


def truncated_normal(stddev: Any = 1e-2, dtype: Any = None, lower: Any = -2.0, upper: Any = 2.0) -> Initializer:
    """Normal numbers between `lower` and `upper` (cut off there), times `stddev`.

    The standard deviation of the results is smaller than `stddev`, as nothing makes up for the tails.

    Returns
    -------
    callable
        ``init(key, shape, dtype=...)``, which returns an array of that shape and dtype (float64 by default).

    Examples
    --------
    >>> import funcgrad as fg
    >>> truncated_normal(0.5, "float32")(fg.random.key(0), (1000,)).dtype
    dtype('float32')
    """
    return _scaled(lambda key, shape, kind: random.truncated_normal(key, lower, upper, shape, kind), stddev, dtype)


def _scaled(draw: Callable[..., Any], scale: Any, own: Any) -> Initializer:
    """Numbers of a distribution, times a scale."""

    def init(key: Any, shape: Sequence[int], dtype: Any = None) -> Any:
        kind = _kind(dtype, own)
        return draw(key, static_shape(shape, "init"), kind) * np.asarray(scale, dtype=kind)

    return init


def variance_scaling(
    scale: Any,
    mode: str,
    distribution: str,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
    dtype: Any = None,
) -> Initializer:
    """Numbers of mean 0 and variance ``scale / n``, with n by the shape of the array.

    Parameters
    ----------
    scale
        A positive number.
    mode
        n is the number of inputs (``"fan_in"``), of outputs (``"fan_out"``), or their arithmetic (``"fan_avg"``) or
        geometric mean (``"fan_geo_avg"``).
    distribution
        ``"truncated_normal"`` (at 2 standard deviations), ``"normal"`` or ``"uniform"``; of complex numbers, the
        first and the last are distributions on a disk.
    in_axis, out_axis, batch_axis
        The axes of inputs, of outputs, and those that count for neither.
    dtype
        Of the results.

    Returns
    -------
    callable
        ``init(key, shape, dtype=...)``, which returns an array of that shape and dtype (float64 by default).

    Raises
    ------
    ValueError
        For an unknown mode or distribution, a negative scale, and when called for a shape that lacks the axes.

    Examples
    --------
    >>> import funcgrad as fg
    >>> init = variance_scaling(2.0, "fan_in", "normal")
    >>> init(fg.random.key(0), (3, 3, 64, 128)).std().round(2)  # √(2 / (3 · 3 · 64)) = 0.059
    np.float64(0.06)
    """
    if mode not in MODES:
        raise ValueError(f"variance_scaling: invalid mode {mode!r}: it is one of {tuple(MODES)}{at_line()}")
    if distribution not in DISTRIBUTIONS:
        known = tuple(DISTRIBUTIONS)
        raise ValueError(f"variance_scaling: invalid distribution {distribution!r}: it is one of {known}{at_line()}")
    check_within("variance_scaling", "scale", scale, 0)
    own = dtype

    def init(key: Any, shape: Sequence[int], dtype: Any = None) -> Any:
        shape, kind = static_shape(shape, "init"), _kind(dtype, own)
        n = MODES[mode](*fans(shape, in_axis, out_axis, batch_axis))
        variance = _np.asarray(scale / n).astype(kind)
        return DISTRIBUTIONS[distribution](key, shape, kind, variance)

    return init


def fans(shape: Sequence[int], in_axis: Axes, out_axis: Axes, batch_axis: Axes) -> tuple[float, float]:
    """The numbers of inputs and of outputs, each with the places of the window.

    Returns
    -------
    tuple of float
        Fan-in and fan-out.

    Raises
    ------
    ValueError
        The shape has one axis, and the axes are not given.

    Examples
    --------
    >>> from funcgrad.nn import initializers
    >>> initializers.fans((3, 3, 8, 16), -2, -1, ())
    (72.0, 144.0)
    """
    if isinstance(in_axis, int) and in_axis == -2 and len(shape) <= 1:
        raise ValueError(
            f"an initializer cannot tell the inputs from the outputs of an array of shape {tuple(shape)}: "
            f"it needs two axes, or in_axis{at_line()}"
        )

    def extent(axes: Axes) -> int:
        numbers = (axes,) if isinstance(axes, int) else axes
        return math.prod(shape[axis_number(a, len(shape), "init")] for a in numbers)

    inputs, outputs = extent(in_axis), extent(out_axis)
    window = math.prod(shape) / max(inputs * outputs * extent(batch_axis), 1)
    return inputs * window, outputs * window


MODES: dict[str, Callable[[float, float], float]] = {
    "fan_in": lambda inputs, outputs: inputs,
    "fan_out": lambda inputs, outputs: outputs,
    "fan_avg": lambda inputs, outputs: (inputs + outputs) / 2,
    "fan_geo_avg": lambda inputs, outputs: math.sqrt(inputs * outputs),
}


def _truncated(key: Any, shape: tuple[int, ...], kind: _np.dtype, variance: Any) -> Any:
    if kind_of(kind) == "f":
        return random.truncated_normal(key, -2, 2, shape, kind) * (_np.sqrt(variance) / variance.dtype.type(CUT_REAL))
    inside = -_np.expm1(-variance.real.dtype.type(4))  # the share of the disk
    radius = np.sqrt(-np.log(1 - inside * _unit(random.split(key)[0], shape, kind)))
    return _around(key, shape, kind, radius) * (_np.sqrt(variance) / variance.dtype.type(CUT_COMPLEX))


def _normal(key: Any, shape: tuple[int, ...], kind: _np.dtype, variance: Any) -> Any:
    return random.normal(key, shape, kind) * _np.sqrt(variance)


def _uniform(key: Any, shape: tuple[int, ...], kind: _np.dtype, variance: Any) -> Any:
    if kind_of(kind) == "f":
        return random.uniform(key, shape, kind, -1) * _np.sqrt(variance.dtype.type(3) * variance)
    radius = np.sqrt(2 * _unit(random.split(key)[0], shape, kind))
    return _around(key, shape, kind, radius) * _np.sqrt(variance)


def _unit(key: Any, shape: tuple[int, ...], kind: _np.dtype) -> Any:
    """Uniform real numbers of the precision of a complex dtype."""
    return random.uniform(key, shape, _np.empty(0, kind).real.dtype)


def _around(key: Any, shape: tuple[int, ...], kind: _np.dtype, radius: Any) -> Any:
    """Complex numbers of a modulus, in directions of their own."""
    angle = 2 * math.pi * _unit(random.split(key)[1], shape, kind)
    return (radius * np.exp(1j * angle)).astype(kind)


DISTRIBUTIONS: dict[str, Callable[..., Any]] = {
    "truncated_normal": _truncated,
    "normal": _normal,
    "uniform": _uniform,
}


def _family(scale: float, mode: str, distribution: str, name: str, why: str) -> Callable[..., Initializer]:
    """`variance_scaling` with its first three arguments fixed."""

    def make(in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None) -> Initializer:
        return variance_scaling(scale, mode, distribution, in_axis, out_axis, batch_axis, dtype)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = (
        f"``variance_scaling({scale}, {mode!r}, {distribution!r})``: {why}.\n\n"
        "The parameters are those of `variance_scaling`.\n\nReturns\n-------\ncallable\n"
        "    ``init(key, shape, dtype=...)``, which returns an array of that shape and dtype (float64 by default).\n\n"
        "Examples\n--------\n>>> import funcgrad as fg\n"
        f">>> fg.nn.initializers.{name}()(fg.random.key(0), (784, 128)).shape\n(784, 128)\n"
    )
    return make


_GLOROT = "for layers followed by tanh or a sigmoid (Glorot and Bengio 2010)"
_LECUN = "for layers followed by `selu` (LeCun et al. 1998; Klambauer et al. 2017)"
_HE = "for layers followed by `relu` (He et al. 2015)"
glorot_uniform = xavier_uniform = _family(1.0, "fan_avg", "uniform", "glorot_uniform", _GLOROT)
glorot_normal = xavier_normal = _family(1.0, "fan_avg", "truncated_normal", "glorot_normal", _GLOROT)
lecun_uniform = _family(1.0, "fan_in", "uniform", "lecun_uniform", _LECUN)
lecun_normal = _family(1.0, "fan_in", "truncated_normal", "lecun_normal", _LECUN)
he_uniform = kaiming_uniform = _family(2.0, "fan_in", "uniform", "he_uniform", _HE)
he_normal = kaiming_normal = _family(2.0, "fan_in", "truncated_normal", "he_normal", _HE)


def orthogonal(scale: Any = 1.0, column_axis: int = -1, dtype: Any = None) -> Initializer:
    """Orthogonal matrices, uniformly distributed, times `scale` (Saxe et al. 2013).

    All axes but `column_axis` together count as rows; where there are fewer rows than columns, the rows are
    orthonormal, else the columns.

    Returns
    -------
    callable
        ``init(key, shape, dtype=...)``, which returns an array of that shape and dtype (float64 by default).

    Examples
    --------
    >>> import funcgrad as fg
    >>> q = orthogonal()(fg.random.key(0), (5, 3))
    >>> np.allclose(q.T @ q, np.eye(3), atol=1e-14)
    True
    """
    own = dtype

    def init(key: Any, shape: Sequence[int], dtype: Any = None) -> Any:
        shape, kind = static_shape(shape, "orthogonal"), _kind(dtype, own)
        if len(shape) < 2:
            raise ValueError(f"orthogonal: a shape of two axes or more is needed, not {shape}{at_line()}")
        if 0 in shape:
            return np.zeros(shape, kind)
        axis = axis_number(column_axis, len(shape), "orthogonal")
        columns = shape[axis]
        q = random.orthogonal(key, math.prod(shape) // columns, (), kind, columns)
        q = np.reshape(q, (*shape[:axis], *shape[axis + 1 :], columns))
        return np.moveaxis(q, -1, axis) * np.asarray(scale, dtype=kind)

    return init


def delta_orthogonal(scale: Any = 1.0, column_axis: int = -1, dtype: Any = None) -> Initializer:
    """Kernels of convolutions that are 0 but in the middle of the window, and `orthogonal` there (Xiao et al. 2018).

    The shape has one, two or three axes of space, then features in and features out, the latter no fewer.

    Returns
    -------
    callable
        ``init(key, shape, dtype=...)``, which returns an array of that shape and dtype (float64 by default).

    Examples
    --------
    >>> import funcgrad as fg
    >>> kernel = delta_orthogonal()(fg.random.key(0), (3, 3, 4, 4))
    >>> np.argwhere(np.any(kernel, (2, 3)))
    Array([[1, 1]])
    """
    own = dtype

    def init(key: Any, shape: Sequence[int], dtype: Any = None) -> Any:
        shape, kind = static_shape(shape, "delta_orthogonal"), _kind(dtype, own)
        if not 3 <= len(shape) <= 5:
            raise ValueError(f"delta_orthogonal: a shape of 3, 4 or 5 axes is needed, not {shape}{at_line()}")
        if shape[-1] < shape[-2]:
            raise ValueError(
                f"delta_orthogonal: {shape[-2]} features in are more than {shape[-1]} features out, "
                f"in shape {shape}{at_line()}"
            )
        matrix = orthogonal(scale, column_axis, kind)(key, shape[-2:])
        around = [((n - 1) // 2, n - 1 - (n - 1) // 2) for n in map(operator.index, shape[:-2])]
        return np.pad(np.reshape(matrix, (*(1 for _ in around), *shape[-2:])), [*around, (0, 0), (0, 0)])

    return init


_bounded(globals())
