"""How does a graph look that has been laid out?  Nodes as boxes with their texts, edges as curves, a legend."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from funcgrad.pictures.layout import FOLD, HEAD, INSIDE_PAD, INSIDE_TITLE, PAD, Placed, PlacedNode, shown
from funcgrad.pictures.memory import Arena, Chart, details
from funcgrad.pictures.memory import draw as draw_chart
from funcgrad.pictures.scene import Area, Curve, Group, Outline, Part, Scene, Text
from funcgrad.pictures.themes import FAMILIES, text_width
from funcgrad.runtime.profiling.explain import Line

MARGIN, COLUMN_GAP, ROW_GAP = 24.0, 48.0, 36.0
TITLE, MESSAGE, LEGEND = 26.0, 19.0, 26.0
LABELS = 6  # user lines that are told of one node


class Told(NamedTuple):
    """What is told of something drawn: a title, headings and texts, and the user's lines."""

    title: str
    rows: list[tuple[str, str]]
    lines: tuple[Line, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Section:
    """A part of a view: a graph or a chart, under a title."""

    title: str
    content: Placed | Chart


@dataclass(eq=False, slots=True)
class Notes:
    """What is told of everything drawn: an entry for each ``data-n``."""

    told: list[Told] = field(default_factory=list)

    def number(self, told: Told) -> str:
        """The number of an entry."""
        self.told.append(told)
        return str(len(self.told) - 1)


class View(NamedTuple):
    """A scene, and what is told of its parts."""

    scene: Scene
    notes: Notes
    messages: tuple[str, ...]


def view(title: str, sections: Sequence[Section], headed: bool = True) -> View:
    """Graphs beside each other, charts below each other; with a heading and a legend if `headed`."""
    notes = Notes()
    root = Group()
    messages = tuple(f"{s.title}: {m}" if s.title else m for s in sections for m in _messages(s))
    y = MARGIN
    if headed:
        root.parts.append(Text(MARGIN, y + 15, title, "head"))
        y += TITLE
        for message in messages:
            root.parts.append(Text(MARGIN, y + 12, message, "message"))
            y += MESSAGE
    drawn = [(section, _section(section, notes)) for section in sections]
    families = _families(group for _, (group, _, _) in drawn)
    legend, across = _legend(families, y)
    if headed and families:
        root.parts += legend
        y += LEGEND + 8
    wide = max(across if headed else 0.0, text_width(title, "head") if headed else 0.0)
    wide = max([wide, *(text_width(m, "message") for m in messages if headed)])
    x, below, side = MARGIN, y, all(isinstance(s.content, Placed) for s in sections)
    for section, (group, width, height) in drawn:
        top = y
        if section.title:
            root.parts.append(Text(x, top + 14, section.title, "title"))
            top += TITLE
        group.x, group.y = x, top
        root.parts.append(group)
        width = max(width, text_width(section.title, "title"))
        below = max(below, top + height)
        wide = max(wide, x + width - MARGIN)
        if side:
            x += width + COLUMN_GAP
        else:
            y = below + ROW_GAP
    scene = Scene(wide + 2 * MARGIN, below + MARGIN, root, title)
    root.parts.insert(0, Area(0, 0, scene.width, scene.height, "background", 0))
    return View(scene, notes, messages)


def _messages(section: Section) -> Sequence[str]:
    return section.content.messages if isinstance(section.content, Chart) else section.content.graph.messages


def _section(section: Section, notes: Notes) -> tuple[Group, float, float]:
    if isinstance(section.content, Chart):
        drawn, arena = draw_chart(section.content), Arena(section.content)
        for group, life in drawn.told:
            rows = details(life, section.content, arena)
            told = Told(f"{life.name}: {life.type}", rows, life.lines)
            group.data["n"] = notes.number(told)
            group.title = plain(told)
        return drawn.group, drawn.width, drawn.height
    placed = section.content
    if not placed.nodes:
        empty = Group(parts=[Text(0, 14, "The program has no arguments, operations or results", "message")])
        return empty, text_width(empty.parts[0].text, "message"), 20.0  # type: ignore[union-attr]
    return _graph(placed, notes), placed.width, placed.height


def plain(told: Told) -> str:
    """As a browser's own tooltip shows it."""
    rows = [f"{heading}: {text}" for heading, text in told.rows]
    lines = [f"{line.short} in {line.function}" for line in told.lines[:LABELS]]
    return "\n".join([told.title, *rows, *lines])


def _graph(placed: Placed, notes: Notes) -> Group:
    """A graph: its edges first, so that nodes lie above them."""
    group = Group(kind="graph", data={"w": f"{placed.width:.1f}", "h": f"{placed.height:.1f}"})
    nodes = [_node(node, notes) for node in placed.nodes]
    numbers = {id(p.node): g.data["n"] for p, g in zip(placed.nodes, nodes, strict=True)}
    for p, g in zip(placed.nodes, nodes, strict=True):
        if p.node.refers is not None and id(p.node.refers) in numbers:
            g.data["r"] = numbers[id(p.node.refers)]
    for edge, route in zip(placed.graph.edges, placed.routes, strict=True):
        data = (("s", nodes[edge.source].data["n"]), ("t", nodes[edge.target].data["n"]), ("v", edge.label))
        group.parts.append(Curve(tuple(route), "edge", True, data))
    group.parts += nodes
    return group


def _node(placed: PlacedNode, notes: Notes) -> Group:
    node = placed.node
    told = Told(f"{node.title} {node.hint}".strip(), node.details, node.lines)
    group = Group(placed.x, placed.y, [], "node", {"n": notes.number(told), "family": node.family}, plain(told))
    role = node.family if node.family == "reference" or node.family in FAMILIES else "other"
    radius = 13.0 if role in ("value", "reference") else 6.0
    group.parts.append(Area(0, 0, placed.width, placed.height, role, radius))
    group.data |= {"w": f"{placed.width:.1f}", "h": f"{placed.height:.1f}"}
    width = placed.folded[0] if placed.held else placed.width
    title, hint, note = shown(node, width)
    start = PAD
    if node.inner:
        group.parts.append(Group(PAD, HEAD / 2, [_triangle()], "fold"))
        start += FOLD
        group.data |= {"fw": f"{placed.folded[0]:.1f}", "fh": f"{placed.folded[1]:.1f}"}
    else:
        used = text_width(title, "title") + (6 + text_width(hint, "hint") if hint else 0.0)
        start = (width - used) / 2
    base = HEAD / 2 + 5
    if hint or node.inner:
        group.parts.append(Text(start, base, title, "title"))
        group.parts.append(Text(start + text_width(title, "title") + 6, base, hint, "hint"))
    else:
        group.parts.append(Text(width / 2, base, title, "title", "middle"))
    if note:
        middle = not node.inner
        group.parts.append(Text(width / 2 if middle else PAD, HEAD + 8, note, "note", "middle" if middle else "start"))
    group.parts += [_held(held.title, held.placed, held.x, held.y, notes) for held in placed.held]
    return group


def _held(title: str, placed: Placed, x: float, y: float, notes: Notes) -> Group:
    """A graph inside a node."""
    width = max(placed.width, text_width(title, "label")) + 2 * INSIDE_PAD
    height = placed.height + 2 * INSIDE_PAD + INSIDE_TITLE
    inner = _graph(placed, notes)
    inner.x, inner.y = (width - placed.width) / 2, INSIDE_PAD + INSIDE_TITLE
    parts: list[Part] = [Area(0, 0, width, height, "part"), Text(INSIDE_PAD, 19, title, "label"), inner]
    return Group(x, y, parts, "held", {"w": f"{width:.1f}", "h": f"{height:.1f}", "x": f"{x:.1f}", "y": f"{y:.1f}"})


def _triangle() -> Outline:
    return Outline(((0.0, -3.0), (9.0, -3.0), (4.5, 4.0)), "arrow", closed=True)


def _families(groups: Iterable[Group]) -> list[str]:
    """Those that occur, in the order of the table."""
    found: set[str] = set()
    waiting = list(groups)
    while waiting:
        group = waiting.pop()
        found.add(group.data.get("family", ""))
        waiting += [part for part in group.parts if isinstance(part, Group)]
    return [family for family in FAMILIES if family in found]


def _legend(families: Sequence[str], y: float) -> tuple[list[Part], float]:
    """A swatch and a name for each family, and how wide all are."""
    parts: list[Part] = []
    x = MARGIN
    for family in families:
        parts.append(Area(x, y + 3, 16, 12, family, 3))
        parts.append(Text(x + 22, y + 13, FAMILIES[family], "label"))
        x += 22 + text_width(FAMILIES[family], "label") + 18
    return parts, x - MARGIN
