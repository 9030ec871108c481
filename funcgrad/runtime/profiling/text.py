"""How does a profile read in a terminal?  A table, a line per step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from funcgrad.runtime.profiling.explain import Line
from funcgrad.runtime.profiling.rows import Row

if TYPE_CHECKING:
    from funcgrad.runtime.profiling import Profile

HEAD = ("step", "computes", "line", "runs", "time", "share", "bytes", "FLOPs", "GB/s", "GFLOP/s", "roof")
LEFT = 3  # columns that are words
LONGEST = 44  # characters of a word
TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
COUNTS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def table(profile: Profile) -> str:
    """All of a profile as text."""
    cells = [HEAD, *(line_of(row) for row in profile.rows)]
    widths = [max(len(line[k]) for line in cells) for k in range(len(HEAD))]
    lines = ["  ".join(_justified(line, widths)).rstrip() for line in cells]
    return "\n".join([*headline(profile), "", lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _justified(line: Sequence[str], widths: Sequence[int]) -> Iterable[str]:
    for k, (text, width) in enumerate(zip(line, widths, strict=True)):
        yield text.ljust(width) if k < LEFT else text.rjust(width)


def headline(profile: Profile) -> tuple[str, str]:
    """What was measured, and what the machine can do."""
    machine = profile.machine
    steps = "no steps" if not profile.rows else f"{time(profile.steps_seconds)} in {_plural(len(profile.rows), 'step')}"
    peaks = " and ".join(f"{machine.peaks[d] / 1e9:.3g} ({n})" for d, n in (("f4", "float32"), ("f8", "float64")))
    what = f"{profile.name}: {time(profile.seconds)} a call, {steps} (medians of {_plural(profile.repetitions, 'run')})"
    rate = f"{machine.bandwidth(profile.footprint) / 1e9:.3g} GB/s on {count(profile.footprint)}B"
    return what, f"machine: {_plural(machine.threads, 'thread')}, {rate}, products {peaks} GFLOP/s"


def line_of(row: Row) -> tuple[str, ...]:
    """The cells of a row."""
    return (
        short("  " * row.depth + row.name),
        short(row.computes),
        places(row.lines),
        str(row.runs),
        time(row.seconds),
        f"{row.share:.1%}",
        f"{count(row.bytes)}B" if row.bytes else "",
        count(row.flops) if row.flops else "",
        f"{row.gigabytes_per_second:.3g}" if row.bytes else "",
        f"{row.gigaflops:.3g}" if row.flops else "",
        "" if row.roof is None else f"{row.roof:.0%}",
    )


def places(lines: Sequence[Line]) -> str:
    """The first line, and how many more there are."""
    if not lines:
        return ""
    return lines[0].short + (f" +{len(lines) - 1}" if len(lines) > 1 else "")


def short(text: str) -> str:
    """At most so many characters."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def time(seconds: float) -> str:
    """With three digits and a unit."""
    for unit, name in TIMES:
        if seconds >= unit:
            return f"{_digits(seconds / unit)} {name}"
    return f"{seconds * 1e9:.0f} ns"


def count(number: float) -> str:
    """With three digits and a prefix, ready for a unit."""
    for unit, name in COUNTS:
        if number >= unit:
            return f"{_digits(number / unit)} {name}"
    return f"{number:.0f} "


def _digits(number: float) -> str:
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
