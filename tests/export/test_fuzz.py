"""Does a damaged or hostile file ever do anything but be refused?  Bytes and headers, changed at random."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from funcgrad.export import ExportError, deserialize
from tests import fuzz_export
from tests.effort import EFFORT
from tests.export import files, mutations

MOST_FILES = 200
MOST = 32 << 20  # bytes that reading a file of some kilobytes may take


def attack(seed, count):
    """Read so many damaged files; how many of them were none the less whole."""
    rng, data = random.Random(seed), list(files.data().values())
    whole = 0
    for _ in range(count):
        damaged = mutations.changed(rng, rng.choice(data), data)
        try:
            deserialize(damaged)
        except ExportError:
            continue
        whole += 1
        if len(data) < MOST_FILES:
            data.append(damaged)  # changes lead further from what is still a file
    return whole


def test_damaged_files_are_refused_or_whole():
    files.data()
    tracemalloc.start()
    try:
        whole = attack(0, round(300 * EFFORT))
        assert tracemalloc.get_traced_memory()[1] < MOST
    finally:
        tracemalloc.stop()
    assert whole < 30 * EFFORT  # most changes matter: names and lines are a small part


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_many_damaged_files_are_refused_or_whole(seed):
    attack(seed + 1, 10_000)


def test_a_campaign_is_led_by_the_ways_that_the_reader_takes():
    outcomes, edges, kept = fuzz_export.campaign(seed=0, minutes=5, most=round(40 * EFFORT))
    assert outcomes["found"] == 0
    assert outcomes["refused"] > outcomes["read"] >= len(files.data())
    assert edges > 500
    assert kept > len(files.data())


def test_a_campaign_finds_what_should_be_refused(monkeypatch, capsys):
    def careless(data):
        try:
            return deserialize(data)
        except ExportError as error:
            raise KeyError("a part of the header") from error

    monkeypatch.setattr(fuzz_export, "deserialize", careless)
    outcomes, _, _ = fuzz_export.campaign(seed=2, minutes=5, most=15)
    assert outcomes["found"] > 0
    assert "KeyError" in capsys.readouterr().out
