"""Does the code in the pages on C and Numba run?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["c.md", "numba.md"])
def test_the_code_of_a_page_runs(page, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (PAGES / page).read_text(encoding="utf-8"), re.DOTALL)
    file = tmp_path / "page.py"  # Numba reads the source of what it compiles
    file.write_text("\n".join(blocks), encoding="utf-8")
    assert blocks
    exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), {"__name__": "page"})
