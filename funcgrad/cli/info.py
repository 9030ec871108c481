"""What does this machine run, and what is kept on it?  The commands ``info`` and ``cache``."""

from __future__ import annotations

import importlib.metadata
import os
import platform

from funcgrad import __version__, config
from funcgrad.compile import cache, cpus
from funcgrad.compile.native import threads
from funcgrad.compile.native.blas import blas

PACKAGES = ("numpy", "scipy", "numba", "llvmlite", "optree", "ml_dtypes")
SETTINGS = (config.NUM_THREADS, config.CACHE, config.CACHE_DIR, config.CPU, config.DEBUG)
SWITCHES = tuple(f"FUNCGRAD_{name.upper()}" for name in config.switches)
SHOWN = ("sse4.2", "avx", "avx2", "fma", "avx512f", "avx512vl", "neon", "sve")  # features that decide speed
UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def information() -> dict[str, str]:
    """What a report of a bug should tell."""
    name, features = cpus.target()
    found = {feature[1:] for feature in features.split(",") if feature.startswith("+")}
    kind = blas()
    settings = [f"{setting}={os.environ[setting]}" for setting in (*SETTINGS, *SWITCHES) if setting in os.environ]
    settings += [f"{name} (there is no such setting)" for name in sorted(os.environ) if _unknown(name)]
    return {
        "funcgrad": __version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()}, {platform.platform()})",
        **{package: _version(package) for package in PACKAGES},
        "LLVM": cpus.version(),
        "processor": f"{name} ({', '.join(feature for feature in SHOWN if feature in found) or 'no vectors known'})",
        "threads": str(threads()),
        "BLAS": f"that of {kind.source}, integers of {kind.index_bits} bits",
        "cache": cache_line(),
        "settings": ", ".join(settings) or "none",
    }


def _unknown(variable: str) -> bool:
    return variable.startswith("FUNCGRAD_") and variable not in (*SETTINGS, *SWITCHES)


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


def cache_line() -> str:
    """What the disk cache holds, and where it is."""
    state = cache.info()
    if state.directory is None:
        return f"off ({config.CACHE}=0)"
    return f"{state.files} files, {_size(state.bytes)} of at most {_size(cache.LIMIT)}, in {state.directory}"


def _size(count: int) -> str:
    for unit, name in UNITS:
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count} bytes"


def print_rows(rows: dict[str, str]) -> None:
    """Names and texts in two columns."""
    width = max(map(len, rows))
    for name, text in rows.items():
        print(f"{name:<{width}}  {text}")
