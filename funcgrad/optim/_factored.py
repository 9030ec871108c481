"""How does Adafactor keep squares of matrices?  As one vector of means over rows and one over columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as _np

from funcgrad import numpy as np
from funcgrad import tree as _tree
from funcgrad.arguments import check_within
from funcgrad.optim._base import (
    GradientTransformation,
    OptState,
    Params,
    Updates,
    abs_sq,
    like,
    safe_increment,
    transformation,
    zero_count,
)
from funcgrad.optim._leaves import dtype_of, map_trees, shape_of


class FactoredState(NamedTuple):
    """Averages of squares: of matrices by rows and columns, of the rest (`v`) whole."""

    count: Any
    v_row: Any
    v_col: Any
    v: Any


def _power(step: Any, exponent: Any) -> Any:
    """1 - (step + 1) ** -exponent: all of the first square, then more and more of the average."""
    return 1.0 - (np.asarray(step).astype(_np.float64) + 1.0) ** -exponent


def _large_axes(shape: tuple[int, ...], factored: bool, least: int) -> tuple[int, int] | None:
    """The second largest axis and the largest one, or None where factors would not pay."""
    if not factored or len(shape) < 2:
        return None
    order = _np.argsort(shape)
    return (int(order[-2]), int(order[-1])) if shape[order[-2]] >= least else None


def scale_by_factored_rms(
    factored: bool = True,
    decay_rate: Any = 0.8,
    step_offset: Any = 0,
    min_dim_size_to_factor: int = 128,
    epsilon: Any = 1e-30,
    decay_rate_fn: Callable[[Any, Any], Any] = _power,
) -> GradientTransformation:
    """Divide by the root of an average of squares whose matrices are products of row and column means.

    See `adafactor` for the parameters (Shazeer and Stern 2018, arXiv:1804.04235); ``decay_rate_fn(step, decay_rate)``
    says how much of the averages remains.

    Returns
    -------
    GradientTransformation
        `update` gives updates of the shapes and dtypes that it gets, and the next state.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> optimizer = fg.optim.scale_by_factored_rms()
    >>> updates, state = optimizer.update(np.array([0.5, -1.0]), optimizer.init(x), x)
    >>> np.round(updates, 4)
    array([ 1., -1.])
    """
    check_within("scale_by_factored_rms", "min_dim_size_to_factor", min_dim_size_to_factor, 1)

    def axes_of(x: Any) -> tuple[int, int] | None:
        return _large_axes(shape_of(x), factored, min_dim_size_to_factor)

    def empty(p: Any) -> tuple[Any, Any, Any]:
        axes, shape, dtype = axes_of(p), shape_of(p), dtype_of(p)
        if axes is None:
            return np.zeros(1, dtype), np.zeros(1, dtype), np.zeros_like(p)
        row, column = (tuple(n for k, n in enumerate(shape) if k != axis) for axis in reversed(axes))
        return np.zeros(row, dtype), np.zeros(column, dtype), np.zeros(1, dtype)

    def init(params: Params) -> OptState:
        return FactoredState(zero_count(), *(map_trees(lambda p, k=k: empty(p)[k], params) for k in range(3)))

    def one(g: Any, row: Any, column: Any, whole: Any, *, decay: Any) -> tuple[Any, Any, Any, Any]:
        square = abs_sq(g) + like(epsilon, g)

        def averaged(old: Any, new: Any) -> Any:
            return (like(decay, new) * old + like(1.0 - decay, new) * new).astype(dtype_of(old))

        axes = axes_of(g)
        if axes is None:
            whole = averaged(whole, square)
            return g / np.sqrt(whole), row, column, whole
        small, large = axes
        row, column = averaged(row, np.mean(square, large)), averaged(column, np.mean(square, small))
        mean = np.mean(row, small - 1 if small > large else small, keepdims=True)
        scaled = g * np.expand_dims(1 / np.sqrt(row / mean), large) * np.expand_dims(1 / np.sqrt(column), small)
        return scaled, row, column, whole

    def update(updates: Updates, state: OptState, params: Params | None) -> tuple[Updates, OptState]:
        decay = decay_rate_fn(state.count - step_offset, decay_rate)
        leaves, structure = _tree.flatten(updates)
        rests = [structure.flatten_up_to(part) for part in (state.v_row, state.v_col, state.v)]
        results = [one(g, *rest, decay=decay) for g, *rest in zip(leaves, *rests, strict=True)]
        scaled, *averages = ([result[k] for result in results] for k in range(4))
        new = (_tree.unflatten(structure, part) for part in averages)
        return _tree.unflatten(structure, scaled), FactoredState(safe_increment(state.count), *new)

    return transformation("scale_by_factored_rms", init, update)
