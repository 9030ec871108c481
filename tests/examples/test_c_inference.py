"""Does the C program read the picture as Python does?"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "c_inference"
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
needs_tools = pytest.mark.skipif(
    COMPILER is None or shutil.which("make") is None, reason="there is no C compiler, or no make"
)


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("c_inference_export", FOLDER / "export.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


example = loaded()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the script writes, beside the C program and its Makefile."""
    where = tmp_path_factory.mktemp("c_inference")
    for name in ("main.c", "Makefile", "export.py"):
        shutil.copy(FOLDER / name, where / name)
    return where


@needs_tools
def test_the_program_of_c_agrees_with_python(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert example.main(["--folder", str(folder)]) == 0
    said = capfd.readouterr().out
    assert float(re.findall(r"([\d.]+)% of 360", said)[0]) > 95
    ((answer, probability),) = re.findall(r"Python reads a (\d).*probability ([\d.]+)", said)
    command = ["make", f"CC={COMPILER}", "CFLAGS=-O1 -Wall -Wextra -Werror", "PYTHON=false"]  # what is there is new
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    scores = dict(re.findall(r"^(\d) +([\d.]+) ", run.stdout, re.MULTILINE))
    assert list(scores) == list("0123456789")
    assert sum(map(float, scores.values())) == pytest.approx(1, abs=1e-5)
    assert float(scores[answer]) == pytest.approx(float(probability), abs=2e-6)
    assert f"This is a {answer}." in run.stdout
    pixels = [int(v) for v in (folder / "image.pgm").read_text().split()[4:]]
    drawn = [line[4:] for line in run.stdout.splitlines() if line.startswith("    ")]
    assert [row[::2] for row in drawn] == [
        "".join(" .:-=+*#%@"[v * 9 // 16] for v in pixels[8 * k : 8 * k + 8]) for k in range(8)
    ]


@needs_tools
def test_the_program_of_c_refuses_what_is_no_picture(folder: Path) -> None:
    program = folder / "classify"
    if not program.exists():
        pytest.skip("the program was not built")
    for text in ("", "P2 8 8 16 1 2 3", "P5 8 8 255 1", "P2 9 9 16 " + "1 " * 81, "P2 8 8 16 " + "17 " * 64):
        (folder / "wrong.pgm").write_text(text)
        run = subprocess.run([program, folder / "wrong.pgm"], capture_output=True, text=True, check=False)
        assert run.returncode == 2
        assert "no plain PGM picture" in run.stderr
    assert subprocess.run([program], capture_output=True, check=False).returncode == 2


def test_a_picture_that_is_not_there(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        example.main(["--picture", "360"])
    assert "360 is not within 0..359" in capfd.readouterr().err
