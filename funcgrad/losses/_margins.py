"""How far do the right scores lie above the others?  Losses of many classes without probabilities, and rankings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as _np

from funcgrad import numpy as np
from funcgrad.arguments import check_within
from funcgrad.batching import vmap
from funcgrad.errors import at_line
from funcgrad.losses._common import class_numbers, constant, counted, floats, integers, like, result, weighted
from funcgrad.nn import log_softmax, one_hot
from funcgrad.nn._common import array, public
from funcgrad.trace.frame import type_of


def _codes(name: str, scores: Any, labels: Any) -> Any:
    """One-hot codes of integer labels, of the shape of the scores."""
    labels = integers(name, "labels", labels)
    shape = type_of(scores).shape
    if type_of(labels).shape != shape[:-1]:
        raise ValueError(
            f"{name}: labels of shape {type_of(labels).shape} do not fit scores of shape {shape}{at_line()}"
        )
    labels = class_numbers(name, labels, shape[-1])
    return one_hot(labels, shape[-1], dtype=type_of(scores).dtype)


@public
def multiclass_hinge_loss(scores: Any, labels: Any) -> Any:
    """max over classes of (score + 1, but + 0 for the right class), less the right class's score
    (Crammer and Singer 2001).

    Returns
    -------
    Array
        The scores' shape without the last axis; floats.

    Examples
    --------
    >>> multiclass_hinge_loss([[2.0, 1.5, 0.0]], [0])
    Array([0.5])
    """
    scores, dtype = floats("multiclass_hinge_loss", scores=scores)
    codes = _codes("multiclass_hinge_loss", scores, labels)
    return result(np.max(scores + 1 - codes, -1) - np.sum(weighted(codes, scores), -1), dtype)


@public
def multiclass_perceptron_loss(scores: Any, labels: Any) -> Any:
    """The largest score less that of the right class (Collins 2002).

    Returns
    -------
    Array
        The scores' shape without the last axis; floats.

    Examples
    --------
    >>> multiclass_perceptron_loss([[2.0, 1.5, 0.0]], [1])
    Array([0.5])
    """
    scores, dtype = floats("multiclass_perceptron_loss", scores=scores)
    codes = _codes("multiclass_perceptron_loss", scores, labels)
    return result(np.max(scores, -1) - np.sum(weighted(codes, scores), -1), dtype)


@public
def multiclass_sparsemax_loss(scores: Any, labels: Any) -> Any:
    """The loss whose predictions are the point of the simplex nearest to the scores (Martins and Astudillo 2016).

    Parameters
    ----------
    scores
        Floats, of shape (..., classes).
    labels
        The right classes: integers, of the shape of `scores` without its last axis.

    Returns
    -------
    Array
        The scores' shape without the last axis; floats.

    Examples
    --------
    >>> multiclass_sparsemax_loss([[2.0, 1.5, 0.0]], [0])
    Array([0.0625])
    """
    name = "multiclass_sparsemax_loss"
    scores, dtype = floats(name, scores=scores)
    codes = _codes(name, scores, labels)
    p = _on_simplex(scores)
    gaps = np.where(p > 0, scores - np.sum(codes * scores, -1, keepdims=True), type_of(scores).dtype.type(0))
    return result(np.sum(p * gaps, -1) + 0.5 * (1 - np.sum(p * p, -1)), dtype)


def _on_simplex(scores: Any) -> Any:
    """The nearest probabilities: max(score - τ, 0), with τ such that they add up to 1."""
    falling = -np.sort(-scores, -1)
    sums = np.cumsum(falling, -1)
    counts = _np.arange(1, type_of(scores).shape[-1] + 1, dtype=type_of(scores).dtype)
    support = np.sum(1 + counts * falling > sums, -1, keepdims=True)  # so many are positive
    threshold = (np.take_along_axis(sums, support - 1, -1) - 1) / support.astype(type_of(scores).dtype)
    return np.maximum(scores - threshold, 0)


@public
def ranking_softmax_loss(
    logits: Any, labels: Any, *, where: Any = None, weights: Any = None, reduce_fn: Callable[..., Any] | None = np.mean
) -> Any:
    """-Σ labels · log(softmax(logits)) over the items of each list (Cao et al. 2007).

    Parameters
    ----------
    logits
        Scores, floats of shape (..., items).
    labels
        Relevances, of the same shape.
    where
        Which items count; a list without any counts for nothing.
    weights
        Factors of the items.
    reduce_fn
        What makes one number of the lists' losses, with a keyword `where`; None for all of them. The mean of no
        list is 0.

    Returns
    -------
    Array
        One float, or with ``reduce_fn=None`` one for each list.

    Examples
    --------
    >>> ranking_softmax_loss([[2.0, 1.0, 0.0], [1.0, 0.5, 1.5]], [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
    ...                      where=[[True, True, False], [True, True, True]])
    Array(0.49676...)
    """
    name = "ranking_softmax_loss"
    logits, dtype = floats(name, logits=logits)
    labels = like(name, labels, logits)
    labels = labels if weights is None else labels * like(name, weights, logits)
    mask = None if where is None else array(where, name)
    loss = -np.sum(weighted(labels, log_softmax(logits, -1, mask), mask), -1, **counted(mask))
    if mask is None:
        return result(loss if reduce_fn is None else reduce_fn(loss), dtype)
    lists, zero = np.any(mask, -1), type_of(loss).dtype.type(0)
    loss = np.where(lists, loss, zero)
    if reduce_fn is None:
        return result(loss, dtype)
    if reduce_fn in (np.mean, _np.mean):
        return result(np.sum(loss) / np.maximum(np.sum(lists.astype(type_of(loss).dtype)), 1), dtype)
    return result(reduce_fn(loss, where=lists), dtype)


@public
def triplet_margin_loss(
    anchors: Any,
    positives: Any,
    negatives: Any,
    axis: int = -1,
    norm_degree: Any = 2,
    margin: Any = 1.0,
    eps: Any = 1e-6,
) -> Any:
    """max(0, distance to the positives - distance to the negatives + margin) (Balntas et al. 2016).

    Parameters
    ----------
    anchors, positives, negatives
        Floats of shapes that broadcast.
    axis
        The axis of the features.
    norm_degree
        p: distances are (Σ |difference|ᵖ + eps)^(1/p).
    margin
        By how much the positives should be nearer.
    eps
        Keeps the root's derivative finite.

    Returns
    -------
    Array
        The anchors' shape without the axis; floats.

    Examples
    --------
    >>> triplet_margin_loss([[0.0, 0.0]], [[0.1, 0.1]], [[1.0, 0.0]])
    Array([0.14142...])
    """
    name = "triplet_margin_loss"
    check_within(name, "norm_degree", norm_degree, 0, above=True)
    a, p, n, dtype = floats(name, anchors=anchors, positives=positives, negatives=negatives)
    near, far = (np.power(np.sum(np.abs(a - x) ** norm_degree, axis) + eps, 1 / norm_degree) for x in (p, n))
    return result(np.maximum(near - far + margin, 0), dtype)


@public
def ntxent(embeddings: Any, labels: Any, temperature: Any = 0.07) -> Any:
    """The cross-entropy of finding, among the other examples, one with the same label by its cosine similarity:
    NT-Xent (Chen et al. 2020), the mean over all such pairs.

    Parameters
    ----------
    embeddings
        Floats, of shape (examples, features).
    labels
        Integers, of shape (examples,).
    temperature
        Divides the similarities.

    Returns
    -------
    Array
        One float.

    Raises
    ------
    ValueError
        Embeddings and labels do not fit, or the temperature is not positive.

    Examples
    --------
    >>> ntxent([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], [0, 1, 0], temperature=1.0)  # log(1 + 1 / e)
    Array(0.31326169)
    """
    name = "ntxent"
    x, dtype = floats(name, embeddings=embeddings)
    labels = array(labels, name)
    kind, shape = type_of(x), type_of(labels).shape
    if kind.ndim != 2 or shape != kind.shape[:1]:
        raise ValueError(
            f"ntxent: embeddings of shape {kind.shape} and labels of shape {shape}: "
            f"(examples, features) and (examples,) are needed{at_line()}"
        )
    check_within(name, "temperature", temperature, 0, above=True)
    unit = x / np.sqrt(np.maximum(np.sum(x * x, 1, keepdims=True), _np.finfo(kind.dtype).eps))
    similar = np.matmul(unit, np.transpose(unit)) / temperature
    same = np.expand_dims(labels, 1) == np.expand_dims(labels, 0)
    pairs = same & ~_np.eye(kind.shape[0], dtype=bool)
    nothing, zero = kind.dtype.type(-_np.inf), kind.dtype.type(0)
    seen = np.where(same & ~pairs, nothing, similar)  # nobody is compared with itself
    shift = constant(np.max(seen, 1, keepdims=True))
    others = np.sum(np.exp(np.where(same, nothing, similar) - shift), 1, keepdims=True)
    mine = np.where(pairs, similar - shift, zero)
    terms = np.where(pairs, mine - np.log(others + np.exp(mine)), zero)
    return result(-np.sum(terms) / np.sum(pairs.astype(kind.dtype)), dtype)


def make_fenchel_young_loss(max_fun: Callable[..., Any]) -> Callable[..., Any]:
    """The loss ``max_fun(scores) - <targets, scores>`` of the last axis (Blondel et al. 2020).

    Parameters
    ----------
    max_fun
        A convex function of a vector, such as `nn.logsumexp`; its gradient is the prediction.

    Returns
    -------
    Callable
        ``loss(scores, targets, *args, **kwargs)``; further arguments are those of `max_fun`.

    Examples
    --------
    >>> from funcgrad.nn import logsumexp
    >>> make_fenchel_young_loss(logsumexp)([0.0, 0.0], [1.0, 0.0])
    Array(0.69314718)
    """

    @public
    def fenchel_young_loss(scores: Any, targets: Any, *args: Any, **kwargs: Any) -> Any:
        name = "fenchel_young_loss"
        scores, dtype = floats(name, scores=scores)
        targets = like(name, targets, scores)
        shape = type_of(scores).shape
        each: Callable[[Any], Any] = lambda row: max_fun(row, *args, **kwargs)  # noqa: E731
        best = vmap(each)(np.reshape(scores, (math.prod(shape[:-1]), shape[-1]))) if len(shape) > 1 else each(scores)
        return result(np.reshape(best, shape[:-1]) - np.sum(targets * scores, -1), dtype)

    return fenchel_young_loss
