"""Layers, optimisers, losses and their states."""
# ruff: noqa: E501 - a row of the table is a line

from __future__ import annotations

import numpy as np

import funcgrad as fg
from funcgrad import errors
from funcgrad.nn import layers
from tests.misuse.rows import Row, in_jit

X = np.arange(6.0).reshape(2, 3)
V = np.arange(1.0, 4.0)

dense = layers.dense(3)
params = dense.init(fg.random.key(0), (1, 2))
adam = fg.optim.adam(1e-3)
state = adam.init({"a": V})


ROWS = [
    Row("a layer of a width that is a string", lambda: layers.dense("a"), TypeError, ("dense", "integer", "'a'")),
    Row("a layer of no width", lambda: layers.dense(0), ValueError, ("dense", "0")),
    Row("a layer on another width", lambda: dense.apply(params, np.ones((1, 5))), ValueError, ("dense", "(..., 2)", "(1, 5)")),
    Row("a layer with another layer's parameters", lambda: dense.apply({"w": V}, np.ones((1, 2))), (KeyError, ValueError, TypeError), ("kernel",)),
    Row("dropout without a key", lambda: layers.dropout(0.5).apply({}, V, train=True), (TypeError, ValueError), ("key",)),
    Row("dropout of a text", lambda: layers.dropout("0.5"), ValueError, ("dropout", "'0.5'")),
    Row("dropout of too much between layers", lambda: layers.stacked(layers.lstm(3), dropout=3.0), ValueError, ("stacked", "dropout", "3.0")),
    Row("a variance with less than nothing added", lambda: layers.layer_norm(epsilon=-1.0), ValueError, ("layer_norm", "epsilon", "-1.0")),
    Row("a batch's variance with less than nothing added", lambda: layers.batch_norm(epsilon=-1.0), ValueError, ("batch_norm", "epsilon", "-1.0")),
    Row("the maximum of no window", lambda: layers.max_pool(0), ValueError, ("max_pool", "window", "0")),
    Row("the maximum of half a window", lambda: layers.max_pool(2.5), TypeError, ("max_pool", "window", "2.5")),
    Row("means in steps of nothing", lambda: layers.avg_pool(2, strides=0), ValueError, ("avg_pool", "strides", "0")),
    Row("a convolution in steps of one and a half", lambda: layers.conv(4, 3, strides=1.5).apply(layers.conv(4, 3).init(fg.random.key(0), (1, 8, 2)), np.ones((1, 8, 2))), TypeError, ("conv", "strides", "1.5")),
    Row("rotations by powers of nothing", lambda: layers.rotary(np.ones((5, 1, 8)), base=0.0), ValueError, ("base of positions", "0.0")),
    Row("an initialiser of negative variance", lambda: fg.nn.initializers.variance_scaling(-1.0, "fan_in", "normal"), ValueError, ("variance_scaling", "scale", "-1.0")),
    Row("dropout of too much", lambda: layers.dropout(1.5), ValueError, ("1.5",)),
    Row("a network of no layers' functions", lambda: layers.serial(3), TypeError, ("layer", "3")),
    Row("a layer that was not called", lambda: layers.serial(layers.dense), TypeError, ("layer",)),
    Row("a convolution on a matrix", lambda: layers.conv(4, (3, 3)).init(fg.random.key(0), (1, 3)), ValueError, ("shape", "(1, 3)")),
    Row("softmax over no axis", in_jit(lambda x: fg.nn.softmax(x, axis=3), V), np.exceptions.AxisError, ("axis 3",)),
    Row("one_hot of floats' width", lambda: fg.nn.one_hot(np.arange(3), 2.5), TypeError, ("2.5",)),
    Row("an optimiser with gradients of another structure", lambda: adam.update({"b": V}, state), ValueError, ("structure", "['b']")),
    Row("an optimiser with gradients of another shape", lambda: adam.update({"a": X}, state, {"a": V}), ValueError, ("(2, 3)", "(3,)")),
    Row("a moving average of everything", lambda: fg.optim.adam(0.1, b1=1.0), ValueError, ("scale_by_adam", "b1", "less than 1", "1.0")),
    Row("a moving average that grows", lambda: fg.optim.rmsprop(0.1, decay=2.0), ValueError, ("scale_by_rms", "decay", "2.0")),
    Row("a moving average of the wrong sign", lambda: fg.optim.ema(-0.5), ValueError, ("ema", "decay", "-0.5")),
    Row("a momentum that grows", lambda: fg.optim.sgd(0.1, momentum=2.0), ValueError, ("momentum", "between 0 and 1", "2.0")),
    Row("a root with less than nothing added", lambda: fg.optim.adam(0.1, eps=-1.0), ValueError, ("scale_by_adam", "eps", "-1.0")),
    Row("a learning rate that is no number", lambda: fg.optim.sgd(float("nan")), TypeError, ("learning rate", "nan")),
    Row("a schedule whose peak lies behind its end", lambda: fg.optim.cosine_onecycle_schedule(100, 0.1, pct_start=2.0), ValueError, ("cosine_onecycle_schedule", "pct_start", "2.0")),
    Row("noise of a key that is a text", lambda: fg.optim.noisy_sgd(0.1, key="a"), TypeError, ("add_noise", "key", "'a'")),
    Row("hyperparameters of an optimiser that is made already", lambda: fg.optim.inject_hyperparams(fg.optim.adam(0.1)), TypeError, ("inject_hyperparams", "adam itself")),
    Row("weight decay without parameters", lambda: fg.optim.adamw(1e-3).update({"a": V}, fg.optim.adamw(1e-3).init({"a": V})), ValueError, ("params", "update(updates, state, params)")),
    Row("an optimiser in a chain that was not called", lambda: fg.optim.chain(fg.optim.adam), TypeError, ("call it first", "adam(...)")),
    Row("apply_updates of another structure", lambda: fg.optim.apply_updates({"a": V}, {"b": V}), ValueError, ("structure", "b")),
    Row("a schedule of negative steps", lambda: fg.optim.cosine_decay_schedule(1.0, -5), ValueError, ("-5",)),
    Row("labels out of bounds", in_jit(fg.losses.softmax_cross_entropy_with_integer_labels, X, np.array([0, 5])), IndexError, ("label 5", "none of 3 classes (0 to 2)", "labels[1]")),
    Row("a label that is no class", lambda: fg.losses.softmax_cross_entropy_with_integer_labels(X, np.array([0, 3])), IndexError, ("softmax_cross_entropy_with_integer_labels", "label 3", "3 classes (0 to 2)")),
    Row("a label far below the last class", lambda: fg.losses.softmax_cross_entropy_with_integer_labels(X, np.array([0, -4])), IndexError, ("label -4", "3 classes")),
    Row("a label that is no class, for hinges", lambda: fg.losses.multiclass_hinge_loss(X, np.array([0, 3])), IndexError, ("multiclass_hinge_loss", "label 3")),
    Row("a negative label for the focal loss", lambda: fg.losses.softmax_focal_loss(X, np.array([0, -1])), IndexError, ("softmax_focal_loss", "label -1")),
    Row("a label that is no class, for sequences", lambda: fg.losses.ctc_loss(np.zeros((1, 4, 3)), np.zeros((1, 4)), np.array([[1, 5]]), np.zeros((1, 2))), IndexError, ("ctc_loss", "label 5", "3 classes")),
    Row("labels to ignore that are no integer", lambda: fg.losses.softmax_cross_entropy_with_integer_labels(X, np.array([0, 1]), ignore_index=1.5), TypeError, ("ignore_index", "1.5")),
    Row("labels that are smoothed twice over", lambda: fg.losses.softmax_cross_entropy(X, np.eye(3)[:2], label_smoothing=2), ValueError, ("softmax_cross_entropy", "label_smoothing", "between 0 and 1", "2")),
    Row("integer labels that are smoothed twice over", lambda: fg.losses.softmax_cross_entropy_with_integer_labels(X, np.array([0, 1]), label_smoothing=2), ValueError, ("label_smoothing", "between 0 and 1", "2")),
    Row("labels that are sharpened", lambda: fg.losses.smooth_labels(np.eye(3), -0.5), ValueError, ("smooth_labels", "alpha", "-0.5")),
    Row("a quantile above 1", lambda: fg.losses.quantile_loss(V, V, quantile=1.5), ValueError, ("quantile_loss", "between 0 and 1", "1.5")),
    Row("a negative delta", lambda: fg.losses.huber_loss(V, V, delta=-1.0), ValueError, ("huber_loss", "delta", "-1.0")),
    Row("a focus on what is easy", lambda: fg.losses.sigmoid_focal_loss(V, V, gamma=-1.0), ValueError, ("sigmoid_focal_loss", "gamma", "-1.0")),
    Row("a temperature of zero", lambda: fg.losses.ntxent(X, np.array([0, 0]), temperature=0.0), ValueError, ("ntxent", "temperature", "greater than 0")),
    Row("a norm of degree zero", lambda: fg.losses.triplet_margin_loss(X, X, X, norm_degree=0), ValueError, ("triplet_margin_loss", "norm_degree", "greater than 0")),
    Row("weights for other losses", lambda: fg.losses.weighted_mean(X, np.ones(4)), ValueError, ("weighted_mean", "(4,)", "(2, 3)")),
    Row("labels that are floats", lambda: fg.losses.softmax_cross_entropy_with_integer_labels(X, np.array([0.0, 1.0])), TypeError, ("integer", "float64")),
    Row("labels of another shape", lambda: fg.losses.softmax_cross_entropy_with_integer_labels(X, np.array([0, 1, 2])), ValueError, ("(3,)", "(2, 3)")),
    Row("numbers of classes where their probabilities are wanted", lambda: fg.losses.softmax_cross_entropy(X, np.array([0, 1])), ValueError, ("(2,)", "(2, 3)", "softmax_cross_entropy_with_integer_labels")),
    Row("one-hot codes where numbers of classes are wanted", lambda: fg.losses.softmax_cross_entropy_with_integer_labels(X, np.eye(3)[:2]), TypeError, ("integer", "float64", "one-hot")),
    Row("labels for other examples", lambda: fg.losses.softmax_cross_entropy(X, np.ones((4, 3))), ValueError, ("(4, 3)", "(2, 3)")),
    Row("an epoch over rows in lists", lambda: fg.training.fit_epoch(lambda p, b: np.sum(p * b), fg.optim.sgd(0.1), 2)(1.0, fg.optim.sgd(0.1).init(1.0), [[1.0], [2.0]]), ValueError, ("fit_epoch", "np.asarray")),
    Row("the state of another optimiser", lambda: adam.update({"a": V}, fg.optim.sgd(0.1, 0.9).init({"a": V})), ValueError, ("TraceState", "optimizer.init(params)")),
    Row("a learning rate that is a text", lambda: fg.optim.adam("0.1"), TypeError, ("'0.1'", "schedule")),
    Row("an initialiser that was not called", lambda: layers.dense(3, kernel_init=fg.nn.initializers.he_normal).init(fg.random.key(0), (1, 2)), TypeError, ("dense", "call it first")),
    Row("texts into a layer", lambda: dense.apply(params, np.array([["a", "b"]])), TypeError, ("dense", "<U1")),
    Row("predictions and targets of other shapes", lambda: fg.losses.l2_loss(V, np.ones(4)), ValueError, ("(3,)", "(4,)")),
    Row("the gradient of a loss per example", lambda: fg.grad(lambda p: fg.losses.l2_loss(p, V))(V), TypeError, ("scalar-output", "np.mean")),
    Row("a checkpoint that is none", lambda: fg.training.load_checkpoint(__file__, params), errors.CheckpointError, ("checkpoint",)),
]  # fmt: skip
