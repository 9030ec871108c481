"""How do the figures read?  Markdown tables, the goals that were reached or missed, and the same as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.results import Outcome, Row
from benchmarks.workload import BASELINE, Goal, Workload

METRICS = {
    "cold": "first call, empty caches",
    "warm": "first call, disk cache filled",
    "steady": "steady",
    "rss": "peak memory",
    "size": "on disk",
}
UNITS = {"rss": 2.0**20, "size": 2.0**20}


def header(machine: dict[str, Any], limits: dict[str, dict[str, float]]) -> str:
    """Machine, versions and the machine's own limits."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    rates = ", ".join(
        f"{name} {each['rate'] / 1e9:.3g} G{'B' if name in ('triad', 'read') else 'FLOP'}/s"
        for name, each in limits.items()
    )
    return (
        f"{machine['date']}: {machine['processor']}, {machine['cores']} cores, {machine['threads']} used; "
        f"Python {machine['python']}, {versions}\n"
        f"Limits measured in this run: {rates}\n"
        f"A cell is the median over the rounds; ×r is {BASELINE} / peer, the median of the rounds' ratios; "
        "± is half the range of the rounds' medians; p10 to p90 are the outermost of any round."
    )


def table(outcome: Outcome) -> str:
    """One workload."""
    metrics = [metric for metric in METRICS if any(row.values(metric) for row in outcome.rows)]
    has_limit = bool(outcome.limit)
    titles = ["peer", *(METRICS[metric] for metric in metrics), *_extra_titles(outcome)]
    body = [
        [row.peer, *(_cell(outcome, row, metric) for metric in metrics), *_extra_cells(outcome, row)]
        for row in outcome.rows
        if row.values("rss") or row.values("size")
    ]
    name = outcome.workload.name
    lines = [f"## {name}: {outcome.workload.summary}", "", *aligned([titles, *body])]
    if has_limit:
        lines += ["", _limit_line(outcome)]
    return "\n".join([*lines, *notes(outcome)])


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        if number == 0:
            yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"


def _cell(outcome: Outcome, row: Row, metric: str) -> str:
    values = row.values(metric)
    if not values:
        return "–"
    text = quantity(row.median(metric) or 0.0, metric)
    if len(values) > 1 and metric != "rss":
        text += f" ± {100 * (max(values) - min(values)) / 2 / (row.median(metric) or 1.0):.0f} %"
    ratio = outcome.ratio(metric, row.peer)
    return text if ratio is None or row.peer == BASELINE else f"{text} ×{ratio:.2f}"


def _extra_titles(outcome: Outcome) -> list[str]:
    steady = any(row.steady for row in outcome.rows)
    return [*(["p10 to p90"] if steady else []), *(["share of limit"] if outcome.limit else []), "error"]


def _extra_cells(outcome: Outcome, row: Row) -> list[str]:
    cells = []
    if any(each.steady for each in outcome.rows):
        low = min((each["p10"] for each in row.steady), default=0.0)
        high = max((each["p90"] for each in row.steady), default=0.0)
        cells.append(f"{quantity(low, 'steady')} to {quantity(high, 'steady')}" if row.steady else "–")
    if outcome.limit:
        share = outcome.share(row.peer)
        cells.append("–" if share is None else f"{100 * share:.0f} %")
    return [*cells, "–" if row.error is None else f"{row.error:.1e}"]


def _limit_line(outcome: Outcome) -> str:
    assert isinstance(outcome.workload, Workload)
    assert outcome.workload.limit is not None
    limit, seconds = outcome.workload.limit, sorted(outcome.limit)[len(outcome.limit) // 2]
    amount, unit = (limit.flops, "GFLOP/s") if limit.kind == "gemm" else (limit.bytes, "GB/s")
    return f"Limit ({limit.kind}): {quantity(seconds, 'steady')}, {amount / seconds / 1e9:.3g} {unit}."


def notes(outcome: Outcome) -> list[str]:
    """Failures, disagreements and goals, a line each."""
    lines = [f"FAILED {row.peer}: {row.failure}" for row in outcome.rows if row.failure]
    tolerance = getattr(outcome.workload, "tolerance", 0.0)
    lines += [
        f"DISAGREES {row.peer}: error {row.error:.1e} in {row.where}, allowed {tolerance:.0e}"
        for row in outcome.disagreements
    ]
    lines += [line for goal in outcome.workload.goals if (line := goal_line(outcome, goal))]
    return ["", *lines] if lines else []


def goal_line(outcome: Outcome, goal: Goal) -> str:
    """Whether the goal is reached, and by which peer it is set; empty if it was not measured."""
    if not goal.peers:
        share = outcome.share(BASELINE)
        if share is None:
            return ""
        return _verdict(share >= goal.bound, f"{share:.2f} of the limit, at least {goal.bound}")
    ratios = {peer: ratio for peer in goal.peers if (ratio := outcome.ratio(goal.metric, peer)) is not None}
    if not ratios:
        return ""
    peer, ratio = max(ratios.items(), key=lambda item: item[1])
    return _verdict(ratio <= goal.bound, f"{METRICS[goal.metric]} {ratio:.2f} × {peer}, at most {goal.bound:.3g}")


def _verdict(reached: bool, text: str) -> str:
    return f"{'reached' if reached else 'MISSED'}: {text}"


def quantity(value: float, metric: str) -> str:
    """Three digits with a unit.

    Examples
    --------
    >>> quantity(0.00123, "steady"), quantity(2.0**21, "rss")
    ('1.23 ms', '2.0 MiB')
    """
    if metric in UNITS:
        return f"{value / UNITS[metric]:.1f} MiB"
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= scale:
            return f"{_three_digits(value / scale)} {unit}"
    return f"{_three_digits(value / 1e-9)} ns"


def _three_digits(value: float) -> str:
    return f"{value:.{max(0, 2 - max(0, len(str(int(value))) - 1))}f}"


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Every row of one workload with its figures by round, its ratios and its share of the limit."""
    return {
        "workload": outcome.workload.name,
        "summary": outcome.workload.summary,
        "tolerance": getattr(outcome.workload, "tolerance", None),
        "limit_seconds": outcome.limit,
        "goals": [line for goal in outcome.workload.goals if (line := goal_line(outcome, goal))],
        "rows": [
            asdict(row)
            | {
                "medians": {metric: row.median(metric) for metric in METRICS},
                "funcgrad_over_peer": {metric: outcome.ratio(metric, row.peer) for metric in METRICS},
                "share_of_limit": outcome.share(row.peer),
            }
            for row in outcome.rows
        ],
    }
