"""Does the summary of a record say who is ahead, by how much, and what was missed?  Do the pages show the newest?"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import summary
from benchmarks.records import FOLDER, latest, load
from tests.pages import assert_shows


def peer(steady: float | None = None, cold: float | None = None, /, **others: Any) -> dict[str, Any]:
    ratios = {name: ratio for name, ratio in (("steady", steady), ("cold", cold)) if ratio is not None}
    return {"ratios": ratios} | others


RECORD = {
    "workloads": {
        "mlp": {
            "goals": ["reached: steady 0.50 × jax, at most 1.0"],
            "peers": {
                "funcgrad": peer(1.0, steady={"median": 0.002}, share_of_limit=0.97),
                "jax": peer(0.5, 0.25),
                "numpy": peer(0.8),
                "forward": peer(3.0),
            },
        },
        "sort": {
            "goals": ["reached: steady 0.08 × jax, at most 1.0", "MISSED: steady 1.25 × numpy, at most 1.1"],
            "peers": {"funcgrad": peer(1.0, steady={"median": 1.0}), "jax": peer(0.08, 1.0), "numpy": peer(1.25)},
        },
        "import": {"goals": [], "peers": {"funcgrad": peer(), "jax": peer(None, 0.5)}},
    }
}


def test_a_row_for_each_workload() -> None:
    lines = summary.summary(RECORD).splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| `")]
    assert cells == [
        ["`mlp`", "2.00 ms", "0.50", "–", "–", "0.80", "–", "97 %", "0.25", "–", "–", "reached"],
        ["`sort`", "1.00 s", "0.080", "–", "–", "1.25", "–", "–", "1.00", "–", "–"]
        + ["missed: steady 1.25 × numpy, at most 1.1"],
        ["`import`", "–", "–", "–", "–", "–", "–", "–", "0.50", "–", "–", "–"],
    ]


def test_means_are_geometric_and_count_libraries_alone() -> None:
    assert list(summary.means(RECORD)) == [
        "- steady, against the best of JAX, PyTorch, autograd, NumPy: 1.00 (geometric mean of 2 rows)",
        "- first call, empty caches, against JAX: 0.50 (geometric mean of 3 rows)",
        "- steady, against JAX: 0.20 (geometric mean of 2 rows)",
        "- behind the best peer: in 1 row",
        "  - `sort` 1.25 × NumPy",
    ]


def test_rows_say_why_a_peer_is_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    row = SimpleNamespace(why="an instruction for it.")
    monkeypatch.setattr(summary, "WORKLOADS", {"sort": row})
    assert list(summary.means(RECORD))[-1] == "  - `sort` 1.25 × NumPy: an instruction for it."


def test_a_record_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "record.json"
    file.write_text(json.dumps(RECORD))
    assert summary.main([str(file)]) == 0
    assert capsys.readouterr().out.startswith("| workload")
    assert summary.main([str(file), str(file)]) == 2
    assert capsys.readouterr().err == "usage: python -m benchmarks.summary [RECORD]\n"


@pytest.mark.parametrize(
    ("page", "text"),
    [("docs/benchmarks.md", summary.summary), ("README.md", summary.highlights)],
    ids=["page", "README"],
)
def test_a_page_shows_the_newest_record(page: str, text: Callable[[Any], str]) -> None:
    assert_shows(FOLDER.parents[1] / page, "newest record", text(load(latest(2))))
