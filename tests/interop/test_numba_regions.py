"""Do errors on Numba's threads reach somebody?"""

from __future__ import annotations

import threading

import numba
import numpy as np
import pytest

import funcgrad as fg
from funcgrad.interop import numba_errors, numba_runtime

X = np.arange(4.0)
pick = fg.jit(lambda x, i: x[i] * 2)


@numba.njit
def half_of_pick(x, i):
    if i >= 0:
        return pick(x, i) / 2
    try:
        return pick(x, 10 - i)
    except Exception:
        return -1.0


@numba.njit(parallel=True)
def put(out, x, places):
    for k in numba.prange(len(places)):
        out[k] = half_of_pick(x, places[k])


def picks(x, places):
    out = np.zeros(len(places))
    put(out, x, places)
    return out


BAD = {
    "first": [9, 0, 1, 2, 3, 0, 1, 2],
    "last": [0, 1, 2, 3, 0, 1, 2, 9],
    "all": [9] * 8,
}


@pytest.mark.parametrize("places", BAD.values(), ids=BAD)
def test_an_error_within_prange_is_raised_behind_it(places):
    with pytest.raises(IndexError, match=r"size 4\n  at .*test_numba_regions.py"):
        picks(X, np.array(places))
    np.testing.assert_array_equal(picks(X, np.arange(4)), X)


def test_an_error_that_is_caught_within_prange_is_none():
    np.testing.assert_array_equal(picks(X, np.array([-1, 1, 2, -1, -1, -1, 3, -1])), [-1, 1, 2, -1, -1, -1, 3, -1])


def test_later_pieces_on_a_thread_that_failed():
    numba.set_parallel_chunksize(1)
    try:
        with pytest.raises(IndexError, match="size 4"):
            picks(X, np.full(8, 9))
    finally:
        numba.set_parallel_chunksize(0)


def test_numba_code_catches_it():
    @numba.njit
    def fits(out, x, places):
        try:
            put(out, x, places)
        except Exception:
            return False
        return True

    assert not fits(np.zeros(8), X, np.array(BAD["last"]))
    assert fits(np.zeros(8), X, np.arange(4))


def test_from_a_thread_of_pythons():
    found = []

    def work():
        try:
            picks(X, np.array(BAD["last"]))
        except IndexError as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(found) == 1


def test_shapes_that_do_not_fit(monkeypatch):
    def fails(self, sizes):
        raise MemoryError("no room for a program")

    monkeypatch.setattr(numba_runtime.Site, "record", fails)
    with pytest.raises(MemoryError, match="no room for a program"):
        picks(np.arange(5.0), np.arange(8))


def test_what_nobody_raises_is_told(monkeypatch):
    told = []
    monkeypatch.setattr(threading, "excepthook", told.append)
    numba_errors._lost.add(ValueError("lost"))
    assert [str(args.exc_value) for args in told] == ["lost"]
    numba_errors._counter[numba_errors.ACTIVE] += 1  # a loop that is watched
    numba_errors._lost.add(ValueError("the loop raises it"))
    numba_errors._counter[numba_errors.ACTIVE] -= 1
    assert str(numba_errors._lost.take()) == "the loop raises it"
    assert len(told) == 1


def test_an_exception_that_cannot_be_made():
    class Odd(Exception):
        def __init__(self, one, two):
            super().__init__(one, two)

    for given, kind in ((("a", "b"), Odd), (("a",), TypeError), (Odd("c", "d"), Odd)):
        assert type(numba_errors.error_of(id(Odd), id(given))) is kind
    assert numba_errors.error_of(None, None) is None


def test_an_interrupt_while_code_asks_for_its_function(monkeypatch):
    def interrupted(name, text):
        raise KeyboardInterrupt

    double = fg.jit(lambda x: x * 2)

    @numba.njit
    def run(x):
        return double(x)

    monkeypatch.setattr(numba_runtime, numba_runtime.FIND_SITE[1], interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(1.0)
    monkeypatch.undo()
    assert run(1.0) == 2
