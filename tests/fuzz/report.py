"""What has been run, and what has been found?  Counts, the smallest form of each mismatch, and sums over runs."""

from __future__ import annotations

import collections
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Report:
    """The counts of a run, or of a part of one.

    Attributes
    ----------
    programs, decided
        Programs compared, and those of them of which some output is worth comparing (the others are too
        ill-conditioned, or hang on a rounding).
    ways
        How many programs went each way.
    invalid
        Cases that the interpreter refuses.
    found
        The mismatches, with their scripts.
    seconds
        CPU time.
    """

    programs: int = 0
    decided: int = 0
    invalid: int = 0
    ways: collections.Counter[str] = field(default_factory=collections.Counter)
    primitives: collections.Counter[str] = field(default_factory=collections.Counter)
    refusals: collections.Counter[str] = field(default_factory=collections.Counter)
    found: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0

    def __add__(self, other: Report) -> Report:
        return Report(**{name: mine + getattr(other, name) for name, mine in vars(self).items()})

    def __str__(self) -> str:
        ways = ", ".join(f"{way} {count}" for way, count in self.ways.most_common())
        return (
            f"{self.programs} programs ({self.decided} with decided results), {len(self.primitives)} primitives, "
            f"{len(self.found)} mismatches, {self.invalid} refused by the interpreter; {self.seconds:.0f} s of CPU\n"
            f"ways: {ways}"
        )


class Tally:
    """A file with a line for each part of a run that is done, so that runs add up and nothing is counted twice."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def note(self, seed: int, end: int, part: Report) -> None:
        """Add a part; `end` is the number of the program behind its last one."""
        with self.path.open("a") as file:
            file.write(json.dumps({"seed": seed, "end": end} | vars(part)) + "\n")

    def end(self, seed: int) -> int:
        """The number of the first program with this seed that nobody has run."""
        return max((line["end"] for line in self._lines() if line["seed"] == seed), default=0)

    def total(self) -> Report:
        """The sum of everything."""
        return sum((_report(line) for line in self._lines()), Report())

    def _lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []


def _report(line: dict[str, Any]) -> Report:
    counters = {name: collections.Counter(line[name]) for name in ("ways", "primitives", "refusals")}
    rest = {name: line[name] for name in ("programs", "decided", "invalid", "seconds")}
    return Report(**rest, **counters, found=[(name, script) for name, script in line["found"]])
