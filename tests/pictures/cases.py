"""Which functions are drawn by the tests?  One for each kind of program, with its arguments and options."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad.pictures import Picture
from funcgrad.pictures.graph import Graph, Node
from funcgrad.trace.function import ShapeDtypeStruct


def loss(params: Any, x: Any, y: Any) -> Any:
    for w, b in params[:-1]:
        x = np.tanh(x @ w + b)
    w, b = params[-1]
    return np.mean((x @ w + b - y) ** 2)


def step(params: Any, x: Any, y: Any) -> Any:
    value, grads = fg.value_and_grad(loss)(params, x, y)
    return value, fg.tree.map(lambda p, g: p - 0.1 * g, params, grads)


def rnn(params: Any, xs: Any) -> Any:
    w, u, b = params

    def cell(h: Any, x: Any) -> Any:
        h = np.tanh(h @ w + x @ u + b)
        return h, h

    _, hs = fg.lax.scan(cell, np.zeros((8, 16)), xs)
    return np.sum(hs**2)


def attention(q: Any, k: Any, v: Any) -> Any:
    scores = np.einsum("bqhd,bkhd->bhqk", q, k) / np.sqrt(q.shape[-1])
    return np.einsum("bhqk,bkhd->bqhd", fg.nn.softmax(scores, axis=-1), v)


def branches(x: Any, c: Any) -> Any:
    y = fg.lax.cond(c, lambda z: np.sin(z) * 2, lambda z: np.cos(z) + z, x)
    return np.sum(fg.lax.while_loop(lambda z: np.sum(z) < 10, lambda z: z * 1.5 + y, y))


def nothing() -> Any:
    return ()


def same(x: Any) -> Any:
    return x


def array(*shape: int, dtype: Any = np.float64) -> ShapeDtypeStruct:
    return ShapeDtypeStruct(shape, dtype)


LAYERS = [(array(784, 512), array(512)), (array(512, 10), array(10))]
WEIGHTS = (array(16, 16), array(4, 16), array(16))
HEADS = array(2, 64, 4, 16, dtype=np.float32)

# name: function, arguments, options
CASES: dict[str, tuple[Any, tuple[Any, ...], dict[str, Any]]] = {
    "mlp": (step, (LAYERS, array(128, 784), array(128, 10)), {}),
    "mlp_gradient": (loss, (LAYERS, array(128, 784), array(128, 10)), {"gradient": True}),
    "rnn": (rnn, (WEIGHTS, array(20, 8, 4)), {"gradient": True}),
    "attention": (attention, (HEADS, HEADS, HEADS), {"gradient": True}),
    "branches": (branches, (array(5), array(dtype=np.bool_)), {}),
    "one": (np.sin, (array(3),), {}),
    "same": (same, (array(3),), {}),
    "nothing": (nothing, (), {}),
}


def picture(name: str, layout: str = "builtin", **more: Any) -> Any:
    """The picture of a case."""
    function, arguments, options = CASES[name]
    return fg.visualize(function, layout=layout, **(options | more))(*arguments)


VIEWS = ("program", "kernels", "memory")
DRAWN: dict[str, Picture] = {}


def kept(name: str) -> Picture:
    """A case's picture, drawn once."""
    if name not in DRAWN:
        DRAWN[name] = picture(name)
    return DRAWN[name]


def lowered(name: str) -> Any:
    """Its program and its plan."""
    return kept(name)._subjects[0].lowered


def by_title(graph: Graph, title: str) -> list[Node]:
    """The nodes of this title, at any depth."""
    return [node for node in graph.everything() if node.title == title]
