"""How do layers make a network?  One after the other, around each other, side by side.

A network is a layer. Its parameters are a dictionary with an entry for each of its layers that has any, named by place
and kind: ``{"0_dense": {...}, "2_dense": {...}}`` where layer 1 is a relu; state likewise. So key paths, checkpoints
and labels of optimisers read like the network.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from typing import Any

from funcgrad import numpy as np
from funcgrad import random
from funcgrad.errors import at_line
from funcgrad.nn.layers._core import Layer, Params, State, here, layer, shape_after, shape_of, traced_shape


class Children:
    """Layers by their names in a network, in order; parameters and state have entries for those that have any."""

    def __init__(self, owner: str, layers: Sequence[Any], names: Sequence[str] | None = None) -> None:
        for number, child in enumerate(layers):
            if not isinstance(child, Layer):
                hint = ": was it called, as in dense(10)?" if callable(child) else ""
                raise TypeError(f"{owner}: argument {number} must be a layer, not {child!r}{hint}{at_line()}")
        labels = names or [f"{number}_{child.name}" for number, child in enumerate(layers)]
        self.layers = {label: child.named(label) for label, child in zip(labels, layers, strict=True)}
        self.accepts = tuple(dict.fromkeys(name for child in layers for name in child.accepts))

    def keys(self, key: Any) -> list[Any]:
        """A key of its own for each layer, if there is one."""
        count = len(self.layers)
        if key is None or not count:
            return [None] * count
        keys = random.split(key, count)
        return [keys[number] for number in range(count)]

    def init(self, key: Any, shapes: Sequence[Any]) -> Params:
        parts = zip(self.layers.items(), self.keys(key), shapes, strict=True)
        return _filled((label, child.init(own, shape)) for (label, child), own, shape in parts)

    def states(self, what: str, shapes: Sequence[Any]) -> State:
        """Of `init_state` or `init_cache`."""
        parts = zip(self.layers.items(), shapes, strict=True)
        return _filled((label, (getattr(child, what) or child.init_state)(shape)) for (label, child), shape in parts)

    def check(self, params: Any, state: Any) -> None:
        """That parameters and state are those of these layers."""
        for what, maker, found in (("parameters", "init", params), ("state", "init_state", state or {})):
            if not isinstance(found, Mapping):
                made = f"must be the dictionary that `{maker}` of the same network returns"
                raise ValueError(f"{here()}: {what} {made}, not of type {type(found).__name__}{at_line()}")
            strange = [label for label in found if label not in self.layers]
            if strange:
                names = ", ".join(self.layers)
                raise ValueError(f"{here()}: {what} for {strange[0]!r}, but the layers are {names}{at_line()}")

    def apply(self, label: str, x: Any, params: Any, key: Any, train: bool, state: Any, inputs: Any) -> Any:
        """The output of one of them, and its new state if there is state at all."""
        child = self.layers[label]
        own = {name: value for name, value in inputs.items() if name in child.accepts}
        part = params.get(label, {})
        if state is None:
            return child.apply(part, x, key=key, train=train, **own), {}
        return child.apply(part, x, key=key, train=train, state=state.get(label, {}), **own)


def _filled(parts: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The entries that are not empty dictionaries."""
    return {label: part for label, part in parts if not isinstance(part, dict) or part}


class Chain(Children):
    """Layers one after the other."""

    def shapes(self, input_shape: Any) -> list[Any]:
        """The shapes of what each layer takes, and of what the last one gives."""
        found = [input_shape]
        for child in self.layers.values():
            found.append(shape_after(child, found[-1]))
        return found

    def run(self, params: Any, x: Any, key: Any, train: bool, state: Any, inputs: Any) -> tuple[Any, State]:
        self.check(params, state)
        states = {}
        for label, own in zip(self.layers, self.keys(key), strict=True):
            x, states[label] = self.apply(label, x, params, own, train, state, inputs)
        return x, _filled(states.items())


def serial(*layers: Layer, name: str = "serial") -> Layer:
    """Layers one after the other.

    Parameters
    ----------
    layers
        Each takes what the one before it gives.
    name
        The network's name, with which the paths of its layers begin: ``net/1_dense``.

    Returns
    -------
    Layer
        Parameters: ``{"0_dense": ..., "1_relu": ...}``, without entries for layers that have none; state likewise.

    Examples
    --------
    >>> import funcgrad as fg
    >>> from funcgrad.nn import layers
    >>> net = layers.serial(layers.dense(4), layers.relu, layers.dense(2), name="net")
    >>> params = net.init(fg.random.key(0), (1, 3))
    >>> fg.tree.map(lambda p: p.shape, params)
    {'0_dense': {'kernel': (3, 4), 'bias': (4,)}, '2_dense': {'kernel': (4, 2), 'bias': (2,)}}
    >>> net.apply(params, fg.numpy.ones((5, 3))).shape
    (5, 2)
    """
    return _chain(name, Chain(name, layers))


def _chain(name: str, chain: Chain) -> Layer:
    def forward(params: Any, x: Any, key: Any, train: bool, state: Any, **inputs: Any) -> tuple[Any, State]:
        return chain.run(params, x, key, train, state, inputs)

    return layer(
        name,
        forward,
        init=lambda key, shape: chain.init(key, chain.shapes(shape)[:-1]),
        init_state=lambda shape: chain.states("init_state", chain.shapes(shape)[:-1]),
        init_cache=lambda shape: chain.states("init_cache", chain.shapes(shape)[:-1]),
        output_shape=lambda shape: chain.shapes(shape)[-1],
        accepts=chain.accepts,
    )


def residual(*layers: Layer, shortcut: Layer | None = None, name: str = "residual") -> Layer:
    """``x + f(x)``, where f is the layers one after the other (He et al. 2015).

    Parameters
    ----------
    layers
        What is added to its own input.
    shortcut
        What to apply to the input where the layers change its shape, such as ``dense(n)`` or ``conv(n, 1, strides=2)``.

    Returns
    -------
    Layer
        Parameters as those of `serial`, and those of the shortcut under ``"shortcut"``.

    Raises
    ------
    ValueError
        The shapes of x and f(x) differ.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.nn import layers
    >>> layers.residual(layers.fn(np.sin)).apply({}, np.zeros(2))
    Array([0., 0.])
    """
    chain = Chain(name, layers)
    beside = Chain(name, [] if shortcut is None else [shortcut], [] if shortcut is None else ["shortcut"])
    both = Children(name, [*layers, *beside.layers.values()], [*chain.layers, *beside.layers])

    def shapes(input_shape: Any) -> tuple[list[Any], Any]:
        through, around = chain.shapes(input_shape), beside.shapes(input_shape)
        _same_shape(through[-1], around[-1])
        return [*through[:-1], *around[:-1]], through[-1]

    def forward(params: Any, x: Any, key: Any, train: bool, state: Any, **inputs: Any) -> tuple[Any, State]:
        both.check(params, state)
        keys = dict(zip(both.layers, both.keys(key), strict=True))
        states = {}
        y = x
        for label in chain.layers:
            y, states[label] = both.apply(label, y, params, keys[label], train, state, inputs)
        for label in beside.layers:
            x, states[label] = both.apply(label, x, params, keys[label], train, state, inputs)
        _same_shape(shape_of(y), shape_of(x))
        return x + y, _filled(states.items())

    return layer(
        name,
        forward,
        init=lambda key, shape: both.init(key, shapes(shape)[0]),
        init_state=lambda shape: both.states("init_state", shapes(shape)[0]),
        init_cache=lambda shape: both.states("init_cache", shapes(shape)[0]),
        output_shape=lambda shape: shapes(shape)[1],
        accepts=both.accepts,
    )


def _same_shape(through: Any, around: Any) -> None:
    if through != around:
        raise ValueError(
            f"{here()}: the layers turn {around} into {through}, which cannot be added to it: "
            f"pass shortcut=, a layer that changes the input's shape likewise{at_line()}"
        )


def _concatenated(*ys: Any) -> Any:
    return np.concatenate(ys, axis=-1)


# How outputs of parallel layers become one
COMBINE: dict[str, Callable[..., Any]] = {
    "concatenate": _concatenated,
    "add": lambda *ys: reduce(operator.add, ys),
    "multiply": lambda *ys: reduce(operator.mul, ys),
    "tuple": lambda *ys: ys,
}


def parallel(*layers: Layer, combine: str | Callable[..., Any] = "concatenate", name: str = "parallel") -> Layer:
    """Layers that take the same input, side by side.

    Parameters
    ----------
    layers
        Each takes the input.
    combine
        What becomes of their outputs: ``"concatenate"`` (along the last axis), ``"add"``, ``"multiply"``, ``"tuple"``,
        or a function of them.

    Returns
    -------
    Layer
        Parameters and state as those of `serial`.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.nn import layers
    >>> layers.parallel(layers.relu, layers.fn(np.negative)).apply({}, np.array([1.0, 2.0]))
    Array([ 1.,  2., -1., -2.])
    """
    return beside(name, Children(name, layers), combine)


def beside(name: str, children: Children, combine: str | Callable[..., Any]) -> Layer:
    """Layers that take the same input."""
    if not children.layers:
        raise ValueError(f"{name}: at least one layer is needed{at_line()}")
    if not callable(combine) and combine not in COMBINE:
        known = ", ".join(COMBINE)
        raise ValueError(f"{name}: combine must be a function or one of {known}, not {combine!r}{at_line()}")
    joined: Callable[..., Any] = combine if callable(combine) else COMBINE[combine]
    count = len(children.layers)

    def forward(params: Any, x: Any, key: Any, train: bool, state: Any, **inputs: Any) -> tuple[Any, State]:
        children.check(params, state)
        ys, states = [], {}
        for label, own in zip(children.layers, children.keys(key), strict=True):
            y, states[label] = children.apply(label, x, params, own, train, state, inputs)
            ys.append(y)
        return _joined(joined, ys), _filled(states.items())

    def output_shape(shape: Any) -> Any:
        parts = tuple(shape_after(child, shape) for child in children.layers.values())
        return traced_shape(lambda ys: _joined(joined, ys), parts)

    return layer(
        name,
        forward,
        init=lambda key, shape: children.init(key, [shape] * count),
        init_state=lambda shape: children.states("init_state", [shape] * count),
        init_cache=lambda shape: children.states("init_cache", [shape] * count),
        output_shape=output_shape,
        accepts=children.accepts,
    )


def _joined(combine: Callable[..., Any], ys: Sequence[Any]) -> Any:
    try:
        return combine(*ys)
    except ValueError as error:
        shapes = ", ".join(str(shape_of(y)) for y in ys)
        raise ValueError(f"{here()}: outputs of shapes {shapes} cannot be combined: {error}{at_line()}") from None
