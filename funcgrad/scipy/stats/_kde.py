"""A density from samples, as a sum of normal densities around them: `gaussian_kde`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as _np

from funcgrad import numpy as np
from funcgrad.errors import at_line
from funcgrad.ops.transcendental import erfc
from funcgrad.scipy import linalg
from funcgrad.scipy._values import floating
from funcgrad.trace.frame import type_of
from funcgrad.tracebacks import boundary
from funcgrad.tree_util import register_pytree_node_class


@register_pytree_node_class
class gaussian_kde:
    """A density from samples: the mean of normal densities around them (B. W. Silverman, Density Estimation, 1986).

    Parameters
    ----------
    dataset
        Shape ``(n,)`` or ``(d, n)``: n samples of d numbers.
    bw_method
        ``"scott"`` (also None), ``"silverman"``, a number, or a function of the estimate: the factor of the width.
    weights
        Of the samples, shape ``(n,)``.

    Attributes
    ----------
    dataset, weights, covariance, inv_cov, neff
        Samples of shape ``(d, n)``, weights that sum to 1, the covariance of the kernel, its inverse, and the
        effective number of samples.

    Examples
    --------
    >>> kde = gaussian_kde([-1.0, 0.0, 1.0])
    >>> kde(0.0), kde.pdf(0.0), kde.evaluate(0.0)
    (Array([0.31815622]), Array([0.31815622]), Array([0.31815622]))
    >>> kde.logpdf([0.0, 1.0])
    Array([-1.14521276, -1.38892778])
    >>> kde.integrate_box_1d(-1.0, 1.0)
    Array(0.59147165)
    >>> kde.integrate_gaussian(0.0, 1.0), kde.integrate_kde(kde)
    (Array(0.25672685), Array(0.23964369))
    """

    __slots__ = ("covariance", "dataset", "inv_cov", "neff", "weights")
    _fields = ("neff", "dataset", "weights", "covariance", "inv_cov")

    @boundary
    def __init__(self, dataset: Any, bw_method: str | float | Callable[..., Any] | None = None, weights: Any = None):
        (x,) = floating("gaussian_kde", dataset)
        x = np.atleast_2d(x)
        d, n = type_of(x).shape
        if n * d < 2:
            raise ValueError(f"gaussian_kde: dataset should have several elements, not shape {(d, n)}{at_line()}")
        if weights is None:
            w = np.full(n, 1.0 / n, type_of(x).dtype)
        else:
            x, w = floating("gaussian_kde", x, weights)
            if type_of(w).shape != (n,):
                raise ValueError(f"gaussian_kde: weights have shape {type_of(w).shape}, not ({n},){at_line()}")
            w = w / np.sum(w)
        self.dataset, self.weights = x, w
        self.neff = 1 / np.sum(w**2)
        factor = self._factor(bw_method)
        centred = x - np.sum(w * x, axis=1, keepdims=True)
        covariance = (w * centred) @ centred.T / (1 - np.sum(w**2))
        self.covariance = covariance * factor**2
        self.inv_cov = linalg.inv(covariance) / factor**2

    def _factor(self, method: Any) -> Any:
        d = self.d
        if method is None or (isinstance(method, str) and method == "scott"):
            return self.neff ** (-1.0 / (d + 4))
        if isinstance(method, str) and method == "silverman":
            return (self.neff * (d + 2) / 4.0) ** (-1.0 / (d + 4))
        if callable(method):
            return method(self)
        if isinstance(method, str) or _np.ndim(method):
            raise ValueError(
                f"gaussian_kde: bw_method is 'scott', 'silverman', a number or a function, not {method!r}{at_line()}"
            )
        return method

    def tree_flatten(self) -> tuple[tuple[Any, ...], None]:
        """The arrays, for transformations."""
        return tuple(getattr(self, name) for name in self._fields), None

    @classmethod
    def tree_unflatten(cls, aux_data: None, children: tuple[Any, ...]) -> gaussian_kde:
        """The estimate from its arrays."""
        kde = cls.__new__(cls)
        for name, value in zip(cls._fields, children, strict=True):
            setattr(kde, name, value)
        return kde

    @property
    def d(self) -> int:
        """How many numbers a sample has."""
        return int(type_of(self.dataset).shape[0])

    @property
    def n(self) -> int:
        """How many samples there are."""
        return int(type_of(self.dataset).shape[1])

    # Densities -------------------------------------------------------------------------------------------------------

    def _points(self, points: Any) -> Any:
        (points,) = floating("gaussian_kde", points)
        points = np.atleast_2d(points)
        d, m = type_of(points).shape
        if d == self.d:
            return points
        if d == 1 and m == self.d:
            return np.reshape(points, (self.d, 1))
        raise ValueError(f"gaussian_kde: points have dimension {d}, the dataset has dimension {self.d}{at_line()}")

    def logpdf(self, x: Any) -> Any:
        """The logarithm of the density.

        Parameters
        ----------
        x
            Points of shape ``(d, m)``; ``(m,)`` if samples are numbers, ``(d,)`` for one point.

        Returns
        -------
        Array
            Of shape ``(m,)``, and of the samples' dtype.
        """
        points = self._points(x)
        white = linalg.cholesky(self.inv_cov, lower=True)
        difference = (white.T @ points)[:, :, None] - (white.T @ self.dataset)[:, None, :]
        exponents = np.log(self.weights) - 0.5 * np.sum(difference * difference, axis=0)
        top = np.max(exponents, axis=1, keepdims=True)
        total = np.log(np.sum(np.exp(exponents - top), axis=1)) + top[:, 0]
        return np.asarray(total + np.sum(np.log(np.diagonal(white))) - 0.5 * self.d * math.log(2 * math.pi))

    def evaluate(self, points: Any) -> Any:
        """The density.

        Parameters
        ----------
        points
            Of shape ``(d, m)``; ``(m,)`` if samples are numbers, ``(d,)`` for one point.

        Returns
        -------
        Array
            Of shape ``(m,)``, and of the samples' dtype.
        """
        return np.exp(self.logpdf(points))

    __call__ = pdf = evaluate

    # Integrals -------------------------------------------------------------------------------------------------------

    def _convolved(self, covariance: Any, points: Any) -> Any:
        """The normal density of this covariance between every sample and points of shape (d, m), weighted: (m,)."""
        factor = linalg.cholesky(covariance, lower=True)
        difference = self.dataset[:, :, None] - points[:, None, :]
        white = linalg.solve_triangular(factor, np.reshape(difference, (self.d, -1)), lower=True)
        energy = np.reshape(0.5 * np.sum(white * white, axis=0), type_of(difference).shape[1:])
        norm = math.sqrt(2 * math.pi) ** self.d * np.prod(np.diagonal(factor))
        return self.weights @ np.exp(-energy) / norm

    def integrate_gaussian(self, mean: Any, cov: Any) -> Any:
        """The integral of the density times a normal one.

        Parameters
        ----------
        mean, cov
            Of that: shapes ``(d,)`` and ``(d, d)``, or numbers where `d` is 1.

        Returns
        -------
        Array
            A number.

        Raises
        ------
        ValueError
            The shapes are others.
        """
        mean, cov = floating("integrate_gaussian", mean, cov)
        mean, cov = np.atleast_1d(np.squeeze(mean)), np.atleast_2d(cov)
        if type_of(mean).shape != (self.d,) or type_of(cov).shape != (self.d, self.d):
            raise ValueError(
                f"integrate_gaussian: mean and cov have shapes {type_of(mean).shape} and {type_of(cov).shape}, "
                f"the samples have dimension {self.d}{at_line()}"
            )
        return np.asarray(self._convolved(self.covariance + cov, mean[:, None])[0])

    def integrate_box_1d(self, low: Any, high: Any) -> Any:
        """The probability between two numbers; for samples that are numbers.

        Parameters
        ----------
        low, high
            The numbers.

        Returns
        -------
        Array
            A number.

        Raises
        ------
        ValueError
            The samples, or the limits, are no numbers.
        """
        if self.d != 1:
            raise ValueError(f"integrate_box_1d is for samples that are numbers{at_line()}")
        if np.ndim(low) or np.ndim(high):
            raise ValueError(f"integrate_box_1d: the limits must be numbers{at_line()}")
        root = -1 / np.sqrt(2 * self.covariance[0, 0])
        ends = (erfc(root * (end - self.dataset[0])) for end in (high, low))
        upper, lower = ends
        return np.asarray(0.5 * np.sum(self.weights * (upper - lower)))

    def integrate_kde(self, other: gaussian_kde) -> Any:
        """The integral of the product with another such density.

        Parameters
        ----------
        other
            That, of samples of the same dimension.

        Returns
        -------
        Array
            A number.

        Raises
        ------
        ValueError
            The dimensions differ.
        """
        if other.d != self.d:
            raise ValueError(f"integrate_kde: the samples have dimensions {self.d} and {other.d}{at_line()}")
        return np.sum(self._convolved(self.covariance + other.covariance, other.dataset) * other.weights)
