"""Do type checkers see what users write?  mypy, and pyright where it is installed (as basedpyright), over
`user_code.py`, where wrong uses bear an ignore that must be needed.
"""

from __future__ import annotations

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mypy import api

from tests.typing.stubs import PACKAGES, ROOT, path, stub

CODE = Path(__file__).parent / "user_code.py"


@pytest.mark.slow  # a minute, where mypy has not seen the package before; .ci/run has it look at the file too
def test_mypy_agrees() -> None:
    report, errors, status = api.run(["--config-file", str(ROOT / "pyproject.toml"), str(CODE)])
    assert status == 0, report + errors


@pytest.mark.slow
def test_pyright_agrees(tmp_path: Path) -> None:
    program = shutil.which("basedpyright", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if program is None:
        pytest.skip("basedpyright is not installed")
    settings = tmp_path / "pyrightconfig.json"
    settings.write_text(
        '{"typeCheckingMode": "standard", "reportUnnecessaryTypeIgnoreComment": "error", "pythonVersion": "3.11", '
        f'"include": ["{CODE}"], "extraPaths": ["{ROOT}"]}}'
    )
    found = subprocess.run(
        [program, "--pythonpath", sys.executable, "-p", str(settings)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_wrong_uses_are_among_the_code() -> None:
    assert len(re.findall(r"# type: ignore\[", CODE.read_text(encoding="utf-8"))) >= 20


def words(text: str) -> list[str]:
    """What a stub says, however it is laid out."""
    return sorted(re.findall(r"[\w.]+", text))


@pytest.mark.parametrize("package", PACKAGES)
def test_the_stubs_have_every_name(package: str) -> None:
    if os.environ.get("FUNCGRAD_UPDATE_DOCS"):
        path(package).write_text(stub(package), encoding="utf-8")
        for arguments in (["check", "--fix"], ["format"]):
            subprocess.run([sys.executable, "-m", "ruff", *arguments, "-q", str(path(package))], check=True)
    assert words(path(package).read_text(encoding="utf-8")) == words(stub(package))


LAZY = ("funcgrad", "funcgrad.nn", "funcgrad.scipy", "funcgrad.experimental")


@pytest.mark.parametrize("package", LAZY)
def test_what_is_imported_late_is_seen(package: str) -> None:
    namespace = importlib.import_module(package)
    tree = ast.parse((ROOT / Path(*package.split(".")) / "__init__.py").read_text(encoding="utf-8"))
    shown = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    late = {*namespace._submodules, *getattr(namespace, "_late", ())}
    assert late <= shown
    assert late <= set(namespace.__all__)
