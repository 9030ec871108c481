"""How well do two regions overlap?  Dice losses (Milletari et al. 2016; Sudre et al. 2017)."""

from __future__ import annotations

from typing import Any

from funcgrad import numpy as np
from funcgrad.errors import at_line
from funcgrad.losses._common import floats, like, result, same_shapes
from funcgrad.nn import sigmoid, softmax
from funcgrad.nn._common import array, public
from funcgrad.trace.frame import type_of

REDUCTIONS: dict[str, Any] = {"mean": np.mean, "sum": np.sum, "none": lambda x, axis: x}


@public
def dice_loss(
    predictions: Any,
    targets: Any,
    *,
    class_weights: Any = None,
    smooth: Any = 1.0,
    alpha: Any = 0.5,
    beta: Any = 0.5,
    apply_softmax: bool = True,
    reduction: str = "mean",
    ignore_background: bool = False,
    axis: Any = None,
) -> Any:
    """1 - (I + smooth) / (I + α (P - I) + β (T - I) + smooth), for each class.

    I is the sum of predictions · targets over places, P that of the predictions, T that of the targets.

    Parameters
    ----------
    predictions
        Logits, of shape (examples, ..., classes); with one class (or without that axis) sigmoids are taken, else
        softmaxes.
    targets
        One-hot codes of that shape.
    class_weights
        Factors of the classes.
    smooth
        Keeps the quotient from 0 / 0.
    alpha, beta
        How much false positives and false negatives count (Tversky 1977).
    apply_softmax
        False if predictions are probabilities.
    reduction
        Over classes: ``"mean"``, ``"sum"``, ``"none"``.
    ignore_background
        Whether to leave out class 0.
    axis
        The axes of places (default: all but the first and the last).

    Returns
    -------
    Array
        A loss for each example (`dice_loss` with ``reduction="none"``: and each class); floats.

    Raises
    ------
    ValueError
        `reduction` is something else.

    Examples
    --------
    >>> dice_loss([[[0.0], [0.0]]], [[[1.0], [0.0]]])  # 1 - (0.5 + 1) / (0.5 + 0.5 * (1 - 0.5) + 0.5 * (1 - 0.5) + 1)
    Array([0.25])
    """
    name = "dice_loss"
    if reduction not in REDUCTIONS:
        raise ValueError(f"{name}: reduction {reduction!r} is none of {tuple(REDUCTIONS)}{at_line()}")
    predictions, dtype = floats(name, predictions=predictions)
    targets = like(name, targets, predictions)
    p, t = type_of(predictions).ndim, type_of(targets).ndim
    predictions = np.expand_dims(predictions, -1) if p == t - 1 else predictions
    targets = np.expand_dims(targets, -1) if t == p - 1 else targets
    same_shapes(name, predictions=predictions, targets=targets)
    classes = type_of(predictions).shape[-1]
    if apply_softmax:
        predictions = sigmoid(predictions) if classes == 1 else softmax(predictions)
    axis = tuple(range(1, type_of(predictions).ndim - 1)) if axis is None else axis
    both, predicted, meant = (np.sum(x, axis) for x in (predictions * targets, predictions, targets))
    loss = 1 - (both + smooth) / (both + alpha * (predicted - both) + beta * (meant - both) + smooth)
    if class_weights is not None:
        loss = loss * like(name, class_weights, loss)
    if ignore_background and classes > 1:
        loss = loss[..., 1:]
    return result(REDUCTIONS[reduction](loss, -1), dtype)


@public
def multiclass_generalized_dice_loss(
    predictions: Any,
    targets: Any,
    *,
    smooth: Any = 1.0,
    apply_softmax: bool = True,
    ignore_background: bool = False,
) -> Any:
    """The mean of `dice_loss`, each class weighted by the inverse square of its frequency (Sudre et al. 2017).

    Returns
    -------
    Array
        A loss for each example (`dice_loss` with ``reduction="none"``: and each class); floats.

    Examples
    --------
    >>> multiclass_generalized_dice_loss([[[0.0, 0.0], [0.0, 0.0]]], [[[1.0, 0.0], [0.0, 1.0]]])
    Array(0.25)
    """
    name = "multiclass_generalized_dice_loss"
    predictions, dtype = floats(name, predictions=predictions)
    targets = like(name, targets, predictions)
    same_shapes(name, predictions=predictions, targets=targets)
    frequency = np.sum(targets, tuple(range(type_of(targets).ndim - 1)))
    rarity = 1 / (frequency * frequency + 1e-7)
    loss = dice_loss(
        predictions,
        targets,
        class_weights=rarity / np.mean(rarity),
        smooth=smooth,
        apply_softmax=apply_softmax,
        reduction="none",
        ignore_background=ignore_background,
    )
    return result(np.mean(loss), dtype)


@public
def binary_dice_loss(predictions: Any, targets: Any, *, smooth: Any = 1.0, apply_sigmoid: bool = True) -> Any:
    """`dice_loss` of one class, with or without an axis of extent 1 for it.

    Returns
    -------
    Array
        A loss for each example (`dice_loss` with ``reduction="none"``: and each class); floats.

    Examples
    --------
    >>> binary_dice_loss([[0.0, 0.0]], [[1.0, 0.0]])  # 1 - (0.5 + 1) / (0.5 + 0.5 * (1 - 0.5) + 0.5 * (1 - 0.5) + 1)
    Array([0.25])
    """
    name = "binary_dice_loss"
    predictions, targets = array(predictions, name), array(targets, name)
    if type_of(predictions).ndim == type_of(targets).ndim and type_of(predictions).shape[-1:] != (1,):
        predictions, targets = np.expand_dims(predictions, -1), np.expand_dims(targets, -1)
    return dice_loss(predictions, targets, smooth=smooth, apply_softmax=apply_sigmoid)
