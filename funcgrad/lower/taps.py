"""Which convolutions are computed tap by tap, where CPUs have AVX-512's registers, and how are they cut?

Those in whose operands features and outputs stand together, enough of them to fill registers: see
`compile.native.taps`. Others copy what windows see (`lower.convolution`), as all do on other CPUs.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from funcgrad.lower.geometry import PANEL, Geometry, Lie

LEAST = 2e6  # multiplications that are worth a piece
MOST_PIECES = 16
SUMS = 1 << 22  # bytes of sums of pieces
FEATURES = 16  # that fill tiles of a gradient by the kernel, and are worth a list
APART = 192  # features of which each tap's sums are added to the result, so that no tap sees the border
DEPTH = 2560  # bytes of a column of a panel of several taps
SEEN = 1 << 20  # bytes of what is seen from a block: with a panel, they stay in the second cache
PLACES, ADDRESSES = 1024, 1 << 15  # of a block, at most
LINE = 512  # features times panels times places of a line, so that its addresses do not matter
PANELS = 8  # that are shared among threads, rather than places
SLACK = 16  # addresses behind a list, which tiles ask for and do not use
SOME = 200  # places of a gradient's sums that share the first cache with what is seen from them
TIMES = {14: 142, 8: 84, 4: 53, 1: 41}
"""Rows of a tile: about how long a step of its sums takes."""
TALL = 84  # rows for which the best tiles are sought; those before make up the tallest ones


class Taps(NamedTuple):
    """A convolution by blocks of so many `lines` of places, and groups of taps `together`."""

    lines: int
    all_lines: int
    blocks: int
    panels: int
    together: int
    order: tuple[tuple[int, int, int], ...]
    pieces: int
    chunk: int
    some: int  # lines of a block at once
    tiles: dict[int, int]  # how many of so many rows a gradient's features make
    heights: tuple[int, ...]  # rows of the tiles that there are, the tallest first
    adds: bool  # whether pieces of a gradient by the kernel have some of the places, and are added up
    lists: int  # elements of a piece's room before its lists
    list_size: int
    room_size: int
    sums: int  # elements of the pieces' sums


def taps_of(g: Geometry, x: Lie, w: Lie, out: Lie) -> Taps | None:
    """How a convolution is cut, if it is one of these."""
    itemsize = out.var.type.dtype.itemsize
    wide = PANEL // itemsize
    panels = -(-g.outs // wide)
    places, kernel = (w, out) if g.backward else (out, w)
    together = x.ends[1 if g.backward else 2] == places.ends[2] == 1
    turned = not g.backward and kernel.ends[1] == 1  # in registers
    if not together or not (kernel.ends[2] == 1 or turned) or g.opens != (1, 1, 1):
        return None
    if g.features < FEATURES or 4 * g.outs < 3 * panels * wide or g.places[2] > PLACES:
        return None
    if g.features * panels * g.places[2] < LINE:
        return None
    order = _order(g)
    if not order:
        return None
    return _cut(g, order, panels, itemsize)


def _order(g: Geometry) -> tuple[tuple[int, int, int], ...]:
    """The taps; of a result first those that see something from most places, and none that never does."""
    seen = [[int(inside.sum()) for inside in axis] for axis in _seen(g)]
    found = {
        (d, h, w): math.prod((seen[0][d], seen[1][h], seen[2][w]))
        for d, h, w in itertools.product(*map(range, g.window))
    }
    return tuple(found if g.backward else sorted(filter(found.get, found), key=found.__getitem__, reverse=True))


def _seen(g: Geometry) -> list[list[np.ndarray]]:
    """For each axis and each tap along it, from which places the tap does not see the border."""
    axes = zip(g.places, g.window, g.steps, g.holes, g.lows, g.extents, strict=True)
    found = []
    for places, window, step, hole, low, extent in axes:
        seen = np.arange(places) * step + (np.arange(window) * hole)[:, None] - low
        found.append([*((seen >= 0) & (seen < extent))])
    return found


def _cut(g: Geometry, order: tuple[tuple[int, int, int], ...], panels: int, itemsize: int) -> Taps:
    wide, taps, width = PANEL // itemsize, len(order), g.places[2]
    all_lines = g.batch * g.places[0] * g.places[1]
    most = min(PLACES, SEEN // (g.features * itemsize), ADDRESSES // taps)
    blocks = -(-all_lines // max(1, most // width))
    lines = -(-all_lines // blocks)
    blocks = -(-all_lines // lines)
    together = 1 if g.backward or g.features >= APART else -(-taps // -(-taps * g.features * itemsize // DEPTH))
    adds = g.backward and g.groups == 1 and panels < PANELS and blocks > 1
    unit = panels if adds or not g.backward else blocks  # what is not shared, if it need not be
    total = g.groups * blocks * panels
    size = taps * g.features * panels * wide
    pieces = min(MOST_PIECES, max(1, int(g.groups * g.work / LEAST)))
    if adds:
        pieces = min(pieces, max(2, SUMS // (size * itemsize)))
    elif not g.backward:
        pieces = min(pieces, max(total // 2, 2))  # every piece makes its lists: a few panels each
    chunk = -(-total // min(pieces, total))
    chunk = -(-chunk // unit) * unit if chunk >= unit or g.backward else chunk
    pieces = -(-total // chunk)
    parts = -(-lines * width // SOME) if g.backward else 1
    some = -(-lines // min(parts, lines))
    list_size = some * width + SLACK
    if g.backward:
        lists = lines * width * wide
        addresses = -(-lines // some) * taps * (1 + 2 * list_size)
    else:
        lists = -(-g.features // 16) * 16 + together * g.features * wide
        addresses = taps + (taps + -(-taps // together)) * list_size
    room = -(-(lists + addresses * 8 // itemsize) // 16) * 16
    tiles = _tiles(g.features)
    rows = _lengths(g, order, lines, together) if not g.backward else ()
    heights = heights_of(rows, TIMES) if not g.backward else tuple(height for height, count in tiles.items() if count)
    return Taps(
        lines, all_lines, blocks, panels, together, order, pieces, chunk, some, tiles, heights, adds,
        lists, list_size, room, size * pieces if adds else 0,
    )  # fmt: skip


def _lengths(g: Geometry, order: Sequence[tuple[int, int, int]], lines: int, together: int) -> Iterator[int]:
    """The lengths of a result's lists: of all places of a block, or of those where a tap of its own does not see the
    border.
    """
    all_lines = g.batch * g.places[0] * g.places[1]
    begins, width = range(0, all_lines, lines), g.places[2]
    yield from {min(lines, all_lines - first) * width for first in begins}
    if together == 1:
        seen = _seen(g)
        for d, h, columns in {(d, h, int(seen[2][w].sum())) for d, h, w in order[1:]}:
            inside = np.tile(np.logical_and.outer(seen[0][d], seen[1][h]).ravel(), g.batch)
            yield from set((np.add.reduceat(inside, begins, dtype=np.int64) * columns).tolist())


def heights_of(lengths: Iterable[int], heights: Iterable[int]) -> tuple[int, ...]:
    """Which of these tiles, the tallest first, make up such lengths."""
    found = set()
    for left in lengths:
        for height in heights:
            if left >= height:
                found.add(height)
                left %= height
    return tuple(sorted(found, reverse=True))


@functools.cache
def _tiles(rows: int) -> dict[int, int]:
    """How many tiles of each height make up so many rows in the least time: the tallest, and the best for the rest."""
    tallest = max(TIMES)
    before = max(0, rows - TALL + tallest - 1) // tallest
    times, best = [0], [0]
    for n in range(1, rows - before * tallest + 1):
        time, height = min((times[n - h] + time, h) for h, time in TIMES.items() if h <= n)
        times.append(time)
        best.append(height)
    found = dict.fromkeys(TIMES, 0) | {tallest: before}
    left = rows - before * tallest
    while left:
        found[best[left]] += 1
        left -= best[left]
    return found
