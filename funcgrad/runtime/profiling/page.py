"""How does a profile look in a browser?  One HTML page that needs nothing else: table, bars, roofline plot."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from funcgrad.runtime.profiling.rows import Row
from funcgrad.runtime.profiling.svg import roofline
from funcgrad.runtime.profiling.text import HEAD, LEFT, headline, line_of

if TYPE_CHECKING:
    from funcgrad.runtime.profiling import Profile

STYLE = """
.fg-profile { font: 14px/1.45 system-ui, sans-serif; color: #22313f; background: #fff; padding: 1em; }
.fg-profile h1 { font-size: 1.25em; margin: 0 0 .2em; }
.fg-profile p { margin: .1em 0 .8em; color: #52616f; }
.fg-profile table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.fg-profile th, .fg-profile td { padding: .25em .7em; text-align: right; white-space: nowrap; border: 0; }
.fg-profile th { border-bottom: 2px solid #22313f; cursor: pointer; }
.fg-profile td { border-bottom: 1px solid #d8dde2; vertical-align: top; }
.fg-profile .w { text-align: left; }
.fg-profile .w, .fg-profile code { white-space: pre-wrap; overflow-wrap: anywhere; }
.fg-profile .bar { background: linear-gradient(#9cc3e0, #9cc3e0) no-repeat right / var(--share) 100%; }
.fg-profile details { max-width: 34em; }
.fg-profile code { font-size: .9em; color: #52616f; }
"""

SCRIPT = """
for (const head of document.querySelectorAll('.fg-profile th')) head.addEventListener('click', () => {
  const body = head.closest('table').tBodies[0], k = head.cellIndex, down = head.dataset.down !== '1';
  head.dataset.down = down ? '1' : '0';
  const value = row => { const v = row.cells[k].dataset.v; return isNaN(v) ? v : Number(v); };
  const order = (a, b) => (a = value(a), b = value(b), (a < b ? -1 : a > b ? 1 : 0) * (down ? -1 : 1));
  body.append(...[...body.rows].sort(order));
});
"""


def page(profile: Profile) -> str:
    """A page of its own."""
    title = escape(f"Profile of {profile.name}")
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n</head>\n'
        f"<body>\n{fragment(profile)}\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def fragment(profile: Profile) -> str:
    """What a page or a notebook shows."""
    first, second = map(escape, headline(profile))
    heads = "".join(_cell("th", name, k, name) for k, name in enumerate(HEAD))
    body = "\n".join(map(_row, profile.rows))
    return (
        f'<div class="fg-profile">\n<style>{STYLE}</style>\n<h1>Profile of {escape(profile.name)}</h1>\n'
        f"<p>{first}<br>{second}</p>\n<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"
        f"{roofline(profile)}\n</div>"
    )


def _row(row: Row) -> str:
    """A row of the table; cells carry the numbers that they are sorted by."""
    keys = (
        row.name,
        row.computes,
        row.lines[0].short if row.lines else "",
        row.runs,
        row.seconds,
        row.share,
        row.bytes,
        row.flops,
        row.gigabytes_per_second,
        row.gigaflops,
        -1.0 if row.roof is None else row.roof,
    )
    cells = []
    for k, (text, key) in enumerate(zip(line_of(row), keys, strict=True)):
        inside = _lines(row, text) if HEAD[k] == "line" else escape(row.computes if HEAD[k] == "computes" else text)
        bar = f' style="--share: {row.share:.1%}"' if HEAD[k] == "share" else ""
        cells.append(_cell("td", inside, k, key, bar))
    return f"<tr>{''.join(cells)}</tr>"


def _cell(tag: str, inside: str, number: int, key: object, more: str = "") -> str:
    kinds = [*(["w"] if number < LEFT else []), *(["bar"] if more else [])]
    kind = f' class="{" ".join(kinds)}"' if kinds else ""
    value = "" if tag == "th" else f' data-v="{escape(str(key))}"'
    return f"<{tag}{kind}{value}{more}>{inside}</{tag}>"


def _lines(row: Row, text: str) -> str:
    """The first line, and all of them with their text where somebody looks."""
    if not row.lines:
        return ""
    full: Sequence[str] = [
        f"{escape(line.file)}:{line.number} (in {escape(line.function)})"
        f"{f' [{escape(line.scope)}]' if line.scope else ''}<br><code>{escape(line.text)}</code>"
        for line in row.lines
    ]
    return f"<details><summary>{escape(text)}</summary>{'<br>'.join(full)}</details>"
