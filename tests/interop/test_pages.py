"""Does the code in the pages on other libraries, threads and processes run?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "docs"
NEEDS = {"c.md": (), "numba.md": (), "scipy.md": ("sklearn", "torch", "jax"), "threads.md": ("joblib", "dask")}


@pytest.mark.parametrize("page", NEEDS)
def test_the_code_of_a_page_runs(page, tmp_path):
    for library in NEEDS[page]:
        pytest.importorskip(library)
    blocks = re.findall(r"```python\n(.*?)```", (PAGES / page).read_text(encoding="utf-8"), re.DOTALL)
    file = tmp_path / "page.py"  # Numba reads the source of what it compiles
    file.write_text("\n".join(blocks), encoding="utf-8")
    assert blocks
    exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), {"__name__": "page"})
