"""Does the example give the same draws with both kinds of derivatives, and refuse options with one line?"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import funcgrad as fg

SCRIPT = Path(__file__).parents[2] / "examples" / "numba_sampler.py"


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("numba_sampler", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


example = loaded()


def test_a_fast_run(capfd: pytest.CaptureFixture[str]) -> None:
    assert example.main(["--fast"]) == 0  # which holds both kinds of draws against each other
    text = capfd.readouterr().out
    assert text.count("ratio") == 3
    assert float(text.split("minimum: ")[1]) < 1e-9


def test_the_derivatives_by_hand() -> None:
    x = np.random.default_rng(0).normal(size=10)
    value, gradient = example.schools_by_hand(x)
    expected = fg.value_and_grad(example.schools)(x)
    assert value == pytest.approx(expected[0], rel=1e-13)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-11)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--draws", "3"], "--draws: '3' is not a whole number, 8 or more"),
        (["--seed", "-1"], "--seed: '-1' is not a whole number"),
        (["--unknown"], "unrecognized arguments: --unknown"),
    ],
)
def test_bad_options(options: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert example.main(options) == 2
    error = capfd.readouterr().err
    assert error.startswith("numba_sampler: ")
    assert message in error
    assert error.count("\n") == 1
