"""How is a scene drawn as PNG?  By matplotlib, which knows paths, letters and files."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from funcgrad.pictures.scene import Area, Curve, Outline, Scene, Text, flat
from funcgrad.pictures.themes import DARK, LIGHT, SHAPES, TEXTS
from funcgrad.runtime.profiling.picture import figure_class

DPI = 96.0  # pixels of an inch, at scale 1
MOST_PIXELS, LONGEST_SIDE = 6e7, 30_000.0
POINTS = 0.75  # of a pixel
ARROW = 7.0, 3.2


def png(scene: Scene, path: str | Path, theme: str = "light", scale: float = 2.0) -> None:
    """Draw and save; pictures that are too large for a file are drawn smaller."""
    figure_type = figure_class("Picture.png", "svg and html need nothing")
    most = min(LONGEST_SIDE / max(scene.width, scene.height), (MOST_PIXELS / (scene.width * scene.height)) ** 0.5)
    painter = _Painter(figure_type, scene, DARK if theme == "dark" else LIGHT)
    for part, x, y in flat(scene.root):
        painter.paint(part, x, y)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        painter.figure.savefig(path, dpi=DPI * min(scale, most), format="png")


class _Painter:
    def __init__(self, figure_type: Any, scene: Scene, palette: dict[str, str]) -> None:
        from matplotlib.patches import FancyBboxPatch, PathPatch
        from matplotlib.path import Path as Outlined

        self.box, self.patch, self.path = FancyBboxPatch, PathPatch, Outlined
        self.palette = palette
        self.figure = figure_type(figsize=(scene.width / DPI, scene.height / DPI))
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, scene.width), ylim=(scene.height, 0))
        self.axes.axis("off")
        self.order = 1

    def paint(self, part: Any, x: float, y: float) -> None:
        """Draw one part, above all before it."""
        self.order += 1
        if isinstance(part, Text):
            self._text(part, x, y)
            return
        role = SHAPES[part.role]
        look: dict[str, Any] = {
            "facecolor": self.palette.get(role.fill, "none"),
            "edgecolor": self.palette.get(role.stroke, "none"),
            "linewidth": role.width * POINTS,
            "linestyle": (0, tuple(float(d) for d in role.dashes.split())) if role.dashes else "solid",
            "zorder": self.order,
        }
        if isinstance(part, Area):
            radius = min(part.radius, part.width / 2, part.height / 2)
            style = f"round,pad=0,rounding_size={radius}" if radius else "square,pad=0"
            corner = (x + part.x, y + part.y)
            self.axes.add_patch(self.box(corner, part.width, part.height, boxstyle=style, mutation_aspect=1, **look))
        elif isinstance(part, Curve):
            points = [(x + a, y + b) for a, b in part.points]
            codes = [self.path.MOVETO, *[self.path.CURVE4] * (len(points) - 1)]
            self.axes.add_patch(self.patch(self.path(points, codes), **look))
            if part.arrow:
                self._arrow(points[-1], points)
        elif isinstance(part, Outline):
            points = [(x + a, y + b) for a, b in part.points]
            self.axes.add_patch(self.patch(self.path([*points, points[0]] if part.closed else points), **look))

    def _text(self, part: Text, x: float, y: float) -> None:
        font = TEXTS[part.role]
        self.axes.text(
            x + part.x,
            y + part.y,
            part.text,
            color=self.palette[font.colour],
            fontsize=font.size * POINTS,
            fontweight="bold" if font.bold else "normal",
            family="DejaVu Sans Mono" if font.mono else "DejaVu Sans",
            ha={"start": "left", "middle": "center", "end": "right"}[part.anchor],
            va="baseline",
            rotation=-part.angle,
            rotation_mode="anchor",
            parse_math=False,
            zorder=self.order,
        )

    def _arrow(self, tip: tuple[float, float], points: list[tuple[float, float]]) -> None:
        """The head of an arrow, in the direction in which the curve ends."""
        before = next((p for p in reversed(points) if p != tip), (tip[0], tip[1] - 1))
        dx, dy = tip[0] - before[0], tip[1] - before[1]
        length = (dx * dx + dy * dy) ** 0.5
        dx, dy = dx / length, dy / length
        (long, half), (x, y) = ARROW, tip
        back = (x - long * dx, y - long * dy)
        corners = [tip, (back[0] - half * dy, back[1] + half * dx), (back[0] + half * dy, back[1] - half * dx), tip]
        colour = self.palette[SHAPES["arrow"].fill]
        self.axes.add_patch(
            self.patch(self.path(corners), facecolor=colour, edgecolor="none", linewidth=0, zorder=self.order)
        )
