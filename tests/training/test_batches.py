"""Are data sets cut into batches, shuffled and prefetched, and is bad input named?"""

from __future__ import annotations

import gc
import os
import signal
import threading
import traceback
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import funcgrad as fg
from funcgrad.training import batches, prefetch


class Pair(NamedTuple):
    x: Any
    y: Any


def numbers(count: int) -> Pair:
    """Examples whose two leaves tell which they are."""
    return Pair(np.arange(count), np.arange(count * 2.0).reshape(count, 2))


def rows(found: Any) -> list[int]:
    """The examples in all batches; both leaves must tell the same."""
    for batch in found:
        assert isinstance(batch, Pair)
        np.testing.assert_array_equal(batch.y[:, 0], 2 * batch.x)
    return [int(i) for batch in found for i in batch.x]


@given(st.integers(1, 12), st.integers(1, 14), st.integers(0, 3), st.booleans(), st.booleans(), st.integers(0, 2))
def test_every_example_once_an_epoch(
    count: int, size: int, epochs: int, shuffled: bool, drop_last: bool, ahead: int
) -> None:
    key = fg.random.key(3) if shuffled else None
    if drop_last and count < size:
        with pytest.raises(ValueError, match="make no batch of"):
            batches(numbers(count), size, drop_last=True)
        return
    made = batches(numbers(count), size, key=key, epochs=epochs, drop_last=drop_last, prefetch=ahead)
    found = list(made)
    per_epoch = count // size if drop_last else -(-count // size)
    assert len(made) == len(found) == per_epoch * epochs
    for epoch in range(epochs):
        part = found[epoch * per_epoch : (epoch + 1) * per_epoch]
        assert all(len(batch.x) == size for batch in part[: count // size])
        seen = rows(part)
        order = np.arange(count) if key is None else fg.random.permutation(fg.random.fold_in(key, epoch), count)
        assert seen == list(order[: len(seen)])
        assert len(seen) == (count // size * size if drop_last else count)
    assert rows(list(made)) == rows(found)  # as often as one likes


def test_the_order_is_the_key_s() -> None:
    first, again, other = (rows(list(batches(numbers(50), 8, key=fg.random.key(k)))) for k in (0, 0, 1))
    assert first == again != other
    assert sorted(first) == sorted(other) == list(range(50))
    by_epoch = rows(list(batches(numbers(50), 50, key=fg.random.key(0), epochs=2)))
    assert by_epoch[:50] != by_epoch[50:]


@pytest.mark.parametrize("skip", [0, 1, 4, 5, 9, 100])
def test_skipped_batches(skip: int) -> None:
    options = {"key": fg.random.key(0), "epochs": 2}
    every, rest = batches(numbers(17), 4, **options), batches(numbers(17), 4, skip=skip, **options)
    assert len(rest) == max(0, len(every) - skip)
    assert rows(list(rest)) == rows(list(every)[skip:])


def test_batches_are_the_caller_s_own() -> None:
    data = np.zeros((4, 2))
    for key in (None, fg.random.key(0)):
        for batch in batches(data, 2, key=key):
            batch += 1
    assert not data.any()


BAD_DATA: dict[str, tuple[Any, str]] = {
    "lengths": ({"x": np.zeros(3), "y": [np.zeros((2, 5))]}, r"\['y'\]\[0\] has 2 examples, but \['x'\] has 3"),
    "named": (Pair(np.zeros(3), np.zeros(4)), r"\.y has 4 examples, but \.x has 3"),
    "empty": ({"x": np.zeros((0, 3))}, r"no examples: \['x'\] has the shape \(0, 3\)"),
    "no leaves": ({"x": None}, "the data have no arrays"),
    "a number": ({"x": np.zeros(3), "y": 2.0}, r"\['y'\] is a number and has no examples"),
    "a list of numbers": ([1.0, 2.0], r"\[0\] is a number"),
    "ragged": ({"x": np.array([[1], [2, 3]], object)}, r"\['x'\] is no array of numbers: .*object"),
    "text": ({"x": "abc"}, r"\['x'\] is no array of numbers"),
    "an array": (np.zeros(0), r"no examples: the array has the shape \(0,\)"),
}


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_data_are_named(name: str) -> None:
    data, message = BAD_DATA[name]
    with pytest.raises(ValueError, match=rf"(?s)batches: .*{message}.*test_batches.py"):
        batches(data, 2)


@pytest.mark.parametrize("name", ["batch_size", "epochs", "skip", "prefetch"])
def test_bad_counts(name: str) -> None:
    given = {"batch_size": 2, name: -1}
    with pytest.raises(ValueError, match=f"batches: {name} must be at least [01], not -1"):
        batches(numbers(3), **given)
    given[name] = 1.5  # type: ignore[assignment]
    with pytest.raises(TypeError, match=f"batches: {name} must be an integer, not 1.5"):
        batches(numbers(3), **given)


# prefetch ------------------------------------------------------------------------------------------------------------


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "funcgrad-prefetch"]


class Source:
    """Counts, notes which thread asks, and whether it was closed."""

    def __init__(self, count: int, fail_at: int = -1) -> None:
        self.count, self.fail_at = count, fail_at
        self.made, self.closed = 0, threading.Event()
        self.threads: set[str] = set()

    def __iter__(self) -> Iterator[int]:
        try:
            for number in range(self.count):
                self.threads.add(threading.current_thread().name)
                if number == self.fail_at:
                    raise KeyError("broken source")
                self.made += 1
                yield number
        finally:
            self.closed.set()


@pytest.mark.parametrize("size", [1, 2, 100])
def test_prefetch_keeps_the_order(size: int) -> None:
    source = Source(20)
    assert list(prefetch(source, size)) == list(range(20))
    assert source.threads == {"funcgrad-prefetch"}
    assert source.closed.is_set()
    assert not workers()
    assert list(prefetch([], size)) == []


def test_the_thread_starts_late_and_stays_a_few_ahead() -> None:
    source = Source(1000)
    ready = prefetch(source, 3)
    assert not workers()
    assert next(ready) == 0
    assert len(workers()) == 1
    assert source.made <= 5  # one taken, three on the shelf, one in hand
    ready.close()  # type: ignore[attr-defined]
    assert not workers()
    assert source.closed.is_set()
    assert source.made <= 5


def test_the_thread_ends_with_a_break_and_when_forgotten() -> None:
    first, second = Source(1000), Source(1000)
    for number in prefetch(first):
        if number == 3:
            break
    ready = prefetch(second)
    next(ready)
    del ready
    gc.collect()
    assert not workers()
    assert first.closed.is_set()
    assert second.closed.is_set()


@pytest.mark.parametrize("fail_at", [0, 3])
def test_an_exception_reaches_the_consumer(fail_at: int) -> None:
    seen: list[int] = []
    with pytest.raises(KeyError, match="broken source") as caught:
        seen.extend(prefetch(Source(10, fail_at), 2))
    assert seen == list(range(fail_at))
    assert "in __iter__" in "".join(traceback.format_tb(caught.value.__traceback__))  # where it was raised
    assert not workers()


def test_an_exception_while_the_source_closes() -> None:
    def unclosable() -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            raise OSError("cannot close")

    with pytest.raises(OSError, match="cannot close"):
        list(prefetch(unclosable()))
    assert not workers()


def test_batches_ahead_and_an_exception_in_the_loop() -> None:
    def train() -> None:
        for _ in batches(numbers(100), 2, prefetch=4):
            raise RuntimeError("the step")

    with pytest.raises(RuntimeError, match="the step"):
        train()
    gc.collect()
    assert not workers()


def test_bad_prefetch() -> None:
    with pytest.raises(ValueError, match="at least 1 element ready, not 0"):
        prefetch([1], 0)
    with pytest.raises(TypeError, match="takes an iterable, not 3 of type int"):
        prefetch(3)  # type: ignore[type-var]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot fork here")
@pytest.mark.filterwarnings("ignore:.*fork:RuntimeWarning", "ignore:.*fork:DeprecationWarning")  # others'
def test_a_forked_process_says_that_it_has_no_thread_to_wait_for() -> None:
    ahead = prefetch(range(100), 1)
    assert next(ahead) == 0
    child = os.fork()
    if not child:
        signal.alarm(20)
        try:
            next(ahead)
        except RuntimeError as error:
            os._exit("call prefetch in the process" not in str(error))
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert next(ahead) == 1
    ahead.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot fork here")
@pytest.mark.filterwarnings("ignore:.*fork:RuntimeWarning", "ignore:.*fork:DeprecationWarning")  # others'
def test_a_forked_process_forgets_an_iterator_whose_lock_is_held() -> None:
    ahead = prefetch(range(100), 1)
    next(ahead)
    assert ahead.gi_frame is not None
    shelf = ahead.gi_frame.f_locals["shelf"]
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with shelf.changed:
            held.set()
            done.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(20)
    child = os.fork()
    if not child:
        signal.alarm(20)
        ahead.close()
        os._exit(0)
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    ahead.close()
