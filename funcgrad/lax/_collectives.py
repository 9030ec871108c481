"""What can examples under `vmap` tell each other?  `psum`, `pmax`, `all_gather`, ... over a named batch axis."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.array import indexing
from funcgrad.control import collectives
from funcgrad.control.collectives import collective
from funcgrad.errors import at_line
from funcgrad.ops.reduction import reduce_max, reduce_min
from funcgrad.trace.frame import type_of
from funcgrad.transform.vmap import axes

__all__ = [  # noqa: PLE0604
    *("all_gather", "all_to_all", "axis_index", "axis_size", "pmax", "pmean", "pmin", "ppermute", "pshuffle", "psum"),
    *("psum_scatter", "pswapaxes"),
]


def _names(axis_name: Any) -> tuple[Hashable, ...]:
    return tuple(axis_name) if isinstance(axis_name, (tuple, list)) else (axis_name,)


def _no_groups(name: str, groups: Any) -> None:
    if groups is not None:
        raise NotImplementedError(f"lax.{name}: axis_index_groups is not supported: give the axis whole{at_line()}")


def _one(name: str, axis_name: Any) -> Hashable:
    names = _names(axis_name)
    if len(names) != 1:
        raise NotImplementedError(f"lax.{name} takes one axis name, not {axis_name!r}{at_line()}")
    return names[0]


def psum(x: Any, axis_name: Any, *, axis_index_groups: None = None) -> Any:
    """The sum over the examples of one or several named batch axes, leaf by leaf.

    Parameters
    ----------
    x
        A pytree of arrays.
    axis_name
        The name that `vmap` gave to the axis, or a tuple of names.
    axis_index_groups
        Refused unless None.

    Raises
    ------
    NameError
        If no axis has that name here.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.vmap(lambda x: x / fg.lax.psum(x, "i"), axis_name="i")(np.array([1.0, 3.0]))
    Array([0.25, 0.75])
    """
    _no_groups("psum", axis_index_groups)
    sizes = {name: axes.find(name).size for name in _names(axis_name)}

    def total(leaf: Any) -> Any:
        for name, size in sizes.items():
            leaf = leaf * size if _is_number(leaf) else collective(collectives.psum, name, leaf)
        return leaf

    return tree.map(total, x)


def _is_number(x: Any) -> bool:
    return type(x) in (bool, int, float, complex)


def axis_size(axis_name: Any) -> int:
    """The number of examples of a named batch axis (of several: the product)."""
    size = 1
    for name in _names(axis_name):
        size *= axes.find(name).size
    return size


def axis_index(axis_name: Any) -> Any:
    """The number of the example at hand, along a named batch axis (along several: counted through).

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.vmap(lambda x: x * fg.lax.axis_index("i"), axis_name="i")(np.ones(3))
    Array([0., 1., 2.])
    """
    index: Any = 0
    for name in _names(axis_name):
        index = index * axes.find(name).size + collective(collectives.axis_index, name, np.int64(0))
    return index


def pmean(x: Any, axis_name: Any, *, axis_index_groups: None = None) -> Any:
    """The mean over the examples of named batch axes, leaf by leaf."""
    _no_groups("pmean", axis_index_groups)
    size = axis_size(axis_name)
    return tree.map(lambda leaf: psum(leaf, axis_name) / size, x)


def _extreme(operation: Any, x: Any, axis_name: Any) -> Any:
    names = [axes.find(name).name for name in _names(axis_name)]

    def best(leaf: Any) -> Any:
        for name in names:
            leaf = operation(collective(collectives.all_gather, name, leaf), axes=(0,))
        return leaf

    return tree.map(best, x)


def pmax(x: Any, axis_name: Any, *, axis_index_groups: None = None) -> Any:
    """The largest value over the examples of named batch axes, leaf by leaf; differentiable, as `numpy.max` is."""
    _no_groups("pmax", axis_index_groups)
    return _extreme(reduce_max, x, axis_name)


def pmin(x: Any, axis_name: Any, *, axis_index_groups: None = None) -> Any:
    """The smallest value over the examples of named batch axes, leaf by leaf; differentiable, as `numpy.min` is."""
    _no_groups("pmin", axis_index_groups)
    return _extreme(reduce_min, x, axis_name)


def all_gather(x: Any, axis_name: Any, *, axis_index_groups: None = None, axis: int = 0, tiled: bool = False) -> Any:
    """The values of all examples side by side, leaf by leaf.

    Parameters
    ----------
    x
        A pytree of arrays.
    axis_name
        The name of the batch axis.
    axis
        Where they stand in the result.
    tiled
        Whether they are concatenated along `axis`; otherwise `axis` is a new one.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.vmap(lambda x: fg.lax.all_gather(x, "i"), axis_name="i")(np.array([1.0, 2.0]))
    Array([[1., 2.],
           [1., 2.]])
    """
    _no_groups("all_gather", axis_index_groups)
    name = axes.find(_one("all_gather", axis_name)).name

    def gathered(leaf: Any) -> Any:
        every = collective(collectives.all_gather, name, leaf)
        shape = type_of(leaf).shape
        if not tiled:
            return np.moveaxis(every, 0, axis)
        place = _axis("all_gather", axis, len(shape))
        joined = (*shape[:place], -1, *shape[place + 1 :])
        return np.reshape(np.moveaxis(every, 0, place), joined)

    return tree.map(gathered, x)


def _axis(name: str, axis: int, ndim: int) -> int:
    if not -ndim <= axis < ndim:
        raise ValueError(f"lax.{name}: axis {axis} is out of bounds for an array with {ndim} axes{at_line()}")
    return axis % ndim


def ppermute(x: Any, axis_name: Any, perm: Sequence[tuple[int, int]]) -> Any:
    """Values sent from example to example, leaf by leaf.

    Parameters
    ----------
    x
        A pytree of arrays.
    axis_name
        The name of the batch axis.
    perm
        Pairs ``(source, destination)``; an example that is no destination gets zeros.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> shift = lambda x: fg.lax.ppermute(x, "i", [(0, 1), (1, 2)])
    >>> fg.vmap(shift, axis_name="i")(np.array([1.0, 2.0, 3.0]))
    Array([0., 1., 2.])
    """
    name = _one("ppermute", axis_name)
    size = axes.find(name).size
    pairs = [(int(s), int(d)) for s, d in perm]
    for which, numbers in (("source", [s for s, _ in pairs]), ("destination", [d for _, d in pairs])):
        if len(set(numbers)) != len(numbers) or any(not 0 <= k < size for k in numbers):
            raise ValueError(
                f"lax.ppermute: each {which} must be a different number from 0 to {size - 1}, not {numbers}{at_line()}"
            )
    sources = [-1] * size
    for s, d in pairs:
        sources[d] = s
    return tree.map(lambda leaf: collective(collectives.ppermute, name, leaf, sources=tuple(sources)), x)


def pshuffle(x: Any, axis_name: Any, perm: Sequence[int]) -> Any:
    """As `ppermute`, with `perm` a list: example k gets the value of example ``perm[k]``."""
    return ppermute(x, axis_name, list(zip(perm, range(len(perm)), strict=True)))


def all_to_all(
    x: Any,
    axis_name: Any,
    split_axis: int,
    concat_axis: int,
    *,
    axis_index_groups: None = None,
    tiled: bool = False,
) -> Any:
    """Each example cut along `split_axis`, one part for each example; what an example gets is put side by side.

    Parameters
    ----------
    x
        A pytree of arrays.
    axis_name
        The name of the batch axis.
    split_axis
        The axis that is cut; its extent is the number of examples (`tiled`: a multiple of it), and it goes away unless
        `tiled`.
    concat_axis
        The axis along which the parts stand; a new one unless `tiled`.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.vmap(lambda x: fg.lax.all_to_all(x, "i", 0, 0), axis_name="i")(np.array([[1.0, 2.0], [3.0, 4.0]]))
    Array([[1., 3.],
           [2., 4.]])
    """
    _no_groups("all_to_all", axis_index_groups)
    name = _one("all_to_all", axis_name)
    size = axes.find(name).size

    def exchanged(leaf: Any) -> Any:
        shape = type_of(leaf).shape
        split = _axis("all_to_all", split_axis, len(shape))
        if shape[split] % size if tiled else shape[split] != size:
            raise ValueError(
                f"lax.all_to_all: the axis {split_axis} that is split has extent {shape[split]} in an array of shape "
                f"{shape}; the axis {name!r} has {size} examples{at_line()}"
            )
        parts = np.reshape(leaf, (*shape[:split], size, -1, *shape[split + 1 :]))
        every = collective(collectives.all_gather, name, np.moveaxis(parts, split, 0))  # (source, part, ...)
        mine = indexing["getitem"](np.moveaxis(every, 1, 0), collective(collectives.axis_index, name, np.int64(0)))
        if tiled:
            place = _axis("all_to_all", concat_axis, len(shape))
            rest = type_of(mine).shape[1:]
            return np.reshape(np.moveaxis(mine, 0, place), (*rest[:place], -1, *rest[place + 1 :]))
        flat = np.squeeze(mine, axis=split + 1)
        return np.moveaxis(flat, 0, concat_axis)

    return tree.map(exchanged, x)


def pswapaxes(x: Any, axis_name: Any, axis: int, *, axis_index_groups: None = None) -> Any:
    """The batch axis exchanged with `axis` of every example."""
    return all_to_all(x, axis_name, axis, axis, axis_index_groups=axis_index_groups)


def psum_scatter(
    x: Any, axis_name: Any, *, scatter_dimension: int = 0, axis_index_groups: None = None, tiled: bool = False
) -> Any:
    """The sum over all examples, of which each example gets its part along `scatter_dimension`."""
    _no_groups("psum_scatter", axis_index_groups)
    name = _one("psum_scatter", axis_name)

    def scattered(leaf: Any) -> Any:
        parts = all_to_all(leaf, name, scatter_dimension, 0, tiled=False) if not tiled else None
        if parts is not None:
            return np.sum(parts, axis=0)
        shape = type_of(leaf).shape
        size = axes.find(name).size
        place = _axis("psum_scatter", scatter_dimension, len(shape))
        cut = np.reshape(leaf, (*shape[:place], size, -1, *shape[place + 1 :]))
        return np.sum(all_to_all(cut, name, place, 0), axis=0)

    return tree.map(scattered, x)
