"""Does a page show a text between two marks?  Run with ``FUNCGRAD_UPDATE_DOCS=1`` to write it there anew."""

from __future__ import annotations

import os
import re
from pathlib import Path


def assert_shows(page: Path, name: str, text: str) -> None:
    """Hold what stands between ``<!-- name: begin -->`` and ``<!-- name: end -->`` to a text, or write it."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    pattern = re.compile(f"{re.escape(begin)}\n(.*?)\n{re.escape(end)}", re.DOTALL)
    whole = page.read_text(encoding="utf-8")
    found = pattern.search(whole)
    assert found is not None, f"{page.name} has lost the marks of {name}"
    if os.environ.get("FUNCGRAD_UPDATE_DOCS"):
        page.write_text(pattern.sub(lambda _: f"{begin}\n{text}\n{end}", whole), encoding="utf-8")
        return
    assert found[1] == text
