"""What does a type checker see of packages whose names are put together at run time?

`stub` writes the ``__init__.pyi`` of such a package: each name from the file that defines it.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from funcgrad.numpy._ufunc import UFunc

ROOT = Path(__file__).parents[2]
PACKAGES = ("funcgrad.numpy", "funcgrad.lax", "funcgrad.scipy.special")
MODULES = {"funcgrad.numpy": ("fft", "linalg"), "funcgrad.lax": ("linalg",), "funcgrad.scipy.special": ()}


@functools.cache
def written(file: str) -> frozenset[str]:
    """The names that a file defines where a type checker sees them."""
    body = ast.parse(Path(str(sys.modules[file].__file__)).read_text(encoding="utf-8")).body
    found = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in body:
        if isinstance(node, ast.Assign):
            found |= {name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return frozenset(found)


def declared(name: str, value: Any) -> str:
    """A function that only exists at run time, by its signature."""
    parameters = []
    star = False
    for p in inspect.signature(value).parameters.values():
        default = "" if p.default is p.empty else " = ..."
        if p.kind is p.KEYWORD_ONLY and not star:
            parameters.append("*")
            star = True
        star = star or p.kind is p.VAR_POSITIONAL
        stars = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        parameters.append(f"{stars}{p.name}: Any{default}")
    return f"def {name}({', '.join(parameters)}) -> Any: ..."


def home(value: Any, name: str, package: str) -> str:
    """The file of the package that has the value under that name, or nothing."""
    files = [module for module in sorted(sys.modules) if module.startswith(f"{package}._")]
    inner = inspect.unwrap(value) if callable(value) else value
    for file in files:
        if name not in written(file):
            continue
        found = vars(sys.modules[file]).get(name)
        if found is value or (callable(found) and inspect.unwrap(found) is inner):
            return file
    return ""


def line(package: str, name: str) -> tuple[str, str]:
    """Where a name is imported from (or nothing), and how it is written."""
    value = getattr(importlib.import_module(package), name)
    if isinstance(value, UFunc):
        return "", f"{name}: UFunc"
    found = home(value, name, package)
    if found:
        return found, name
    if getattr(np, name, None) is value and type(value) not in (bool, int, float):
        return "numpy", name
    if type(value) in (int, float):
        return "", f"{name}: {type(value).__name__}"
    return "", declared(name, value) if inspect.isfunction(value) else f"{name}: Any"


def stub(package: str) -> str:
    """The text of a package's stub."""
    namespace = importlib.import_module(package)
    sources: dict[str, list[str]] = {}
    for name in namespace.__all__:
        if not isinstance(getattr(namespace, name), ModuleType):
            source, text = line(package, name)
            sources.setdefault(source, []).append(text)
    plain = sources.pop("", [])
    imports = ["from typing import Any"] if any("Any" in text for text in plain) else []
    if MODULES[package]:
        sources[package] = [*MODULES[package]]
    for source in sorted(sources, key=lambda s: (s != "numpy", s)):
        imports.append(f"from {source} import {', '.join(sorted(sources[source]))}")
    if any("UFunc" in text for text in plain):
        imports.append("from funcgrad.numpy._ufunc import UFunc")
    listed = sorted({*namespace.__all__, *MODULES[package]})
    every = "__all__ = [\n" + "".join(f'    "{name}",\n' for name in listed) + "]"
    title = f'"""The names of `{package}`, which are put together at run time, for type checkers."""'
    return "\n".join([title, "", *imports, "", *sorted(plain), "", every, ""])


def path(package: str) -> Path:
    """Where a package's stub is."""
    return ROOT / Path(*package.split(".")) / "__init__.pyi"
