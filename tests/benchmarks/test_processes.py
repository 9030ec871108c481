"""Does a measured process get its threads and caches, and nothing that the user's shell had set?"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.processes import ProcessFailed, Task, environment, hold_to_cores, launch


def test_threads_and_caches_are_set_and_settings_are_not_inherited() -> None:
    inherited = {"PATH": "p", "JAX_PLATFORMS": "gpu", "XLA_FLAGS": "x", "OMP_WAIT_POLICY": "active", "NUMBA_DEBUG": "1"}
    found = environment(Task("w", "jax", threads=2, cache="/c", x64=True), inherited)
    assert found["PATH"] == "p"
    assert found["JAX_PLATFORMS"] == "cpu"
    assert found["JAX_COMPILATION_CACHE_DIR"] == "/c"
    assert found["JAX_ENABLE_X64"] == "1"
    assert found["OMP_NUM_THREADS"] == found["OPENBLAS_NUM_THREADS"] == found["FUNCGRAD_NUM_THREADS"] == "2"
    assert not {"XLA_FLAGS", "OMP_WAIT_POLICY", "NUMBA_DEBUG"} & found.keys()


@pytest.mark.parametrize("peer", ["torch", "tcompile"])
def test_torch_waits_passively(peer: str) -> None:
    assert environment(Task("w", peer, threads=1), {})["OMP_WAIT_POLICY"] == "PASSIVE"


def test_funcgrad_gets_its_cache() -> None:
    assert environment(Task("w", "funcgrad", threads=1, cache="/c"), {})["FUNCGRAD_CACHE_DIR"] == "/c"


def test_too_many_threads_are_refused() -> None:
    with pytest.raises(ValueError, match="--threads 100000 asks for more than"):
        hold_to_cores(100_000)


def test_source_text_runs_in_a_fresh_interpreter(tmp_path: Path) -> None:
    source = "import numpy, sys; assert 'numpy' in sys.modules; result = numpy.arange(3.0)"
    answer = launch(Task("s", "numpy", threads=1, source=source), tmp_path)
    assert answer["result"] == [0.0, 1.0, 2.0]
    assert answer["first"] > 0
    assert answer["rss"] > 2**20


def test_a_call_is_measured_and_its_result_saved(tmp_path: Path) -> None:
    task = Task("dispatch_scalar", "numpy", threads=1, seconds=0.001, save=str(tmp_path / "saved.npz"))
    answer = launch(task, tmp_path)
    assert answer.keys() == {"first", "steady", "rss"}
    assert answer["steady"]["samples"] >= 3
    with np.load(task.save) as saved:
        assert {name: float(value) for name, value in saved.items()} == {"result": 7.0}


def test_a_broken_process_reports_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(ProcessFailed, match=r"^ZeroDivisionError: division by zero$"):
        launch(Task("s", "numpy", threads=1, source="1 / 0"), tmp_path)


def test_a_process_that_ends_silently_has_failed(tmp_path: Path) -> None:
    with pytest.raises(ProcessFailed, match="exit status 3"):
        launch(Task("s", "numpy", threads=1, source="import os; os._exit(3)"), tmp_path)


def test_the_environment_reaches_the_process(tmp_path: Path) -> None:
    source = "import os, numpy; result = numpy.array(int(os.environ['OMP_NUM_THREADS']))"
    assert launch(Task("s", "numpy", threads=7, source=source), tmp_path)["result"] == 7
    assert os.environ.get("OMP_NUM_THREADS") != "7"
