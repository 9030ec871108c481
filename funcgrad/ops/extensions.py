"""Where are SciPy's compiled routines?  Extension modules, found and loaded without the packages around them.

To import ``scipy.linalg`` or ``scipy.fft`` takes a fifth of a second: more than to compile most programs.  A module
keeps its name, so that a later import of the package gives the same one; who asks has another way where there is none.
"""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from typing import Any


def extension_file(name: str) -> Path | None:
    """The file of an extension module of SciPy, by its dotted name."""
    package = importlib.util.find_spec("scipy")
    for folder in (package.submodule_search_locations or []) if package else []:
        for suffix in importlib.machinery.EXTENSION_SUFFIXES:
            path = Path(folder, *name.split(".")[1:-1], name.rsplit(".", maxsplit=1)[-1] + suffix)
            if path.exists():
                return path
    return None


@functools.cache
def extension(name: str) -> Any:
    """An extension module of SciPy, by its dotted name, or None."""
    if name in sys.modules:
        return sys.modules[name]
    path = extension_file(name)
    return None if path is None else loaded(name, path)


def loaded(name: str, path: Path) -> Any:
    """The module in a file, or None if it is not one that loads."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        return None
    try:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except ImportError:
        return None
    return module
