"""Do the main workloads compile to the kernels that are kept in tests/golden/?  A change of generated code shows there.

Run with ``FUNCGRAD_UPDATE_DOCS=1`` to write the listings anew; lines of long constants are cut, with a check sum.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers import PEERS
from benchmarks.workloads import CALLS
from benchmarks.workloads.mlp import TrainingLoop
from funcgrad.compile import native

FOLDER = Path(__file__).parent / "golden"
WIDEST = 240
NAMES = (
    *("mlp784", "cnn", "resnet", "elementwise_1e6_f32", "logistic", "cross_entropy", "attention_128"),
    *("attention_all_4096", "transformer", "layer_norm", "loop_lstm128", "loop_turns3x3", "loop_carries40", "gmm"),
    *("variation", "solve_3x3", "segment_sum", "embedding_gradient", "cumsum_matrix_f32", "random_normal", "hvp784"),
)


def listing(name: str) -> str:
    """The kernels of funcgrad's call of a workload."""
    call: Any = CALLS[name].builders["funcgrad"](PEERS["funcgrad"].load(1), CALLS[name].data())
    training = isinstance(call, TrainingLoop)
    lowered = call.step.lower(call.params, *call.batch) if training else call.func.lower(*call.args)
    return "".join(map(shortened, lowered.as_text("python").rstrip().splitlines()))


def shortened(line: str) -> str:
    """A line, cut where it is too wide to be read."""
    if len(line) <= WIDEST:
        return f"{line.rstrip()}\n"
    return f"{line[:WIDEST]} ... {len(line)} characters, crc32 {zlib.crc32(line.encode()):08x}\n"


@pytest.mark.parametrize("name", NAMES)
def test_the_kernels_of_a_workload(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(native, "multiplies_in_tiles", lambda: False)  # the same kernels on any CPU
    file, text = FOLDER / f"{name}.txt", listing(name)
    if os.environ.get("FUNCGRAD_UPDATE_DOCS"):
        FOLDER.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == text


def test_every_listing_that_is_kept_belongs_to_a_workload() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == set(NAMES)


def test_wide_lines_are_cut_and_still_differ() -> None:
    first, second = (shortened("x" * 500 + end) for end in "ab")
    assert first[:WIDEST] == second[:WIDEST] == "x" * WIDEST
    assert first != second
    assert shortened("short  ") == "short\n"
