"""What can be asked from a shell?  ``python -m funcgrad info``, and ``cache [info|clear]``."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
from collections.abc import Sequence

from funcgrad import __version__, config
from funcgrad.compile import cache, engine
from funcgrad.compile.native import threads
from funcgrad.compile.native.blas import blas

PACKAGES = ("numpy", "scipy", "numba", "llvmlite", "optree", "ml_dtypes")
SETTINGS = (config.NUM_THREADS, config.CACHE, config.CACHE_DIR, config.CPU, config.DEBUG)
SHOWN = ("sse4.2", "avx", "avx2", "fma", "avx512f", "avx512vl", "neon", "sve")  # features that decide speed
UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say; the status of the process."""
    parser = argparse.ArgumentParser("python -m funcgrad", description="What funcgrad runs on, and what it keeps.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("info", help="versions, processor, threads, BLAS, disk cache, settings")
    keeping = commands.add_parser("cache", help="the compiled kernels on disk")
    keeping.add_argument("action", nargs="?", choices=("info", "clear"), default="info")
    given = parser.parse_args(arguments)
    if given.command == "info":
        _print(information())
    elif given.action == "clear":
        print(cleared())
    else:
        _print({"cache": _cache()})
    return 0


def information() -> dict[str, str]:
    """What a report of a bug should tell."""
    name, features = engine.target()
    found = {feature[1:] for feature in features.split(",") if feature.startswith("+")}
    kind = blas()
    settings = [f"{setting}={os.environ[setting]}" for setting in SETTINGS if setting in os.environ]
    return {
        "funcgrad": __version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()}, {platform.platform()})",
        **{package: _version(package) for package in PACKAGES},
        "LLVM": engine.version(),
        "processor": f"{name} ({', '.join(feature for feature in SHOWN if feature in found) or 'no vectors known'})",
        "threads": str(threads()),
        "BLAS": f"that of {kind.source}, integers of {kind.index_bits} bits",
        "cache": _cache(),
        "settings": ", ".join(settings) or "none",
    }


def cleared() -> str:
    """Delete the disk cache's files, and say what that was."""
    before = cache.info()
    cache.clear()
    left = cache.info()
    if before.directory is None:
        return f"the disk cache is off ({config.CACHE}=0)"
    return f"{before.files - left.files} files ({_size(before.bytes - left.bytes)}) deleted from {before.directory}"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _cache() -> str:
    state = cache.info()
    if state.directory is None:
        return f"off ({config.CACHE}=0)"
    return f"{state.files} files, {_size(state.bytes)} of at most {_size(cache.LIMIT)}, in {state.directory}"


def _size(count: int) -> str:
    for unit, name in UNITS:
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count} bytes"


def _print(rows: dict[str, str]) -> None:
    width = max(map(len, rows))
    for name, text in rows.items():
        print(f"{name:<{width}}  {text}")


if __name__ == "__main__":
    sys.exit(main())
