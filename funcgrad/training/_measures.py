"""Which numbers tell how a layer and a parameter fare?  Norms, dead and saturated units."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from funcgrad.dtypes import kind_of
from funcgrad.quiet import quiet
from funcgrad.training._activations import Activation
from funcgrad.training._origins import WORDS, state

# Within this share of its range from an end, a function counts as saturated: the slope of the logistic function is
# 4 % of its largest there, that of tanh too.
NEAR = 0.01
BOUNDS = {"tanh": (-1.0, 1.0), "erf": (-1.0, 1.0), "logistic": (0.0, 1.0)}


class LayerReport(NamedTuple):
    """One activation, over the whole batch.

    Attributes
    ----------
    name, text
        The scope, or the user's line as ``file.py:12`` and what stands there (empty for a scope).
    shape
        Of the activation; a unit is an index of the last axis.
    norm, mean, std
        Of its elements: the 2-norm, the mean, the standard deviation.
    dead
        The share of units that are 0 for every example.
    saturated
        The share of elements within 1 % of the ends of the range of tanh, the logistic function or erf, if one of them
        made the activation; else None.
    gradient
        The 2-norm of the derivative of the loss by the activation.
    state
        What the activation holds: ``"finite"``, ``"infinity"`` or ``"NaN"``.
    """

    name: str
    text: str
    shape: tuple[int, ...]
    norm: float
    mean: float
    std: float
    dead: float
    saturated: float | None
    gradient: float
    state: str

    @property
    def rms(self) -> float:
        """The root mean square of the activation's elements."""
        return root_mean(self.norm, self.shape)

    @property
    def gradient_rms(self) -> float:
        """The root mean square of the derivatives, which can be compared between layers of different widths."""
        return root_mean(self.gradient, self.shape)


class ParameterReport(NamedTuple):
    """One leaf of the parameters.

    Attributes
    ----------
    name
        Its key path.
    shape
        Of the leaf.
    norm, gradient, update
        2-norms of the parameter, of its gradient, and of its update (None without optimiser and learning rate).
    state
        What the gradient holds: ``"finite"``, ``"infinity"`` or ``"NaN"``.
    """

    name: str
    shape: tuple[int, ...]
    norm: float
    gradient: float
    update: float | None
    state: str

    @property
    def gradient_rms(self) -> float:
        """The root mean square of the gradient's elements."""
        return root_mean(self.gradient, self.shape)

    @property
    def ratio(self) -> float | None:
        """The update's norm over the parameter's; about 1e-3 in trainings that go well."""
        if self.update is None:
            return None
        return self.update / self.norm if self.norm else math.inf if self.update else math.nan


def layer(activation: Activation, value: Any, cotangent: Any) -> LayerReport:
    """The numbers of one activation."""
    x = wide(value)
    real = np.abs(x) if x.dtype.kind == "c" else x
    with quiet():
        mean, std = (float(np.mean(real)), float(np.std(real))) if x.size else (math.nan, math.nan)
    return LayerReport(
        activation.name,
        activation.text,
        x.shape,
        norm(x),
        mean,
        std,
        _dead(x),
        _saturated(x, activation.made_by),
        norm(cotangent),
        WORDS[state(x)],
    )


def parameter(name: str, value: Any, gradient: Any, update: Any) -> ParameterReport:
    """The numbers of one leaf."""
    size = None if update is None else norm(update)
    return ParameterReport(name, np.shape(value), norm(value), norm(gradient), size, WORDS[state(gradient)])


def norm(x: Any) -> float:
    """The 2-norm of all elements; neither overflows nor underflows on the way."""
    x = np.abs(wide(x))
    largest = float(np.max(x, initial=0.0))
    if largest == 0 or not math.isfinite(largest):
        return largest
    return largest * math.sqrt(float(np.sum(np.square(x / largest))))


def wide(x: Any) -> np.ndarray:
    """`x` in double precision."""
    x = np.asarray(x)
    return np.asarray(x, np.complex128 if kind_of(x.dtype) == "c" else np.float64)


def root_mean(norm: float, shape: tuple[int, ...]) -> float:
    """The root mean square of the elements of an array of this norm."""
    return norm / math.sqrt(max(1, math.prod(shape)))


def _dead(x: np.ndarray) -> float:
    units = x.reshape(-1, x.shape[-1]) if x.ndim > 1 else x.reshape(1, -1)
    return float(np.mean(np.all(units == 0, axis=0))) if x.size else 0.0


def _saturated(x: np.ndarray, made_by: str) -> float | None:
    if made_by not in BOUNDS or not x.size:
        return None
    low, high = BOUNDS[made_by]
    margin = NEAR * (high - low)
    with quiet():
        return float(np.mean((x < low + margin) | (x > high - margin)))
