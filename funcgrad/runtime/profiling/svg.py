"""How near are the steps to what the machine can do?  A roofline plot as SVG: FLOPs per second over FLOPs per byte."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from funcgrad.runtime.profiling.rows import Row
from funcgrad.runtime.profiling.text import count, time

if TYPE_CHECKING:
    from funcgrad.runtime.profiling import Profile

INK, BLUE, ORANGE, GRID = "#22313f", "#2f6f9f", "#d9722e", "#d8dde2"
WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 30, 50  # margins
NAMES = {"f4": "float32", "f8": "float64"}


class Axis(NamedTuple):
    """A logarithmic axis: powers of ten at its ends, and pixels."""

    low: int
    high: int
    start: float
    stop: float

    def place(self, value: float) -> float:
        """Where a value is, in pixels."""
        return self.start + (math.log10(value) - self.low) / (self.high - self.low) * (self.stop - self.start)


def counted(profile: Profile) -> list[Row]:
    """The steps that a roofline plot can show."""
    return [row for row in profile.rows if row.roof is not None and row.flops and row.bytes and row.seconds]


def limits(profile: Profile) -> tuple[tuple[int, int], tuple[int, int]]:
    """Powers of ten around all intensities, and around all rates (FLOPs per second)."""
    rows, machine = counted(profile), profile.machine
    bandwidth = machine.bandwidth(profile.footprint)
    intensities = [*(row.intensity for row in rows), *(peak / bandwidth for peak in machine.peaks.values()), 0.1]
    rates = [*(row.flops / row.seconds for row in rows), *machine.peaks.values(), min(intensities) * bandwidth]
    return _decades(intensities), _decades(rates)


def _decades(values: Sequence[float]) -> tuple[int, int]:
    logs = [math.log10(v) for v in values]
    return math.floor(min(logs)), max(math.ceil(max(logs) + 0.05), math.floor(min(logs)) + 1)


def roofline(profile: Profile) -> str:
    """The plot; empty if no step has arithmetic."""
    if not counted(profile):
        return ""
    xs, ys = limits(profile)
    x = Axis(*xs, LEFT, WIDTH - RIGHT)
    y = Axis(*ys, HEIGHT - BOTTOM, TOP)
    parts = [*_grid(x, y), *_roofs(profile, x, y), *_points(profile, x, y)]
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'xmlns="http://www.w3.org/2000/svg" font-family="system-ui, sans-serif" font-size="12" fill="{INK}">\n'
        f"<title>Roofline plot</title>\n{chr(10).join(parts)}\n</svg>"
    )


def _grid(x: Axis, y: Axis) -> Iterator[str]:
    for power in range(x.low, x.high + 1):
        at = x.place(10.0**power)
        yield _line((at, y.start), (at, y.stop), GRID)
        yield _text(at, HEIGHT - BOTTOM + 18, f"{10.0**power:g}", "middle")
    for power in range(y.low, y.high + 1):
        at = y.place(10.0**power)
        yield _line((x.start, at), (x.stop, at), GRID)
        yield _text(LEFT - 8, at + 4, f"{10.0 ** (power - 9):g}", "end")
    yield _text((LEFT + WIDTH) / 2, HEIGHT - 12, "FLOPs per byte", "middle")
    yield _text(LEFT, TOP - 12, "GFLOP/s", "end")


def _roofs(profile: Profile, x: Axis, y: Axis) -> Iterator[str]:
    bandwidth = profile.machine.bandwidth(profile.footprint)
    low, high = 10.0**x.low, 10.0**x.high
    for dtype, peak in profile.machine.peaks.items():
        ridge = min(max(peak / bandwidth, low), high)
        first = max(low, 10.0**y.low / bandwidth)
        points = [(first, first * bandwidth), (ridge, peak), (high, peak)]
        path = " ".join(f"{x.place(a):.1f},{y.place(min(b, 10.0**y.high)):.1f}" for a, b in points)
        yield f'<polyline points="{path}" fill="none" stroke="{INK}" stroke-width="1.5"/>'
        yield _text(x.stop - 4, y.place(peak) - 5, f"products, {NAMES[dtype]}: {peak / 1e9:.3g} GFLOP/s", "end")
    start = max(low, 10.0**y.low / bandwidth)
    middle = math.sqrt(start * max(min(min(profile.machine.peaks.values()) / bandwidth, high), start))
    yield _text(x.place(middle) - 8, y.place(middle * bandwidth) - 8, f"{bandwidth / 1e9:.3g} GB/s", "end")


def _points(profile: Profile, x: Axis, y: Axis) -> Iterator[str]:
    named: list[tuple[float, float]] = []
    for row in counted(profile):
        at = x.place(row.intensity), y.place(row.flops / row.seconds)
        told = f"{row.name}: {row.computes}; {time(row.seconds)}, {count(row.flops)}FLOPs, {count(row.bytes)}B"
        colour, radius = ORANGE if "product" in row.name else BLUE, 4 + 14 * math.sqrt(row.share)
        yield (
            f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="{radius:.1f}" fill="{colour}" '
            f'fill-opacity="0.6"><title>{escape(told)}</title></circle>'
        )
        if row.share >= LABELLED and not any(abs(at[0] - a) < NEAR[0] and abs(at[1] - b) < NEAR[1] for a, b in named):
            named.append(at)
            yield _text(at[0], at[1] + radius + 12, escape(row.name), "middle")  # above are the roofs' names


LABELLED = 0.05  # of the time: steps that take less bear no name ...
NEAR = (60.0, 16.0)  # ... and neither do those within so many pixels of one that does


def _line(a: tuple[float, float], b: tuple[float, float], colour: str) -> str:
    return f'<line x1="{a[0]:.1f}" y1="{a[1]:.1f}" x2="{b[0]:.1f}" y2="{b[1]:.1f}" stroke="{colour}"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'
