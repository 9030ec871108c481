"""Do the pages on listings and the command line show what happens?
Run with ``FUNCGRAD_UPDATE_DOCS=1`` to write the command line's output anew.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
from pathlib import Path

import pytest

from funcgrad.__main__ import main

DOCS = Path(__file__).parents[1] / "docs"
MARK = r"<!-- explain(?:: (first) line)? -->"
COMMAND = re.compile(rf"({MARK}\n```console\n\$ python -m funcgrad ([^\n]*)\n)(.*?)(```)", re.DOTALL)


def test_the_page_on_listings() -> None:
    text = (DOCS / "listings.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```pycon\n(.*?)```", text, re.DOTALL)
    assert len(blocks) > 4
    test = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "listings.md", "listings.md", 0)
    told: list[str] = []
    runner = doctest.DocTestRunner()
    runner.run(test, out=told.append)
    assert not runner.failures, "".join(told)


def test_the_page_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = DOCS / "cli.md"
    page = path.read_text(encoding="utf-8")
    (code,) = re.findall(r"<!-- file -->\n```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "model.py").write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def shown(found: re.Match[str]) -> str:
        main(shlex.split(found[3]))
        got = capsys.readouterr()
        text = (got.out + got.err).replace(f"{tmp_path}{os.sep}", "")
        text = text.partition("\n")[0] + "\n...\n" if found[2] else text
        return f"{found[1]}{text}{found[5]}"

    new, count = COMMAND.subn(shown, page)
    assert count == 3
    if os.environ.get("FUNCGRAD_UPDATE_DOCS"):
        path.write_text(new, encoding="utf-8")
        return
    assert new == page
