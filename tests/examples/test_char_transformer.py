"""Does the example learn to write, and does its cache of keys and values give what whole passes give?"""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import funcgrad as fg

pytest.importorskip("matplotlib")
pytest.importorskip("tqdm")
SCRIPT = Path(__file__).parents[2] / "examples" / "char_transformer.py"


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("char_transformer", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(SCRIPT.parent), *sys.path])  # as where it is run: options.py lies beside it
        spec.loader.exec_module(module)
    return module


example = loaded()
SYMBOLS = 20


@pytest.fixture(scope="module")
def net() -> Any:
    return example.network(example.Size(16, 2, 2, 12, 4), SYMBOLS)


@pytest.fixture(scope="module")
def params(net: Any) -> Any:
    return net.init(fg.random.key(0), (1, 12))


@pytest.fixture
def windows() -> np.ndarray:
    return np.random.default_rng(0).integers(0, SYMBOLS, (3, 12)).astype(np.int32)


def test_a_fast_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    figure = tmp_path / "result.png"
    example.main(["--fast", "--figure", str(figure)])
    text = capfd.readouterr().out
    counts = re.search(r"counts of one, two and three in a row: ([\d.]+), ([\d.]+), ([\d.]+) bits", text)
    found = re.search(r"([\d.]+) bits for a held-out character", text)
    assert counts is not None
    assert found is not None
    one, two, three = (float(bits) for bits in counts.groups())
    assert three < two < one < 5.5
    assert float(found[1]) < one - 0.5  # it has learned more than how frequent each is; the full run comes below three
    assert text.count("goes on:\n") == example.LINES
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert figure.stat().st_size > 20_000  # an empty canvas is smaller


@pytest.mark.parametrize("pieces", [[12], [5, 1, 6], [7, 1, 1, 1, 1, 1], [1] * 12])
def test_pieces_with_the_cache_give_the_scores_of_the_whole(
    net: Any, params: Any, windows: np.ndarray, pieces: list[int]
) -> None:
    state, parts = net.init_cache((3, 12)), []
    for part in np.split(windows, np.cumsum(pieces)[:-1], axis=1):
        scores, state = net.apply(params, part, state=state)
        parts.append(scores)
    np.testing.assert_allclose(np.concatenate(parts, axis=1), net.apply(params, windows), rtol=1e-4, atol=1e-5)


def test_a_cold_continuation_is_the_likeliest_of_whole_passes(net: Any, params: Any, windows: np.ndarray) -> None:
    known = prompts = windows[:, :5]
    for _ in range(4):
        likeliest = np.argmax(net.apply(params, known)[:, -1], axis=-1)
        known = np.concatenate([known, likeliest[:, None].astype(np.int32)], axis=1)
    drawn = fg.jit(lambda key: example.continued(net, params, prompts, 4, key, 1e-6))(fg.random.key(1))
    np.testing.assert_array_equal(drawn, known[:, 5:])


def test_a_score_sees_nothing_of_what_follows(net: Any, params: Any, windows: np.ndarray) -> None:
    changed = windows.copy()
    changed[:, 7:] = (changed[:, 7:] + 1) % SYMBOLS
    before, after = (example.surprise(net, params, rows) for rows in (windows, changed))
    np.testing.assert_allclose(before[:, :6], after[:, :6], rtol=1e-6)
    assert np.all(np.abs(before[:, 6:] - after[:, 6:]).max(axis=1) > 1e-3)


def test_counts_are_those_by_hand() -> None:
    text = example.Text("ab", np.array([0, 0, 1], np.int32), np.array([0, 1], np.int32))
    a, b = (2 + 2 * 0.5) / 5, (1 + 2 * 0.5) / 5
    b_after_a = (1 + 2 * b) / (2 + 2)
    np.testing.assert_allclose(example.counted(text, 2), [-np.log2([a, b]).mean(), -np.log2(b_after_a)])


def test_nothing_that_is_held_out_was_read() -> None:
    text = example.documentation(np.random.default_rng(0))
    read, held_out = (
        {" ".join(part.split()) for part in text.spelt(numbers).split("\n\n")}
        for numbers in (text.train, text.held_out)
    )
    assert len(held_out) > 50
    assert not {part for part in read & held_out if len(part) > 60}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rounds", "0"], "--rounds: '0' is not a whole number within 1"),
        (["--temperature", "0"], "--temperature: '0' is not a number within 0.01"),
        (["--figure", "result.txt"], "'result.txt' does not end with"),
        (["--seed", "-1"], "--seed: '-1' is not a whole number"),
        (["--unknown"], "unrecognized arguments: --unknown"),
    ],
)
def test_bad_options(options: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        example.main(options)
    assert stop.value.code == 2
    error = capfd.readouterr().err
    assert error.startswith("char_transformer: ")
    assert message in error
    assert error.count("\n") == 1
