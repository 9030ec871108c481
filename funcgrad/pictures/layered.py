"""Where does each node of a graph stand, so that edges run downwards, are short, and cross seldom?

The method of Sugiyama, Tagawa and Toda (1981), "Methods for visual understanding of hierarchical system structures":
edges that run against the order of the nodes are turned, nodes get layers, every layer an order by the barycentres of
neighbours, and coordinates that keep the order. Coordinates are the least-squares fit to where neighbours are, layer by
layer: an isotonic regression, which pooling adjacent violators solves exactly in linear time.

A sweep takes a time like n log n, for an edge passes at most so many layers as its caller lets it, and a layer has room
for a bounded number of nodes.
"""

from __future__ import annotations

import itertools
import math
import operator
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

GAP, LANE_GAP = 26.0, 14.0  # between neighbours in a layer: nodes, and edges that pass by
LAYER_GAP = 34.0
WIDEST = 2400.0  # a layer of nodes: what has no room goes one layer down
SWEEPS, SWAPS, PULLS = 8, 12, 12
MOST_SWAPPED = 3000  # nodes and bends: exchanging neighbours is for pictures that somebody sees as a whole
MOST_EDGES = 24  # of a node that is exchanged with its neighbour
LIGHT = 0.12  # how much what reads nothing draws its reader to itself, by others: arguments stand beside a chain
SLACK = 60.0  # how far from a node's middle an edge may end and still draw it as if it ended there: chains stay upright
STRAIGHT = (1.0, 3.0, 9.0)  # how much an edge's piece wants to be vertical, by how many of its ends are bends

Point = tuple[float, float]


class Link(NamedTuple):
    """An edge between two nodes, and where at their sides it ends: fractions of the width."""

    source: int
    target: int
    leaves: float = 0.5
    enters: float = 0.5


class Layout(NamedTuple):
    """Places of the upper left corners, a path of cubic curves for each edge (its first point, then three for each
    curve), and the size of all.
    """

    places: list[Point]
    routes: list[list[Point]]
    width: float
    height: float


@dataclass(slots=True)
class _Grid:
    """Nodes and bends by layer; numbers from `nodes` on are bends.

    Attributes
    ----------
    layers
        In their order from left to right.
    up, down
        For each element ``(neighbour, own port, its port, weight)``; ports are relative to the middle.
    """

    nodes: int
    layers: list[list[int]]
    width: list[float]
    up: list[list[tuple[int, float, float, float]]] = field(default_factory=list)
    down: list[list[tuple[int, float, float, float]]] = field(default_factory=list)


def layered(sizes: Sequence[tuple[float, float]], links: Sequence[Link], layers: Sequence[int] | None = None) -> Layout:
    """The layout of nodes of given widths and heights, which stand in the order in which they are computed.

    Their layers are those of `layers_of`, unless they are given.
    """
    if not sizes:
        return Layout([], [[] for _ in links], 0.0, 0.0)
    level = layers or layers_of([w for w, _ in sizes], links)
    grid, chains = _grid(sizes, links, level)
    _order(grid)
    middles = _coordinates(grid)
    where = {k: (at, position) for at, row in enumerate(grid.layers) for position, k in enumerate(row)}
    for lane in _lanes(chains):
        _straighten(grid, middles, lane, where)
    left = min(x - w / 2 for x, w in zip(middles, grid.width, strict=True))
    middles = [x - left for x in middles]
    tops, heights, height = [], [], 0.0
    for row in grid.layers:
        tops.append(height)
        heights.append(max((sizes[k][1] for k in row if k < grid.nodes), default=0.0))
        height += heights[-1] + LAYER_GAP
    places = [(middles[k] - sizes[k][0] / 2, tops[level[k]]) for k in range(len(sizes))]
    routes = [
        _route(link, chain, sizes, places, middles, (tops, heights, level))
        for link, chain in zip(links, chains, strict=True)
    ]
    width = max(x + w / 2 for x, w in zip(middles, grid.width, strict=True))
    return Layout(places, routes, width, height - LAYER_GAP)


def layers_of(widths: Sequence[float], links: Sequence[Link]) -> list[int]:
    """The layer of each node: below what it reads where there is room.

    What reads nothing, or little that does not move along with it, stands right above its first reader.
    """
    above: list[list[int]] = [[] for _ in widths]
    below: list[list[int]] = [[] for _ in widths]
    for link in links:
        a, b = sorted((link.source, link.target))
        if a != b:
            above[b].append(a)
            below[a].append(b)
    level = [0] * len(widths)
    rows = _Rows()
    free = [not sources and bool(below[k]) for k, sources in enumerate(above)]
    for k, sources in enumerate(above):
        if not free[k]:
            level[k] = rows.place(widths[k], 1 + max((level[a] for a in sources), default=-1))
    for k in reversed(range(len(widths))):
        if not below[k] or sum(not free[a] for a in above[k]) >= len(below[k]):
            continue
        at = min(level[b] for b in below[k]) - 1
        if not free[k]:
            rows.take(widths[k], level[k])
            while at > level[k] and not rows.has_room(at):
                at -= 1
        else:
            while not rows.has_room(at):
                at -= 1
        free[k] = free[k] or all(free[a] for a in above[k])
        level[k] = at
        rows.add(widths[k], at)
    used = {at: number for number, at in enumerate(sorted(set(level)))}
    return [used[at] for at in level]


class _Rows:
    """How much room the layers have left."""

    def __init__(self) -> None:
        self._room: dict[int, float] = {}
        self._next: dict[int, int] = {}  # for layers that were full, where there may be room

    def has_room(self, at: int) -> bool:
        """Whether one more node may stand there."""
        return self._room.get(at, WIDEST) > 0

    def add(self, width: float, at: int) -> None:
        """A node of this width stands there."""
        self._room[at] = self._room.get(at, WIDEST) - width - GAP

    def take(self, width: float, at: int) -> None:
        """It does no more."""
        self._room[at] += width + GAP

    def place(self, width: float, at: int) -> int:
        """Put a node there, or in the first layer below that has room."""
        passed = []
        while not self.has_room(at):
            passed.append(at)
            at = self._next.get(at, at + 1)
        for full in passed:
            self._next[full] = at
        self.add(width, at)
        return at


def _grid(
    sizes: Sequence[tuple[float, float]], links: Sequence[Link], level: Sequence[int]
) -> tuple[_Grid, list[list[int]]]:
    """The layers with bends where edges pass, and for each edge its bends from top to bottom."""
    grid = _Grid(len(sizes), [[] for _ in range(max(level) + 1)], [w for w, _ in sizes])
    grid.up, grid.down = [[] for _ in sizes], [[] for _ in sizes]
    for k, at in enumerate(level):
        grid.layers[at].append(k)
    chains: list[list[int]] = []
    lanes: dict[tuple[int, float, int], int] = {}  # edges from one port share their bends
    for link in links:
        chain: list[int] = []
        chains.append(chain)
        a, b, out, enters = link.source, link.target, link.leaves, link.enters
        if level[a] > level[b]:
            a, b, out, enters = b, a, enters, out
        if level[a] == level[b]:
            continue
        before, port = a, (out - 0.5) * sizes[a][0]
        for at in range(level[a] + 1, level[b]):
            key = (a, out, at)
            bend = lanes.get(key)
            if bend is None:
                bend = lanes[key] = len(grid.width)
                grid.width.append(0.0)
                grid.up.append([])
                grid.down.append([])
                grid.layers[at].append(bend)
                _join(grid, before, bend, port, 0.0)
            chain.append(bend)
            before, port = bend, 0.0
        _join(grid, before, b, port, (enters - 0.5) * sizes[b][0])
    return grid, chains


def _join(grid: _Grid, a: int, b: int, leaves: float, enters: float) -> None:
    weight = STRAIGHT[(a >= grid.nodes) + (b >= grid.nodes)]
    grid.down[a].append((b, leaves, enters, weight))
    grid.up[b].append((a, enters, leaves, weight))


def _order(grid: _Grid) -> None:
    """Sweeps down and up that sort each layer by barycentres; the order with the fewest crossings is kept."""
    place = [0.0] * len(grid.width)
    _first_order(grid)
    best, fewest = [list(row) for row in grid.layers], crossings(grid.layers, grid.down)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        downwards = sweep % 2 == 0
        for row in grid.layers:
            for position, k in enumerate(row):
                place[k] = position
        for row in grid.layers if downwards else reversed(grid.layers):
            neighbours = grid.up if downwards else grid.down
            keys = {}
            for position, k in enumerate(row):
                found = [place[n] + other / max(grid.width[n], 1.0) for n, _, other, _ in neighbours[k]]
                keys[k] = sum(found) / len(found) if found else float(position)
            row.sort(key=keys.__getitem__)
            for position, k in enumerate(row):
                place[k] = position
        count = crossings(grid.layers, grid.down)
        if count < fewest:
            best, fewest = [list(row) for row in grid.layers], count
    grid.layers[:] = best
    for _ in range(SWAPS if fewest and len(grid.width) <= MOST_SWAPPED else 0):
        if not _swap(grid):
            break


def _swap(grid: _Grid) -> bool:
    """Exchange neighbours whose edges cross less the other way round; whether there were any."""
    place = {k: position for row in grid.layers for position, k in enumerate(row)}
    better = False
    for row in grid.layers:
        for position in range(len(row) - 1):
            a, b = row[position], row[position + 1]
            if max(len(side[k]) for side in (grid.up, grid.down) for k in (a, b)) > MOST_EDGES:
                continue
            gain = 0
            for side in (grid.up, grid.down):
                ends = [[(place[n], other) for n, _, other, _ in side[k]] for k in (a, b)]
                gain += sum((x > y) - (x < y) for x in ends[0] for y in ends[1])
            if gain > 0:
                row[position], row[position + 1] = b, a
                place[a], place[b] = position + 1, position
                better = True
    return better


def _first_order(grid: _Grid) -> None:
    """Elements as a search in depth, from the last ones upwards, meets them: what belongs together stands together."""
    seen: set[int] = set()
    rank: dict[int, int] = {}
    for row in reversed(grid.layers):
        for k in row:
            waiting = [k]
            while waiting:
                n = waiting.pop()
                if n in seen:
                    continue
                seen.add(n)
                rank[n] = len(rank)
                waiting += [a for a, *_ in reversed(grid.up[n]) if a not in seen]
    for row in grid.layers:
        row.sort(key=rank.__getitem__)


def crossings(layers: Sequence[Sequence[int]], down: Sequence[Sequence[tuple[int, float, float, float]]]) -> int:
    """How often edges between neighbouring layers cross: how often, from left to right, one ends left of one before."""
    total = 0
    for upper, lower in itertools.pairwise(layers):
        position = {k: n for n, k in enumerate(lower)}
        seen: list[tuple[int, float]] = []  # in order: a list is quicker than a tree, as long as layers are
        for a in upper:
            for b, _, enters, _ in sorted(down[a], key=_leaves) if len(down[a]) > 1 else down[a]:
                end = position[b], enters
                at = bisect_right(seen, end)
                total += len(seen) - at
                seen.insert(at, end)
    return total


_leaves = operator.itemgetter(1)


def _coordinates(grid: _Grid) -> list[float]:
    """The middle of each element: pulled to its neighbours from above and below in turn, at last from both."""
    x = [0.0] * len(grid.width)
    offsets = []
    for row in grid.layers:
        at, row_offsets = 0.0, []
        for before, k in zip([None, *row], row, strict=False):
            if before is not None:
                at += (grid.width[before] + grid.width[k]) / 2 + _gap(grid, before, k)
            row_offsets.append(at)
        offsets.append(row_offsets)
        for k, offset in zip(row, row_offsets, strict=True):
            x[k] = offset - at / 2
    pulled = _pulls(grid)
    for pull in range(PULLS):
        downwards = pull % 2 == 0
        sides = pulled if pull >= PULLS - 2 else pulled[:1] if downwards else pulled[1:]
        order = range(len(grid.layers)) if downwards else range(len(grid.layers) - 1, -1, -1)
        for at in order:
            row = grid.layers[at]
            wanted, weights = [], []
            for k in row:
                total = weight = 0.0
                for side in sides:
                    for n, shift, w in side[k]:
                        total += (x[n] + shift) * w
                        weight += w
                wanted.append(total / weight if weight else x[k])
                weights.append(weight or 0.05)
            placed = spread(wanted, weights, offsets[at]) if len(row) > 1 else wanted
            for k, value in zip(row, placed, strict=True):
                x[k] = value
    return x


def _pulls(grid: _Grid) -> list[list[list[tuple[int, float, float]]]]:
    """From above and from below, what draws each element: a neighbour, how far from it, and how much."""
    free: list[bool] = [False] * len(grid.width)  # what reads nothing, and the bends of its edges
    for row in grid.layers:
        for k in row:
            free[k] = not grid.up[k] or (k >= grid.nodes and free[grid.up[k][0][0]])
    return [
        [
            [(n, _beyond(b) - _beyond(a), w * (LIGHT if free[n if above else k] else 1.0)) for n, a, b, w in links]
            for k, links in enumerate(side)
        ]
        for side, above in ((grid.up, True), (grid.down, False))
    ]


def _beyond(offset: float) -> float:
    """How far a port lies beyond the slack."""
    return math.copysign(max(abs(offset) - SLACK, 0.0), offset)


def _lanes(chains: Sequence[Sequence[int]]) -> list[Sequence[int]]:
    """The chains of bends, without those that are the beginning of another."""
    longest: dict[int, Sequence[int]] = {}
    for chain in chains:
        if len(chain) > 1 and len(chain) > len(longest.get(chain[0], ())):
            longest[chain[0]] = chain
    return list(longest.values())


def _straighten(grid: _Grid, x: list[float], lane: Sequence[int], place: dict[int, tuple[int, int]]) -> None:
    """Make a lane vertical, piece by piece: each piece as long as its neighbours leave room for one line."""
    piece: list[int] = []
    low, high = -math.inf, math.inf
    for k in (*lane, None):
        if k is not None:
            at, position = place[k]
            row = grid.layers[at]
            left = row[position - 1] if position else None
            right = row[position + 1] if position + 1 < len(row) else None
            a = -math.inf if left is None else x[left] + grid.width[left] / 2 + _gap(grid, left, k)
            b = math.inf if right is None else x[right] - grid.width[right] / 2 - _gap(grid, k, right)
            if max(a, low) <= min(b, high):
                piece.append(k)
                low, high = max(a, low), min(b, high)
                continue
        if piece:
            middle = sum(x[n] for n in piece) / len(piece)
            for n in piece:
                x[n] = min(max(middle, low), high)
        if k is not None:
            piece, low, high = [k], a, b


def _gap(grid: _Grid, a: int, b: int) -> float:
    return GAP if a < grid.nodes and b < grid.nodes else LANE_GAP


def spread(wanted: Sequence[float], weights: Sequence[float], offsets: Sequence[float]) -> list[float]:
    """The values nearest to the wanted ones (least squares) that lie at least as far apart as the offsets do."""
    blocks: list[tuple[float, float, int]] = []  # mean, weight, how many
    for value, weight, offset in zip(wanted, weights, offsets, strict=True):
        mean, count = value - offset, 1
        while blocks and blocks[-1][0] > mean:
            m, w, n = blocks.pop()
            mean, weight, count = (mean * weight + m * w) / (weight + w), weight + w, count + n
        blocks.append((mean, weight, count))
    means = [mean for mean, _, count in blocks for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _route(
    link: Link,
    chain: Sequence[int],
    sizes: Sequence[tuple[float, float]],
    places: Sequence[Point],
    middles: Sequence[float],
    rows: tuple[list[float], list[float], Sequence[int]],
) -> list[Point]:
    """From the lower side of the source to the upper side of the target, vertical where it passes a layer."""
    tops, heights, level = rows
    a, b = link.source, link.target
    start = (places[a][0] + link.leaves * sizes[a][0], places[a][1] + sizes[a][1])
    end = (places[b][0] + link.enters * sizes[b][0], places[b][1])
    if level[a] == level[b]:  # an edge from a node to itself
        return path([start, end])
    if level[a] > level[b]:  # upwards: from upper to lower side
        start = (start[0], places[a][1])
        end = (end[0], places[b][1] + sizes[b][1])
        bends = [p for k, at in zip(reversed(chain), range(level[a] - 1, level[b], -1), strict=True)
                 for p in ((middles[k], tops[at] + heights[at]), (middles[k], tops[at]))]  # fmt: skip
        return path([start, *bends, end])
    out = (start[0], tops[level[a]] + heights[level[a]])
    bends = [p for k, at in zip(chain, range(level[a] + 1, level[b]), strict=True)
             for p in ((middles[k], tops[at]), (middles[k], tops[at] + heights[at]))]  # fmt: skip
    return path([start, *([out] if out != start else []), *bends, end])


def path(points: Sequence[Point]) -> list[Point]:
    """Cubic curves through points, vertical at each."""
    out = [points[0]]
    for (xa, ya), (xb, yb) in itertools.pairwise(points):
        middle = (ya + yb) / 2
        out += [(xa, middle), (xb, middle), (xb, yb)]
    return out
