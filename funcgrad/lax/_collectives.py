"""What can examples under `vmap` tell each other?  `psum`, `pmax`, `all_gather`, ... over a named batch axis."""

from __future__ import annotations

import operator
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

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


Groups = Sequence[Sequence[int]] | None


def _names(axis_name: Any) -> tuple[Hashable, ...]:
    return tuple(axis_name) if isinstance(axis_name, (tuple, list)) else (axis_name,)


class _Groups(NamedTuple):
    """Examples that talk to each other only: for each example the numbers of its group's, which of them count (short
    groups are filled up), and its own place there.
    """

    members: np.ndarray
    counts: np.ndarray
    place: np.ndarray


def _groups(name: str, groups: Groups, size: int, equal: bool = True) -> _Groups | None:
    if groups is None:
        return None
    lists = [[operator.index(k) for k in group] for group in groups]
    if sorted(k for group in lists for k in group) != list(range(size)):
        raise ValueError(
            f"lax.{name}: axis_index_groups must name each of the {size} examples once, not {lists}{at_line()}"
        )
    longest = max(map(len, lists))
    if equal and any(len(group) != longest for group in lists):
        raise ValueError(f"lax.{name}: axis_index_groups must have groups of one size, not {lists}{at_line()}")
    members, counts = np.zeros((size, longest), np.int64), np.zeros((size, longest), bool)
    place = np.zeros(size, np.int64)
    for group in lists:
        members[group] = [*group, *group[:1] * (longest - len(group))]
        counts[group] = np.arange(longest) < len(group)
        place[group] = np.arange(len(group))
    return _Groups(members, counts, place)


def _number(name: Hashable) -> Any:
    return collective(collectives.axis_index, name, np.int64(0))


def _every(name: Hashable, leaf: Any, groups: _Groups | None) -> Any:
    """The values of all examples, or of those of the group, along a new first axis."""
    every = collective(collectives.all_gather, name, leaf)
    return every if groups is None else indexing["getitem"](every, indexing["getitem"](groups.members, _number(name)))


def _one(name: str, axis_name: Any) -> Hashable:
    names = _names(axis_name)
    if len(names) != 1:
        raise NotImplementedError(f"lax.{name} takes one axis name, not {axis_name!r}{at_line()}")
    return names[0]


def psum(x: Any, axis_name: Any, *, axis_index_groups: Groups = None) -> Any:
    """The sum over the examples of one or several named batch axes, leaf by leaf.

    Parameters
    ----------
    x
        A pytree of arrays.
    axis_name
        The name that `vmap` gave to the axis, or a tuple of names.
    axis_index_groups
        Lists of the examples' numbers, each of which is in one list: sums are taken list by list (of one axis).

    Returns
    -------
    pytree of Array
        The structure, shapes and dtypes of `x`, the same for every example.

    Raises
    ------
    NameError
        If no axis has that name here.
    ValueError
        For groups that do not name each example once.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.vmap(lambda x: x / fg.lax.psum(x, "i"), axis_name="i")(np.array([1.0, 3.0]))
    Array([0.25, 0.75])
    >>> pairs = lambda x: fg.lax.psum(x, "i", axis_index_groups=[[0, 1], [2, 3]])
    >>> fg.vmap(pairs, axis_name="i")(np.array([1.0, 2.0, 3.0, 4.0]))
    Array([3., 3., 7., 7.])
    """
    if axis_index_groups is not None:
        return _grouped_sum(x, _one("psum", axis_name), axis_index_groups)
    sizes = {name: axes.find(name).size for name in _names(axis_name)}

    def total(leaf: Any) -> Any:
        for name, size in sizes.items():
            leaf = leaf * size if _is_number(leaf) else collective(collectives.psum, name, leaf)
        return leaf

    return tree.map(total, x)


def _grouped_sum(x: Any, name: Hashable, axis_index_groups: Groups) -> Any:
    groups = _groups("psum", axis_index_groups, axes.find(name).size, equal=False)
    assert groups is not None
    counts = indexing["getitem"](groups.counts, _number(name))

    def total(leaf: Any) -> Any:
        every = _every(name, leaf, groups)
        kept = np.reshape(counts, (-1, *(1,) * len(type_of(leaf).shape)))
        return np.sum(np.where(kept, every, np.zeros((), type_of(every).dtype)), axis=0)

    return tree.map(total, x)


def _is_number(x: Any) -> bool:
    return type(x) in (bool, int, float, complex)


def axis_size(axis_name: Any) -> int:
    """The number of examples of a named batch axis (of several: the product).

    Returns
    -------
    int
        A Python integer, known while tracing.

    Examples
    --------
    >>> import numpy as np
    >>> import funcgrad as fg
    >>> from funcgrad import lax
    >>> fg.vmap(lambda x: x / lax.axis_size("i"), axis_name="i")(np.array([2.0, 4.0]))
    Array([1., 2.])
    """
    size = 1
    for name in _names(axis_name):
        size *= axes.find(name).size
    return size


def axis_index(axis_name: Any) -> Any:
    """The number of the example at hand, along a named batch axis (along several: counted through).

    Returns
    -------
    Array
        An int64 scalar, of another value for each example.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.vmap(lambda x: x * fg.lax.axis_index("i"), axis_name="i")(np.ones(3))
    Array([0., 1., 2.])
    """
    index: Any = 0
    for name in _names(axis_name):
        index = index * axes.find(name).size + _number(name)
    return index


def pmean(x: Any, axis_name: Any, *, axis_index_groups: Groups = None) -> Any:
    """The mean over the examples of named batch axes, leaf by leaf; see `psum`.

    Returns
    -------
    pytree of Array
        The structure and shapes of `x`, the same for every example; integers become float64.

    Examples
    --------
    >>> import numpy as np
    >>> import funcgrad as fg
    >>> from funcgrad import lax
    >>> fg.vmap(lambda x: lax.pmean(x, "i"), axis_name="i")(np.array([1.0, 3.0]))
    Array([2., 2.])
    """
    size = psum(1.0, axis_name, axis_index_groups=axis_index_groups)
    if axis_index_groups is None:
        size = axis_size(axis_name)
    return tree.map(lambda leaf: psum(leaf, axis_name, axis_index_groups=axis_index_groups) / size, x)


def _extreme(name: str, operation: Any, x: Any, axis_name: Any, axis_index_groups: Groups) -> Any:
    names = [axes.find(name).name for name in _names(axis_name)]
    groups = None
    if axis_index_groups is not None:
        groups = _groups(name, axis_index_groups, axes.find(_one(name, axis_name)).size, equal=False)

    def best(leaf: Any) -> Any:
        for name in names:
            leaf = operation(_every(name, leaf, groups), axes=(0,))
        return leaf

    return tree.map(best, x)


def pmax(x: Any, axis_name: Any, *, axis_index_groups: Groups = None) -> Any:
    """The largest value over the examples of named batch axes, leaf by leaf; differentiable, as `numpy.max` is.

    Returns
    -------
    pytree of Array
        The structure, shapes and dtypes of `x`, the same for every example.

    Examples
    --------
    >>> import numpy as np
    >>> import funcgrad as fg
    >>> from funcgrad import lax
    >>> fg.vmap(lambda x: lax.pmax(x, "i"), axis_name="i")(np.array([1.0, 3.0]))
    Array([3., 3.])
    """
    return _extreme("pmax", reduce_max, x, axis_name, axis_index_groups)


def pmin(x: Any, axis_name: Any, *, axis_index_groups: Groups = None) -> Any:
    """The smallest value over the examples of named batch axes, leaf by leaf; differentiable, as `numpy.min` is.

    Returns
    -------
    pytree of Array
        The structure, shapes and dtypes of `x`, the same for every example.

    Examples
    --------
    >>> import numpy as np
    >>> import funcgrad as fg
    >>> from funcgrad import lax
    >>> fg.vmap(lambda x: lax.pmin(x, "i"), axis_name="i")(np.array([1.0, 3.0]))
    Array([1., 1.])
    """
    return _extreme("pmin", reduce_min, x, axis_name, axis_index_groups)


def all_gather(x: Any, axis_name: Any, *, axis_index_groups: Groups = None, axis: int = 0, tiled: bool = False) -> Any:
    """The values of all examples side by side, leaf by leaf.

    Parameters
    ----------
    x
        A pytree of arrays.
    axis_name
        The name of the batch axis.
    axis_index_groups
        Lists of the examples' numbers, of one length: only the examples of a list see each other.
    axis
        Where they stand in the result.
    tiled
        Whether they are concatenated along `axis`; otherwise `axis` is a new one.

    Returns
    -------
    pytree of Array
        As `x`, each leaf with the axis `axis` more, along which the examples lie (`tiled`: that axis is as many times
        as long).

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.vmap(lambda x: fg.lax.all_gather(x, "i"), axis_name="i")(np.array([1.0, 2.0]))
    Array([[1., 2.],
           [1., 2.]])
    """
    frame = axes.find(_one("all_gather", axis_name))
    name, groups = frame.name, _groups("all_gather", axis_index_groups, frame.size)

    def gathered(leaf: Any) -> Any:
        every = _every(name, leaf, groups)
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

    Returns
    -------
    pytree of Array
        The structure, shapes and dtypes of `x`.

    Raises
    ------
    ValueError
        `perm` sends to, or takes from, an example twice, or one that there is not.

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
    """As `ppermute`, with `perm` a list: example k gets the value of example ``perm[k]``.

    Returns
    -------
    pytree of Array
        The structure, shapes and dtypes of `x`.

    Examples
    --------
    >>> import numpy as np
    >>> import funcgrad as fg
    >>> from funcgrad import lax
    >>> fg.vmap(lambda x: lax.pshuffle(x, "i", [1, 0]), axis_name="i")(np.array([1.0, 3.0]))
    Array([3., 1.])
    """
    return ppermute(x, axis_name, list(zip(perm, range(len(perm)), strict=True)))


def all_to_all(
    x: Any,
    axis_name: Any,
    split_axis: int,
    concat_axis: int,
    *,
    axis_index_groups: Groups = None,
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
    axis_index_groups
        Lists of the examples' numbers, of one length: only the examples of a list exchange parts.
    tiled
        Whether both axes stay, as that of `all_gather`.

    Returns
    -------
    pytree of Array
        As `x` with the extent of `split_axis` divided by the number of examples, and that of `concat_axis` multiplied
        (not `tiled`: one axis goes, and one comes).

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.vmap(lambda x: fg.lax.all_to_all(x, "i", 0, 0), axis_name="i")(np.array([[1.0, 2.0], [3.0, 4.0]]))
    Array([[1., 3.],
           [2., 4.]])
    """
    name = _one("all_to_all", axis_name)
    groups = _groups("all_to_all", axis_index_groups, axes.find(name).size)
    size = axes.find(name).size if groups is None else groups.members.shape[1]

    def exchanged(leaf: Any) -> Any:
        shape = type_of(leaf).shape
        split = _axis("all_to_all", split_axis, len(shape))
        if shape[split] % size if tiled else shape[split] != size:
            raise ValueError(
                f"lax.all_to_all: the axis {split_axis} that is split has extent {shape[split]} in an array of shape "
                f"{shape}; the axis {name!r} has {size} examples{' in a group' if groups else ''}{at_line()}"
            )
        parts = np.reshape(leaf, (*shape[:split], size, -1, *shape[split + 1 :]))
        every = _every(name, np.moveaxis(parts, split, 0), groups)  # (source, part, ...)
        own = _number(name) if groups is None else indexing["getitem"](groups.place, _number(name))
        mine = indexing["getitem"](np.moveaxis(every, 1, 0), own)
        if tiled:
            place = _axis("all_to_all", concat_axis, len(shape))
            rest = type_of(mine).shape[1:]
            return np.reshape(np.moveaxis(mine, 0, place), (*rest[:place], -1, *rest[place + 1 :]))
        flat = np.squeeze(mine, axis=split + 1)
        return np.moveaxis(flat, 0, concat_axis)

    return tree.map(exchanged, x)


def pswapaxes(x: Any, axis_name: Any, axis: int, *, axis_index_groups: Groups = None) -> Any:
    """The batch axis exchanged with `axis` of every example.

    Returns
    -------
    pytree of Array
        The structure and dtypes of `x`, with the number of examples as the extent of `axis`.

    Examples
    --------
    >>> import numpy as np
    >>> import funcgrad as fg
    >>> from funcgrad import lax
    >>> fg.vmap(lambda x: lax.pswapaxes(x, "i", 0), axis_name="i")(np.array([[1, 2], [3, 4]]))
    Array([[1, 3],
           [2, 4]])
    """
    return all_to_all(x, axis_name, axis, axis, axis_index_groups=axis_index_groups)


def psum_scatter(
    x: Any, axis_name: Any, *, scatter_dimension: int = 0, axis_index_groups: Groups = None, tiled: bool = False
) -> Any:
    """The sum over all examples, of which each example gets its part along `scatter_dimension`.

    Returns
    -------
    pytree of Array
        As `x`, without `scatter_dimension` (`tiled`: with its extent divided by the number of examples).

    Examples
    --------
    >>> import numpy as np
    >>> import funcgrad as fg
    >>> from funcgrad import lax
    >>> fg.vmap(lambda x: lax.psum_scatter(x, "i"), axis_name="i")(np.array([[1, 2], [3, 4]]))
    Array([4, 6])
    """
    name = _one("psum_scatter", axis_name)
    groups = _groups("psum_scatter", axis_index_groups, axes.find(name).size)
    size = axes.find(name).size if groups is None else groups.members.shape[1]

    def scattered(leaf: Any) -> Any:
        shape = type_of(leaf).shape
        place = _axis("psum_scatter", scatter_dimension, len(shape))
        if tiled:
            leaf = np.reshape(leaf, (*shape[:place], size, -1, *shape[place + 1 :]))
        return np.sum(all_to_all(leaf, name, place, 0, axis_index_groups=axis_index_groups), axis=0)

    return tree.map(scattered, x)
