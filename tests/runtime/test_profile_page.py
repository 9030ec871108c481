"""Does docs/profiling.md show what `profile` prints? All but what a clock decides is compared.
Run with ``FUNCGRAD_UPDATE_DOCS=1`` to write the output anew.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from pathlib import Path
from typing import Any

from funcgrad.runtime.profiling.text import HEAD, line_of

PAGE = Path(__file__).parents[2] / "docs" / "profiling.md"
BLOCK = re.compile(r"```python\n(?P<code>.*?)```\n\n```text\n(?P<output>.*?)```\n", re.DOTALL)
UNTIMED = [HEAD.index(name) for name in ("step", "computes", "line", "runs", "bytes", "FLOPs")]


def test_the_output_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    (block,) = BLOCK.finditer(page)
    namespace: dict[str, Any] = {"__name__": "train"}
    code = block["code"].replace("print(", "result = (")
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(code, "train.py", "exec"), namespace)
    result = namespace["result"]
    if os.environ.get("FUNCGRAD_UPDATE_DOCS"):
        PAGE.write_text(page[: block.start("output")] + f"{result}\n" + page[block.end("output") :], encoding="utf-8")
        return
    first, machine, empty, head, rule, *shown = block["output"].splitlines()
    assert re.fullmatch(r"step: \S+ \S+ a call, \S+ \S+ in \d+ steps \(medians of \d+ runs\)", first)
    assert re.fullmatch(r"machine: \d+ threads?, \S+ GB/s on \S+ MB, products \S+ .*", machine)
    assert (empty, tuple(head.split()), set(rule)) == ("", HEAD, {"-"})
    assert len(shown) == len(result.rows)
    starts = [re.search(rf"(?<!\S){re.escape(name)}(?!\S)", head) for name in HEAD]
    for line, row in zip(shown, result.rows, strict=True):
        cells = line_of(row)
        assert line.startswith("  ".join(cells[:1]))
        for k in UNTIMED:
            start = starts[k]
            assert start is not None
            left = k < 3
            found = line[start.start() :] if left else line[: start.end()]
            assert found.startswith(cells[k]) if left else found.endswith(cells[k])
