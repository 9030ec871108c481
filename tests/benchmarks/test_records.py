"""Are records kept by day, and does a comparison mark what moved beyond the noise?"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from benchmarks import records

main = importlib.import_module("benchmarks.__main__")


NOT_COMPARED: dict[str, Any] = {"funcgrad_over_peer": {}, "share_of_limit": None}


def row(peer: str, *steady: float, rss: int = 1000, spread: float = 0.0) -> dict[str, Any]:
    each = [{"median": s, "p10": s * (1 - spread), "p90": s * (1 + spread)} for s in steady]
    medians = {"cold": None, "warm": None, "steady": sorted(steady)[len(steady) // 2], "rss": rss, "size": None}
    return {"peer": peer, "steady": each, "rss": [rss], "error": 1e-9, "medians": medians} | NOT_COMPARED


def results(*rows: dict[str, Any], name: str = "mlp", date: str = "2026-11-22T06:00:00+00:00") -> dict[str, Any]:
    machine = {"date": date, "processor": "a processor", "threads": 2}
    each = {"workload": name, "summary": "a workload", "goals": [], "rows": list(rows)}
    return {"machine": machine, "limits": {}, "options": {}, "workloads": [each]}


def test_a_days_record_is_added_to(tmp_path: Path) -> None:
    file = records.save(results(row("funcgrad", 1.0)), tmp_path)
    assert file.name == "2026-11-22-threads2.json"
    records.save(results(row("funcgrad", 2.0), name="cnn"), tmp_path)
    records.save(results(row("funcgrad", 3.0), date="2026-11-21T06:00:00+00:00"), tmp_path)
    found = records.load(file)["workloads"]
    steady = {name: each["peers"]["funcgrad"]["steady"]["median"] for name, each in found.items()}
    assert steady == {"mlp": 1.0, "cnn": 2.0}
    assert records.latest(2, tmp_path) == file


def test_another_processor_has_a_file_of_its_own(tmp_path: Path) -> None:
    first = records.save(results(row("funcgrad", 1.0)), tmp_path)
    other = results(row("funcgrad", 2.0), name="cnn", date="2026-11-22T07:00:00+00:00")
    other["machine"]["processor"] = "another"
    second = records.save(other, tmp_path)
    assert records.save(other, tmp_path) == second != first
    assert [list(records.load(file)["workloads"]) for file in (first, second)] == [["mlp"], ["cnn"]]
    assert records.latest(2, tmp_path) == second


@pytest.mark.parametrize(
    ("old", "new", "beyond"),
    [
        ((1.0, 1.0), (1.04, 1.04), False),  # less than counts
        ((1.0, 1.0), (1.1, 1.1), True),
        ((1.0, 1.0), (0.9, 0.9), True),
        ((0.9, 1.1, 1.0), (1.15, 1.15), True),
        ((0.8, 1.2, 1.0), (1.15, 1.15), False),  # the older run scattered by more
    ],
)
def test_what_moved_beyond_the_noise_is_marked(old: Any, new: Any, beyond: bool) -> None:
    pair = [records.record(results(row("funcgrad", *each))) for each in (old, new)]
    (move,) = (m for m in records.moves(*pair) if m.metric == "steady")
    assert move.beyond is beyond


def test_one_round_scatters_as_its_calls_do() -> None:
    pair = [records.record(results(row("funcgrad", s, spread=0.1))) for s in (1.0, 1.15)]
    assert [m.beyond for m in records.moves(*pair)] == [False, False]


def test_a_single_first_call_says_little() -> None:
    def cold(*seconds: float) -> Any:
        medians = {"cold": seconds[0], "warm": None, "steady": None, "rss": None, "size": None}
        each = {"peer": "funcgrad", "cold": [*seconds], "steady": [], "error": None, "medians": medians} | NOT_COMPARED
        return records.record(results(each))

    assert [m.beyond for m in records.moves(cold(1.0), cold(1.4))] == [False]
    assert [m.beyond for m in records.moves(cold(1.0), cold(1.6))] == [True]
    assert [m.beyond for m in records.moves(cold(1.0, 1.02), cold(1.4, 1.38))] == [True]


def test_the_table_has_a_row_for_each_peer_and_a_column_for_each_metric() -> None:
    old = records.record(results(row("jax", 2.0), row("funcgrad", 1.0), row("torch", 1.0)))
    new = records.record(results(row("jax", 2.0), row("funcgrad", 2.0, rss=500), row("numpy", 1.0)))
    lines = records.comparison(old, new).splitlines()
    assert lines[0] == (
        "New / old: 2026-11-22T06:00:00+00:00 (a processor, 2 threads) / "
        "2026-11-22T06:00:00+00:00 (a processor, 2 threads)"
    )
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:-2]]
    assert cells[0] == ["workload", "peer", "steady", "peak memory"]
    assert cells[2:] == [
        ["mlp", "funcgrad", "×2.00 ± 5 % slower !", "×0.50 ± 5 % less !"],
        ["mlp", "jax", "×1.00 ± 5 %", "×1.00 ± 5 %"],
    ]
    assert lines[-1] == "funcgrad: 1 figures went up and 1 down, beyond the noise"


def test_other_machines_are_told() -> None:
    old, new = (records.record(results(row("funcgrad", 1.0))) for _ in range(2))
    new["machine"] = new["machine"] | {"processor": "another"}
    assert "The machines differ" in records.comparison(old, new)


def test_what_is_no_record_ends_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text("[]")
    assert main.main(["--compare", str(wrong), "-k", "mlp"]) == 2
    assert records.main([str(wrong), str(wrong)]) == 2
    assert records.main([]) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 3
    assert error[0].startswith(f"{wrong} is no record of benchmarks: ")


def test_without_a_record_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no record of 2 threads is kept in .*; --save writes one"):
        records.latest(2, tmp_path)


def test_two_files_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(records.save(results(row("funcgrad", 1.0)), tmp_path))
    assert records.main([file, file]) == 0
    assert "funcgrad: 0 figures went up and 0 down" in capsys.readouterr().out
