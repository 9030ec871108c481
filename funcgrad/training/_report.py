"""How does the error travel back through a network?  `gradient_report` looks at one batch."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import numpy as np

from funcgrad import tree
from funcgrad.arguments import check_callable, check_inputs, function_name
from funcgrad.errors import at_line
from funcgrad.trace.function import leaf_types
from funcgrad.trace.tracer import Tracer
from funcgrad.training import _plots, _tables
from funcgrad.training._measures import LayerReport, ParameterReport, layer, parameter
from funcgrad.training._origins import Origin, state
from funcgrad.training._probes import Probe, probe

UNSEEN = (Origin("NaN or infinity", "the compiled program alone: computed step by step with NumPy, all is finite"),)


class GradientReport(NamedTuple):
    """What `gradient_report` found: ``print(report)`` for tables, ``report.plot()`` for a figure.

    Attributes
    ----------
    loss
        Its value.
    layers
        The activations, in the order in which they are computed.
    parameters
        The leaves of the parameters.
    origins
        Where NaN or infinity began; empty if the loss and its gradients are finite.
    """

    loss: float
    layers: tuple[LayerReport, ...]
    parameters: tuple[ParameterReport, ...]
    origins: tuple[Origin, ...]

    @property
    def findings(self) -> tuple[str, ...]:
        """What is wrong, in sentences; empty where nothing seems to be."""
        return _tables.findings(self.layers, self.parameters, self.origins)

    def __str__(self) -> str:
        return _tables.text(self.loss, self.layers, self.parameters, self.findings)

    def plot(self, path: Any = None) -> Any:
        """A `matplotlib` figure; notebooks show it after ``%matplotlib inline``.

        Its panels: how large the signal is on its way through the layers and back, the shares of dead and saturated
        units, and how large parameters, gradients and updates are.

        Parameters
        ----------
        path
            Where to save the figure too; the suffix says in which format.

        Returns
        -------
        matplotlib.figure.Figure
            The figure.

        Raises
        ------
        ModuleNotFoundError
            If `matplotlib` is not installed.
        """
        return _plots.figure(self.loss, self.layers, self.parameters, path)


def gradient_report(
    loss: Callable[..., Any], *, optimizer: Any = None, learning_rate: Any = None, has_aux: bool = False
) -> Callable[..., GradientReport]:
    """The function that reports on a loss: how large activations, gradients and updates are, layer by layer.

    Layers are found in the loss's program: they are the outputs of named scopes (`named_scope`; the layers of
    `funcgrad.nn.layers` run in such) and, outside of scopes, what products, convolutions and loops read and what the
    last of them puts out, known by the user's line.

    Parameters
    ----------
    loss
        ``loss(params, *args)``, a real number; it may be jitted.
    optimizer
        One of `funcgrad.optim`, for the norms of updates. Its state is the initial one, or ``opt_state``.
    learning_rate
        Instead of an optimiser: the updates are those of gradient descent.
    has_aux
        Whether the loss returns ``(value, aux)``.

    Returns
    -------
    Callable
        ``report(params, *args, opt_state=None, **kwargs)`` gives a `GradientReport`. Derivatives are by all leaves of
        `params`, which must be floating.

    Raises
    ------
    TypeError
        If the loss cannot be called or its value is no real number, if a leaf of `params` is not floating, and inside
        of transformations.
    ValueError
        If both an optimiser and a learning rate are given.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> def loss(params, x):
    ...     for w in params:
    ...         x = np.tanh(x @ w)
    ...     return np.sum(x)
    >>> params = [np.full((4, 4), 0.01)] * 3
    >>> report = fg.training.gradient_report(loss, learning_rate=0.1)(params, np.ones((2, 4)))
    >>> [f"{layer.gradient:.0e}" for layer in report.layers]
    ['5e-03', '1e-01', '3e+00']
    """
    check_callable(loss, "gradient_report")
    if optimizer is not None and learning_rate is not None:
        raise ValueError(f"gradient_report takes an optimizer or a learning_rate, not both{at_line()}")
    probes: dict[Hashable, Probe] = {}

    def report(params: Any, *args: Any, opt_state: Any = None, **kwargs: Any) -> GradientReport:
        """The report for these parameters and this batch."""
        leaves, structure = tree.flatten(((params, *args), kwargs))
        if any(type(x) is Tracer for x in leaves):
            raise TypeError(
                f"gradient_report of {function_name(loss)} needs known arrays: call it outside of jit, grad and vmap"
                f"{at_line()}"
            )
        types = leaf_types("gradient_report", leaves, structure)
        own, params_structure = tree.flatten(params)
        check_inputs((params,), own, False, False, "gradient_report")
        key = (structure, tuple(types))
        if key not in probes:
            probes[key] = probe(loss, structure, types, len(own), has_aux)
        ready = probes[key]
        zeros = [np.zeros(a.var.type.shape, a.var.type.dtype) for a in ready.found]
        (value, values), (gradients, cotangents) = ready.run(own, zeros, leaves[len(own) :])
        updates = _updates(optimizer, learning_rate, params, params_structure.unflatten(gradients), opt_state)
        paths = [tree.keystr(path) or "params" for path, _ in tree.leaves_with_path(params)]
        bad = any(map(state, (value, *gradients)))
        return GradientReport(
            float(value),
            tuple(map(layer, ready.found, values, cotangents)),
            tuple(map(parameter, paths, own, gradients, updates)),
            (tuple(ready.origins(own, zeros, leaves[len(own) :])) or UNSEEN) if bad else (),
        )

    return report


def _updates(optimizer: Any, learning_rate: Any, params: Any, gradients: Any, opt_state: Any) -> list[Any]:
    """The update of every leaf, or None."""
    if learning_rate is not None:
        return [learning_rate * g for g in tree.leaves(gradients)]
    if optimizer is None:
        return [None for _ in tree.leaves(gradients)]
    known = optimizer.init(params) if opt_state is None else opt_state
    return tree.leaves(optimizer.update(gradients, known, params)[0])
