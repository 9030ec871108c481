"""How is a scene written as SVG?"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from funcgrad.pictures.scene import Area, Curve, Group, Outline, Part, Scene, Text
from funcgrad.pictures.themes import css


def svg(scene: Scene, theme: str = "auto") -> str:
    """A file of its own; colours follow the reader's preference, unless the theme is ``"light"`` or ``"dark"``."""
    scope = f"fg-{theme}"
    style = f"<style>\n{css(f'.{scope}', theme)}\n</style>"
    return _document(scene, scope, style, data=False)


def inline(scene: Scene, name: str) -> str:
    """A part of a page that has the rules, with what the page's script needs to know."""
    return _document(scene, "fg-view", "", data=True, name=name)


def _document(scene: Scene, scope: str, style: str, data: bool, name: str = "picture") -> str:
    width, height = number(scene.width), number(scene.height)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{scope}" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{escape(scene.title)}">'
    )
    arrow = (
        f'<defs><marker id="fg-arrow-{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path class="s-arrow" d="M0 0.8L8 4L0 7.2z"/></marker></defs>'
    )
    body = "\n".join(_group(scene.root, data, name))
    return "\n".join(part for part in (head, style, arrow, body, "</svg>\n") if part)


def _group(group: Group, data: bool, name: str) -> Iterator[str]:
    attributes = f' transform="translate({number(group.x)} {number(group.y)})"' if group.x or group.y else ""
    if data:
        attributes += f' class="{group.kind}"' if group.kind else ""
        attributes += "".join(f' data-{key}="{escape(value)}"' for key, value in group.data.items())
        if group.kind in ("node", "graph", "held"):
            attributes += f' data-x="{number(group.x)}" data-y="{number(group.y)}"'
    yield f"<g{attributes}>"
    if group.title and not data:
        yield f"<title>{escape(group.title)}</title>"
    for part in group.parts:
        if isinstance(part, Group):
            yield from _group(part, data, name)
        else:
            yield _shape(part, data, name)
    yield "</g>"


def _shape(part: Part, data: bool, name: str) -> str:
    if isinstance(part, Area):
        return (
            f'<rect class="s-{part.role}" x="{number(part.x)}" y="{number(part.y)}" width="{number(part.width)}" '
            f'height="{number(part.height)}" rx="{number(part.radius)}"/>'
        )
    if isinstance(part, Text):
        x, y = number(part.x), number(part.y)
        turned = f' transform="rotate({number(part.angle)} {x} {y})"' if part.angle else ""
        anchor = f' text-anchor="{part.anchor}"' if part.anchor != "start" else ""
        return f'<text class="t-{part.role}" x="{x}" y="{y}"{anchor}{turned}>{escape(part.text, quote=False)}</text>'
    if isinstance(part, Curve):
        marker = f' marker-end="url(#fg-arrow-{name})"' if part.arrow else ""
        more = "".join(f' data-{key}="{escape(value)}"' for key, value in part.data) if data else ""
        return f'<path class="s-{part.role}" d="{curve(part)}"{marker}{more}/>'
    assert isinstance(part, Outline)
    tag = "polygon" if part.closed else "polyline"
    points = " ".join(f"{number(x)},{number(y)}" for x, y in part.points)
    return f'<{tag} class="s-{part.role}" points="{points}"/>'


def curve(part: Curve) -> str:
    """The path's text."""
    first, *rest = (f"{number(x)} {number(y)}" for x, y in part.points)
    return f"M{first}" + (f"C{' '.join(rest)}" if rest else "")


def number(value: float) -> str:
    """With at most one decimal."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text
