"""Does every stop of the tour compute what it says?"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

PATH = Path(__file__).parents[2] / "examples" / "autodiff_tour.py"


@pytest.fixture(scope="module")
def tour() -> ModuleType:
    spec = importlib.util.spec_from_file_location("autodiff_tour", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_gradients(tour: ModuleType) -> None:
    along, quotient = tour.gradients()
    assert abs(along - quotient) < 1e-6
    slopes = tour.nested_parameters()
    np.testing.assert_array_equal(slopes["w"], tour.fg.grad(tour.loss)(tour.W, tour.B))
    assert tour.higher_derivatives() == [4, 10, 6, 0]
    assert tour.through_python() == [12, -4]
    assert tour.hessians() < 1e-12


def test_products(tour: ModuleType) -> None:
    np.testing.assert_allclose(tour.jacobian_matrices(), tour.fg.jacfwd(tour.predict)(tour.W, tour.B), rtol=1e-12)
    np.testing.assert_allclose(tour.per_example().sum(axis=0), tour.fg.grad(tour.loss)(tour.W, tour.B), rtol=1e-12)
    assert abs(tour.products()) < 1e-14
    assert tour.jacobian_times_matrix() < 1e-14
    np.testing.assert_array_equal(tour.vector_valued(), [6, 12, 18])
    z = 1 + 2j
    assert abs(tour.complex_numbers() - (np.sin(z) + z * np.cos(z))) < 1e-14
    np.testing.assert_array_equal(tour.complex_conventions(), [[4, -3], [1, 2]])
    assert tour.complex_matrices() < 1e-8


def test_rules(tour: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert tour.own_rules() == (1, pytest.approx(5 * 0.75, rel=1e-12))
    at_zero, slopes = tour.conventions_and_trees()
    assert at_zero == 1
    assert (slopes["x"], slopes["y"]) == pytest.approx((2 * np.cos(0.5), np.sin(0.5)), rel=1e-14)
    assert "on the way back: ct = 1.0" in capsys.readouterr().out
    root = np.sqrt(2)
    assert tour.implicit_by_hand() == pytest.approx(1 / (2 * root), rel=1e-11)
    assert tour.implicit() == pytest.approx((root, 1 / (2 * root), -1 / (4 * root**3)), rel=1e-12)


def test_memory_and_algorithms(tour: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    plain, checkpointed = tour.checkpoints()
    assert checkpointed * 2 < plain
    assert tour.straight_through() == 1
    np.testing.assert_allclose(tour.temporal_difference(), [1.2, 2.4, -1.2], rtol=1e-14)
    assert tour.sparse() == 2998
    step = 1e-5
    rates = [tour.loss(tour.W - r * tour.fg.grad(tour.loss)(tour.W, tour.B), tour.B) for r in (0.1 + step, 0.1 - step)]
    assert abs(tour.meta_learning() - (rates[0] - rates[1]) / (2 * step)) < 1e-6
    tour.main([])
    assert "straight-through" in capsys.readouterr().out
