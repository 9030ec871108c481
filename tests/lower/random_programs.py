"""Which programs do random tests run?  Functions of arrays, drawn operation by operation.

A value is *exact* when NumPy and compiled code must agree in every bit: it was computed without a sum whose order is
free and without a transcendental function. Only exact values are compared, rounded down or searched, because there a
last bit decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad.ops.indexing import scatter_add
from funcgrad.ops.shape import pad

Choose = Callable[[Sequence[Any]], Any]
Operation = Callable[..., Any]
EXTENTS = (1, 2, 3, 5, 17, 0)
DTYPES = ("f4", "f8", "f8", "f4", "i4", "i8", "u1", "b1", "i2", "f2")
TOLERANCE = {"f2": 2e-2, "f4": 2e-5, "f8": 1e-13}
LARGEST = 2_000_000
np_ = fg.numpy


@dataclass
class Node:
    """A value of the program: what it is on the sample arguments, and how it is computed from earlier ones."""

    value: np.ndarray
    exact: bool
    operation: Operation | None = None
    operands: tuple[int, ...] = ()
    name: str = ""

    @property
    def kind(self) -> str:
        """``"f"``, ``"i"``, ``"u"`` or ``"b"``."""
        return self.value.dtype.kind


@dataclass
class Drawn:
    """A drawn function, its arguments, and its results by NumPy."""

    nodes: list[Node] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    @property
    def arguments(self) -> list[np.ndarray]:
        """The sample arguments."""
        return [node.value for node in self.nodes if node.operation is None]

    def __call__(self, *arguments: Any) -> list[Any]:
        """The function itself: it can be traced."""
        given = iter(arguments)
        values: list[Any] = []
        for node in self.nodes:
            values.append(
                next(given) if node.operation is None else node.operation(*(values[k] for k in node.operands))
            )
        return [values[k] for k in self.outputs]

    def text(self) -> str:
        """For a failing test's message."""
        lines = [
            f"v{k}:{n.value.dtype}{list(n.value.shape)} = {n.name}({', '.join(f'v{i}' for i in n.operands)})"
            for k, n in enumerate(self.nodes)
        ]
        return "\n".join([*lines, f"return {', '.join(f'v{k}' for k in self.outputs)}"])

    def compare(self, results: Sequence[Any], label: str) -> None:
        """Hold results against NumPy's."""
        scale = max((float(np.max(np.abs(n.value))) for n in self.nodes if n.kind == "f" and n.value.size), default=1.0)
        for number, (k, result) in enumerate(zip(self.outputs, results, strict=True)):
            node = self.nodes[k]
            where = f"{label}: output {number}\n{self.text()}"
            assert result.dtype == node.value.dtype, where
            assert result.shape == node.value.shape, where
            if node.exact:
                np.testing.assert_array_equal(result, node.value, where)
                continue
            worst = max(TOLERANCE[n.value.dtype.str[1:]] for n in self.nodes if n.kind == "f")
            np.testing.assert_allclose(result, node.value, rtol=worst, atol=worst * scale, err_msg=where)


def draw_program(
    choose: Choose, seed: int, length: int, extents: Sequence[int] = EXTENTS, largest: int = 20000
) -> Drawn:
    """Draw a function of `length` operations."""
    rng = np.random.default_rng(seed)
    drawn = Drawn()
    for _ in range(choose((1, 2, 3))):
        shape = tuple(choose(extents) for _ in range(choose((0, 1, 2, 2, 3))))
        while np.prod(shape, dtype=float) > largest:
            shape = shape[1:]
        drawn.nodes.append(Node(sample(rng, shape, choose(DTYPES)), True, name="argument"))
    tries = 0
    while sum(n.operation is not None for n in drawn.nodes) < length and tries < 10 * length:
        tries += 1
        rule = choose(RULES)
        k = choose(range(len(drawn.nodes)))
        made = rule(choose, rng, drawn.nodes, k)
        if made is None:
            continue
        name, operation, operands, exact = made
        with np.errstate(all="ignore"):
            value = np.asarray(operation(*(drawn.nodes[i].value for i in operands)))
        if value.size > largest or (value.dtype.kind == "f" and not np.all(np.abs(value) < 1e3)):
            continue
        exact = exact and all(drawn.nodes[i].exact for i in operands)
        drawn.nodes.append(Node(value, exact, operation, tuple(operands), name))
    used = {i for n in drawn.nodes for i in n.operands}
    drawn.outputs = [k for k in range(len(drawn.nodes)) if k not in used] or [len(drawn.nodes) - 1]
    drawn.outputs += [choose(range(len(drawn.nodes))) for _ in range(choose((0, 1)))]
    return drawn


def sample(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Elements with few bits, so that products of several stay exact."""
    if dtype == "b1":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype[0] in "iu":
        return rng.integers(0, 7, shape).astype(dtype) if dtype[0] == "u" else rng.integers(-5, 7, shape).astype(dtype)
    return (rng.integers(-16, 17, shape) / 8).astype(dtype)


# Rules: (choose, rng, nodes, k) -> (name, operation, operands, exact) or None ----------------------------------------

UNARY_FLOAT = (
    ("negative", True), ("abs", True), ("square", True), ("floor", True), ("sign", True), ("tanh", False),
    ("sin", False), ("logistic", False), ("sqrtabs", True), ("reciprocal", True), ("relu", True), ("isnan", True),
)  # fmt: skip
FLOAT_ONLY = {
    "logistic": lambda x: fg.nn.sigmoid(x),
    "sqrtabs": lambda x: np_.sqrt(abs(x)),
    "reciprocal": lambda x: 1 / (x * x + 1),
    "relu": lambda x: np_.maximum(x, 0),
}
DECISIVE = {"floor", "sign", "isnan"}


def unary(choose: Choose, rng: Any, nodes: list[Node], k: int) -> Any:
    kind = nodes[k].kind
    if kind == "f":
        name, exact = choose(UNARY_FLOAT)
        if name in DECISIVE and not nodes[k].exact:
            return None
        return name, FLOAT_ONLY.get(name) or getattr(np_, name), [k], exact
    if kind == "b":
        return "logical_not", np_.logical_not, [k], True
    name = choose(("negative", "abs", "square", "invert", "sign"))
    return name, getattr(np_, name), [k], True


def fits(*operands: np.ndarray) -> bool:
    """Whether arrays broadcast, and to something that is not too large."""
    try:
        return int(np.prod(np.broadcast_shapes(*(x.shape for x in operands)), dtype=float)) <= LARGEST
    except ValueError:
        return False


def cast(choose: Choose, rng: Any, nodes: list[Node], k: int) -> Any:
    target = np.dtype(choose(DTYPES))
    source = nodes[k].value
    if source.dtype.kind == "f" and target.kind in "iu":
        inside = source.size == 0 or (np.min(source) > (-1 if target.kind == "u" else -100) and np.max(source) < 100)
        if not (nodes[k].exact and inside):
            return None
    if not nodes[k].exact and (target.kind != "f" or target.itemsize < source.dtype.itemsize):
        return None
    return f"astype {target}", lambda x: x.astype(target), [k], True


def binary(choose: Choose, rng: Any, nodes: list[Node], k: int) -> Any:
    other = choose(range(len(nodes)))
    x, y = nodes[k], nodes[other]
    if not fits(x.value, y.value):
        return None
    operands = [k, other]
    if "f" in (x.kind, y.kind):
        names = (
            "add",
            "subtract",
            "multiply",
            "maximum",
            "minimum",
            "less",
            "equal",
            "greater_equal",
            "arctan2",
            "hypot",
        )
        name = choose(names)
        decisive = name in ("less", "equal", "greater_equal", "arctan2")  # arctan2: the sign of a zero decides
        if decisive and not (x.exact and y.exact):
            return None
        return name, getattr(np_, name), operands, name not in ("arctan2", "hypot")
    if x.kind == y.kind == "b":
        name = choose(("logical_and", "logical_or", "logical_xor", "equal", "maximum"))
        return name, getattr(np_, name), operands, True
    names = ["add", "subtract", "multiply", "maximum", "minimum", "less", "not_equal", "floor_divide", "remainder"]
    whole = np.result_type(x.value, y.value).kind in "iu"
    name = choose([*names, "bitwise_and", "bitwise_xor"] if whole else names)
    if name == "subtract" and x.kind == y.kind == "b":
        return None
    return name, getattr(np_, name), operands, True


def scalar(choose: Choose, rng: Any, nodes: list[Node], k: int) -> Any:
    number = choose((0, 1, -1, 2, 0.5, 3.25, True))
    name = choose(("add", "subtract", "multiply", "maximum", "rsub"))
    if (
        nodes[k].kind == "b"
        or (nodes[k].kind == "u" and number == -1)
        or (isinstance(number, bool) and nodes[k].kind != "f")
    ):
        return None
    operation = (lambda x: number - x) if name == "rsub" else lambda x: getattr(np_, name)(x, number)
    return f"{name} {number}", operation, [k], True


def where(choose: Choose, rng: Any, nodes: list[Node], k: int) -> Any:
    masks = [i for i, n in enumerate(nodes) if n.kind == "b"]
    if not masks:
        return None
    operands = [choose(masks), k, choose(range(len(nodes)))]
    if not fits(*(nodes[i].value for i in operands)):
        return None
    return "where", np_.where, operands, True


SLICES = (
    slice(None), slice(1, None), slice(None, None, -1), slice(None, None, 2),
    slice(0, 1), slice(None, -1), slice(-1, None, -2),
)  # fmt: skip


def view(choose: Choose, rng: Any, nodes: list[Node], k: int) -> Any:
    shape = nodes[k].value.shape
    name = choose(("transpose", "slice", "flip", "expand", "broadcast", "ravel", "regroup", "squeeze"))
    if name == "transpose":
        order = tuple(int(a) for a in rng.permutation(len(shape)))
        return f"transpose {order}", lambda x: np_.transpose(x, order), [k], True
    if name == "slice" and shape:
        index = tuple(choose(SLICES) for _ in shape)
        return f"slice {index}", lambda x: x[index], [k], True
    if name == "flip" and shape:
        axis = choose(range(len(shape)))
        return f"flip {axis}", lambda x: np_.flip(x, axis), [k], True
    if name == "expand" and len(shape) < 4:
        axis = choose(range(len(shape) + 1))
        return f"expand {axis}", lambda x: np_.expand_dims(x, axis), [k], True
    if name == "broadcast" and len(shape) < 3:
        target = (choose((2, 3, 1)), *(choose((2, 4)) if n == 1 else n for n in shape))
        return f"broadcast {target}", lambda x: np_.broadcast_to(x, target), [k], True
    if name == "ravel":
        return "ravel", lambda x: np_.reshape(x, -1), [k], True
    if name == "regroup" and nodes[k].value.size:
        size = nodes[k].value.size
        divisor = choose([d for d in (1, 2, 3, 5, 6, 17) if size % d == 0])
        target = (divisor, size // divisor)
        return f"reshape {target}", lambda x: np_.reshape(x, target), [k], True
    return ("squeeze", np_.squeeze, [k], True) if name == "squeeze" else None


def reduction(choose: Choose, rng: Any, nodes: list[Node], k: int) -> Any:
    node, shape = nodes[k], nodes[k].value.shape
    axes = tuple(a for a in range(len(shape)) if choose((True, False)))
    extents = [shape[a] for a in axes]
    keep = choose((True, False))
    names = ("any", "all", "sum", "max") if node.kind == "b" else ("sum", "max", "min", "mean", "prod", "var")
    name = choose(names)
    if (name in ("max", "min", "mean", "var") and 0 in extents) or (
        name == "prod" and node.kind == "f" and np.prod(extents) > 4
    ):
        return None
    exact = (node.kind != "f" and name not in ("mean", "var")) or name in ("max", "min", "any", "all")
    return f"{name} {axes} {keep}", lambda x: getattr(np_, name)(x, axis=axes, keepdims=keep), [k], exact


def search(choose: Choose, rng: Any, nodes: list[Node], k: int) -> Any:
    node = nodes[k]
    axis = choose((None, *range(node.value.ndim)))
    extent = node.value.size if axis is None else node.value.shape[axis]
    if not node.exact or not extent:
        return None
    name = choose(("argmax", "argmin"))
    return f"{name} {axis}", lambda x: getattr(np_, name)(x, axis=axis), [k], True


def product(choose: Choose, rng: Any, nodes: list[Node], k: int) -> Any:
    other = choose(range(len(nodes)))
    x, y = nodes[k].value, nodes[other].value
    if nodes[k].kind == "b" or nodes[other].kind == "b" or x.dtype == np.float16 or y.dtype == np.float16:
        return None
    name = choose(("matmul", "outer", "transposed", "dot"))
    if name == "transposed" and x.ndim == y.ndim == 2 and x.shape[0] == y.shape[0]:
        return "x.T @ y", lambda a, b: a.T @ b, [k, other], "f" not in (nodes[k].kind, nodes[other].kind)
    exact = "f" not in (nodes[k].kind, nodes[other].kind)
    if name == "outer" and x.size * y.size < 5000:
        return "outer", lambda a, b: np_.reshape(a, (-1, 1)) @ np_.reshape(b, (1, -1)), [k, other], exact
    function = np_.dot if name == "dot" else np_.matmul
    if x.size * y.size > LARGEST * max(x.shape[-1:] or (1,)) ** 2:
        return None
    try:
        function(x, y)
    except ValueError:
        return None
    return name, function, [k, other], exact


def join(choose: Choose, rng: Any, nodes: list[Node], k: int) -> Any:
    shape, dtype = nodes[k].value.shape, nodes[k].value.dtype
    name = choose(("concatenate", "stack", "pad", "roll", "repeat", "tile"))
    if name == "stack":
        others = [i for i, n in enumerate(nodes) if n.value.shape == shape]
        operands = [k, choose(others)]
        axis = choose(range(len(shape) + 1))
        return (f"stack {axis}", lambda *a: np_.stack(a, axis), operands, True) if len(shape) < 4 else None
    if not shape:
        return None
    axis = choose(range(len(shape)))
    if name == "concatenate":
        others = [
            i
            for i, n in enumerate(nodes)
            if n.value.ndim == len(shape) and all(n.value.shape[a] == shape[a] for a in range(len(shape)) if a != axis)
        ]
        operands = [k, choose(others), choose(others)][: choose((1, 2, 3))]
        return f"concatenate {axis}", lambda *a: np_.concatenate(a, axis), operands, True
    if name == "pad":
        config = tuple((choose((0, 1, 2, -1)), choose((0, 1, -1, 3)), choose((0, 0, 1, 2))) for _ in shape)
        extents = [low + high + n + max(n - 1, 0) * inner for n, (low, high, inner) in zip(shape, config, strict=True)]
        if min(extents) < 0:
            return None
        return f"pad {config}", lambda x: pad(x, dtype.type(1), padding_config=config), [k], True
    if name == "roll":
        return f"roll {axis}", lambda x: np_.roll(x, 2, axis), [k], True
    if name == "repeat":
        return f"repeat {axis}", lambda x: np_.repeat(x, 2, axis), [k], True
    return "tile", lambda x: np_.tile(x, 2), [k], True


def inside(indices: np.ndarray, extent: int) -> bool:
    """Whether there are indices, and all within bounds."""
    return bool(indices.size and np.min(indices) >= -extent and np.max(indices) < extent)


def gathering(choose: Choose, rng: Any, nodes: list[Node], k: int) -> Any:
    shape = nodes[k].value.shape
    axes = tuple(a for a in range(len(shape)) if choose((True, False)))
    if not axes or 0 in (shape[a] for a in axes):
        return None
    index_shape = choose(((), (1,), (3,), (2, 2), (0,)))
    indices = [np.asarray(rng.integers(-shape[a], shape[a], index_shape)) for a in axes]
    traced = [i for i, n in enumerate(nodes) if n.kind in "iu" and n.value.ndim < 3 and inside(n.value, shape[axes[0]])]
    if traced and len(axes) == 1 and choose((True, False)):
        return f"gather {axes} traced", lambda x, i: x[(slice(None),) * axes[0] + (i,)], [k, choose(traced)], True
    lines = dict(zip(axes, indices, strict=True))
    full = tuple(lines.get(a, slice(None)) for a in range(len(shape)))
    return f"gather {axes} {index_shape}", lambda x: x[full], [k], True


def scattering(choose: Choose, rng: Any, nodes: list[Node], k: int) -> Any:
    node = nodes[k]
    updates = node.value
    if node.kind == "b" or not updates.ndim or updates.dtype == np.float16:
        return None
    extent, axis = choose((1, 4, 6)), 0
    indices = rng.integers(0, extent, updates.shape[:1])
    shape = (extent, *updates.shape[1:])
    start = sample(rng, shape, updates.dtype.str[1:])
    if choose((True, False)):
        start = np.zeros_like(start)

    def operation(x: Any) -> Any:
        return scatter_add(start, x, indices, axes=(axis,))

    return f"scatter {shape}", operation, [k], True


RULES = (
    *(unary, unary, unary, binary, binary, binary, scalar, cast, where, view, view, view),
    *(reduction, reduction, search, product, product, join, join, gathering, scattering),
)
