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
    Row("dropout of too much", lambda: layers.dropout(1.5), ValueError, ("1.5",)),
    Row("a network of no layers' functions", lambda: layers.serial(3), TypeError, ("layer", "3")),
    Row("a layer that was not called", lambda: layers.serial(layers.dense), TypeError, ("layer",)),
    Row("a convolution on a matrix", lambda: layers.conv(4, (3, 3)).init(fg.random.key(0), (1, 3)), ValueError, ("shape", "(1, 3)")),
    Row("softmax over no axis", in_jit(lambda x: fg.nn.softmax(x, axis=3), V), np.exceptions.AxisError, ("axis 3",)),
    Row("one_hot of floats' width", lambda: fg.nn.one_hot(np.arange(3), 2.5), TypeError, ("2.5",)),
    Row("an optimiser with gradients of another structure", lambda: adam.update({"b": V}, state), ValueError, ("structure", "['b']")),
    Row("an optimiser with gradients of another shape", lambda: adam.update({"a": X}, state, {"a": V}), ValueError, ("(2, 3)", "(3,)")),
    Row("weight decay without parameters", lambda: fg.optim.adamw(1e-3).update({"a": V}, fg.optim.adamw(1e-3).init({"a": V})), ValueError, ("params", "update(updates, state, params)")),
    Row("an optimiser in a chain that was not called", lambda: fg.optim.chain(fg.optim.adam), TypeError, ("call it first", "adam(...)")),
    Row("apply_updates of another structure", lambda: fg.optim.apply_updates({"a": V}, {"b": V}), ValueError, ("structure", "b")),
    Row("a schedule of negative steps", lambda: fg.optim.cosine_decay_schedule(1.0, -5), ValueError, ("-5",)),
    Row("labels out of bounds", in_jit(fg.losses.softmax_cross_entropy_with_integer_labels, X, np.array([0, 5])), IndexError, ("out of bounds",)),
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
