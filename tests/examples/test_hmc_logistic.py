"""Does the example sample the posterior, draw its figure, and refuse options with one line and exit status 2?"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("tqdm")
pytest.importorskip("sklearn")
SCRIPT = Path(__file__).parents[2] / "examples" / "hmc_logistic.py"


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hmc_logistic", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


example = loaded()


def test_a_fast_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    figure = tmp_path / "result.png"
    assert example.main(["--fast", "--figure", str(figure)]) == 0
    text = capfd.readouterr().out
    assert "456 tumours to learn from, 113 held out, 31 weights" in text
    found = re.search(r"R-hat at most ([\d.]+), .*held-out accuracy ([\d.]+)%", text)
    assert found is not None
    assert float(found[1]) < 1.2  # the full run comes below 1.01
    assert float(found[2]) > 94
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert figure.stat().st_size > 20_000  # an empty canvas is smaller


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--draws", "3"], "--draws: '3' is not a whole number within 20"),
        (["--chains", "1"], "--chains: '1' is not a whole number within 2"),
        (["--figure", "result.txt"], "'result.txt' does not end with"),
        (["--figure", "nowhere/result.png"], "there is no folder 'nowhere'"),
        (["--seed", "-1"], "--seed: '-1' is not a whole number"),
        (["--unknown"], "unrecognized arguments: --unknown"),
    ],
)
def test_bad_options(options: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert example.main(options) == 2
    error = capfd.readouterr().err
    assert error.startswith("hmc_logistic: ")
    assert message in error
    assert error.count("\n") == 1


def test_help(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        example.main(["--help"])
    assert stop.value.code == 0
    assert "--fast" in capfd.readouterr().out
