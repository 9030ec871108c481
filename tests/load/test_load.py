"""Does load leave the library as it is?  Short forms of ``python -m tests.load``."""

from __future__ import annotations

import gc
import sys

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compile import compiler
from funcgrad.runtime import dispatch
from funcgrad.trace import function as tracing
from funcgrad.tracebacks import DEEP
from tests.faults.programs import check_nothing_is_held, elementwise
from tests.load import arrays, calls, nests


@pytest.mark.parametrize("name", calls.CALLS)
def test_memory_is_flat(name: str) -> None:
    calls.flat(name, 2000 // calls.COSTLY.get(name, 1))


def test_a_function_remembers_so_many_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "MOST_PROGRAMS", 3)
    shapes = fg.jit(lambda x: np.sum(x))
    statics = fg.jit(lambda x, k: x + k, static_argnums=1)
    pytrees = fg.jit(lambda *xs: sum(x["a"] for x in xs))
    for k in range(1, 7):
        assert shapes(np.ones(k)) == k
        assert statics(1.0, k) == 1 + k
        assert pytrees(*[{"a": 1.0}] * k) == k
    for function in (shapes, statics, pytrees):
        assert len(function._traced) == 3
        assert len(function._ready) <= 3
    assert shapes(np.ones(1)) == 1
    assert statics(1.0, 1) == 2


def test_texts_of_kernels_are_not_kept_for_ever() -> None:
    assert compiler.canonical.cache_info().maxsize == compiler.MOST_KERNELS
    elementwise(991)()
    assert compiler.canonical.cache_info().currsize
    fg.clear_caches()
    assert not compiler.canonical.cache_info().currsize


def test_garbage_is_collected_while_programs_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a forgotten program leaves is old at once, and old objects are looked at by nobody else."""
    collections = []
    gc.callbacks.append(lambda phase, info: collections.append(info["generation"]) if phase == "start" else None)
    try:
        monkeypatch.setattr(tracing, "_enough", [sys.getallocatedblocks()])
        fg.jit(lambda x: x + 0.125)(1.0)
    finally:
        gc.callbacks.pop()
    assert 2 in collections
    assert tracing._enough[0] > sys.getallocatedblocks()


def test_threads_at_once() -> None:
    assert calls.at_once(4, 9_100_000) == 4 * 16


@pytest.mark.parametrize("form", nests.FORMS)
@pytest.mark.parametrize("kind", nests.NESTS)
def test_nests(kind: str, form: str) -> None:
    with nests.room(nests.ROOM):
        nests.nested(kind, form, 6 if kind == "while_loop" else 15)


@pytest.mark.parametrize("kind", ["jit", "grad", "scan"])
def test_a_nest_that_is_too_deep_says_what_to_do(kind: str) -> None:
    with pytest.raises(RecursionError) as caught:
        nests.nested(kind, "jit", 600)
    assert DEEP in caught.value.__notes__
    check_nothing_is_held()
    elementwise(992)()


def test_long_programs() -> None:
    nests.long_program(1000)
    nests.long_program(400, mathematics=True)


@pytest.mark.slow
def test_deep_nests_and_long_programs() -> None:
    with nests.room(nests.ROOM):
        for kind in nests.NESTS:
            for form in nests.FORMS:
                nests.nested(kind, form, 200)
    nests.long_program(100_000)


@pytest.mark.slow
@pytest.mark.parametrize("kind", arrays.KINDS)
def test_more_elements_than_32_bits_count(kind: str) -> None:
    arrays.check(kind)
