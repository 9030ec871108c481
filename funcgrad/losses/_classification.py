"""How far are predicted classes from the right ones?  Losses of logits against labels, one per example."""

from __future__ import annotations

import math
from typing import Any

import numpy as _np

from funcgrad import numpy as np
from funcgrad.arguments import check_within
from funcgrad.errors import at_line
from funcgrad.losses._common import (
    class_numbers,
    counted,
    floats,
    integers,
    like,
    result,
    same_shapes,
    weighted,
)
from funcgrad.nn import log_softmax, logsumexp, sigmoid, softmax, sparse_plus
from funcgrad.nn._common import array, is_array, public
from funcgrad.numpy._common import axis_number, axis_numbers
from funcgrad.trace.frame import type_of


def _mask(where: Any, logits: Any, axis: Any) -> Any:
    """`where` with the axes of the classes, of extent 1 if it has one element per example."""
    if where is None:
        return None
    where = array(where, "where")
    ndim = type_of(logits).ndim
    return where if type_of(where).ndim == ndim else np.expand_dims(where, axis_numbers(axis, ndim, "where"))


@public
def softmax_cross_entropy(
    logits: Any, labels: Any, axis: Any = -1, where: Any = None, *, label_smoothing: Any = 0.0, weights: Any = None
) -> Any:
    """-Σ labels · log(softmax(logits)) over the classes, for every example.

    Parameters
    ----------
    logits
        Floats, of shape (..., classes).
    labels
        Probabilities of the classes, such as one-hot codes, of a shape that broadcasts to that of `logits`.
    axis
        The axis of the classes, several, or None for all.
    where
        Which elements count, of the shape of `logits` or of the result.
    label_smoothing
        α: labels are mixed with equal ones, (1 - α) · labels + α / classes (Müller et al. 2019).
    weights
        Factors of the classes' terms, which broadcast with `logits`.

    Returns
    -------
    Array
        Of the shape of `logits` without `axis`. A class of probability 0 counts for nothing, even if its logit is -inf.

    Examples
    --------
    >>> softmax_cross_entropy([[1.2, -0.8, -0.5], [0.9, -1.2, 1.1]], [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    Array([0.27612971, 2.9517988 ])
    """
    name = "softmax_cross_entropy"
    logits, dtype = floats(name, logits=logits)
    labels = like(name, labels, logits)
    _check_broadcast(name, type_of(labels).shape, type_of(logits).shape)
    where = _mask(where, logits, axis)
    check_within(name, "label_smoothing", label_smoothing, 0, 1)
    labels = _smoothed(labels, label_smoothing, _extent(logits, axis, where))
    terms = weighted(labels, log_softmax(logits, axis, where), where)
    terms = terms if weights is None else terms * like(name, weights, logits)
    return result(-np.sum(terms, axis, **counted(where)), dtype)


def _check_broadcast(name: str, labels: tuple[int, ...], logits: tuple[int, ...]) -> None:
    """A `ValueError` that tells numbers of classes from their probabilities."""
    try:
        _np.broadcast_shapes(labels, logits)
    except ValueError:
        hint = " (numbers of classes: softmax_cross_entropy_with_integer_labels)" if labels == logits[:-1] else ""
        raise ValueError(
            f"{name}: labels of shape {labels} do not fit logits of shape {logits}: they are a probability for each "
            f"class{hint}{at_line()}"
        ) from None


@public
def safe_softmax_cross_entropy(logits: Any, labels: Any) -> Any:
    """`softmax_cross_entropy` over the last axis, which is safe here too; optax's name.

    Returns
    -------
    Array
        The scores' shape without the last axis; floats.

    Examples
    --------
    >>> safe_softmax_cross_entropy([0.0, 0.0, -float("inf")], [1.0, 0.0, 0.0])
    Array(0.69314718)
    """
    return softmax_cross_entropy(logits, labels)


def _extent(x: Any, axis: Any, where: Any) -> Any:
    """How many classes there are, or count."""
    shape = type_of(x).shape
    if where is None:
        return int(_np.prod([shape[a] for a in axis_numbers(axis, len(shape), "axis")]))
    return np.sum(np.broadcast_to(where, shape), axis, keepdims=True)


def _is_zero(x: Any) -> bool:
    """Whether a parameter is the number 0, and known to be."""
    return not is_array(x) and x == 0


def _smoothed(labels: Any, alpha: Any, classes: Any) -> Any:
    return labels if _is_zero(alpha) else (1 - alpha) * labels + like("smooth_labels", alpha / classes, labels)


@public
def smooth_labels(labels: Any, alpha: Any, *, axis: Any = -1, where: Any = None) -> Any:
    """Labels mixed with equal ones: (1 - α) · labels + α / classes (Müller et al. 2019).

    Parameters
    ----------
    labels
        Probabilities of classes.
    alpha
        Between 0 and 1.
    axis
        The axis of the classes, several, or None for all.
    where
        Which classes count.

    Returns
    -------
    Array
        Of the shape and float dtype of the labels.

    Raises
    ------
    ValueError
        `alpha` is known to lie elsewhere.

    Examples
    --------
    >>> smooth_labels([1.0, 0.0], 0.1)
    Array([0.95, 0.05])
    """
    check_within("smooth_labels", "alpha", alpha, 0, 1)
    labels, dtype = floats("smooth_labels", labels=labels)
    return result(_smoothed(labels, alpha, _extent(labels, axis, where)), dtype)


@public
def softmax_cross_entropy_with_integer_labels(
    logits: Any,
    labels: Any,
    axis: Any = -1,
    where: Any = None,
    *,
    label_smoothing: Any = 0.0,
    weights: Any = None,
    ignore_index: int | None = None,
) -> Any:
    """-log(softmax(logits)) of the right class, for every example.

    Parameters
    ----------
    logits
        Floats, of shape (..., classes).
    labels
        The right classes: integers, of the shape of `logits` without `axis`.
    axis
        The axis of the classes, or several, through which labels count in the order given.
    where
        Which elements count, of the shape of `logits` or of the result.
    label_smoothing
        α: with it, labels are mixed with equal ones (Müller et al. 2019).
    weights
        One factor per class; as in PyTorch, with label smoothing each class's term has its own.
    ignore_index
        A label that stands for no class: such examples give 0.

    Returns
    -------
    Array
        Of the shape of `labels`. For the mean over the examples that count see `weighted_mean`.

    Raises
    ------
    IndexError
        For labels that are no class; negative ones count from the end.
    TypeError
        Labels, or `ignore_index`, are no integers.
    ValueError
        Shapes do not fit, or `label_smoothing` is not between 0 and 1.

    Examples
    --------
    >>> softmax_cross_entropy_with_integer_labels([[1.2, -0.8, -0.5], [0.9, -1.2, 1.1]], [0, 1])
    Array([0.27612971, 2.9517988 ])
    """
    name = "softmax_cross_entropy_with_integer_labels"
    logits, dtype = floats(name, logits=logits)
    labels = integers(name, "labels", labels, " (one-hot codes and probabilities: softmax_cross_entropy)")
    check_within(name, "label_smoothing", label_smoothing, 0, 1)
    if not (ignore_index is None or isinstance(ignore_index, int | _np.integer)):
        raise TypeError(f"{name}: ignore_index must be an integer, not {ignore_index!r}{at_line()}")
    where = _mask(where, logits, axis)
    logits, labels, where, axis = _classes_together(logits, labels, where, axis)
    ignored = None if ignore_index is None else labels == ignore_index
    labels = labels if ignored is None else np.where(ignored, type_of(labels).dtype.type(0), labels)

    classes = type_of(logits).shape[axis]
    labels = class_numbers(name, labels, classes, negative=True)
    chosen = np.expand_dims(labels, axis)
    log_p = log_softmax(logits, axis, where)
    loss = -np.squeeze(np.take_along_axis(log_p, chosen, axis), axis)
    factors = None if weights is None else like(name, weights, logits)
    if factors is not None:
        loss = loss * np.take(factors, labels, 0)
    if not _is_zero(label_smoothing):
        shape = [1] * type_of(logits).ndim
        shape[axis] = -1
        equal = log_p if factors is None else log_p * np.reshape(factors, shape)
        equal = -np.sum(equal, axis, **counted(where)) / np.squeeze(_extent_of_each(logits, axis, where), axis)
        loss = (1 - label_smoothing) * loss + label_smoothing * equal
    zero = type_of(loss).dtype.type(0)
    if where is not None:
        loss = np.where(np.any(np.broadcast_to(where, type_of(logits).shape), axis), loss, zero)
    return result(loss if ignored is None else np.where(ignored, zero, loss), dtype)


def _extent_of_each(logits: Any, axis: int, where: Any) -> Any:
    """How many classes count, for each example."""
    classes = _extent(logits, axis, where)
    return np.ones((1,) * type_of(logits).ndim) * classes if where is None else like("where", classes, logits)


def _classes_together(logits: Any, labels: Any, where: Any, axis: Any) -> tuple[Any, Any, Any, int]:
    """Logits whose classes lie along one axis, with labels that fit."""
    kind = type_of(logits)
    if isinstance(axis, (tuple, list)):
        last = tuple(axis_number(a, kind.ndim, "axis") for a in axis)
        rest = tuple(a for a in range(kind.ndim) if a not in last)
        extents, classes = tuple(kind.shape[a] for a in rest), math.prod(kind.shape[a] for a in last)
        if where is not None:
            where = np.broadcast_to(where, kind.shape)
            where = np.reshape(np.transpose(where, (*rest, *last)), (*extents, classes))
        logits = np.reshape(np.transpose(logits, (*rest, *last)), (*extents, classes))
        axis = len(rest)
    axis = axis_number(axis, type_of(logits).ndim, "axis")
    shape = type_of(logits).shape
    if type_of(labels).shape != shape[:axis] + shape[axis + 1 :]:
        raise ValueError(
            f"softmax_cross_entropy_with_integer_labels: labels of shape {type_of(labels).shape} do not fit logits of "
            f"shape {kind.shape} whose classes lie along axis {axis}{at_line()}"
        )
    return logits, labels, where, axis


@public
def poly_loss_cross_entropy(logits: Any, labels: Any, *, epsilon: Any = 2.0, axis: Any = -1, where: Any = None) -> Any:
    """`softmax_cross_entropy` plus ε (1 - the probability of the right class) (Leng et al. 2022).

    Returns
    -------
    Array
        The logits' shape without the axis; floats.

    Examples
    --------
    >>> poly_loss_cross_entropy([0.0, 0.0], [1.0, 0.0])
    Array(1.69314718)
    """
    logits, labels, dtype = floats("poly_loss_cross_entropy", logits=logits, labels=labels)
    where = _mask(where, logits, axis)
    missed = np.sum(labels * (1 - softmax(logits, axis, where)), axis, **counted(where))
    return result(softmax_cross_entropy(logits, labels, axis, where) + epsilon * missed, dtype)


@public
def softmax_focal_loss(logits: Any, labels: Any, *, gamma: Any = 2.0, axis: int = -1) -> Any:
    """-(1 - p)^γ log(p) for the probability p of the right class: the focal loss (Lin et al. 2017) of many classes.

    Parameters
    ----------
    logits
        Floats, of shape (..., classes).
    labels
        The right classes: integers, of the shape of `logits` without `axis`.
    gamma
        How little examples count that are classified well; 0 is the cross-entropy.
    axis
        The axis of the classes.

    Returns
    -------
    Array
        The logits' shape without the axis; floats.

    Examples
    --------
    >>> softmax_focal_loss([[0.0, 0.0]], [1])
    Array([0.1732868])
    """
    name = "softmax_focal_loss"
    logits, dtype = floats(name, logits=logits)
    labels = integers(name, "labels", labels)
    check_within(name, "gamma", gamma, 0)
    logits, labels, _, axis = _classes_together(logits, labels, None, axis)
    labels = class_numbers(name, labels, type_of(logits).shape[axis])
    codes = np.expand_dims(labels, axis)
    log_p = log_softmax(logits, axis)
    shape = [1] * type_of(logits).ndim
    shape[axis] = -1
    right = codes == _np.arange(type_of(logits).shape[axis]).reshape(shape)
    others = logsumexp(log_p, axis, where=~right)  # log(1 - p), without cancellation
    return result(-np.exp(gamma * others) * np.squeeze(np.take_along_axis(log_p, codes, axis), axis), dtype)


# Two classes ---------------------------------------------------------------------------------------------------------


@public
def sigmoid_binary_cross_entropy(logits: Any, labels: Any) -> Any:
    """-y log(sigmoid(x)) - (1 - y) log(1 - sigmoid(x)), element by element.

    Parameters
    ----------
    logits
        x: floats.
    labels
        y: 0 and 1, or probabilities; they broadcast with the logits.

    Returns
    -------
    Array
        A loss for each element, in the float dtype of the logits.

    Examples
    --------
    >>> sigmoid_binary_cross_entropy([0.0, 50.0, -1e4], [1, 1, 1])
    Array([6.93147181e-01, 1.92874985e-22, 1.00000000e+04])
    """
    name = "sigmoid_binary_cross_entropy"
    logits, dtype = floats(name, logits=logits)
    return result(_binary(logits, like(name, labels, logits)), dtype)


def _binary(x: Any, y: Any) -> Any:
    """The larger part x ([x > 0] - y), exactly 0 for a right label, and log(1 + exp(-|x|))."""
    positive = x > 0
    one, zero = (type_of(x).dtype.type(k) for k in (1, 0))
    gap = np.where(positive, one, zero) - y
    lost = (gap == 0) & (np.abs(x) == _np.inf)
    return np.where(lost, zero, x) * gap + np.log1p(np.exp(np.where(positive, -x, x)))


@public
def sigmoid_focal_loss(logits: Any, labels: Any, *, alpha: Any = None, gamma: Any = 2.0) -> Any:
    """`sigmoid_binary_cross_entropy` times (1 - p)^γ, p being the probability of the right class (Lin et al. 2017).

    Parameters
    ----------
    logits
        Floats.
    labels
        0 and 1, or probabilities; they broadcast with the logits.
    alpha
        Factor of the label 1; that of the label 0 is 1 - α.
    gamma
        How little examples count that are classified well.

    Returns
    -------
    Array
        A loss for each element, in the float dtype of the logits.

    Examples
    --------
    >>> sigmoid_focal_loss([0.0], [1])
    Array([0.1732868])
    """
    name = "sigmoid_focal_loss"
    logits, dtype = floats(name, logits=logits)
    labels = like(name, labels, logits)
    check_within(name, "gamma", gamma, 0)
    check_within(name, "alpha", alpha, 0, 1)
    # Beyond the bound p is as good as 0 or 1, and a power of 0 has no derivative.
    bound = 0.9 * -math.log(_np.finfo(type_of(logits).dtype).tiny)
    x = np.clip(logits, -bound, bound)
    missed = (1 - labels) * sigmoid(x) + labels * sigmoid(-x)
    loss = _binary(logits, labels) * missed**gamma
    return result(loss if alpha is None else (alpha * labels + (1 - alpha) * (1 - labels)) * loss, dtype)


@public
def hinge_loss(predictor_outputs: Any, targets: Any) -> Any:
    """max(0, 1 - outputs · targets), for targets -1 and 1.

    Returns
    -------
    Array
        A loss for each element, in the float dtype of the predictions and targets.

    Examples
    --------
    >>> hinge_loss([0.5, -0.5], [1, 1])
    Array([0.5, 1.5])
    """
    outputs, dtype = floats("hinge_loss", predictor_outputs=predictor_outputs)
    return result(np.maximum(0, 1 - outputs * like("hinge_loss", targets, outputs)), dtype)


@public
def perceptron_loss(predictor_outputs: Any, targets: Any) -> Any:
    """max(0, -outputs · targets), for targets -1 and 1 (Rosenblatt 1958).

    Returns
    -------
    Array
        A loss for each element, in the float dtype of the predictions and targets.

    Examples
    --------
    >>> perceptron_loss([0.5, -0.5], [1, 1])
    Array([0. , 0.5])
    """
    outputs, dtype = floats("perceptron_loss", predictor_outputs=predictor_outputs)
    targets = like("perceptron_loss", targets, outputs)
    same_shapes("perceptron_loss", predictor_outputs=outputs, targets=targets)
    return result(np.maximum(0, -outputs * targets), dtype)


@public
def sparsemax_loss(logits: Any, labels: Any) -> Any:
    """``sparse_plus`` of -x for the label 1 and of x for 0: the loss whose prediction is `nn.sparse_sigmoid`
    (Blondel et al. 2020, section 4.4).

    Returns
    -------
    Array
        A loss for each element, in the float dtype of the logits.

    Examples
    --------
    >>> sparsemax_loss([0.0, 2.0], [1, 1])
    Array([0.25, 0.  ])
    """
    logits, dtype = floats("sparsemax_loss", logits=logits)
    return result(sparse_plus(np.where(array(labels, "sparsemax_loss") != 0, -logits, logits)), dtype)
