"""How much disk does a distribution need, together with everything that it requires?"""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from benchmarks.processes import ROOT


def installed_size(name: str) -> dict[str, int]:
    """Bytes on disk of the distribution ``name`` and of each distribution that it requires here.

    funcgrad run from its clone counts the files of its package, and requires what ``pyproject.toml`` says.

    Raises
    ------
    importlib.metadata.PackageNotFoundError
        If it or a requirement of it is not installed.
    """
    sizes: dict[str, int] = {}
    waiting = [name]
    while waiting:
        each = _canonical(waiting.pop())
        if each not in sizes:
            sizes[each], required = _from_clone() if each == "funcgrad" else _from_metadata(each)
            waiting += [each.name for each in map(Requirement, required) if _applies(each)]
    return sizes


def _applies(requirement: Requirement) -> bool:
    """Whether it is required on this platform without any extra."""
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _from_metadata(name: str) -> tuple[int, list[str]]:
    distribution = metadata.distribution(name)
    paths = (Path(str(file.locate())) for file in distribution.files or [])
    return sum(path.stat().st_size for path in paths if path.is_file()), distribution.requires or []


def _from_clone() -> tuple[int, list[str]]:
    files = (path for path in (ROOT / "funcgrad").rglob("*") if path.is_file())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return sum(path.stat().st_size for path in files), project["dependencies"]
