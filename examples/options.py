"""How do the examples read their options?  By argparse: a wrong one ends with one line and the exit status 2."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

FIGURES = (".png", ".pdf", ".svg")


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, without the usage above it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def parser(script: str, text: str | None, figure: str, suffixes: tuple[str, ...] = FIGURES) -> Parser:
    """A parser with the options that all examples have; `script` is the file, `text` its docstring."""
    made = Parser(Path(script).stem, description=(text or "").split("\n", 1)[0], allow_abbrev=False)
    made.add_argument(
        "--figure", type=writable(*suffixes), default=figure, metavar="FILE", help="where to draw (%(default)s)"
    )
    made.add_argument("--seed", type=whole(0, 2**32 - 1), default=0, help="of all random numbers (%(default)s)")
    made.add_argument("--fast", action="store_true", help="a few seconds only, to see that it runs")
    return made


def whole(least: int, most: int) -> Callable[[str], int]:
    """A reader of integers within ``least..most``."""
    return lambda text: int(_number(int, text, least, most))


def real(least: float, most: float) -> Callable[[str], float]:
    """A reader of numbers within ``least..most``."""
    return lambda text: _number(float, text, least, most)


def _number(kind: Callable[[str], float], text: str, least: float, most: float) -> float:
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        what = "a whole number" if kind is int else "a number"
        raise argparse.ArgumentTypeError(f"{text!r} is not {what} within {least:g}..{most:g}")
    return value


def writable(*suffixes: str) -> Callable[[str], Path]:
    """A reader of paths that end with one of `suffixes`, in a folder where a file can be made."""

    def read(text: str) -> Path:
        path = Path(text)
        if path.suffix not in suffixes:
            raise argparse.ArgumentTypeError(f"{text!r} does not end with {' or '.join(suffixes)}")
        if not path.parent.is_dir():
            raise argparse.ArgumentTypeError(f"there is no folder {str(path.parent)!r}")
        if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
            raise argparse.ArgumentTypeError(f"{text!r} cannot be written")
        return path

    return read
