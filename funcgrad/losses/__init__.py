"""Losses of predictions against labels: names, argument order and meaning are those of `optax.losses`.

Every loss is a function of arrays with one value per example (per element, where nothing lies along an axis); the mean
or sum over them is the caller's, by `mean()` or, where not all examples count alike, `weighted_mean`. What optax's
losses lack are keywords here: `label_smoothing`, `weights`, `ignore_index`. Losses are computed from logits, finite for
all finite ones, and 0 log 0 is 0; float16 and bfloat16 are computed in float32 and rounded once.

>>> import numpy as np
>>> import funcgrad as fg
>>> logits, labels = np.zeros((2, 4)), np.array([0, 3])
>>> fg.grad(lambda x: softmax_cross_entropy_with_integer_labels(x, labels).mean())(logits)
Array([[-0.375,  0.125,  0.125,  0.125],
       [ 0.125,  0.125,  0.125, -0.375]])
"""

from __future__ import annotations

from funcgrad.losses._classification import (
    hinge_loss,
    perceptron_loss,
    poly_loss_cross_entropy,
    safe_softmax_cross_entropy,
    sigmoid_binary_cross_entropy,
    sigmoid_focal_loss,
    smooth_labels,
    softmax_cross_entropy,
    softmax_cross_entropy_with_integer_labels,
    softmax_focal_loss,
    sparsemax_loss,
)
from funcgrad.losses._divergences import generalized_kl_divergence, kl_divergence, kl_divergence_with_log_targets
from funcgrad.losses._margins import (
    make_fenchel_young_loss,
    multiclass_hinge_loss,
    multiclass_perceptron_loss,
    multiclass_sparsemax_loss,
    ntxent,
    ranking_softmax_loss,
    triplet_margin_loss,
)
from funcgrad.losses._means import weighted_mean
from funcgrad.losses._regression import (
    absolute_error,
    cosine_distance,
    cosine_similarity,
    gaussian_nll_loss,
    huber_loss,
    l2_loss,
    log_cosh,
    poisson_nll_loss,
    quantile_loss,
    squared_error,
)
from funcgrad.losses._segmentation import binary_dice_loss, dice_loss, multiclass_generalized_dice_loss
from funcgrad.losses._sequences import ctc_loss, ctc_loss_with_forward_probs
from funcgrad.tracebacks import bounded as _bounded

__all__ = [
    "absolute_error",
    "binary_dice_loss",
    "cosine_distance",
    "cosine_similarity",
    "ctc_loss",
    "ctc_loss_with_forward_probs",
    "dice_loss",
    "gaussian_nll_loss",
    "generalized_kl_divergence",
    "hinge_loss",
    "huber_loss",
    "kl_divergence",
    "kl_divergence_with_log_targets",
    "l2_loss",
    "log_cosh",
    "make_fenchel_young_loss",
    "multiclass_generalized_dice_loss",
    "multiclass_hinge_loss",
    "multiclass_perceptron_loss",
    "multiclass_sparsemax_loss",
    "ntxent",
    "perceptron_loss",
    "poisson_nll_loss",
    "poly_loss_cross_entropy",
    "quantile_loss",
    "ranking_softmax_loss",
    "safe_softmax_cross_entropy",
    "sigmoid_binary_cross_entropy",
    "sigmoid_focal_loss",
    "smooth_labels",
    "softmax_cross_entropy",
    "softmax_cross_entropy_with_integer_labels",
    "softmax_focal_loss",
    "sparsemax_loss",
    "squared_error",
    "triplet_margin_loss",
    "weighted_mean",
]

_bounded(globals())
