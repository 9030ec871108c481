"""How is a data set cut into batches?  In order or shuffled by a key, for one epoch or several."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

from funcgrad import random, tree
from funcgrad.errors import at_line
from funcgrad.trace.frame import type_of
from funcgrad.training._prefetch import prefetch as ahead


class Batches:
    """The batches of a data set, as often as one asks: made by `batches`.

    ``len`` gives their number over all epochs, less those that are skipped.
    """

    def __init__(self, data: Any, batch_size: int, key: Any, epochs: int, drop_last: bool, skip: int, ready: int):
        self._leaves, self._structure = tree.flatten(data)
        self._leaves = [np.asarray(x) for x in self._leaves]
        self._count = len(self._leaves[0])
        self._size, self._key, self._epochs, self._ready = batch_size, key, epochs, ready
        self._per_epoch = self._count // batch_size if drop_last else -(-self._count // batch_size)
        self._skip = min(skip, self._per_epoch * epochs)

    def __len__(self) -> int:
        return self._per_epoch * self._epochs - self._skip

    def __iter__(self) -> Iterator[Any]:
        return ahead(self._made(), self._ready) if self._ready else self._made()

    def _made(self) -> Iterator[Any]:
        order = None
        for number in range(self._skip, self._per_epoch * self._epochs):
            epoch, step = divmod(number, self._per_epoch)
            if order is None or not step:
                order = epoch_order(self._key, self._count, epoch)
            rows = order[step * self._size : (step + 1) * self._size]
            yield tree.unflatten(self._structure, [x[rows] for x in self._leaves])


def batches(
    data: Any,
    batch_size: int,
    *,
    key: Any = None,
    epochs: int = 1,
    drop_last: bool = False,
    skip: int = 0,
    prefetch: int = 0,
) -> Batches:
    """The batches of a data set: something to iterate, as often as one likes, with a length.

    Parameters
    ----------
    data
        A pytree of arrays whose first axes have the same length: the examples.
    batch_size
        How many examples a batch has, at least 1.
    key
        Of `funcgrad.random`: the examples are shuffled, in epoch e (counted from 0) by
        ``permutation(fold_in(key, e), count)``. None: they come in order.
    epochs
        How often to go through the data.
    drop_last
        Whether an epoch leaves out its last batch if that is a smaller one.
    skip
        How many batches to leave out at the beginning, without making them: a resumed training goes on where it was.
    prefetch
        How many batches a background thread keeps ready; 0: they are made when they are asked for. See `prefetch`.

    Returns
    -------
    Batches
        Each batch is a pytree like `data`, of new arrays with up to `batch_size` examples.

    Raises
    ------
    ValueError
        If there are no leaves or no examples, if lengths differ, or a leaf is a number or ragged (the message names
        the leaf); if `batch_size`, `epochs`, `skip` or `prefetch` are out of range, or every batch would be dropped.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> data = {"x": np.arange(5.0), "y": np.arange(5)}
    >>> for batch in fg.training.batches(data, 2):
    ...     print(batch["x"], batch["y"])
    [0. 1.] [0 1]
    [2. 3.] [2 3]
    [4.] [4]
    >>> len(fg.training.batches(data, 2, key=fg.random.key(0), epochs=3, drop_last=True))
    6
    """
    numbers = {"batch_size": (batch_size, 1), "epochs": (epochs, 0), "skip": (skip, 0), "prefetch": (prefetch, 0)}
    for name, (value, least) in numbers.items():
        check_count("batches", name, value, least)
    count = check_examples("batches", data)
    if drop_last and count < batch_size:
        raise ValueError(
            f"batches: {count} examples make no batch of {batch_size}, and drop_last leaves out smaller ones{at_line()}"
        )
    return Batches(data, batch_size, key, epochs, drop_last, skip, prefetch)


def epoch_order(key: Any, count: int, epoch: int) -> np.ndarray:
    """The numbers of the `count` examples in the order of one epoch."""
    if key is None:
        return np.arange(count)
    return np.asarray(random.permutation(random.fold_in(key, epoch), count))


def check_count(function: str, name: str, value: Any, least: int) -> None:
    """A `ValueError` for what is less than `least`, a `TypeError` for what is no integer."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{function}: {name} must be an integer, not {value!r}{at_line()}") from None
    if number < least:
        raise ValueError(f"{function}: {name} must be at least {least}, not {number}{at_line()}")


def check_examples(function: str, data: Any) -> int:
    """The common length of the first axes; a `ValueError` that names the leaf that has another one, or none."""
    found = tree.leaves_with_path(data)
    if not found:
        raise ValueError(f"{function}: the data have no arrays: {data!r}{at_line()}")
    first, count = "", -1
    for keys, leaf in found:
        path = tree.keystr(keys) or "the array"
        try:
            shape = type_of(leaf).shape
        except TypeError as error:
            raise ValueError(f"{function}: {path} is no array of numbers: {error}{at_line()}") from None
        if not shape:
            hint = ": lists are trees of leaves, make arrays of them by np.asarray" if path.endswith("]") else ""
            raise ValueError(f"{function}: {path} is a number and has no examples along a first axis{hint}{at_line()}")
        if count < 0:
            first, count = path, shape[0]
        if shape[0] != count:
            raise ValueError(
                f"{function}: {path} has {shape[0]} examples, but {first} has {count} (the lengths of the first axes)"
                f"{at_line()}"
            )
    if not count:
        raise ValueError(f"{function}: there are no examples: {first} has the shape {found[0][1].shape}{at_line()}")
    return count
