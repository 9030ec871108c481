"""Does the bar move, in terminals and in notebooks, and what if `tqdm` is missing?"""

from __future__ import annotations

import io
import subprocess
import sys
import types
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.training import _progress, progress


def test_a_bar_in_a_terminal() -> None:
    file = io.StringIO()
    with progress(range(3), description="epoch 2", file=file) as bar:
        assert len(bar) == 3
        for step in bar:
            bar.show(loss=fg.numpy.asarray(0.123456789), step=step, lr=1e-4)
        bar.write("a line")
    text = file.getvalue()
    assert "epoch 2: 100%" in text
    assert "3/3" in text
    assert "loss=0.1235, step=2, lr=0.0001" in text


def test_a_bar_that_is_moved(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(total=10, unit="image", leave=False) as bar:
        bar.update(4)
        assert bar.bar.n == 4
    bar = progress(range(2), disable=True)
    assert list(bar) == [0, 1]
    assert "image" in capsys.readouterr().err


def test_a_bar_over_batches_knows_its_length() -> None:
    data = np.zeros(5)
    bar = progress(fg.training.batches(data, 2, prefetch=1), file=io.StringIO())
    assert len(bar) == 3
    assert sum(len(batch) for batch in bar) == 5


def test_only_numbers_are_shown() -> None:
    with (
        progress(total=1, file=io.StringIO()) as bar,
        pytest.raises(ValueError, match=r"Progress.show shows numbers, but loss has the shape \(2,\)"),
    ):
        bar.show(loss=np.zeros(2))
    with pytest.raises(TypeError, match="progress takes an iterable, not 3"):
        progress(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kernel", "widgets", "expected"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_notebooks(monkeypatch: pytest.MonkeyPatch, kernel: bool, widgets: bool, expected: bool) -> None:
    shell = types.SimpleNamespace(config={"IPKernelApp": {}} if kernel else {})
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))  # type: ignore[arg-type]
    monkeypatch.setattr(_progress.importlib.util, "find_spec", lambda name: object() if widgets else None)
    assert _progress.in_notebook() is expected
    used: list[Any] = []
    widget = types.SimpleNamespace(tqdm=lambda iterable, **options: used.append(options) or iterable)
    monkeypatch.setitem(sys.modules, "tqdm.notebook", widget)  # type: ignore[arg-type]
    progress(range(2), disable=True)
    assert bool(used) is expected


@pytest.mark.parametrize(
    ("package", "call"),
    [
        ("tqdm", lambda: progress(range(3))),
        ("safetensors", lambda: fg.training.save_checkpoint("nowhere", {})),
        ("safetensors", lambda: fg.training.load_checkpoint("nowhere", {})),
        ("safetensors", lambda: fg.training.checkpoint_metadata("nowhere")),
        ("matplotlib", lambda: fg.training.GradientReport(0.0, (), (), ()).plot()),
    ],
)
def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, package: str, call: Any) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)

    class Missing:
        def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
            if name.split(".", maxsplit=1)[0] == package:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    with pytest.raises(ModuleNotFoundError, match=rf"needs the package {package}.*pip install 'funcgrad\[training\]'"):
        call()


def test_the_import_takes_none_of_them_along() -> None:
    code = """
import sys
import funcgrad
import funcgrad.training
for name in ("tqdm", "matplotlib", "safetensors"):
    assert name not in sys.modules, name
"""
    subprocess.run([sys.executable, "-c", code], check=True)
