"""Does ``python -m funcgrad`` tell what runs, and look after the disk cache?"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import config
from funcgrad.__main__ import PACKAGES, SETTINGS, main
from funcgrad.compile import cache


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


@pytest.mark.parametrize("arguments", [[], ["cache", "burn"], ["help"]])
def test_mistakes(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m funcgrad" in capsys.readouterr().err


def test_from_a_shell(directory: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "funcgrad", "cache"]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), check=True)
    assert done.stdout == f"cache  0 files, 0 bytes of at most 512 MiB, in {directory}\n"
    assert not done.stderr
