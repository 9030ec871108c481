"""Do the examples of docs/layers.md run, and does its table name every layer?"""

from __future__ import annotations

import doctest
from pathlib import Path

from funcgrad.nn import layers

PAGE = Path(__file__).parents[3] / "docs" / "layers.md"


def test_the_page_runs() -> None:
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    failed, attempted = doctest.testfile(str(PAGE), module_relative=False, optionflags=flags, encoding="utf-8")
    assert attempted > 20
    assert not failed


def test_every_layer_is_named() -> None:
    text = PAGE.read_text(encoding="utf-8")
    activations = {name for name in layers.__all__ if isinstance(getattr(layers, name), layers.Layer)}
    missing = {name for name in layers.__all__ if f"`{name}`" not in text and f"layers.{name}" not in text}
    assert missing - activations == {"count_parameters"}
