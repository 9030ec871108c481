"""What has been run, and what has been found?  Counts, and the smallest form of each mismatch."""

from __future__ import annotations

import collections
import time
from dataclasses import dataclass, field


@dataclass
class Report:
    """The counts of a run.

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
    """

    programs: int = 0
    decided: int = 0
    invalid: int = 0
    ways: collections.Counter[str] = field(default_factory=collections.Counter)
    primitives: collections.Counter[str] = field(default_factory=collections.Counter)
    refusals: collections.Counter[str] = field(default_factory=collections.Counter)
    found: list[tuple[str, str]] = field(default_factory=list)
    begun: float = field(default_factory=time.process_time)

    def __str__(self) -> str:
        taken = time.process_time() - self.begun
        ways = ", ".join(f"{way} {count}" for way, count in self.ways.most_common())
        return (
            f"{self.programs} programs ({self.decided} with decided results), {len(self.primitives)} primitives, "
            f"{len(self.found)} mismatches, {self.invalid} refused by the interpreter; {taken:.0f} s of CPU\n"
            f"ways: {ways}"
        )
