"""What came out?  One row per peer, its figures by round, and the ratios that the report prints."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

from benchmarks.workload import BASELINE, AnyWorkload


@dataclass
class Row:
    """What one peer reached on one workload; every list has one entry per round.

    Attributes
    ----------
    cold, warm
        Seconds of the first call with an empty and with a filled disk cache.
    steady
        Median, 10th and 90th percentile and number of samples of the later calls.
    rss, size
        Bytes: peak memory, files on disk.
    error, where
        Largest relative error against the reference, and the array that has it.
    failure
        Why there are no figures, or no more of them.
    """

    peer: str
    cold: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    steady: list[dict[str, float]] = field(default_factory=list)
    rss: list[int] = field(default_factory=list)
    size: list[int] = field(default_factory=list)
    error: float | None = None
    where: str = ""
    failure: str = ""

    def values(self, metric: str) -> list[float]:
        """One number per round."""
        return [each["median"] for each in self.steady] if metric == "steady" else getattr(self, metric)

    def median(self, metric: str) -> float | None:
        """The median over the rounds."""
        values = self.values(metric)
        return median(values) if values else None


@dataclass
class Outcome:
    """All rows of one workload."""

    workload: AnyWorkload
    rows: list[Row]
    limit: list[float] = field(default_factory=list)

    def row(self, peer: str) -> Row | None:
        """The row of ``peer``, if it took part."""
        return next((row for row in self.rows if row.peer == peer), None)

    def ratio(self, metric: str, peer: str) -> float | None:
        """funcgrad / peer: the median of the ratios of the rounds, whose processes ran next to each other."""
        ours, theirs = self.row(BASELINE), self.row(peer)
        if ours is None or theirs is None or peer in getattr(self.workload, "checks", ()):
            return None
        pairs = list(zip(ours.values(metric), theirs.values(metric), strict=False))
        return median(a / b for a, b in pairs) if pairs else None

    def share(self, peer: str) -> float | None:
        """Limit / peer: 1 is all that the machine can do; the median of the ratios of the rounds."""
        row = self.row(peer)
        pairs = list(zip(self.limit, row.values("steady"), strict=False)) if row else []
        return median(a / b for a, b in pairs) if pairs else None

    @property
    def disagreements(self) -> list[Row]:
        """The rows whose results differ from the reference by more than the tolerance."""
        tolerance = getattr(self.workload, "tolerance", 0.0)
        return [row for row in self.rows if row.error is not None and not row.error <= tolerance]
