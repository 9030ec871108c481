"""Does the report say what was measured, missed and wrong?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import chart, records, report
from benchmarks.results import Outcome, Row
from benchmarks.workload import Goal, Limit, Workload

GOALS = (Goal("steady", 0.3, ("jax", "numpy")), Goal("share", 0.4), Goal("warm", 0.5, ("jax",)))


def unused(*_: Any) -> Any:
    raise AssertionError


def steady(value: float) -> list[dict[str, float]]:
    return [{"median": value, "p10": value * 0.9, "p90": value * 1.1, "samples": 10}]


@pytest.fixture
def outcome() -> Outcome:
    workload = Workload("w", "a summary", unused, {}, tolerance=1e-5, limit=Limit("read", bytes=10**6), goals=GOALS)
    rows = [
        Row("funcgrad", cold=[0.1], steady=steady(2e-3), rss=[2**20], error=1e-7, where="x"),
        Row("jax", cold=[0.4, 0.6], steady=steady(8e-3), rss=[2**22], error=1e-3, where="gradient"),
        Row("numpy", cold=[0.01], steady=steady(4e-3), rss=[2**21]),
        Row("torch", failure="it broke"),
    ]
    return Outcome(workload, rows, limit=[1e-3])


def test_the_table(outcome: Outcome) -> None:
    lines = report.table(outcome).splitlines()
    assert lines[0] == "## w: a summary"
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == [
        "peer", "first call, empty caches", "steady", "peak memory", "p10 to p90", "share of limit", "error",
    ]  # fmt: skip
    assert [cell.strip() for cell in lines[5].split("|")[1:-1]] == [
        "jax", "500 ms ± 20 % ×0.25", "8.00 ms ×0.25", "4.0 MiB ×0.25", "7.20 ms to 8.80 ms", "12 %", "1.0e-03",
    ]  # fmt: skip
    assert len({len(line) for line in lines[2:7]}) == 1
    assert "Limit (read): 1.00 ms, 1 GB/s." in lines


def test_failures_disagreements_and_goals_follow_the_table(outcome: Outcome) -> None:
    assert report.notes(outcome) == [
        "",
        "FAILED torch: it broke",
        "DISAGREES jax: error 1.0e-03 in gradient, allowed 1e-05",
        "MISSED: steady 0.50 × numpy, at most 0.3",
        "reached: 0.50 of the limit, at least 0.4",
    ]


@pytest.mark.parametrize(
    ("value", "metric", "text"),
    [
        (0.0, "steady", "0.00 ns"),
        (1.234e-7, "steady", "123 ns"),
        (6.45e-6, "steady", "6.45 µs"),
        (1.36e-2, "steady", "13.6 ms"),
        (1.0, "cold", "1.00 s"),
        (582.25 * 2**20, "size", "582.2 MiB"),
    ],
)
def test_quantities(value: float, metric: str, text: str) -> None:
    assert report.quantity(value, metric) == text


def test_json_holds_every_figure_and_the_chart_draws_its_ratios(outcome: Outcome, tmp_path: Path) -> None:
    machine = {"processor": "P", "threads": 2, "date": "2026-01-01T00:00:00"}
    whole = {"machine": machine, "limits": {}, "options": {}, "workloads": [report.as_json(outcome)]}
    whole = json.loads(json.dumps(whole))
    jax = whole["workloads"][0]["rows"][1]
    assert jax["cold"] == [0.4, 0.6]
    assert jax["funcgrad_over_peer"] == {
        "cold": 0.25, "warm": None, "steady": 0.25, "rss": 0.25, "size": None,
    }  # fmt: skip
    kept = records.record(whole)
    assert chart.ratios(kept, "steady") == {"w": {"jax": 0.25, "numpy": 0.5}}
    for source in (whole, kept):
        (tmp_path / "results.json").write_text(json.dumps(source))
        assert chart.main(str(tmp_path / "results.json"), str(tmp_path / "chart.png")) == 0
        assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")
        (tmp_path / "chart.png").unlink()


def test_without_funcgrad_there_is_no_chart(outcome: Outcome, tmp_path: Path) -> None:
    del outcome.rows[0]
    results = {"machine": {}, "limits": {}, "options": {}, "workloads": [report.as_json(outcome)]}
    assert not chart.draw(records.record({**results, "machine": {"date": "2026-01-01"}}), tmp_path / "chart.png")
    assert not (tmp_path / "chart.png").exists()
