"""Does the example recover the conductances, draw its figure, and refuse options with one line and exit status 2?"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("tqdm")
SCRIPT = Path(__file__).parents[2] / "examples" / "neuron_fit.py"


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("neuron_fit", SCRIPT)
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
    assert "30 ms in 1,200 steps, 8 starts; noise 1 mV" in text
    found = re.search(r"([\d.]+) mV from the recording, conductances within ([\d.]+)%", text)
    assert found is not None
    assert float(found[1]) < 1.1
    assert float(found[2]) < 12  # 100 ms give 3 %
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert figure.stat().st_size > 20_000  # an empty canvas is smaller


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--iterations", "0"], "--iterations: '0' is not a whole number within 1"),
        (["--noise", "much"], "--noise: 'much' is not a number"),
        (["--figure", "result.txt"], "'result.txt' does not end with"),
        (["--figure", "nowhere/result.png"], "there is no folder 'nowhere'"),
        (["--seed", "-1"], "--seed: '-1' is not a whole number"),
        (["--unknown"], "unrecognized arguments: --unknown"),
    ],
)
def test_bad_options(options: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert example.main(options) == 2
    error = capfd.readouterr().err
    assert error.startswith("neuron_fit: ")
    assert message in error
    assert error.count("\n") == 1


def test_help(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        example.main(["--help"])
    assert stop.value.code == 0
    assert "--fast" in capfd.readouterr().out
