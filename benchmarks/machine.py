"""Which machine, versions and date do the figures belong to?"""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

DISTRIBUTIONS = ("numpy", "scipy", "llvmlite", "numba", "jax", "jaxlib", "torch", "autograd")


def describe(threads: int) -> dict[str, Any]:
    """Processor, cores, memory, system, versions and date (UTC)."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _proc_field("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "memory": _proc_field("/proc/meminfo", "MemTotal"),
        "system": platform.platform(),
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "versions": {name: version for name in DISTRIBUTIONS if (version := _version(name))},
    }


def _proc_field(file: str, name: str) -> str:
    for line in Path(file).read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
