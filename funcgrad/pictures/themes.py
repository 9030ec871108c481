"""Which colours and letters do pictures have?  A table of roles, for light and for dark surroundings."""

from __future__ import annotations

import itertools
from typing import NamedTuple

SANS = "system-ui, 'DejaVu Sans', 'Segoe UI', Helvetica, Arial, sans-serif"
MONO = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"
THEMES = ("auto", "light", "dark")

# family: what it holds, as a legend says it
FAMILIES = {
    "value": "arguments and results",
    "elementwise": "elementwise",
    "reduction": "reductions",
    "product": "products",
    "movement": "movement",
    "loop": "loops, branches, calls",
    "other": "other",
}


class Shape(NamedTuple):
    """How an area or a line looks: colours of its inside and its outline, the outline's width, and its dashes."""

    fill: str = "none"
    stroke: str = "none"
    width: float = 1.0
    dashes: str = ""


class Letters(NamedTuple):
    """How a text looks."""

    colour: str = "ink"
    size: float = 12.0
    bold: bool = False
    mono: bool = False


SHAPES = {
    **{family: Shape(family, f"{family}-line", 1.2) for family in FAMILIES},
    "reference": Shape("surface", "edge", 1.0, "4 3"),
    "inside": Shape("inside", "faint", 1.0),
    "part": Shape("surface", "faint", 1.0),
    "edge": Shape("none", "edge", 1.3),
    "arrow": Shape("edge"),
    "grid": Shape("none", "faint", 1.0),
    "axis": Shape("none", "edge", 1.2),
    "total": Shape("total", "total-line", 1.4),
    "pale": Shape("inside", "faint", 1.0, "3 3"),
    "background": Shape("surface"),
}

TEXTS = {
    "title": Letters("ink", 13.0, bold=True),
    "hint": Letters("muted", 11.5),
    "note": Letters("muted", 11.0, mono=True),
    "head": Letters("ink", 17.0, bold=True),
    "message": Letters("muted", 12.5),
    "label": Letters("muted", 11.5),
    "small": Letters("ink", 10.0, mono=True),
}

LIGHT = {
    "surface": "#ffffff", "inside": "#f7f9fb", "ink": "#17212b", "muted": "#46535f", "edge": "#7c8a97",
    "faint": "#d5dce3", "total": "#dbe5ef", "total-line": "#4f6f8f",
    "value": "#eef1f4", "value-line": "#8593a1",
    "elementwise": "#deecfb", "elementwise-line": "#2f74b5",
    "reduction": "#fdebcf", "reduction-line": "#bd7a10",
    "product": "#fbdfe0", "product-line": "#c0392f",
    "movement": "#dcf2e7", "movement-line": "#21875a",
    "loop": "#ece3fa", "loop-line": "#7a4fbf",
    "other": "#e9e6df", "other-line": "#857a63",
}  # fmt: skip

DARK = {
    "surface": "#12171d", "inside": "#181f27", "ink": "#eef2f6", "muted": "#b3bfca", "edge": "#7f8f9f",
    "faint": "#323d48", "total": "#233446", "total-line": "#7ea6cc",
    "value": "#262f38", "value-line": "#7d8b98",
    "elementwise": "#173654", "elementwise-line": "#5aa2e6",
    "reduction": "#47330f", "reduction-line": "#e0a33c",
    "product": "#532122", "product-line": "#ee7b72",
    "movement": "#133f2d", "movement-line": "#4cc08c",
    "loop": "#352454", "loop-line": "#a987e6",
    "other": "#38342a", "other-line": "#b0a486",
}  # fmt: skip

WIDTHS = {  # of letters, in hundredths of an em: those of DejaVu Sans, which is wider than most
    28: "ijlI'", 36: " ,.-/:;|!()[]\\", 42: "frt\"*", 53: "?cszJ_`", 61: "aeoTYFLkvxy^",
    65: "bdghnpquES$0123456789{}", 70: "ABCKPRVXZ", 80: "DGHNOQUw+<=>~#&", 97: "mM%W@",
}  # fmt: skip


class _Widths(dict[str, float]):
    def __missing__(self, letter: str) -> float:
        return 0.95


_widths = _Widths({letter: width / 100 for width, letters in WIDTHS.items() for letter in letters})


def text_width(text: str, role: str) -> float:
    """How wide a text may become, in pixels."""
    font = TEXTS[role]
    if font.mono:
        return 0.603 * font.size * len(text)
    return font.size * (1.11 if font.bold else 1.0) * sum(map(_widths.__getitem__, text))


def fitting(text: str, role: str, width: float) -> str:
    """The text, or as much of it as has room, with an ellipsis."""
    width += 0.01
    if text_width(text, role) <= width:
        return text
    room = width - text_width("…", role)
    used = itertools.accumulate(text_width(letter, role) for letter in text)
    kept = text[: sum(1 for _ in itertools.takewhile(lambda w: w <= room, used))]
    return f"{kept}…" if kept else ""


def css(scope: str, theme: str = "auto", follows: str = "") -> str:
    """The rules for all roles inside of what `scope` selects.

    With the theme ``"auto"`` colours follow the reader's preference; `follows` is a selector of an ancestor whose
    attribute ``data-theme`` overrules it.
    """
    rules = []
    for role, font in TEXTS.items():
        family = MONO if font.mono else SANS
        weight = "600" if font.bold else "400"
        rules.append(f"{scope} .t-{role} {{ font: {weight} {font.size:g}px {family}; }}")
    for role, shape in SHAPES.items():
        dashes = f" stroke-dasharray: {shape.dashes};" if shape.dashes else ""
        rules.append(f"{scope} .s-{role} {{ stroke-width: {shape.width:g}px;{dashes} }}")
    rules += _colours(scope, DARK if theme == "dark" else LIGHT)
    if theme == "auto":
        prefers = f"{follows}:not([data-theme=light]) {scope}" if follows else scope
        rules += ["@media (prefers-color-scheme: dark) {", *_colours(prefers, DARK), "}"]
        if follows:
            rules += _colours(f"{follows}[data-theme=dark] {scope}", DARK)
    return "\n".join(rules)


def _colours(scope: str, palette: dict[str, str]) -> list[str]:
    shapes = (
        f"{scope} .s-{role} {{ fill: {palette.get(s.fill, 'none')}; stroke: {palette.get(s.stroke, 'none')}; }}"
        for role, s in SHAPES.items()
    )
    texts = (f"{scope} .t-{role} {{ fill: {palette[font.colour]}; }}" for role, font in TEXTS.items())
    return [*shapes, *texts]
