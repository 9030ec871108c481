"""Do the examples on the digits and the moons run in their fast mode, draw, and refuse wrong options in one line?"""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("tqdm")
pytest.importorskip("sklearn")
EXAMPLES = Path(__file__).parents[2] / "examples"
RUNS = {  # the figure's suffix and first bytes, and what the last line says
    "digits_cnn": (".png", b"\x89PNG", r"1438 scans to train on, 359 held out: test accuracy (\d\d\.\d\d)%"),
    "vae": (".png", b"\x89PNG", r"\d+ epochs after [\d.]+ s; figure in"),
    "vanishing_gradients": (".png", b"\x89PNG", r"figure in|after [\d.]+ s"),
    "two_moons_animation": (".gif", b"GIF8", r"test accuracy (\d\d)\.\d\d% after [\d.]+ s; animation in"),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_fast_run(name: str, tmp_path: Path) -> None:
    suffix, magic, pattern = RUNS[name]
    figure = tmp_path / f"figure{suffix}"
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), "--fast", "--figure", str(figure)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(pattern, done.stdout), done.stdout
    assert figure.read_bytes().startswith(magic)
    assert figure.stat().st_size > 10_000  # an empty canvas is smaller


@pytest.mark.parametrize("name", RUNS)
def test_a_wrong_option(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)  # as for a script
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--seed", "-1"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"{name}: ")
    assert "--seed: '-1' is not a whole number" in error
    assert error.count("\n") == 1
