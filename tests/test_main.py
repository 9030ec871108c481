"""Does ``python -m funcgrad`` tell what runs, and look after the disk cache?"""

from __future__ import annotations

import importlib.metadata
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import config
from funcgrad.__main__ import main, shell
from funcgrad.cli import bench
from funcgrad.cli.info import PACKAGES, SETTINGS
from funcgrad.cli.notation import read_argument
from funcgrad.compile import cache, cpus
from funcgrad.errors import SettingError


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(config.CACHE_DIR, str(tmp_path / "cache"))
    monkeypatch.delenv(config.CACHE, raising=False)
    return tmp_path / "cache"


def lines(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    shown = capsys.readouterr().out.splitlines()
    return {line.split()[0]: line.split(maxsplit=1)[1] for line in shown}


def test_info(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    shown = lines(capsys)
    assert shown["funcgrad"] == fg.__version__
    assert shown["numpy"] == np.__version__
    assert shown["threads"] == str(fg.get_num_threads())
    assert shown["cache"] == f"0 files, 0 bytes of at most 512 MiB, in {directory}"
    assert shown["settings"].startswith(f"{config.CACHE_DIR}=") or config.NUM_THREADS in shown["settings"]
    assert {"python", "LLVM", "processor", "BLAS", *PACKAGES} <= set(shown)


def test_a_package_that_is_missing(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    main(["info"])
    assert lines(capsys)["scipy"] == "not installed"


def test_every_setting_is_told() -> None:
    names = {value for value in vars(config).values() if isinstance(value, str) and value.startswith("FUNCGRAD_")}
    assert set(SETTINGS) == names


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("FUNCGRAD_DEBUG_NAN", "1", "FUNCGRAD_DEBUG_NAN (there is no such setting)"),
        ("FUNCGRAD_TRACEBACK", "full", "FUNCGRAD_TRACEBACK=full"),
    ],
)
def test_settings_are_told_also_misspelled_ones(
    directory: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    told: str,
) -> None:
    monkeypatch.setenv(variable, value)
    main(["info"])
    assert told in lines(capsys)["settings"]


def test_cache(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache.fetch("key", lambda: bytes(3000))
    cache.fetch("other", lambda: bytes(10))
    (directory / "notes.txt").write_text("not ours")
    for arguments in (["cache"], ["cache", "info"]):
        assert main(arguments) == 0
        assert capsys.readouterr().out == f"cache  2 files, 3.04 KiB of at most 512 MiB, in {directory}\n"
    assert main(["cache", "clear"]) == 0
    assert capsys.readouterr().out == f"2 files (3.04 KiB) deleted from {directory}\n"
    assert [path.name for path in directory.iterdir()] == ["notes.txt"]


def test_cache_that_is_off(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(config.CACHE, "0")
    main(["cache"])
    main(["cache", "clear"])
    assert capsys.readouterr().out == "cache  off (FUNCGRAD_CACHE=0)\nthe disk cache is off (FUNCGRAD_CACHE=0)\n"


@pytest.mark.parametrize("arguments", [[], ["cache", "burn"], ["help"], ["explain"], ["bench", "--slow"]])
def test_mistakes(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m funcgrad" in capsys.readouterr().err


def test_a_wrong_setting(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(config.NUM_THREADS, "zero")
    assert main(["info"]) == 2
    assert capsys.readouterr().err == "error: FUNCGRAD_NUM_THREADS must be a positive integer, not 'zero'\n"
    monkeypatch.setenv(config.NUM_THREADS, "1")
    monkeypatch.setenv(config.CPU, "abacus")
    monkeypatch.setattr(cpus, "target", failing)
    assert main(["info"]) == 2
    assert capsys.readouterr().err == "error: FUNCGRAD_CPU: no such CPU\n"


def failing() -> None:
    raise SettingError("FUNCGRAD_CPU: no such CPU")


def test_letters_that_the_terminal_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr("funcgrad.__main__.main", lambda: print("θ") or 0)
    assert shell() == 0
    assert out.buffer.getvalue() == b"\\u03b8\n"  # type: ignore[attr-defined]


class Output(io.StringIO):
    """A standard output that fails when it is written to."""

    def __init__(self, error: BaseException, descriptor: int) -> None:
        super().__init__()
        self.error, self.descriptor = error, descriptor

    def write(self, text: str) -> int:
        raise self.error

    def fileno(self) -> int:
        return self.descriptor


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (BrokenPipeError(), 1, ""),
        (OSError(28, "No space left on device"), 1, "error: [Errno 28] No space left on device\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_an_output_that_fails(
    error: BaseException, status: int, says: str, directory: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with open(tmp_path / "out", "w") as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["funcgrad", "cache"])
        patch.setattr(sys, "stdout", Output(error, file.fileno()))
        assert shell() == status
    assert capsys.readouterr().err == says


def test_from_a_shell(directory: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "funcgrad", "cache"]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), check=True)
    assert done.stdout == f"cache  0 files, 0 bytes of at most 512 MiB, in {directory}\n"
    assert not done.stderr


# bench ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"QUICK_SECONDS": 0.0, "SMALL": 0.01, "FEWEST": 1, "STEPS": 50}.items():
        monkeypatch.setattr(bench, name, value)


@pytest.mark.usefixtures("brief")
def test_bench_agrees_with_numpy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--quick"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"funcgrad {fg.__version__}, numpy {np.__version__}, ")
    assert len(re.findall(r" ms +[\d.]+x  yes$", shown, re.MULTILINE)) == len(bench.WORKLOADS) >= 12
    assert shown.endswith(f"{len(bench.WORKLOADS)} of {len(bench.WORKLOADS)} workloads agree with NumPy\n")


@pytest.mark.usefixtures("brief")
def test_bench_finds_what_is_wrong(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    first = bench.WORKLOADS[0]
    wrong = first._replace(name="planted", numpys=lambda x: first.numpys(x) * np.float32(1.001))
    monkeypatch.setattr(bench, "WORKLOADS", (wrong, first))
    assert main(["bench", "--quick"]) == 1
    shown = capsys.readouterr().out
    assert re.search(r"^planted .* NO$", shown, re.MULTILINE)
    assert re.search(r"planted: the results differ, by [\d.]+ times what rounding explains\n\n1 of 2 workloads", shown)


@pytest.mark.parametrize(
    ("got", "want", "agree"),
    [
        (np.ones(3), np.ones(3) * (1 + 1e-12), True),
        (np.ones(3), np.ones(3) * (1 + 1e-10), False),
        (np.ones(3, "f4"), np.ones(3), False),
        (np.ones(3), np.ones(4), False),
        (np.ones(3), np.full(3, np.nan), False),
        (np.arange(3), np.arange(3), True),
        (np.arange(3), np.arange(1, 4), False),
        ((np.ones(3), np.ones(2)), (np.ones(3), np.zeros(2)), False),
        (np.zeros(0), np.zeros(0), True),
    ],
)
def test_what_bench_calls_agreement(got: object, want: object, agree: bool) -> None:
    assert (bench.difference(got, want) <= 1) is agree


# explain --------------------------------------------------------------------------------------------------------------

MODEL = """
import numpy as np
import funcgrad as fg
from beside import scale

def loss(w, x):
    return np.sum(np.tanh(x @ w["kernel"] + w["bias"])) * scale

compiled = fg.jit(loss)

class Model:
    @staticmethod
    def twice(x):
        return x * 2

    def once(self, x):
        return x

    @fg.jit
    def compiled(self, x):
        return x

model = Model()

def worse(x):
    raise ValueError("not today\\nnor tomorrow")

def sized(x, n):
    return x * n

sized = fg.jit(sized, static_argnums=1)
number = 3
example_args = {"sized": (fg.ShapeDtypeStruct((4,), np.float32), 3), "worse": lambda: [1.0], "Model.twice": 0.25}
"""
WEIGHTS = ["{'kernel': f32[4,2], 'bias': f32[2]}", "f32[3,4]"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    (folder / "model_to_explain.py").write_text(MODEL)
    (folder / "beside.py").write_text("scale = 0.5")
    (folder / "broken.py").write_text("import numpy\n\nnumpy.nothing\n")
    (folder / "leaves.py").write_text("raise SystemExit(3)\n")
    (folder / "plain.py").write_text("f = abs\n")
    (folder / "hook.py").write_text("def f(x):\n    return x + 1\n\ndef example_args():\n    return (1.0,)\n")
    (folder / "bad_hook.py").write_text("def f(x):\n    return x\n\ndef example_args():\n    return 1 // 0\n")
    (folder / "notes.txt").write_text("")
    return folder / "model_to_explain.py"


def test_explain(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", f"{model}:loss", "--args", *WEIGHTS]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[0].endswith(":loss: w_kernel:f32[4,2] w_bias:f32[2] x:f32[3,4] -> f32[]") or (
        "w_bias:f32[2] w_kernel:f32[4,2] x:f32[3,4] -> f32[]" in shown.splitlines()[0]
    )
    for part in (
        "as traced",
        "dot_general",
        "tanh",
        "def kernel_0(",
        "flops",
        "peak size in bytes",
        "a:f32[3,2] = dot",
    ):
        assert part in shown
    assert "define" not in shown
    assert "\033" not in shown
    assert "model_to_explain.py:" not in shown.partition("simplified")[0].partition("\n")[2]
    assert "beside" not in sys.path[0]


def test_a_module_of_a_package(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "package_to_explain"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "scale.py").write_text("scale = 0.5\n")
    (package / "model.py").write_text("from .scale import scale\n\ndef loss(x):\n    return scale * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["explain", "package_to_explain.model:loss", "f64[3]"]) == 0
    assert "mul 0.5:f64[] x" in capsys.readouterr().out
    assert main(["explain", "package_to_explain.lost:loss", "f64[3]"]) == 2
    assert "package_to_explain.lost cannot be imported: ModuleNotFoundError" in capsys.readouterr().err


def test_explain_more(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--grad", "--source", "--llvm", "--optimized", "--assembly"]
    assert main(["explain", f"{model}:compiled", *flags, "--args", *WEIGHTS]) == 0
    shown = capsys.readouterr().out
    assert "model_to_explain.py:7 (in loss)" in shown
    assert shown.count("define") >= 2
    assert "The machine code" in shown
    assert "f32[4,2]" in shown.splitlines()[0].partition("->")[2]


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("model_to_explain.py:sized", [], "x:f32[4] -> f32[4]"),
        ("model_to_explain.py:Model.twice", ["--args", "f64[2]"], "x:f64[2] -> f64[2]"),
        ("model_to_explain.py:model.once", ["f32"], "x:f32[] -> f32[]"),
        ("hook.py:f", [], "x:f64[]* -> f64[]*"),
        ("hook.py:f", ["--args", "3"], "x:i64[]* -> i64[]*"),
    ],
)
def test_arguments_from_the_file(
    name: str, arguments: list[str], says: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", str(model.with_name(name)), *arguments]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith(says)


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("model_to_explain.py", [], r"is not of the form FILE\.py:function; its functions are: loss, .*Model, worse"),
        ("model_to_explain.py:", [], r"is not of the form FILE\.py:function; its functions are: loss, .*Model, worse"),
        ("model_to_explain:loss", [], "there is no file .*; do you mean .*model_to_explain.py?"),
        ("model_to_explain.py:Model", [], "Model in .* is a class"),
        ("model_to_explain.py:Model.once", [], r"is a method, which needs an object: .*\(model.once\)"),
        ("model_to_explain.py:Model.compiled", [], r"is a method, which needs an object: .*\(model.compiled\)"),
        ("nowhere.py:f", [], "there is no file .*nowhere.py"),
        ("notes.txt:f", [], "is no Python file"),
        ("broken.py:f", [], r"cannot be imported: AttributeError: module 'numpy' .* \(.*broken.py:3\)"),
        ("leaves.py:f", [], "cannot be imported: SystemExit: 3"),
        ("model_to_explain.py:lost", [], "has no 'lost'; its functions are: loss, .*Model, worse"),
        ("plain.py:Model", [], "its functions are: none"),
        ("model_to_explain.py:number", [], "number in .* is no function but int"),
        ("model_to_explain.py:loss", [], "example_args in .* has nothing for 'loss'"),
        ("model_to_explain.py:Model.twice", [], "gives no tuple of arguments for 'Model.twice', but float"),
        ("plain.py:f", [], r"no arguments: give their types \(like 'f32\[10\]'\), or define example_args"),
        ("bad_hook.py:f", [], r"example_args in .* failed: ZeroDivisionError: .* \(.*bad_hook.py:5\)"),
        ("model_to_explain.py:worse", [], r"cannot be traced .*: ValueError: not today \(.*model_to_explain.py:26\)"),
        ("model_to_explain.py:loss", ["--args", *WEIGHTS[::-1]], r"cannot be traced .*model_to_explain.py:7\)"),
        ("model_to_explain.py:loss", ["--args", "f32[3]"], "cannot be traced .*TypeError: .*missing 1 required"),
        (
            "model_to_explain.py:loss",
            ["--args", "f33[3]"],
            "there is no dtype 'f33'.*; there are bf16, bool, c64, c128",
        ),
        ("model_to_explain.py:loss", ["--args", "f32[n]"], r"the extents in 'f32\[n\]' are no integers from 0 on"),
        ("model_to_explain.py:loss", ["f32[-3]", "f32"], r"the extents in 'f32\[-3\]' are no integers from 0 on"),
        ("model_to_explain.py:loss", ["--args", "f32[3"], r"'f32\[3' is no type like"),
        ("model_to_explain.py:loss", ["--args", "__import__('os')"], "is no type like"),
        ("model_to_explain.py:loss", ["--args", "{f32[3]: 1}"], "is no type like"),
    ],
)
def test_wrong_requests_are_one_line(
    name: str, arguments: list[str], says: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", str(model.with_name(name)), *arguments]) == 2
    shown = capsys.readouterr()
    assert not shown.out
    assert re.fullmatch(f"error: .*{says}.*\n", shown.err), shown.err


def test_notation() -> None:
    assert read_argument("(f32[], [i8[2, 3], -1, 2.5, True, None, float64[4]])") == (
        fg.ShapeDtypeStruct((), np.float32),
        [fg.ShapeDtypeStruct((2, 3), np.int8), -1, 2.5, True, None, fg.ShapeDtypeStruct((4,), np.float64)],
    )
