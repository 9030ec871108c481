"""What does a user see who does something wrong?  Tables by area: the exception, the remedy, and the user's line, where
the traceback ends too.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

import funcgrad as fg
from tests.misuse.rows import Row

HERE = Path(__file__).parent
AREAS = sorted(path.stem for path in (HERE / "tables").glob("[a-z]*.py"))
TABLES: dict[str, list[Row]] = {area: importlib.import_module(f"tests.misuse.tables.{area}").ROWS for area in AREAS}
CASES = [pytest.param(row, id=f"{area}-{row.name.replace(' ', '-')}") for area, rows in TABLES.items() for row in rows]


@pytest.mark.parametrize("row", CASES)
def test_mistakes(row: Row) -> None:
    with pytest.raises(row.error) as caught:
        row.call()
    message = str(caught.value)
    for part in row.says:
        assert part in message, message
    if row.line:
        assert str(HERE) in message, message
    assert str(HERE) in str(caught.traceback[-1].path), caught.traceback  # where the user's line stands
    assert fg.grad(np.sin)(0.0) == 1  # nothing is left behind


def test_there_are_many() -> None:
    names = [(area, row.name) for area, rows in TABLES.items() for row in rows]
    assert len(names) == len(set(names))
    assert len(names) >= 150


def test_the_line_is_the_one_of_the_mistake() -> None:
    from tests.misuse.tables import control_flow, writing

    branch, write = control_flow.branch, writing.write
    with pytest.raises(
        fg.errors.TracerBoolConversionError,
        match=rf"control_flow.py:{branch.__code__.co_firstlineno + 1} \(in branch\)",
    ):
        fg.jit(branch)(1.0)
    with pytest.raises(TypeError, match=rf"writing.py:{write.__code__.co_firstlineno + 1} \(in write\)"):
        fg.jit(write)(np.ones((2, 3)))
