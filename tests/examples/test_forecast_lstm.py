"""Does the example beat naive forecasts, read nothing that comes later, and refuse wrong options in one line?"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

for name in ("matplotlib", "tqdm", "statsmodels"):
    pytest.importorskip(name)
SCRIPT = Path(__file__).parents[2] / "examples" / "forecast_lstm.py"


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("forecast_lstm", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPT.parent))  # it imports the options beside it
        spec.loader.exec_module(module)
    return module


example = loaded()


def test_a_fast_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    figure = tmp_path / "result.png"
    example.main(["--fast", "--figure", str(figure)])
    text = capfd.readouterr().out
    assert "196 windows of 33 years to learn from, 80 later years to forecast" in text
    found = re.search(r"LSTM ([\d.]+), last value ([\d.]+), eleven years ago ([\d.]+);", text)
    assert found is not None
    network, last, ago = map(float, found.groups())
    assert network < 26 < last < ago  # the full run comes to 22
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert figure.stat().st_size > 40_000  # an empty canvas is smaller


def test_windows_hold_only_what_came_before() -> None:
    years = np.arange(1900, 1950)
    every = example.windows(years, years.astype(float))
    assert every.past.shape == (17, example.PAST)
    np.testing.assert_array_equal(every.spots, every.year)
    np.testing.assert_array_equal(every.past[:, -1], every.year - 1)
    np.testing.assert_array_equal(every.past[:, -example.CYCLE], every.year - 11)
    learnt, test = example.split(every, 1940)
    assert learnt.year[-1] == learnt.spots[-1] == 1939
    assert test.year[0] == test.past[0, -1] + 1 == 1940


@pytest.mark.slow
def test_all_steps_are_made_whatever_their_number(capfd: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    data = example.windows(np.arange(40), rng.uniform(0, 100, 40))
    params = example.train(example.network(2), data, 21, 0)
    assert example.each_forecast(example.network(2), params, data.past).shape == (example.MEMBERS, 7)
    assert "7/7" in capfd.readouterr().err  # three steps each


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--steps", "0"], "--steps: '0' is not a whole number within 1"),
        (["--hidden", "x"], "--hidden: 'x' is not a whole number within 1"),
        (["--figure", "result.txt"], "'result.txt' does not end with"),
        (["--figure", "nowhere/result.png"], "there is no folder 'nowhere'"),
        (["--seed", "-1"], "--seed: '-1' is not a whole number"),
        (["--unknown"], "unrecognized arguments: --unknown"),
    ],
)
def test_bad_options(options: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        example.main(options)
    assert stop.value.code == 2
    error = capfd.readouterr().err
    assert error.startswith("forecast_lstm: ")
    assert message in error
    assert error.count("\n") == 1


def test_help(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        example.main(["--help"])
    assert stop.value.code == 0
    assert "--fast" in capfd.readouterr().out
