"""Does the example learn to translate, draw its figure, and refuse wrong options and files in one line?"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

for name in ("matplotlib", "tqdm", "num2words"):
    pytest.importorskip(name)
SCRIPT = Path(__file__).parents[2] / "examples" / "translate_rnn.py"


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("translate_rnn", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPT.parent))  # it imports the options beside it
        spec.loader.exec_module(module)
    return module


example = loaded()


def test_a_fast_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    figure = tmp_path / "result.png"
    example.main(["--fast", "--figure", str(figure)])
    text = capfd.readouterr().out
    assert "240 pairs to learn from and 60 held out; 40 words are translated into 42" in text
    assert "of 60 held-out sentences without a mistake" in text
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert figure.stat().st_size > 20_000  # an empty canvas is smaller


def test_it_learns_a_few_pairs_by_heart() -> None:
    pairs = [(example.num2words(n, lang="en"), example.num2words(n, lang="fr")) for n in range(70, 102)]
    source, target = (example.Vocabulary.of(pair[side] for pair in pairs) for side in (0, 1))
    data = {"source": source.encoded(p[0] for p in pairs), "target": target.encoded(p[1] for p in pairs)}
    net = example.network(len(source.words), len(target.words))
    params, course = example.train(net, data, data, 200, 0)
    assert course.losses[0] > 2 > 0.1 > course.losses[-1]
    assert course.exact[-1] == 1.0
    words, looks = example.translate(net, params, data["source"], data["target"].shape[1] + 2)
    np.testing.assert_array_equal(words[:, -2:], example.PAD)  # nothing is said after the end
    np.testing.assert_allclose(looks.sum(axis=2), 1.0, rtol=1e-5)
    assert looks[np.broadcast_to((data["source"] == example.PAD)[:, None, :], looks.shape)].max() == 0.0
    assert example.joined(target.decoded(words[27])) == "quatre-vingt-dix-sept"


def test_words() -> None:
    text = "trois cent quatre-vingt-dix, mille"
    assert example.words_of(text) == ["trois", "cent", "quatre", "-vingt", "-dix", ",", "mille"]
    assert example.joined(example.words_of(text)) == text
    words = example.Vocabulary.of(["a b", "b"])
    np.testing.assert_array_equal(words.encoded(["b a", "c"]), [[4, 5, example.END], [3, example.END, example.PAD]])


def test_a_file_of_pairs(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    lines = [f"word {n}\tmot {n}\tnote" for n in range(20)]
    path.write_text("\n".join([*lines, "", lines[0], "a " * 41 + "\ttoo long"]), "utf-8")
    found = example.read_pairs(path, example.parser(str(SCRIPT), "", "figure.png"))
    assert found == [(f"word {n}", f"mot {n}") for n in range(20)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file"),
        (b"\xff\xfe", "is no text in UTF-8"),
        (b"a\tb\nno translation\n", "line 2 has no sentence, tabulator and translation"),
        (b"a\tb\n", "has 1 different pairs of at most 40 words, 20 are needed"),
    ],
)
def test_bad_files(content: bytes | None, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pairs.tsv"
    if content is not None:
        path.write_bytes(content)
    refused(["--pairs", str(path)], message, capfd)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--epochs", "0"], "--epochs: '0' is not a whole number within 1"),
        (["--figure", "result.txt"], "'result.txt' does not end with"),
        (["--figure", "nowhere/result.png"], "there is no folder 'nowhere'"),
        (["--seed", "-1"], "--seed: '-1' is not a whole number"),
        (["--unknown"], "unrecognized arguments: --unknown"),
    ],
)
def test_bad_options(options: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    refused(options, message, capfd)


def refused(options: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        example.main(options)
    assert stop.value.code == 2
    error = capfd.readouterr().err
    assert error.startswith("translate_rnn: ")
    assert message in error
    assert error.count("\n") == 1


def test_help(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        example.main(["--help"])
    assert stop.value.code == 0
    assert "--pairs" in capfd.readouterr().out
