"""What is on a picture?  Areas, curves and texts in groups, each with a role that themes give colours to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

Point = tuple[float, float]


class Area(NamedTuple):
    """A rectangle with round corners."""

    x: float
    y: float
    width: float
    height: float
    role: str
    radius: float = 6.0


class Text(NamedTuple):
    """A text; `y` is that of its base line, and `anchor` is ``"start"``, ``"middle"`` or ``"end"``."""

    x: float
    y: float
    text: str
    role: str
    anchor: str = "start"
    angle: float = 0.0


class Curve(NamedTuple):
    """Cubic curves: a point, then three for each curve."""

    points: tuple[Point, ...]
    role: str = "edge"
    arrow: bool = False
    data: tuple[tuple[str, str], ...] = ()


class Outline(NamedTuple):
    """A polygon (`closed`), or straight lines from point to point."""

    points: tuple[Point, ...]
    role: str
    closed: bool = False


@dataclass(eq=False, slots=True)
class Group:
    """Parts that move together.

    Attributes
    ----------
    x, y
        Where the group's own origin is.
    parts
        The first one is drawn first.
    kind
        Its class in SVG.
    data
        Attributes ``data-...`` in SVG.
    title
        What a browser tells where nothing else does.
    """

    x: float = 0.0
    y: float = 0.0
    parts: list[Part] = field(default_factory=list)
    kind: str = ""
    data: dict[str, str] = field(default_factory=dict)
    title: str = ""


Part = Area | Text | Curve | Outline | Group


@dataclass(frozen=True, eq=False, slots=True)
class Scene:
    """A whole picture, and its size in pixels."""

    width: float
    height: float
    root: Group
    title: str


def flat(group: Group, x: float = 0.0, y: float = 0.0) -> Iterator[tuple[Part, float, float]]:
    """All parts that are no groups, and the origin of each."""
    x, y = x + group.x, y + group.y
    for part in group.parts:
        if isinstance(part, Group):
            yield from flat(part, x, y)
        else:
            yield part, x, y
