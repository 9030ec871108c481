"""What does a picture of a program consist of?  Nodes, edges, and graphs inside nodes; nothing of where they stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from funcgrad.runtime.profiling.explain import Line


@dataclass(frozen=True, eq=False, slots=True)
class Inner:
    """A graph inside a node, and its title."""

    title: str
    graph: Graph


@dataclass(eq=False, slots=True)
class Node:
    """An operation, a value, or a kernel.

    Attributes
    ----------
    title
        In bold letters.
    hint
        Behind the title, paler.
    note
        The line below: name and type.
    family
        Which colour it has: one of `themes.FAMILIES`.
    details
        What is told where somebody looks: heading and text.
    lines
        The user's lines behind it.
    inner
        The programs that it holds.
    refers
        For a reference to a node that stands far above: which one.
    """

    title: str
    note: str = ""
    family: str = "other"
    hint: str = ""
    details: list[tuple[str, str]] = field(default_factory=list)
    lines: tuple[Line, ...] = ()
    inner: tuple[Inner, ...] = ()
    refers: Node | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Edge:
    """A value that one node computes and another reads; `leaves` and `enters` say where it ends: fractions of the
    nodes' widths.
    """

    source: int
    target: int
    label: str = ""
    leaves: float = 0.5
    enters: float = 0.5


@dataclass(frozen=True, eq=False, slots=True)
class Graph:
    """Nodes in the order in which they are computed, edges between them, and what was left out."""

    nodes: list[Node]
    edges: list[Edge]
    messages: tuple[str, ...] = ()

    def everything(self) -> Iterator[Node]:
        """All nodes, at any depth."""
        for node in self.nodes:
            yield node
            for inner in node.inner:
                yield from inner.graph.everything()


def port(number: int, count: int) -> float:
    """Where at a side the edge of an operand ends, from the left."""
    return (number + 1) / (count + 1)
