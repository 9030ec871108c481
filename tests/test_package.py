"""Is the package what its README and pyproject.toml say it is?"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import funcgrad as fg
from funcgrad import config

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PAGES = sorted([*ROOT.glob("*.md"), *(page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts)])
SETTINGS = {value for value in vars(config).values() if isinstance(value, str) and value.startswith("FUNCGRAD_")}
SETTINGS |= {f"FUNCGRAD_{name.upper()}" for name in config.switches}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def test_the_code_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    namespace: dict[str, Any] = {}
    for number, block in enumerate(blocks("python")):
        exec(compile(block, f"README.md, block {number}", "exec"), namespace)
    accuracy = (namespace["x"] @ namespace["params"]["w1"] + namespace["params"]["b1"]).clip(0) @ namespace["params"][
        "w2"
    ] + namespace["params"]["b2"]
    assert (accuracy.argmax(axis=1) == namespace["y"]).mean() > 0.95
    printed = capsys.readouterr().out
    (kernel,) = [block for block in blocks("python") if block.startswith("def kernel_")]
    assert kernel in printed  # the listing that the README shows is the one that its code prints


def test_the_commands_of_the_readme_are_the_ones_that_are_checked() -> None:
    steps = set((ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines())
    first, second = (block.strip() for block in blocks("sh"))
    for command, extra in ((first, "examples"), (second, "test")):
        make, install, use = command.split(" && ")
        assert "\n" not in command
        assert make == "python3 -m venv .venv"
        assert install == f'.venv/bin/python -m pip install -e ".[{extra}]"'
        assert use.removeprefix(".venv/bin/") in steps
    assert second.split(" && ")[1].removeprefix(".venv/bin/") in steps


def test_the_extras_exist() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    assert {"examples", "test", "bench", "docs"} <= set(extras)
    assert "funcgrad[examples]" in extras["test"]  # one environment is enough for the tests of the examples


def test_the_versions_agree() -> None:
    assert PROJECT["project"]["version"] == fg.__version__


def test_type_information_and_licence_ship() -> None:
    assert PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["funcgrad"]
    assert (ROOT / "funcgrad" / "py.typed").read_text() == ""
    assert "py.typed" not in (ROOT / ".gitignore").read_text()  # the build leaves out what git ignores
    assert all((ROOT / name).is_file() for name in [PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]])


@pytest.mark.parametrize("text", [config.__doc__ or "", README], ids=["config.py", "README.md"])
def test_every_setting_stands_in_the_tables(text: str) -> None:
    rows = re.findall(r"^(?:\| )?`+(FUNCGRAD_\w+)`+ ", text, re.MULTILINE)
    assert set(rows) == SETTINGS
    assert len(rows) == len(SETTINGS)


def test_every_setting_of_the_package_is_in_config() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "funcgrad").rglob("*.py")]
    assert {name for source in sources for name in re.findall(r"\bFUNCGRAD_[A-Z_]+", source)} == SETTINGS


def anchors(page: Path) -> set[str]:
    """The names by which a page's headings are linked to."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^ *```.*?^ *```$|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if not target.startswith("https://"):
            path, _, anchor = target.partition("#")
            other = (page.parent / path).resolve() if path else page
            assert other.exists(), target
            assert not anchor or anchor in anchors(other), target
