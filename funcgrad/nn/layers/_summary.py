"""What is a network made of, and how large is it?  A table of its layers, found by tracing: nothing is computed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from funcgrad import random, tree
from funcgrad.api import eval_shape
from funcgrad.errors import at_line
from funcgrad.nn.layers._core import FLOAT, Layer, checked_shape, listening
from funcgrad.trace.frame import type_of
from funcgrad.trace.function import ShapeDtypeStruct

HEADERS = ("layer", "output", "parameters")
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


class Row(NamedTuple):
    """A layer: how deep it stands, its name, its output's shape and dtype, its parameters and its layers'."""

    depth: int
    name: str
    output: str
    parameters: int


class Summary(NamedTuple):
    """The layers of a network, in the order in which they run; it prints as a table."""

    rows: tuple[Row, ...]
    parameters: int
    parameter_bytes: int
    state: int

    def __str__(self) -> str:
        body = [("  " * row.depth + row.name, row.output, f"{row.parameters:,}") for row in self.rows]
        widths = [max(len(cells[k]) for cells in (HEADERS, *body)) for k in range(3)]
        lines = [_line(cells, widths) for cells in (HEADERS, *body)]
        rule = "-" * max(map(len, lines))
        state = f"; {self.state:,} numbers of state" if self.state else ""
        total = f"{self.parameters:,} parameters, {_size(self.parameter_bytes)}{state}"
        return "\n".join((lines[0], rule, *lines[1:], rule, total))

    def __repr__(self) -> str:
        return str(self)


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    name, output, count = cells
    return f"{name:<{widths[0]}}  {output:<{widths[1]}}  {count:>{widths[2]}}"


def _size(count: int) -> str:
    """Bytes in the largest unit that leaves a number of at least 1."""
    power = min(int(math.log(count, 1024)), len(UNITS) - 1) if count else 0
    return f"{count:,} {UNITS[0]}" if not power else f"{count / 1024**power:,.1f} {UNITS[power]}"


class Listener:
    """Notes each layer as it is entered and left."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.depth = 0

    def enter(self, name: str, params: Any) -> int:
        self.rows.append(Row(self.depth, name, "", count_parameters(params)))
        self.depth += 1
        return len(self.rows) - 1

    def leave(self, row: int, y: Any) -> None:
        self.depth -= 1
        outputs = (f"{type_of(leaf).shape} {type_of(leaf).dtype.name}" for leaf in tree.leaves(y))
        self.rows[row] = self.rows[row]._replace(output=", ".join(outputs))


def count_parameters(params: Any) -> int:
    """How many numbers a pytree of arrays holds.

    Returns
    -------
    int
        The sum of the leaves' sizes.

    Examples
    --------
    >>> import funcgrad as fg
    >>> from funcgrad.nn import layers
    >>> layers.count_parameters(layers.dense(10).init(fg.random.key(0), (1, 784)))
    7850
    """
    return sum(math.prod(leaf.shape) for leaf in _shaped(params))


def _shaped(params: Any) -> Iterator[Any]:
    for leaf in tree.leaves(params):
        if isinstance(leaf, Layer) or callable(leaf):
            raise TypeError(f"count_parameters takes parameters; for layers use summary(layer, input_shape){at_line()}")
        yield leaf if isinstance(leaf, ShapeDtypeStruct) else type_of(leaf)


def summary(layer: Layer, input_shape: Any, *, dtype: Any = FLOAT, train: bool = False, **inputs: Any) -> Summary:
    """The layers of a network with their outputs and numbers of parameters, as a table.

    Parameters
    ----------
    layer
        A network.
    input_shape
        With the batch axis in front.
    dtype
        Of the input: ``int`` for networks that begin with an embedding.
    train
        Which way to run it; with True, a key is there.
    inputs
        Arrays, or `ShapeDtypeStruct`s, for further inputs such as `memory`.

    Returns
    -------
    Summary
        Prints as a table; `rows`, `parameters` (how many), `parameter_bytes` and `state` (how many numbers). A row
        counts the parameters of the layers within it.

    Raises
    ------
    TypeError
        It is no layer.

    Notes
    -----
    Shapes are found by `eval_shape`: no parameter is drawn and no array computed.

    Examples
    --------
    >>> from funcgrad.nn import layers
    >>> net = layers.serial(layers.flatten(), layers.dense(128), layers.relu, layers.dense(10), name="net")
    >>> layers.summary(net, (1, 28, 28))
    layer        output            parameters
    -----------------------------------------
    net          (1, 10) float32      101,770
      0_flatten  (1, 784) float32           0
      1_dense    (1, 128) float32     100,480
      2_relu     (1, 128) float32           0
      3_dense    (1, 10) float32        1,290
    -----------------------------------------
    101,770 parameters, 397.5 KiB
    """
    if not isinstance(layer, Layer):
        raise TypeError(f"summary takes a layer, not {layer!r} of type {type(layer).__name__}{at_line()}")
    shape = checked_shape(input_shape)
    params = _params(layer, shape)
    state = eval_shape(lambda: layer.init_state(shape))
    key = random.key(0) if train else None

    def run(params: Any, x: Any, state: Any, inputs: Any) -> Any:
        return layer.apply(params, x, key=key, train=train, state=state, **inputs)

    before, listening.listener = listening.listener, Listener()
    try:
        eval_shape(run, params, ShapeDtypeStruct(shape, dtype), state, inputs)
        rows = tuple(listening.listener.rows)
    finally:
        listening.listener = before
    size = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in tree.leaves(params))
    return Summary(rows, count_parameters(params), size, count_parameters(state))


def _params(layer: Layer, shape: Any) -> Any:
    """The shapes of the parameters: even their random numbers are not drawn."""
    before, listening.shapes_only = listening.shapes_only, True
    try:
        return eval_shape(lambda key: layer.init(key, shape), random.key(0))
    finally:
        listening.shapes_only = before
