"""What does Graphviz make of graphs, where it is installed?  Places and paths by ``dot``, many graphs at a time."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Iterator, Sequence

from funcgrad.errors import at_line
from funcgrad.pictures.layered import GAP, LAYER_GAP, Layout, Link, Point

INCH = 72.0
SECONDS = 20.0  # that it may take
MOST = 400  # nodes of all graphs, unless somebody asks for it: its time grows faster than they do

Sizes = Sequence[tuple[float, float]]


@functools.cache
def command() -> str | None:
    """Where ``dot`` is."""
    return shutil.which("dot")


def by_dot(sizes: Sequence[Sizes], links: Sequence[Sequence[Link]], asked: bool) -> list[Layout] | None:
    """The layout of each graph; None where ``dot`` is missing, fails or takes too long, if nobody has asked for it."""
    dot = command()
    if dot is None:
        if asked:
            raise FileNotFoundError(
                "visualize: layout='dot' needs Graphviz, whose program dot is not on the path: install it "
                f"(Debian: apt install graphviz), or leave layout out{at_line()}"
            )
        return None
    if not asked and sum(map(len, sizes)) > MOST:
        return None
    text = "\n".join(_source(boxes, edges) for boxes, edges in zip(sizes, links, strict=True))
    try:
        done = subprocess.run([dot, "-Tplain"], input=text, capture_output=True, text=True, timeout=SECONDS, check=True)
        return list(_parsed(done.stdout, sizes, links))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        if asked:
            raise RuntimeError(f"visualize: Graphviz failed: {error}{at_line()}") from error
        return None


def _source(sizes: Sizes, links: Sequence[Link]) -> str:
    lines = [
        f"digraph {{ nodesep={GAP / INCH:.4f}; ranksep={LAYER_GAP / INCH:.4f}; outputorder=nodesfirst;",
        "node [shape=box fixedsize=true]; edge [arrowhead=none];",
    ]
    lines += [f"n{k} [width={w / INCH:.5f} height={h / INCH:.5f}];" for k, (w, h) in enumerate(sizes)]
    lines += [f"n{k.source} -> n{k.target};" for k in links]
    return "\n".join([*lines, "}"])


def _parsed(text: str, sizes: Sequence[Sizes], links: Sequence[Sequence[Link]]) -> Iterator[Layout]:
    """The layouts that ``dot -Tplain`` printed, one graph after the other; y counts from below there."""
    blocks = text.split("\nstop")
    for block, boxes, edges in zip(blocks, sizes, links, strict=False):
        rows = [line.split() for line in block.replace("\\\n", "").splitlines() if line]
        (head,) = [row for row in rows if row[0] == "graph"]
        width, height = float(head[2]) * INCH, float(head[3]) * INCH
        middles = {row[1]: (float(row[2]) * INCH, height - float(row[3]) * INCH) for row in rows if row[0] == "node"}
        places = [(middles[f"n{k}"][0] - w / 2, middles[f"n{k}"][1] - h / 2) for k, (w, h) in enumerate(boxes)]
        waiting: dict[tuple[str, str], list[list[Point]]] = {}
        for row in rows:
            if row[0] == "edge":
                numbers = [float(v) * INCH for v in row[4 : 4 + 2 * int(row[3])]]
                points = [(x, height - y) for x, y in zip(numbers[::2], numbers[1::2], strict=True)]
                waiting.setdefault((row[1], row[2]), []).append(points)
        routes = [waiting[f"n{k.source}", f"n{k.target}"].pop() for k in edges]
        yield Layout(places, routes, width, height)
