"""Do the versions of a training compute the same in every library, and does the report say so or not?"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.trainings import data, runs
from benchmarks.trainings.child import version

main = importlib.import_module("benchmarks.trainings.__main__")
FEW = 3  # steps that are compared


@pytest.fixture(params=["jax", "torch"])
def peer(request: pytest.FixtureRequest) -> Iterator[str]:
    """A library, hurried: XLA's optimisations take longer than these steps, and PyTorch's idle threads take a core."""
    if request.param == "torch":
        torch = pytest.importorskip("torch")
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield "torch"
        torch.set_num_threads(threads)
    else:
        jax = pytest.importorskip("jax")
        pytest.importorskip("optax")
        with jax.enable_x64(False):  # whatever other tests of the process have said
            jax.config.update("jax_disable_most_optimizations", True)
            yield "jax"
            jax.config.update("jax_disable_most_optimizations", False)


@cache
def made(name: str) -> data.Arrays:
    pytest.importorskip("num2words" if name == "translate" else "sklearn")
    return data.TRAININGS[name].make(np.random.default_rng(0), 1, True)


@cache
def trained(name: str, peer: str) -> tuple[np.ndarray, float]:
    """The first losses, and the accuracy after them."""
    given = made(name)
    training = version(name, peer, given["params"], FEW + 1)
    losses = training.epoch({part: array[0][:FEW] for part, array in given["batches"].items()})
    return np.asarray(losses), training.accuracy({part: array[:60] for part, array in given["test"].items()})


@pytest.mark.parametrize("name", data.TRAININGS)
def test_libraries_agree(name: str, peer: str) -> None:
    """The later losses depend on the gradients and updates of the steps before.

    JAX's convolutions on AVX-512 are right in optimised code only: the third loss differs by 0.25 % else.
    """
    if (name, peer) == ("cnn", "jax"):
        importlib.import_module("jax").config.update("jax_disable_most_optimizations", False)
    (ours, right), (theirs, also) = (trained(name, library) for library in ("funcgrad", peer))
    assert ours.shape == (FEW,)
    assert len({float(loss) for loss in ours}) == FEW
    np.testing.assert_allclose(theirs, ours, rtol=5e-4 if name == "cnn" else 1e-5)
    assert abs(right - also) < 0.05


def test_a_scan_is_the_same_training() -> None:
    pytest.importorskip("optax")
    looped, scanned = (trained("mlp", peer)[0] for peer in ("jax", "jax_scan"))
    np.testing.assert_allclose(scanned, looped, rtol=1e-6)


def test_batches_are_whole_and_of_every_epoch() -> None:
    pytest.importorskip("sklearn")
    given = data.TRAININGS["cnn"].make(np.random.default_rng(0), 2, True)
    batches = given["batches"]
    assert batches["x"].shape == (2, 4, 64, 8, 8, 1)
    assert batches["y"].shape == (2, 4, 64)
    assert batches["keep1"].shape == (2, 4, 64, 4, 4, 32)
    assert abs(batches["keep3"].mean() - 0.5) < 0.01
    assert len(given["test"]["y"]) == 1797 // 5


def test_an_image_shifted_by_nothing_stays() -> None:
    images = np.random.default_rng(0).random((2, 3, 5, 5), np.float32)
    np.testing.assert_array_equal(data.shifted(images, np.random.default_rng(1), 0.0), images)


def test_a_shift_interpolates_between_pixels() -> None:
    image = np.zeros((1, 5, 5), np.float32)
    image[0, 2, 2] = 1
    moved = data.shifted(image, np.random.default_rng(0), 0.9)
    assert np.count_nonzero(moved) == 4
    assert abs(float(moved.sum()) - 1) < 1e-6


def test_words_that_are_not_known_and_the_end() -> None:
    found, size = data.encoded(["un neuf", "deux un", "un"], known=1)
    assert size == data.UNKNOWN + 3
    assert found.tolist() == [[4, 3, 2], [5, 4, 2], [4, 2, 0]]


def test_files_keep_nested_arrays(tmp_path: Path) -> None:
    arrays = {"params": {"dense": {"kernel": np.ones((2, 3), np.float32)}}, "x": np.array([True, False])}
    data.save(tmp_path / "data.npz", arrays)
    found = data.load(tmp_path / "data.npz")
    assert found["params"]["dense"]["kernel"].dtype == np.float32
    assert found["x"].tolist() == [True, False]


def run(**changes: Any) -> runs.Run:
    answer = {
        "steps": 2,
        "begun": [1.0, 3.0, 4.0],
        "trained": [2.0, 3.2, 4.2],
        "losses": [2.0, 1.0, 0.5, 0.25, 0.2, 0.1],
        "accuracies": [0.5, 0.8, 0.9],
        "rss": 2**20,
    }
    return dataclasses.replace(runs.read(answer, 5.0, 6.0), **changes)


def test_a_run_says_when_the_first_step_was_done() -> None:
    found = run()
    assert found.step == pytest.approx(0.1)
    assert found.first == pytest.approx(1.9)
    assert found.loss == pytest.approx(0.15)
    assert (found.whole, found.cpu) == (5.0, 6.0)


def test_the_report_says_who_is_faster_and_whether_results_are_equal() -> None:
    training = data.TRAININGS["mlp"]
    rows = [
        runs.Row("funcgrad", [run(whole=4.0)], [run(whole=2.0)]),
        runs.Row("torch", [run(whole=8.0)]),
        runs.Row("jax", [run(whole=5.0)], [run(whole=1.0, losses=[2.1, 1.0, 0.5, 0.25, 0.2, 0.3])]),
    ]
    text = runs.table(training, rows)
    assert "| torch    | 8.00 s ×0.50 | –" in " ".join(text.split()).replace("| torch |", "| torch    |")
    assert "reached: whole run, filled caches, 0.25 × torch, below 1" in text
    assert "MISSED: whole run, filled caches, 2.00 × jax, below 1" in text
    assert "equal: losses of the first 5 steps of torch within 0.0e+00 of funcgrad's, at most 1e-05" in text
    assert runs.clean(training, rows)


@pytest.mark.parametrize(
    "change",
    [
        {"losses": [2.1, 1.0, 0.5, 0.25, 0.2, 0.1]},
        {"losses": [2.0, 1.0, 0.5, 0.25, 0.2, 0.3]},
        {"accuracies": [0.5, 0.8, 0.7]},
    ],
)
def test_different_results_are_seen(change: dict[str, Any]) -> None:
    training = data.TRAININGS["mlp"]
    rows = [runs.Row("funcgrad", [run()]), runs.Row("torch", [run(**change)])]
    assert "DISAGREES: " in runs.table(training, rows)
    assert not runs.clean(training, rows)


def test_a_peer_that_fails_is_told() -> None:
    rows = [runs.Row("funcgrad", [run()]), runs.Row("torch", failure="ImportError: no")]
    assert "FAILED torch: ImportError: no" in runs.table(data.TRAININGS["mlp"], rows)
    assert not runs.clean(data.TRAININGS["mlp"], rows)


def test_a_training_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    row = runs.measure(data.TRAININGS["mlp"], runs.Settings(["funcgrad"], 1, 1, tmp_path, epochs=2, fast=True))[0]
    assert not row.failure
    assert row.cold[0].losses == row.warm[0].losses
    assert len(row.cold[0].losses) == 2 * row.cold[0].steps
    assert any((tmp_path / "cache").iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "mpl"], "--only: there is no mpl; there are mlp, cnn, translate"),
        (["--peers", "keras"], "--peers: there is no keras; there are funcgrad, jax, jax_scan, torch"),
        (["--epochs", "0"], "--epochs: at least 1 is needed, not 0"),
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
