"""Where does everything of a graph stand?  Graphs inside nodes get their sizes first, then those around them.

Edges that pass many layers are cut: near the reader stands a reference to the node that is meant. That keeps pictures
of gradients legible, whose backward half reads all that the forward half computed, and the layout's work linear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from funcgrad.pictures.graph import Edge, Graph, Node
from funcgrad.pictures.graphviz import by_dot
from funcgrad.pictures.layered import Layout, Link, Point, layered, layers_of
from funcgrad.pictures.themes import fitting, text_width

LONG = 14  # layers that an edge may pass, else it is cut ...
LONG_VALUE = 6  # ... that of an argument or a constant
NARROWEST, BROADEST = 58.0, 300.0  # nodes
PAD, HEAD, LINE = 11.0, 28.0, 15.0
INSIDE_GAP, INSIDE_PAD, INSIDE_TITLE = 18.0, 14.0, 20.0
INSIDE_WIDEST = 1800.0  # graphs beside each other inside a node; beyond, below each other
FOLD = 16.0  # the triangle before the title of what can be folded


@dataclass(frozen=True, eq=False, slots=True)
class Held:
    """A graph inside a node: its title, its own layout, and where it stands in the node."""

    title: str
    placed: Placed
    x: float
    y: float


@dataclass(frozen=True, eq=False, slots=True)
class PlacedNode:
    """A node and where it stands; for one that holds graphs, its size when they are folded away."""

    node: Node
    x: float
    y: float
    width: float
    height: float
    held: tuple[Held, ...] = ()
    folded: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, eq=False, slots=True)
class Placed:
    """A graph, its nodes and its edges where they stand."""

    graph: Graph
    nodes: list[PlacedNode]
    routes: list[list[Point]]
    width: float
    height: float


@dataclass(frozen=True, eq=False, slots=True)
class _Sized:
    """A node's size, before it has a place."""

    width: float
    height: float
    held: tuple[Held, ...] = ()
    folded: tuple[float, float] = (0.0, 0.0)


def lay_out(graph: Graph, engine: str = "auto") -> Placed:
    """The layout by one of the engines ``"auto"``, ``"builtin"`` and ``"dot"``."""
    levels = [[graph]]
    while levels[-1]:
        levels.append([inner.graph for g in levels[-1] for node in g.nodes for inner in node.inner])
    placed: dict[int, Placed] = {}
    for level in reversed(levels):
        cut = [shortened(g) for g in level]
        sizes = [[_sized(node, placed) for node in g.nodes] for g, _ in cut]
        layouts = _layouts(cut, sizes, engine)
        for original, (g, _), sized, layout in zip(level, cut, sizes, layouts, strict=True):
            placed[id(original)] = _placed(g, sized, layout)
    return placed[id(graph)]


def _layouts(graphs: Sequence[tuple[Graph, list[int]]], sizes: Sequence[Sequence[_Sized]], engine: str) -> list[Layout]:
    boxes = [[(s.width, s.height) for s in sized] for sized in sizes]
    links = [[Link(e.source, e.target, e.leaves, e.enters) for e in g.edges] for g, _ in graphs]
    found = by_dot(boxes, links, engine == "dot") if engine != "builtin" else None
    layers = [rows for _, rows in graphs]
    return found or [layered(*given) for given in zip(boxes, links, layers, strict=True)]


def _placed(graph: Graph, sized: Sequence[_Sized], layout: Layout) -> Placed:
    nodes = [
        PlacedNode(node, x, y, s.width, s.height, s.held, s.folded)
        for node, s, (x, y) in zip(graph.nodes, sized, layout.places, strict=True)
    ]
    return Placed(graph, nodes, layout.routes, layout.width, layout.height)


def shortened(graph: Graph) -> tuple[Graph, list[int]]:
    """The graph with references in the place of long edges, one for all readers that stand near each other, and the
    layers of the nodes, which stay what they were.
    """
    links = [Link(e.source, e.target) for e in graph.edges]
    level = layers_of([_sized(node, None).width for node in graph.nodes], links)
    nodes: list[Node] = []
    layers: list[int] = []
    number: list[int] = [0] * len(graph.nodes)
    references: dict[tuple[int, float], list[tuple[int, int]]] = {}  # for each port: the layer and number of each
    cuts: list[tuple[Edge, int]] = []
    readers: list[list[Edge]] = [[] for _ in graph.nodes]
    for edge in graph.edges:
        readers[edge.target].append(edge)
    for k, node in enumerate(graph.nodes):
        for edge in readers[k]:
            source = graph.nodes[edge.source]
            most = LONG_VALUE if source.family == "value" else LONG
            if level[k] - level[edge.source] <= most:
                continue
            known = references.setdefault((edge.source, edge.leaves), [])
            if not known or not 0 <= level[k] - known[-1][0] <= most:
                known.append((level[k], len(nodes)))
                nodes.append(_reference(source, edge))
                layers.append(level[k] - 1)
            cuts.append((edge, known[-1][1]))
        number[k] = len(nodes)
        nodes.append(node)
        layers.append(level[k])
    cut = {id(edge): at for edge, at in cuts}
    edges = [
        replace(e, source=cut[id(e)], target=number[e.target], leaves=0.5)
        if id(e) in cut
        else replace(e, source=number[e.source], target=number[e.target])
        for e in graph.edges
    ]
    return Graph(nodes, edges, graph.messages), layers


def _reference(node: Node, edge: Edge) -> Node:
    title = edge.label.split(":")[0] or node.title
    details = [("Reference to", f"{node.title} {node.note}".strip()), *node.details]
    hint = node.title if title != node.title else ""
    return Node(title, "", "reference", hint, details, node.lines, (), node)


def _sized(node: Node, placed: dict[int, Placed] | None) -> _Sized:
    """A node's size: of its texts, or of what it holds (unless that is not known yet)."""
    fold = FOLD if node.inner else 0.0
    title = text_width(node.title, "title") + (6 + text_width(node.hint, "hint") if node.hint else 0.0) + fold
    width = max(title, text_width(node.note, "note")) + 2 * PAD
    width = min(max(width, NARROWEST), BROADEST)
    height = HEAD + (LINE if node.note else 0.0)
    if not node.inner or placed is None:
        return _Sized(width, height)
    folded = (width, height)
    held: list[Held] = []
    x, y, across, below = INSIDE_PAD, height + 4, 0.0, 0.0
    for inner in node.inner:
        p = placed[id(inner.graph)]
        wide = max(p.width, text_width(inner.title, "label")) + 2 * INSIDE_PAD
        tall = p.height + 2 * INSIDE_PAD + INSIDE_TITLE
        if held and x + wide > INSIDE_WIDEST:
            x, y = INSIDE_PAD, below + INSIDE_GAP
        held.append(Held(inner.title, p, x, y))
        x += wide + INSIDE_GAP
        across, below = max(across, x - INSIDE_GAP), max(below, y + tall)
    spare = max(0.0, width - across - INSIDE_PAD) / 2
    return _Sized(
        max(width, across + INSIDE_PAD),
        below + INSIDE_PAD,
        tuple(Held(h.title, h.placed, h.x + spare, h.y) for h in held),
        folded,
    )


def shown(node: Node, width: float) -> tuple[str, str, str]:
    """Title, hint and note as far as they have room."""
    room = width - 2 * PAD - (FOLD if node.inner else 0.0)
    title = fitting(node.title, "title", room)
    hint = fitting(node.hint, "hint", room - text_width(title, "title") - 6) if node.hint else ""
    return title, hint, fitting(node.note, "note", width - 2 * PAD)
