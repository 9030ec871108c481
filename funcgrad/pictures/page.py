"""How does a picture become a page?  One HTML file that needs nothing else: drawings, style and script."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from html import escape
from importlib import resources

from funcgrad.pictures.draw import Told, View
from funcgrad.pictures.svg import inline
from funcgrad.pictures.themes import FAMILIES, css

NAMES = {"program": "Program", "kernels": "Kernels", "memory": "Memory"}


def page(name: str, views: Sequence[tuple[str, View]]) -> str:
    """A page with a tab for each view."""
    tabs = "".join(
        f'<button role="tab" id="tab-{key}" aria-controls="view-{key}" data-view="{key}">{NAMES.get(key, key)}</button>'
        for key, _ in views
    )
    panels = "\n".join(_panel(key, view) for key, view in views)
    told = {key: [_entry(t) for t in view.notes.told] for key, view in views}
    return TEMPLATE.format(
        title=escape(f"Picture of {name}"),
        name=escape(name),
        style=_part("page.css") + css(".fg-view", follows=":root"),
        tabs=tabs,
        legend="".join(_swatch(family, text) for family, text in FAMILIES.items()),
        panels=panels,
        told=_json(told),
        script=_part("page.js"),
    )


TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{style}
</style>
</head>
<body>
<header>
<h1>{name}</h1>
<div class="tabs" role="tablist">{tabs}</div>
<div class="search"><input type="search" id="search" placeholder="Search names, types, lines" aria-label="Search"
 autocomplete="off" spellcheck="false"><output id="found" for="search"></output></div>
<div class="tools">
<button id="out" title="Smaller (-)" aria-label="Smaller">&minus;</button>
<button id="in" title="Larger (+)" aria-label="Larger">+</button>
<button id="fit" title="All (0)">Fit</button>
<button id="fold" title="Fold or unfold all inner programs (f)">Fold</button>
<button id="theme" title="Light or dark" aria-label="Light or dark">&#9680;</button>
</div>
</header>
<main>
{panels}
</main>
<footer>{legend}</footer>
<div id="tip" role="tooltip" hidden></div>
<aside id="more" hidden aria-label="Details"></aside>
<script type="application/json" id="told">{told}</script>
<script>
{script}
</script>
</body>
</html>
"""


def _panel(key: str, view: View) -> str:
    messages = "".join(f"<p>{escape(message)}</p>" for message in view.messages)
    return (
        f'<section role="tabpanel" id="view-{key}" aria-labelledby="tab-{key}" hidden>'
        f"{messages}{inline(view.scene, key)}</section>"
    )


def _swatch(family: str, text: str) -> str:
    return (
        f'<span class="swatch" data-family="{family}"><svg class="fg-view" width="16" height="12">'
        f'<rect class="s-{family}" x="1" y="1" width="14" height="10" rx="3"/></svg> {escape(text)}</span>'
    )


def _entry(told: Told) -> dict[str, object]:
    """What the script shows: short names, for there may be thousands."""
    lines = [[line.short, line.function, line.scope, line.text] for line in told.lines[:MOST_LINES]]
    return {"t": told.title, "r": told.rows, **({"l": lines} if lines else {})}


MOST_LINES = 12


def _json(value: object) -> str:
    """Text that may stand inside of a script element."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


@functools.cache
def _part(name: str) -> str:
    return resources.files("funcgrad.pictures").joinpath(name).read_text(encoding="utf-8")
