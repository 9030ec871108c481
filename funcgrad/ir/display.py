"""How is a program shown to people?  Aligned, in a terminal's colours, or as HTML whose inner programs fold."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, TextIO

from funcgrad.ir.printer import Listing, Row, Spans, Writer

if TYPE_CHECKING:
    from funcgrad.ir.program import Program

Paint = Callable[[str, str], str]  # (kind of span, text) -> text
WIDEST, WRAPPED = 44, 110  # left sides that are aligned, and columns of a head
COLORS = {"name": "36", "type": "2", "operation": "1;34", "key": "2", "number": "33", "value": "32", "note": "2;3"}
FEW = 6  # inputs or outputs that a short description names
FOLDED_AT = 200  # equations in a row that a notebook shows before it folds the others
ESCAPES = {ord(letter): entity for letter, entity in zip('&<>"', ("&amp;", "&lt;", "&gt;", "&quot;"), strict=True)}
STYLE = """
.funcgrad-listing{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:13px;line-height:1.45;white-space:pre;
overflow-x:auto;text-align:left}
.funcgrad-listing details{display:inline}
.funcgrad-listing summary{cursor:pointer;display:inline;border-bottom:1px dotted currentColor}
.funcgrad-listing .name{color:#0b7285}.funcgrad-listing .type,.funcgrad-listing .key{opacity:.62}
.funcgrad-listing .operation{color:#1c5fc4;font-weight:600}.funcgrad-listing .number{color:#a15c00}
.funcgrad-listing .value{color:#2b7a2b}
.funcgrad-listing .row:hover{background:rgba(128,128,128,.14)}
@media (prefers-color-scheme:dark){.funcgrad-listing .name{color:#66c7d8}.funcgrad-listing .operation{color:#82b1ff}
.funcgrad-listing .number{color:#f0b45e}.funcgrad-listing .value{color:#8fce8f}}
""".replace("\n", "")


def coloured(stream: TextIO) -> bool:
    """Whether a stream is a terminal that wants colours (https://no-color.org), or the user wants them everywhere."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    if os.environ.get("TERM") == "dumb":
        return False
    return bool(getattr(stream, "isatty", lambda: False)())


def _plain(kind: str, text: str) -> str:
    return text


def _ansi(kind: str, text: str) -> str:
    code = COLORS.get(kind)
    return f"\033[{code}m{text}\033[0m" if code else text


def _markup(kind: str, text: str) -> str:
    text = text.translate(ESCAPES)
    return f'<span class="{kind}">{text}</span>' if kind in COLORS else text


def text(program: Program, source: bool = False, color: bool = False) -> str:
    """See `Program.as_text`."""
    paint = _ansi if color else _plain
    return "\n".join(_text_lines(Writer(source=source, named=True).listing(program), paint))


def signature(program: Program) -> str:
    """What a program takes and gives, in one line: ``x:f64[3] y:f64[] -> f64[3]``."""
    listing = Writer(named=True).listing(program)
    inputs = [_painted(spans, _plain) for spans in listing.inputs]
    outputs = [str(t) for t in program.output_types]
    return f"{_few(inputs) or '()'} -> {_few(outputs) or '()'}"


def _few(texts: list[str]) -> str:
    more = len(texts) - FEW
    return " ".join(texts[:FEW]) + (f" ... ({more} more)" if more > 0 else "")


def html(program: Program) -> str:
    """The listing as a piece of a page that needs nothing else."""
    listing = Writer(source=True, named=True).listing(program)
    return f'<style>{STYLE}</style><div class="funcgrad-listing">{"".join(_html(listing, ""))}</div>'


def _painted(spans: Spans, paint: Paint) -> str:
    return "".join([paint(*span) for span in spans])


def _width(spans: Spans) -> int:
    return sum(len(span.text) for span in spans)


def _head(listing: Listing, paint: Paint, indent: str = "") -> str:
    """What stands before the equations, in several lines if it is long."""
    lines, width = ["{ lambda"], 8
    for items, end in ((listing.constants, " ;"), (listing.inputs, "")):
        for spans in items:
            if width + _width(spans) + 1 > WRAPPED:
                lines.append(f"\n{indent}   ")
                width = 4
            lines.append(f" {_painted(spans, paint)}")
            width += _width(spans) + 1
        lines.append(end)
    return "".join(lines) + f"{'' if listing.inputs else ' '}. let"


def _tail(listing: Listing, paint: Paint) -> str:
    outputs = ", ".join(_painted(spans, paint) for spans in listing.outputs)
    return f"in ({outputs}{',' if len(listing.outputs) == 1 else ''}) }}"


def _column(rows: list[Row]) -> int:
    """Where the signs of equality stand, as far as the left sides are not very long."""
    return max([w for row in rows if (w := _width(row.left)) <= WIDEST], default=0)


def _equation(row: Row, column: int, paint: Paint) -> str:
    padding = " " * (column - _width(row.left))
    return f"{_painted(row.left, paint)}{padding} = {_painted(row.right, paint)}"


def _text_lines(listing: Listing, paint: Paint) -> Iterator[str]:
    yield from _head(listing, paint).split("\n")
    column = _column(listing.rows)
    widths = [max(column, _width(row.left)) + 3 + _width(row.right) for row in listing.rows]
    notes = max([w for w, row in zip(widths, listing.rows, strict=True) if row.source and w < WRAPPED], default=0)
    for width, row in zip(widths, listing.rows, strict=True):
        note = f"{' ' * (notes - width)}  {paint('note', f'# {row.source}')}" if row.source else ""
        yield f"    {_equation(row, column, paint)}{note}"
        for title, inner in row.inner:
            first, *rest = _text_lines(inner, paint)
            yield f"      {paint('key', f'{title}=')}{first}"
            yield from (f"      {line}" for line in rest)
    yield f"  {_tail(listing, paint)}"


def _html(listing: Listing, indent: str) -> Iterator[str]:
    yield f"{_head(listing, _markup, indent)}\n"
    rows = listing.rows
    column = _column(rows)
    yield from (_html_row(row, column, indent) for row in rows[:FOLDED_AT])
    if len(rows) > FOLDED_AT:
        yield f"{indent}    <details><summary>{len(rows) - FOLDED_AT} more equations</summary>"
        yield from (_html_row(row, column, indent) for row in rows[FOLDED_AT:])
        yield f"{indent}    </details>\n"
    yield f"{indent}  {_tail(listing, _markup)}"


def _html_row(row: Row, column: int, indent: str) -> str:
    title = f' title="{row.source.translate(ESCAPES)}"' if row.source else ""
    text = f'{indent}    <span class="row"{title}>{_equation(row, column, _markup)}</span>\n'
    deeper = f"{indent}      "
    for name, inner in row.inner:
        folded = f"{_markup('key', name)} ({_counted(inner)})"
        inside = "".join(_html(inner, deeper))  # browsers begin a line for it
        text += f"{deeper}<details><summary>{folded}</summary>{deeper}{inside}</details>\n"
    return text


def _counted(listing: Listing) -> str:
    """What a folded program is made of: how many equations, and the most frequent operations."""
    names = sorted(row.right[0].text for row in listing.rows)
    counts = sorted(((len(list(group)), name) for name, group in groupby(names)), key=lambda pair: (-pair[0], pair[1]))
    shown = ", ".join(name if count == 1 else f"{count} {name}" for count, name in counts[:3])
    size = f"{len(names)} equation{'' if len(names) == 1 else 's'}"
    return f"{size}{': ' if names else ''}{shown}{', ...' if len(counts) > 3 else ''}".translate(ESCAPES)
