"""Do both ways end at the same place, with fewer evaluations by derivatives, and does the estimator work?"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
FOLDER = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    sys.path.insert(0, str(FOLDER))
    try:
        spec = importlib.util.spec_from_file_location("scipy_interop", FOLDER / "scipy_interop.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(FOLDER))
    return module


def test_a_fast_run(example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figure = tmp_path / "figure.png"
    rows = example.run(["--fast", "--figure", str(figure)])
    assert set(rows) == {
        "minimize, jac=True",
        "minimize, hessp",
        "root, jac",
        "least_squares, jac",
        "solve_ivp, jac",
        "quad, LowLevelCallable",
    }
    for name, row in rows.items():
        assert row.apart < (1e-4 if name == "minimize, jac=True" else 1e-6), name
        if not name.startswith("quad"):
            assert sum((row.evaluations[0], row.derivatives[0])) < sum((row.evaluations[1], row.derivatives[1])), name
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert "R² of four folds" in capsys.readouterr().out


def test_the_derivatives_solve_the_problems(example: ModuleType) -> None:
    found = example.bratu(30)(True)
    u, h = np.pad(found.point, 1), 1 / 31
    np.testing.assert_allclose((u[2:] - 2 * u[1:-1] + u[:-2]) / h**2 + np.exp(u[1:-1]), 0, atol=1e-6)
    # the closed form: u = -2 log(cosh((x - 1/2) a / 2) / cosh(a / 4)), where a solves a = sqrt(2) cosh(a / 4)
    assert u[15:17].mean() == pytest.approx(0.1405, abs=2e-4)
    exact = np.sqrt(np.pi) / 2 * np.exp(-9 / 4) * (1 - 9 / 2)
    assert example.integral(True).point[0] == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("options", [["--size", "3"], ["--seed", "-1"], ["--figure", "figure.txt"]])
def test_wrong_options(example: ModuleType, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        example.run(options)
    assert error.value.code == 2
    text = capsys.readouterr().err
    assert text.startswith("scipy_interop: ")
    assert text.count("\n") == 1
