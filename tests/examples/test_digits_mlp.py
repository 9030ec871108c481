"""Does the example learn, draw its figure, and refuse what it cannot use with one line and exit status 2?"""

from __future__ import annotations

import importlib.util
import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "digits_mlp.py"


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("digits_mlp", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


example = loaded()


def keras_arrays(count: int = 96, size: int = 9) -> dict[str, np.ndarray]:
    """Images laid out as in Keras's archive, of three classes:
    a bright bar at the left, in the middle or at the right.
    """
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, count).astype(np.uint8)
    images = rng.integers(0, 40, (count, size, size)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 3 * label : 3 * label + 3] += np.uint8(200)
    test = count // 4
    return {"x_train": images[test:], "y_train": labels[test:], "x_test": images[:test], "y_test": labels[:test]}


def accuracies(text: str) -> list[tuple[float, float]]:
    return [(float(a), float(b)) for a, b in re.findall(r"train +([\d.]+)% +test +([\d.]+)%", text)]


def test_a_short_training_learns_and_draws(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    figure = tmp_path / "result.png"
    assert example.main(["--epochs", "6", "--hidden", "64", "--figure", str(figure)]) == 0
    text = capfd.readouterr().out
    assert "1438 training and 359 test images; layers 64-64-10" in text
    found = accuracies(text)
    assert len(found) == 6  # one line per epoch
    assert found[-1][1] > 90  # seeds give 92 to 95; guessing gives 10
    assert found[-1][1] > found[0][1]
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert figure.stat().st_size > 20_000  # an empty canvas is smaller


def test_the_same_seed_gives_the_same_training(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    texts = []
    for seed in ("3", "3", "4"):
        assert (
            example.main(["--epochs", "1", "--hidden", "8", "--seed", seed, "--figure", str(tmp_path / "a.svg")]) == 0
        )
        texts.append(re.findall("epoch .*", capfd.readouterr().out))
    assert texts[0] == texts[1] != texts[2]


def test_an_archive_of_keras_layout_is_learnt(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    archive, figure = tmp_path / "bars.npz", tmp_path / "bars.pdf"
    np.savez_compressed(archive, **keras_arrays())
    options = [
        "--data",
        str(archive),
        "--epochs",
        "10",
        "--batch-size",
        "16",
        "--hidden",
        "16,8",
        "--figure",
        str(figure),
    ]
    assert example.main(options) == 0
    text = capfd.readouterr().out
    assert "72 training and 24 test images; layers 81-16-8-3" in text
    assert accuracies(text)[-1][1] > 90  # guessing gives 33
    assert figure.read_bytes().startswith(b"%PDF")


def archive_of_arrays() -> bytes:
    whole = io.BytesIO()
    np.savez(whole, **keras_arrays())
    return whole.getvalue()


def with_objects() -> bytes:
    whole = io.BytesIO()
    arrays: dict[str, Any] = {**keras_arrays(), "x_train": np.array([{}, None], object)}
    np.savez(whole, allow_pickle=True, **arrays)
    return whole.getvalue()


def zip_of_text(*names: str) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name in names:
            archive.writestr(name, "no array")
    return whole.getvalue()


WRONG_FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "text": (lambda: b"5,0,4,1\n", "is no .npz archive"),
    "empty": (lambda: b"", "is no .npz archive"),
    "cut off": (lambda: archive_of_arrays()[:-30], "is no .npz archive, or a damaged one"),
    "damaged": (lambda: archive_of_arrays().replace(b"\xc8", b"\xc9"), "is no .npz archive, or a damaged one"),
    "no arrays": (lambda: zip_of_text("x_train.npy", "y_train.npy", "x_test.npy", "y_test.npy"), "x_train is no array"),
    "objects": (with_objects, "an array cannot be read"),
    "another archive": (
        lambda: zip_of_text("readme.txt"),
        r"has no array x_train \(it needs x_train, y_train, x_test, y_test\)",
    ),
}

WRONG_ARRAYS: dict[str, tuple[dict[str, Any], str]] = {
    "missing": ({"y_test": None}, "has no array y_test"),
    "floats": ({"x_train": np.zeros((72, 9, 9))}, r"x_train must be uint8 images .* not float64 \(72, 9, 9\)"),
    "flat": ({"x_test": np.zeros((24, 81), np.uint8)}, r"x_test must be uint8 images .* not uint8 \(24, 81\)"),
    "none": ({"x_test": np.zeros((0, 9, 9), np.uint8)}, r"x_test must be uint8 images .* \(0, 9, 9\)"),
    "one-hot": (
        {"y_train": np.zeros((72, 3), np.uint8)},
        r"y_train must be whole numbers \(images,\), not uint8 \(72, 3\)",
    ),
    "float labels": ({"y_train": np.zeros(72)}, "y_train must be whole numbers .* not float64"),
    "one label too few": ({"y_train": np.zeros(71, np.uint8)}, "x_train has 72 images and y_train 71 labels"),
    "labels below": ({"y_test": np.full(24, -1)}, r"y_test must be within 0\.\.255, not -1\.\.-1"),
    "labels above": ({"y_test": np.full(24, 256)}, r"y_test must be within 0\.\.255, not 256\.\.256"),
    "two sizes": ({"x_test": np.zeros((24, 8, 8), np.uint8)}, r"of shape \(9, 9\) and x_test of shape \(8, 8\)"),
}

WRONG_OPTIONS: dict[str, tuple[list[str], str]] = {
    "no number": (["--epochs", "many"], "--epochs: 'many' is not a whole number within 1"),
    "no epochs": (["--epochs", "0"], "--epochs: '0' is not a whole number"),
    "half an epoch": (["--epochs", "1.5"], "--epochs: '1.5' is not a whole number"),
    "negative rate": (["--lr", "-1"], "--lr: '-1' is not a number within"),
    "nan": (["--lr", "nan"], "--lr: 'nan' is not a number"),
    "no width": (["--hidden", "64,,32"], "--hidden: '' is not a whole number within 1..65536"),
    "negative seed": (["--seed", "-1"], "--seed: '-1' is not a whole number"),
    "batch of none": (["--batch-size", "0"], "--batch-size: '0' is not a whole number"),
    "unknown": (["--epoch", "3"], "unrecognized arguments: --epoch 3"),
    "no value": (["--data"], "--data: expected one argument"),
    "format": (["--figure", "a.docx"], r"--figure: 'a.docx' does not end with .png or .pdf or .svg"),
    "folder": (["--figure", "nowhere/a.png"], "--figure: there is no folder 'nowhere'"),
    "no file": (["--data", "nowhere.npz"], "nowhere.npz: cannot be read: No such file or directory"),
    "a folder": (["--data", "."], r"\.: cannot be read: Is a directory"),
}


def refusal(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line on stderr."""
    assert example.main(arguments) == 2
    captured = capfd.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("digits_mlp: ")
    return line


@pytest.mark.parametrize("case", WRONG_FILES)
def test_a_wrong_file(case: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    content, message = WRONG_FILES[case]
    path = tmp_path / "wrong.npz"
    path.write_bytes(content())
    line = refusal(capfd, "--data", str(path))
    assert str(path) in line
    assert re.search(message, line), line


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damage_anywhere(save: Callable[..., None], tmp_path: Path) -> None:
    whole, rng, path = io.BytesIO(), np.random.default_rng(0), tmp_path / "damaged.npz"
    save(whole, **keras_arrays(24, 4))
    messages = []
    for _ in range(300):
        content = bytearray(whole.getvalue())
        start = rng.integers(len(content))
        content[start : start + 4] = rng.bytes(4)
        path.write_bytes(content)
        try:
            example.archived_digits(path)
        except example.BadInputError as error:
            messages.append(str(error))
    assert len(messages) > 200  # the others hit what nobody reads, such as dates
    assert not [message for message in messages if "\n" in message]


@pytest.mark.parametrize("case", WRONG_ARRAYS)
def test_wrong_arrays(case: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    change, message = WRONG_ARRAYS[case]
    path = tmp_path / "wrong.npz"
    np.savez(path, **{name: array for name, array in {**keras_arrays(), **change}.items() if array is not None})
    line = refusal(capfd, "--data", str(path))
    assert str(path) in line
    assert re.search(message, line), line


@pytest.mark.parametrize("case", WRONG_OPTIONS)
def test_a_wrong_option(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, message = WRONG_OPTIONS[case]
    line = refusal(capfd, *arguments)
    assert re.search(message, line), line


def test_a_rate_that_diverges(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    figure = tmp_path / "a.png"
    assert example.main(["--lr", "1e6", "--epochs", "2", "--hidden", "64,64,64", "--figure", str(figure)]) == 2
    message = r"digits_mlp: --lr 1e\+06: the loss is nan after epoch 1: take a smaller rate\n\Z"
    assert re.search(message, capfd.readouterr().err)
    assert not figure.exists()
