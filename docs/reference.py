"""What stands on the pages of the API reference?  Every public name, from its docstring."""

from __future__ import annotations

import functools
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
from numpydoc.docscrape_sphinx import SphinxDocString

from docs.public import PAGES, Page, borrowed, names

# private files whose names say too little as headings
HEADINGS = {
    "ufuncs": "Universal functions",
    "at": "Updates",
    "known": "Dtypes and constants",
    "array api": "The array API",
    "others": "Further functions",
    "adding": "Added terms",
    "more aliases": "Further optimisers",
    "aliases": "Optimisers",
    "base": "The interface",
    "tree": "Pytrees",
    "apply": "Applying updates",
    "adaptive": "Adaptive scales",
}
MANY = 40  # from this number of names on, a page has a heading for each file


def heading(module: str, name: str) -> str:
    """The heading that a name stands under: what its file is called."""
    value = getattr(importlib.import_module(module), name)
    inner = inspect.unwrap(value) if callable(value) else value
    home = str(getattr(inner, "__module__", "") or "")
    file = home.rsplit(".", 1)[-1] if home.startswith(f"{module}._") else ""
    if type(value).__name__ == "UFunc":
        file = "_ufuncs"
    words = file.strip("_").replace("_", " ")
    return HEADINGS.get(words, words.capitalize()) or "Dtypes, constants and further names"


def grouped(module: str) -> dict[str, list[str]]:
    """A module's names by heading; all under none where they are few."""
    found = names(module)
    groups: dict[str, list[str]] = {}
    for name in found:
        groups.setdefault(heading(module, name) if len(found) >= MANY else "", []).append(name)
    return {title: groups[title] for title in sorted(groups)}


def signature(value: Any) -> str:
    """The parameters and their defaults; nothing where there are none to be had."""
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return "(*args, **kwargs)"
    parameters = [p.replace(annotation=inspect.Parameter.empty) for p in found.parameters.values()]
    text = str(found.replace(parameters=parameters, return_annotation=inspect.Signature.empty))
    text = re.sub(r"<function (\w+) at 0x\w+>|<class '(?:[\w.]+\.)?(\w+)'>", lambda m: m[1] or m[2], text)
    return re.sub(r"<[^<>]*>", "...", text)


LITERAL = re.compile(r"(``.*?``)")


def plain(text: str) -> str:
    """Text with nothing in it that only looks like markup."""
    text = re.sub(r"([|*])(?=\w)|(?<=\w)(\|)", r"\\\1\2", text)
    return re.sub(r"(`[^`]+`)(\w)?", lambda m: m[1] + (f"\\ {m[2]}" if m[2] else ""), text)


def escaped(text: str) -> str:
    """Docstrings are written to be read: ``|x|``, and backticks with a letter behind them, are no markup."""
    lines, example = [], False
    for line in text.splitlines():
        example = line.strip().startswith(">>>") or (example and bool(line.strip()))
        if not example:
            parts = LITERAL.split(line)
            parts[::2] = map(plain, parts[::2])
            line = "".join(parts)
        lines.append(line)
    return "\n".join(lines)


def prose(name: str, value: Any) -> str:
    """A docstring as reStructuredText, its footnotes named after what they belong to."""
    text = escaped(inspect.cleandoc(getattr(value, "__doc__", None) or ""))
    label = re.sub(r"\W", "", name)
    text = re.sub(r"^(\s*)\.\. \[(\w+)\]", rf"\1.. [{label}-\2]", text, flags=re.MULTILINE)
    text = re.sub(r"(?<!\S)\[(\w+)\]_", rf"[{label}-\1]_", text)
    return str(SphinxDocString(text, config={"show_class_members": False, "template": template()}))


@functools.cache
def template() -> jinja2.Template:
    """numpydoc's order of the parts of a docstring; it would be compiled for each one."""
    return jinja2.Environment(loader=jinja2.PackageLoader("numpydoc")).get_template("numpydoc_docstring.rst")


def indented(text: str, by: int = 3) -> str:
    return re.sub(r"^(?=.)", " " * by, text, flags=re.MULTILINE)


def members(name: str, cls: type) -> Iterator[str]:
    """A class's own public methods and properties that say what they are."""
    for key, value in vars(cls).items():
        inner = getattr(value, "__func__", value)
        if key.startswith("_") or not (getattr(inner, "__doc__", None) or "").strip():
            continue
        if isinstance(value, property):
            yield f".. py:property:: {name}.{key}\n\n{indented(prose(name + key, value))}\n"
        elif inspect.isfunction(inner):
            shown = re.sub(r"^\((?:self|cls)(?:, )?", "(", signature(inner))
            yield f".. py:method:: {name}.{key}{shown}\n\n{indented(prose(name + key, inner))}\n"


def entry(module: str, name: str) -> str:
    """What the reference says about one name."""
    value = getattr(importlib.import_module(module), name)
    theirs = borrowed(module, value)
    if theirs:
        kind = "class" if isinstance(value, type) else "function"
        return f".. py:{kind}:: {name}\n\n   NumPy's own :py:obj:`{theirs}`, as it is.\n"
    if isinstance(value, type):
        kind = "exception" if issubclass(value, BaseException) else "class"
        shown = "" if kind == "exception" else signature(value)
        inside = "\n".join(members(name, value))
        return f".. py:{kind}:: {name}{shown}\n\n{indented(prose(name, value))}\n\n{indented(inside)}\n"
    if callable(value):
        return f".. py:function:: {name}{signature(value)}\n\n{indented(prose(name, value))}\n"
    shown = "" if type(value).__repr__ is object.__repr__ else f"   ``{name} = {value!r}``\n"
    if len(shown) > 120:
        shown = ""
    own = "" if type(value).__module__ in ("builtins", "types") else indented(prose(name, type(value)))
    return f".. py:data:: {name}\n\n{shown or own}\n"


def section(module: str, title: bool) -> str:
    """All about one module."""
    namespace = importlib.import_module(module)
    text = escaped(inspect.cleandoc(namespace.__doc__ or ""))
    parts = [f"{module}\n{'-' * len(module)}\n"] if title else []
    parts += [f".. py:module:: {module}\n", text + "\n"]
    for group, found in grouped(module).items():
        if group:
            parts.append(f"{group}\n{'~' * len(group)}\n")
        if len(found) > 3:
            parts.append(" · ".join(f":py:obj:`~{module}.{name}`" for name in found) + "\n")
        parts += [entry(module, name) for name in found]
    return "\n".join(parts)


def page(of: Page) -> str:
    """A page of the reference, as reStructuredText."""
    several = len(of.modules) > 1
    bar = "=" * len(of.title)
    return "\n".join([bar, of.title, bar, "", *(section(module, several) for module in of.modules)])


def index() -> str:
    """The page that leads to the others."""
    rows = []
    for of in PAGES:
        count = sum(len(names(module)) for module in of.modules)
        summary = inspect.cleandoc(importlib.import_module(of.modules[0]).__doc__ or "").split("\n\n")[0]
        rows.append(f"   * - :doc:`{of.title} <{of.file}>`\n     - {count}\n     - {' '.join(summary.split())}")
    head = "   * - Page\n     - Names\n     - What is there"
    table = "\n".join([".. list-table::", "   :header-rows: 1", "   :widths: 30 8 62", "", head, *rows])
    tree = "\n".join([".. toctree::", "   :hidden:", "", *(f"   {of.file}" for of in PAGES)])
    title = "API reference\n=============\n\nEvery public name, from its docstring; all examples run in the tests.\n"
    return f"{title}\n{table}\n\n{tree}\n"


def write(folder: Path) -> None:
    """The pages into a folder; files that would not change are left alone, so that Sphinx need not read them again."""
    folder.mkdir(exist_ok=True)
    for file, text in {"index": index(), **{of.file: page(of) for of in PAGES}}.items():
        path = folder / f"{file}.rst"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
