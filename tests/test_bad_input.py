"""What happens with odd input that is no table's row (see ``tests/misuse``): NumPy's own messages, NaN, bad caches?"""
# ruff: noqa: E501 - a row of the table is a line

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import errors
from tests.misuse.tables.control_flow import branch, loop

HERE = "test_bad_input.py"


def write_tracer_into_array(x: Any) -> Any:
    out = np.zeros(3)
    out[1] = x
    return out


def test_writing_a_tracer_into_an_array() -> None:
    """NumPy's message, but the cause says what to do."""
    with pytest.raises(ValueError, match="setting an array element") as caught:
        fg.jit(write_tracer_into_array)(1.0)
    assert isinstance(caught.value.__cause__, errors.TracerError)
    for part in ("np.stack", "np.where", f"{HERE}:{write_tracer_into_array.__code__.co_firstlineno + 2} "):
        assert part in str(caught.value.__cause__)


def test_the_values_are_known_under_grad() -> None:
    """The same functions, outside of jit."""
    assert fg.grad(branch)(-3.0) == -1
    assert fg.grad(loop)(3.0) == 4
    assert fg.grad(lambda x: x * float(fg.lax.stop_gradient(x)))(3.0) == 3
    assert fg.grad(lambda x: x * min(x, 2.0))(3.0) == 2


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_bad_numbers_are_no_mistake(bad: float) -> None:
    x = np.array([1.0, bad, -2.0, 0.0])

    def function(x: Any) -> Any:
        return (
            np.sum(x),
            np.max(x),
            np.argmax(x),
            x / x,
            np.sqrt(x),
            np.log(x),
            x @ x,
            np.where(x > 0, x, 0),
            np.mean(x),
            np.hypot(x, x[::-1] * np.nan),
        )

    with np.errstate(all="ignore"):
        expected = function(x)
    for result, value in zip(fg.jit(function)(x), expected, strict=True):
        np.testing.assert_allclose(result, value, rtol=1e-14)
    gradient = fg.jit(fg.grad(lambda x: np.sum(x * x)))(x)
    np.testing.assert_array_equal(gradient, 2 * x)


def test_random_numbers_are_drawn_once_per_trace() -> None:
    rng = np.random.default_rng(0)
    function = fg.jit(lambda x: x + rng.normal(size=3))
    np.testing.assert_array_equal(function(0.0), function(0.0))


SCRIPT = """
import sys, warnings
import numpy as np
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import funcgrad as fg
    for scale in (2.0, 3.0):
        value, grad = fg.jit(fg.value_and_grad(lambda x: np.sum(np.tanh(x * scale))))(np.ones(4))
        assert abs(value - 4 * np.tanh(scale)) < 1e-12, value
        np.testing.assert_allclose(fg.jit(lambda x: np.sin(x) @ np.exp(x))(np.ones(4)), 4 * np.sin(1) * np.e)
for w in caught:
    print(w.category.__name__, w.message)
"""


def run(directory: Path, before: str = "") -> list[str]:
    """Run a program in a process of its own with this cache directory; its warnings."""
    environment = os.environ | {"FUNCGRAD_CACHE_DIR": str(directory), "FUNCGRAD_CACHE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", before + SCRIPT], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def one_warning(lines: list[str], *parts: str) -> None:
    assert len(lines) == 1, lines
    assert lines[0].startswith("CacheWarning")
    for part in (*parts, "FUNCGRAD_CACHE_DIR"):
        assert part in lines[0]


def test_a_good_cache_directory_is_silent(tmp_path: Path) -> None:
    assert run(tmp_path / "new" / "cache") == []
    assert run(tmp_path / "new" / "cache") == []
    assert list((tmp_path / "new" / "cache").iterdir())


def test_a_cache_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    one_warning(run(tmp_path / "file"), str(tmp_path / "file"))


def test_a_read_only_cache_directory(tmp_path: Path) -> None:
    """Also as root, whom permissions do not stop."""
    refuse = "import tempfile\ndef mkstemp(*a, **k): raise PermissionError(13, 'Permission denied')\ntempfile.mkstemp = mkstemp\n"
    one_warning(run(tmp_path, refuse), str(tmp_path), "Permission denied")


def test_a_full_disk(tmp_path: Path) -> None:
    full = "import os\ndef replace(*a, **k): raise OSError(28, 'No space left on device')\nos.replace = replace\n"
    one_warning(run(tmp_path, full), "No space left")


def test_a_damaged_cache(tmp_path: Path) -> None:
    """Every file cut short, flipped or emptied: each is made anew, nothing is said."""
    run(tmp_path)
    files = sorted(tmp_path.iterdir())
    assert files
    for number, path in enumerate(files):
        data = path.read_bytes()
        path.write_bytes((data[: len(data) // 2], data[:-9] + b"!" * 9, b"", data + b"x")[number % 4])
    assert run(tmp_path) == []
    assert run(tmp_path) == []
