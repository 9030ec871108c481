"""What do the batches of an epoch come to?  Weighted means of metrics, in float64, outside of `jit` and inside."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

from funcgrad import numpy as np
from funcgrad import tree
from funcgrad.errors import at_line
from funcgrad.trace.frame import type_of


class Metrics(NamedTuple):
    """Weighted sums of a pytree of metrics; a pytree itself, so that a `scan` can carry it.

    `add` returns new sums, and nothing waits for anything: results of compiled functions are NumPy arrays already.
    Start with ``Metrics()``, or with `Metrics.like` where the structure must be known, as in a `scan`.

    Attributes
    ----------
    total
        The sums of values times weights; None before the first.
    weight
        The sum of the weights, leaf by leaf.

    Examples
    --------
    >>> import funcgrad as fg
    >>> metrics = fg.training.Metrics()
    >>> for loss, correct, count in [(2.0, 0.5, 30), (1.0, 1.0, 10)]:
    ...     metrics = metrics.add({"loss": loss, "accuracy": correct}, weight=count)
    >>> metrics.mean()
    {'loss': Array(1.75), 'accuracy': Array(0.625)}
    """

    total: Any = None
    weight: Any = None

    @classmethod
    def like(cls, values: Any) -> Self:
        """Empty sums of a known structure.

        Parameters
        ----------
        values
            Metrics, or anything with their structure, shapes and dtypes.

        Returns
        -------
        Metrics
            Zeros: float64 sums (complex128 of complex values), and a weight for each leaf.

        Examples
        --------
        >>> import funcgrad as fg
        >>> fg.training.Metrics.like({"loss": 0.5})
        Metrics(total={'loss': Array(0.)}, weight={'loss': Array(0.)})
        """
        sums = tree.map(lambda x: np.zeros(type_of(x).shape, _wide(x)), values)
        return cls(sums, tree.map(lambda x: np.zeros(()), values))

    def add(self, values: Any, weight: Any = 1.0) -> Self:
        """These sums and `values` times `weight`.

        Parameters
        ----------
        values
            Numbers and arrays in any pytree, of one structure throughout.
        weight
            How much they count, such as the number of examples in the batch: a number, or a pytree of numbers that is
            a prefix of `values`. What has weight 0 does not count, even if it is NaN.

        Returns
        -------
        Metrics
            The new sums; these stay as they are.

        Raises
        ------
        ValueError
            If the structure or a shape is not that of the sums: the message names the first key path that differs.
        """
        _check_prefix(weight, values)
        weights = tree.broadcast(weight, values)
        before = type(self).like(values) if self.total is None else self
        _check_same(before.total, values)
        total = tree.map(_plus, before.total, values, weights)
        return type(self)(total, tree.map(lambda sum, w: sum + np.asarray(w).astype(float), before.weight, weights))

    def merge(self, other: Metrics) -> Self:
        """The sums of both, such as those of two workers.

        Parameters
        ----------
        other
            Sums of metrics of the same structure and shapes.

        Returns
        -------
        Metrics
            New sums.

        Raises
        ------
        ValueError
            If the structures or shapes differ.

        Examples
        --------
        >>> import funcgrad as fg
        >>> one, other = fg.training.Metrics().add(1.0), fg.training.Metrics().add(4.0, weight=2)
        >>> one.merge(other).mean()
        Array(3.)
        """
        if self.total is None or other.total is None:
            return type(self)(*(other if self.total is None else self))
        _check_same(self.total, other.total)
        return type(self)(*tree.map(lambda x, y: x + y, tuple(self), tuple(other)))

    def mean(self) -> Any:
        """The weighted means.

        Returns
        -------
        pytree of Array
            In the structure of the values, float64 (complex128 of complex values); NaN where the weights sum to 0.

        Raises
        ------
        ValueError
            If nothing was added.
        """
        if self.total is None:
            raise ValueError(f"Metrics.mean: nothing has been added yet{at_line()}")
        return tree.map(_quotient, self.total, self.weight)


def accuracy(logits: Any, labels: Any, *, where: Any = None) -> Any:
    """The share of rows whose largest entry is the labelled one.

    Parameters
    ----------
    logits
        Scores or probabilities of shape (..., classes).
    labels
        Integers of shape (...). One that is no class, such as -1, is never right.
    where
        Booleans of shape (...): which rows count, by default all. The share of no rows is NaN.

    Returns
    -------
    Array
        One float between 0 and 1.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    TypeError
        If `labels` are no integers.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.training.accuracy(np.array([[2.0, 1.0], [0.0, 3.0], [0.0, 1.0]]), np.array([0, 1, 0]))
    Array(0.66666667)
    """
    logits, labels = np.asarray(logits), np.asarray(labels)
    scores, known = type_of(logits), type_of(labels)
    if known.dtype.kind not in "iu":
        raise TypeError(f"accuracy: labels are integers, not {known.dtype.name}{at_line()}")
    if not scores.shape or scores.shape[:-1] != known.shape:
        raise ValueError(
            f"accuracy: logits of shape {scores.shape} need labels of shape {scores.shape[:-1]}, not {known.shape}"
            f"{at_line()}"
        )
    right = np.argmax(logits, axis=-1) == labels
    counted = np.ones(known.shape, bool) if where is None else np.asarray(where)
    if type_of(counted).shape != known.shape:
        raise ValueError(
            f"accuracy: `where` has the shape {type_of(counted).shape}, labels have {known.shape}{at_line()}"
        )
    return _quotient(np.sum(np.where(counted, right, False)).astype(float), np.sum(counted).astype(float))


def _wide(x: Any) -> type:
    return complex if type_of(x).dtype.kind == "c" else float


def _plus(sum: Any, value: Any, weight: Any) -> Any:
    """``sum + value * weight``; a weight of 0 beats NaN."""
    weight = np.asarray(weight).astype(float)
    return sum + np.where(weight == 0, 0.0, np.asarray(value).astype(_wide(value)) * weight)


def _quotient(total: Any, weight: Any) -> Any:
    """``total / weight``, NaN (without a warning) for ``0 / 0``."""
    none = weight == 0
    return np.where(none, np.nan, total / np.where(none, 1.0, weight))


def _check_prefix(weight: Any, values: Any) -> None:
    try:
        spread = tree.broadcast_prefix(weight, values)
    except (ValueError, TypeError):
        raise ValueError(
            f"Metrics.add: weight has the structure {tree.structure(weight)}, which is no prefix of that of the "
            f"values, {tree.structure(values)}{at_line()}"
        ) from None
    for path, each in zip(tree.paths(values), spread, strict=True):
        if type_of(each).shape:
            raise ValueError(
                f"Metrics.add: the weight of {tree.key_string(path) or 'the values'} must be a number, not an array of "
                f"shape {type_of(each).shape}{at_line()}"
            )


def _check_same(sums: Any, values: Any) -> None:
    """A `ValueError` that names the first leaf where `values` are not like `sums`."""
    have = {tree.keystr(path): type_of(x).shape for path, x in tree.leaves_with_path(values)}
    want = {tree.keystr(path): type_of(x).shape for path, x in tree.leaves_with_path(sums)}
    for path in [*want, *have]:
        if path not in have or path not in want:
            where = "the sums, but not in the values" if path in want else "the values, but not in the sums"
            raise ValueError(f"Metrics: {path or 'a single leaf'} is in {where}{at_line()}")
        if have[path] != want[path]:
            raise ValueError(
                f"Metrics: {path or 'the value'} has the shape {have[path]}, before {want[path]}{at_line()}"
            )
    if tree.structure(sums) != tree.structure(values):
        raise ValueError(
            f"Metrics: the values have the structure {tree.structure(values)}, the sums {tree.structure(sums)}"
            f"{at_line()}"
        )
