"""Do layouts keep what they promise?  Edges run downwards, nothing overlaps, orders and coordinates are the best."""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funcgrad.pictures import layered as module
from funcgrad.pictures.graph import Edge, Graph, Node
from funcgrad.pictures.graphviz import by_dot
from funcgrad.pictures.layered import Layout, Link, crossings, layered, layers_of, spread
from funcgrad.pictures.layout import LONG, lay_out, shortened
from tests.effort import drawn


def drawn_graph(seed: int, count: int, reach: float = 0.3) -> tuple[list[tuple[float, float]], list[Link]]:
    """A random program: most operations read what was computed just before."""
    rng = random.Random(seed)
    links = [
        Link(max(0, k - 1 - int(rng.expovariate(reach))), k, rng.random(), rng.random())
        for k in range(1, count)
        for _ in range(rng.choice((0, 1, 1, 2)))
    ]
    return [(rng.uniform(40, 200), rng.choice((28.0, 43.0))) for _ in range(count)], links


def bezier(points: Sequence[tuple[float, float]], pieces: int = 8) -> list[tuple[float, float]]:
    """Points on a path."""
    found = [points[0]]
    for k in range(0, len(points) - 1, 3):
        p = np.array(points[k : k + 4])
        for t in np.linspace(0, 1, pieces + 1)[1:]:
            weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
            found.append(tuple(np.einsum("k,kd->d", weights, p)))
    return found


def overlaps(layout: Layout, sizes: Sequence[tuple[float, float]]) -> list[tuple[int, int]]:
    """Nodes that lie on each other."""
    boxes = [(x, y, x + w, y + h, k) for k, ((x, y), (w, h)) in enumerate(zip(layout.places, sizes, strict=True))]
    rows: dict[int, list[tuple[float, float, float, float, int]]] = {}
    for box in boxes:
        for row in range(int(box[1] // 50), int(box[3] // 50) + 1):
            rows.setdefault(row, []).append(box)
    return [
        (a[4], b[4])
        for row in rows.values()
        for a, b in itertools.combinations(row, 2)
        if a[0] < b[2] - 0.01 and b[0] < a[2] - 0.01 and a[1] < b[3] - 0.01 and b[1] < a[3] - 0.01
    ]


@drawn(40)
@given(st.integers(0, 10**9), st.integers(1, 40))
def test_a_layout(seed: int, count: int) -> None:
    sizes, links = drawn_graph(seed, count)
    layout = layered(sizes, links)
    assert not overlaps(layout, sizes)
    for x, y, (w, h) in ((*place, size) for place, size in zip(layout.places, sizes, strict=True)):
        assert x >= -0.01
        assert x + w <= layout.width + 0.01
        assert y >= -0.01
        assert y + h <= layout.height + 0.01
    for link, route in zip(links, layout.routes, strict=True):
        (xa, ya), (wa, ha) = layout.places[link.source], sizes[link.source]
        (xb, yb), (wb, _) = layout.places[link.target], sizes[link.target]
        assert route[0] == pytest.approx((xa + link.leaves * wa, ya + ha))
        assert route[-1] == pytest.approx((xb + link.enters * wb, yb))
        assert ya + ha < yb
        heights = [y for _, y in bezier(route)]
        assert heights == pytest.approx(sorted(heights)), "an edge runs upwards"


def test_edges_keep_off_nodes() -> None:
    sizes, links = drawn_graph(3, 60)
    layout = layered(sizes, links)
    for link, route in zip(links, layout.routes, strict=True):
        for x, y in bezier(route):
            for k, ((left, top), (w, h)) in enumerate(zip(layout.places, sizes, strict=True)):
                inside = left < x < left + w and top < y < top + h
                assert not inside or k in (link.source, link.target)


@pytest.mark.slow
def test_two_thousand_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As they are drawn: edges that would pass many layers are cut."""
    _, links = drawn_graph(0, 2000, 0.15)
    graph = Graph([Node(f"operation {k}") for k in range(2000)], [Edge(k.source, k.target) for k in links])
    counted = []
    real = module.spread
    monkeypatch.setattr(module, "spread", lambda *args: counted.append(len(args[0])) or real(*args))  # type: ignore[func-returns-value]
    placed = lay_out(graph, "builtin")
    assert len(placed.nodes) > 2000, "there are references"
    assert len(placed.nodes) + len(placed.routes) < 6000
    sizes = [(node.width, node.height) for node in placed.nodes]
    layout = Layout([(node.x, node.y) for node in placed.nodes], placed.routes, placed.width, placed.height)
    assert not overlaps(layout, sizes)
    links = [Link(e.source, e.target) for e in placed.graph.edges]
    rows = shortened(graph)[1]
    assert max(rows[k.target] - rows[k.source] for k in links) <= LONG + 1
    assert sum(counted) <= module.PULLS * (len(sizes) + LONG * len(links)), "each element is placed once in each pull"
    used = dict.fromkeys(rows, 0.0)
    for node, row in zip(placed.nodes, rows, strict=True):
        used[row] += 0.0 if node.node.refers else node.width + module.GAP
    assert max(used.values()) <= module.WIDEST + 300 + module.GAP, "a layer that is full takes no more"


def test_cycles_are_drawn_too() -> None:
    links = [Link(0, 1), Link(1, 2), Link(2, 0), Link(1, 1)]
    sizes = [(60.0, 30.0)] * 3
    layout = layered(sizes, links)
    tops = [y for _, y in layout.places]
    assert tops == sorted(tops)
    assert len(set(tops)) == 3
    back = layout.routes[2]
    assert back[0][1] > back[-1][1]


def test_no_nodes() -> None:
    assert layered([], []) == Layout([], [], 0.0, 0.0)


def test_what_reads_nothing_stands_above_its_reader() -> None:
    links = [Link(0, 1), Link(1, 2), Link(2, 4), Link(3, 4)]  # 3 is an argument of the last operation
    assert layers_of([60.0] * 5, links) == [0, 1, 2, 2, 3]
    links = [Link(0, 1), Link(1, 2), Link(2, 5), Link(3, 4), Link(4, 5)]  # and 4 is all that is made of it
    assert layers_of([60.0] * 6, links) == [0, 1, 2, 1, 2, 3]


@drawn(60)
@given(st.integers(0, 10**9))
def test_crossings_are_counted(seed: int) -> None:
    rng = random.Random(seed)
    upper, lower = list(range(4)), list(range(4, 9))
    rng.shuffle(lower)
    pairs = [(a, b, rng.random(), rng.random()) for a in upper for b in lower if rng.random() < 0.5]
    down = [[(b, leaves, enters, 1.0) for a, b, leaves, enters in pairs if a == k] for k in range(9)]
    place = {k: n for n, k in enumerate(lower)}
    ends = [((a, leaves), (place[b], enters)) for a, b, leaves, enters in pairs]
    expected = sum((p[0] < q[0]) != (p[1] < q[1]) for p, q in itertools.combinations(ends, 2))
    assert crossings([upper, lower], down) == expected


def test_a_ladder_is_drawn_without_crossings() -> None:
    """Two chains whose nodes come in turns."""
    links = [Link(k, k + 2) for k in range(20)]
    layout = layered([(60.0, 30.0)] * 22, links)
    xs = {round(x) for x, _ in layout.places}
    assert len(xs) == 2, "both are straight"


@drawn(40)
@given(
    st.lists(st.tuples(st.floats(-100, 100), st.floats(0.1, 10), st.floats(0, 30)), min_size=1, max_size=12),
)
def test_coordinates_are_the_least_squares(rows: list[tuple[float, float, float]]) -> None:
    """Against the conditions of Karush, Kuhn and Tucker: within a block that touches, the sums of pulls balance."""
    wanted, weights, gaps = (list(column) for column in zip(*rows, strict=True))
    offsets = list(np.cumsum([0.0, *gaps[1:]]))
    values = spread(wanted, weights, offsets)
    slack = np.diff(values) - np.diff(offsets)
    assert (slack > -1e-6).all()
    pulls = np.array(weights) * (np.array(values) - np.array(wanted))
    blocks = np.split(pulls, np.flatnonzero(slack > 1e-6) + 1)
    for block in blocks:
        assert block.sum() == pytest.approx(0, abs=1e-6)
        assert (np.cumsum(block)[:-1] < 1e-6).all(), "the left part would rather move to the left: so it should"


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_dot_draws_the_same_graph() -> None:
    graphs = [drawn_graph(seed, 12) for seed in range(3)] + [([(60.0, 30.0)], [])]
    layouts = by_dot([sizes for sizes, _ in graphs], [links for _, links in graphs], True)
    assert layouts is not None
    for layout, (sizes, links) in zip(layouts, graphs, strict=True):
        assert not overlaps(layout, sizes)
        assert len(layout.routes) == len(links)
        for link, route in zip(links, layout.routes, strict=True):
            (xa, ya), (wa, ha) = layout.places[link.source], sizes[link.source]
            assert xa - 1 <= route[0][0] <= xa + wa + 1
            assert ya - 1 <= route[0][1] <= ya + ha + 1
            assert len(route) % 3 == 1
