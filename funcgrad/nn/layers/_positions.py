"""How does a network know where in a sequence something stands?  Sines, learned rows of a table, or rotations."""

from __future__ import annotations

from typing import Any

import numpy as _np

from funcgrad import numpy as np
from funcgrad.errors import at_line
from funcgrad.nn import initializers
from funcgrad.nn.layers._core import (
    FLOAT,
    Layer,
    Params,
    Shape,
    State,
    array,
    cast,
    common_dtype,
    drawn,
    float_dtype,
    here,
    kept,
    layer,
    parameter,
    positive,
    shape_of,
    wide,
    wrong_shape,
)
from funcgrad.nn.layers._dense import Initializer
from funcgrad.trace.frame import type_of

BASE = 10000.0
NORMAL = initializers.normal(0.02)


def _frequencies(count: int, base: float) -> _np.ndarray:
    """base ** (−k / count)."""
    if not base > 0:
        raise ValueError(f"{here()}: the base of positions must be greater than 0, not {base}{at_line()}")
    return base ** (-_np.arange(count) / count)


def sinusoidal_table(length: int, features: int, *, base: float = BASE, dtype: Any = FLOAT) -> Any:
    """Sines and cosines of positions (Vaswani et al. 2017).

    Parameters
    ----------
    length, features
        Of the table; features are even.
    base
        The longest wave has a length of 2π · base positions.
    dtype
        Of the table.

    Returns
    -------
    Array
        (length, features): column 2k is sin(position · base^(−2k / features)), column 2k + 1 the cosine.

    Examples
    --------
    >>> from funcgrad.nn import layers
    >>> layers.sinusoidal_table(2, 2, dtype=float)
    Array([[0.        , 1.        ],
           [0.84147098, 0.54030231]])
    """
    return cast(_waves(np.arange(positive(length, "sinusoidal_table", "length")), features, base), _np.dtype(dtype))


def _waves(positions: Any, features: int, base: float) -> Any:
    """(..., features) in float64, from positions (...)."""
    if features % 2:
        raise ValueError(f"{here()}: features must be even for sines and cosines, not {features}{at_line()}")
    angles = np.expand_dims(positions, -1) * _frequencies(features // 2, base)
    shape = (*shape_of(positions), features)
    return np.reshape(np.stack([np.sin(angles), np.cos(angles)], axis=-1), shape)


def _moving(name: str, rows: Any, init: Any = None, limit: int | None = None) -> Layer:
    """A layer that adds rows at the positions of x: from 0, or from where the state says that the sequence stands."""

    def checked(shape: Shape) -> Shape:
        if len(shape) < 2:
            raise wrong_shape("(..., time, features)", shape)
        if limit is not None and shape[-2] > limit:
            raise wrong_shape(f"(..., time, features), time {limit} at most", shape, "there are no more positions")
        return shape

    def forward(params: Any, x: Any, key: Any, train: bool, state: Any, positions: Any = None) -> tuple[Any, State]:
        x = array(x)
        time = checked(shape_of(x))[-2]
        start = kept(state, "index") if state else 0
        at = positions if positions is not None else (start + np.arange(time) if state else np.arange(time))
        y = x + cast(rows(params, at, x), common_dtype(x, *params.values()))
        return y, {"index": start + time} if state else {}

    return layer(
        name,
        forward,
        **({} if init is None else {"init": init}),
        init_cache=lambda shape: {"index": np.zeros((), int)},
        accepts=("positions",),
        output_shape=checked,
    )


def sinusoidal_positions(*, base: float = BASE, name: str = "sinusoidal_positions") -> Layer:
    """x plus the sines and cosines of its positions: `sinusoidal_table`.

    Parameters
    ----------
    base
        The longest wave has a length of 2π · base positions.

    Returns
    -------
    Layer
        Input and output ``(..., time, features)`` with even features. Further input `positions`, integers
        ``(..., time)``; by default 0, 1, 2, …, and in pieces of a sequence (state from `init_cache`) on from where the
        piece before ended. No parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.nn import layers
    >>> layers.sinusoidal_positions().apply({}, np.zeros((1, 2, 2)))
    Array([[[0.        , 1.        ],
            [0.84147098, 0.54030231]]])
    """
    return _moving(name, lambda params, at, x: _waves(at, shape_of(x)[-1], base))


def learned_positions(
    length: int,
    *,
    embedding_init: Initializer = NORMAL,
    dtype: Any = FLOAT,
    name: str = "learned_positions",
) -> Layer:
    """x plus a row of a table for each position.

    Parameters
    ----------
    length
        How many positions there are.
    embedding_init, dtype
        As in `embedding`.

    Returns
    -------
    Layer
        Input and output ``(..., time, features)``; further input `positions`, as in `sinusoidal_positions`. Parameters:
        ``embedding`` of shape (length, features).

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.nn import layers
    >>> layers.learned_positions(4).apply({"embedding": np.arange(4.0)[:, None]}, np.zeros((1, 3, 1)))
    Array([[[0.],
            [1.],
            [2.]]])
    """
    count, dtype = positive(length, name, "length"), float_dtype(dtype, name)

    def init(key: Any, shape: Shape) -> Params:
        return {"embedding": drawn(embedding_init, key, (count, shape[-1]), dtype)}

    def rows(params: Any, at: Any, x: Any) -> Any:
        table = parameter(params, "embedding")
        if shape_of(table)[1:] != shape_of(x)[-1:]:
            raise wrong_shape(
                f"(..., time, {shape_of(table)[-1]})", shape_of(x), f"the table has shape {shape_of(table)}"
            )
        return np.take(table, at, axis=0)

    return _moving(name, rows, init, count)


def rotary(x: Any, positions: Any = None, *, base: float = BASE) -> Any:
    """Pairs of features turned by angles that grow with the position (Su et al. 2021), so that products of two rows
    depend on their distance.

    Parameters
    ----------
    x
        (..., time, heads, features) with even features: features k and k + features / 2 are a pair (as in GPT-NeoX).
    positions
        Integers (..., time); by default 0, 1, 2, …
    base
        Pair k is turned by position · base^(−2k / features).

    Returns
    -------
    Array
        Of the shape and dtype of x.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.nn import layers
    >>> layers.rotary(np.array([[[1.0, 0.0]], [[1.0, 0.0]]])).reshape(2, 2)
    Array([[1.        , 0.        ],
           [0.54030231, 0.84147098]])
    """
    x = array(x)
    shape = shape_of(x)
    if len(shape) < 3 or shape[-1] % 2:
        raise wrong_shape("(..., time, heads, features) with even features", shape)
    half, dtype = shape[-1] // 2, type_of(x).dtype
    at = np.arange(shape[-3]) if positions is None else positions
    angles = np.expand_dims(at, (-1, -2)) * _frequencies(half, base)
    cos, sin = (cast(f(angles), wide(dtype)) for f in (np.cos, np.sin))
    low, high = x[..., :half], x[..., half:]
    return cast(np.concatenate([low * cos - high * sin, high * cos + low * sin], axis=-1), dtype)
