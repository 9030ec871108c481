"""Do the examples on the digits and the moons run in their fast mode, draw, and refuse wrong options in one line?"""

from __future__ import annotations

import re
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


def run(name: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", RUNS)
def test_a_fast_run(name: str, tmp_path: Path) -> None:
    suffix, magic, pattern = RUNS[name]
    figure = tmp_path / f"figure{suffix}"
    done = run(name, "--fast", "--figure", str(figure))
    assert done.returncode == 0, done.stderr
    assert re.search(pattern, done.stdout), done.stdout
    assert figure.read_bytes().startswith(magic)
    assert figure.stat().st_size > 10_000  # an empty canvas is smaller


@pytest.mark.parametrize("name", RUNS)
def test_a_wrong_option(name: str) -> None:
    done = run(name, "--seed", "-1")
    assert done.returncode == 2
    assert done.stderr.startswith(f"{name}: ")
    assert "--seed: '-1' is not a whole number" in done.stderr
    assert done.stderr.count("\n") == 1
