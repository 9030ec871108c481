"""Is everything public in the API reference?  The pages are made as for the site, which is not built here."""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any

import pytest

from docs import public

FACES = {"funcgrad.experimental", "funcgrad.scipy", "funcgrad.scipy.cluster"}  # nothing but submodules


def public_modules() -> set[str]:
    """What can be reached from the package by public names."""
    found: set[str] = set()
    waiting = ["funcgrad"]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [other for other in public.submodules(name) if other.startswith("funcgrad.")]
    return found


def test_every_public_module_has_a_place() -> None:
    assert public_modules() - FACES <= set(public.MODULES)
    assert len(public.MODULES) == len(set(public.MODULES))


@pytest.mark.parametrize("page", public.PAGES, ids=lambda page: page.file)
def test_every_public_name_has_an_entry(page: public.Page, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numpydoc", reason="the pages are made with it")
    from docs import reference

    monkeypatch.setattr(reference, "prose", lambda name, value: "")  # most of the work; the site's build does it
    text = reference.page(page)
    for module in page.modules:
        start = text.index(f".. py:module:: {module}\n")
        following = text.find(".. py:module::", start + 1)
        entries = re.findall(
            r"^\.\. py:(?!module)\w+:: (\w+)", text[start : following if following > 0 else None], re.MULTILINE
        )
        assert set(entries) == set(public.names(module))
        assert len(entries) == len(set(entries))


def returned(f: Any) -> set[str]:
    """The names of funcgrad's classes in what a function says that it returns."""
    f = inspect.unwrap(f)
    words = re.findall(r"\b[A-Z]\w+", str(getattr(f, "__annotations__", {}).get("return")))
    found = {word: getattr(f, "__globals__", {}).get(word) for word in words}
    return {
        word for word, value in found.items() if isinstance(value, type) and value.__module__.startswith("funcgrad")
    }


def test_what_public_functions_return_is_described() -> None:
    spaces = [(importlib.import_module(module), public.names(module)) for module in public.MODULES]
    values = [getattr(space, name) for space, names in spaces for name in names]
    described = {value.__name__ for value in values if isinstance(value, type)}
    missing = {word for value in values if inspect.isroutine(value) for word in returned(value)} - described
    assert missing == {"ModeResult", "Summary"}  # named tuples, which their functions describe


def test_names_are_those_of_all() -> None:
    for module in set(public.MODULES) - set(public.CHOSEN):
        listed = getattr(importlib.import_module(module), "__all__", None)
        if listed is not None:
            assert set(public.names(module)) | {
                name.rpartition(".")[2] for name in public.submodules(module)
            } | public.INTERNAL >= set(listed)
