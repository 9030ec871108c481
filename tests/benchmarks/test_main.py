"""Do the options choose peers and workloads, and does a wrong one end with one line and status 2?"""

from __future__ import annotations

import dataclasses
import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers import PEERS
from benchmarks.results import Outcome
from benchmarks.workloads import WORKLOADS

main = importlib.import_module("benchmarks.__main__")


def test_names_choose_workloads() -> None:
    assert [each.name for each in main.chosen_workloads(["mlp"], quick=False)] == ["mlp784", "mlp_tiny"]
    everything = [each.name for each in main.chosen_workloads(None, quick=False)]
    assert everything == [name for name in WORKLOADS if not name.startswith("gradbench_")]
    assert not {each.name for each in main.chosen_workloads(None, quick=True)} & {"elementwise_1e7_f32"}


def test_a_peer_that_is_not_installed_is_left_out_with_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = dataclasses.replace(PEERS["jax"], module="no_such_module")
    monkeypatch.setitem(PEERS, "jax", absent)
    assert "jax" not in main.chosen_peers("jax,numpy")
    assert capsys.readouterr().out == "jax is left out: no module named no_such_module\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-k", "nothing"], "-k: no workload matches; there are mlp784, mlp_tiny, "),
        (["--peers", "jaxx"], "--peers: no peer is called jaxx; there are funcgrad, jax, "),
        (["--threads", "9999"], "--threads 9999 asks for more than the "),
    ],
)
def test_wrong_options_end_with_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(message)
    assert error.count("\n") == 1


def test_list_names_every_workload(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(WORKLOADS)


def test_a_run_that_is_cut_off_keeps_what_it_has_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = []

    def measure(workload: Any, *_: Any) -> Outcome:
        if done:
            raise KeyboardInterrupt
        done.append(workload.name)
        return Outcome(workload, [])

    monkeypatch.setattr(main, "measure", measure)
    monkeypatch.setattr(main, "measure_machine", lambda *_: {})
    file = tmp_path / "results.json"
    with pytest.raises(KeyboardInterrupt):
        main.main(["-k", "mlp", "--peers", "", "--threads", "1", "--json", str(file)])
    assert [each["workload"] for each in json.loads(file.read_text())["workloads"]] == done
