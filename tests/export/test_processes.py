"""Do exported functions get into other processes, and do forks live through exports of other threads?"""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.array import Array
from funcgrad.export import exported as exported_module
from funcgrad.export.watched import Watched
from funcgrad.runtime import switches
from funcgrad.trace.tracer import Tracer
from tests.export import files
from tests.runtime.test_processes import forking, in_child

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:RuntimeWarning", "ignore:.*fork:DeprecationWarning")
SHAPE = Tracer.__dict__["shape"]


@contextmanager
def beside(work: Callable[[threading.Event, threading.Event], Any]) -> Iterator[threading.Event]:
    """Another thread, which has begun, until it is told to go on."""
    begun, go_on = threading.Event(), threading.Event()
    thread = threading.Thread(target=work, args=(begun, go_on))
    thread.start()
    try:
        assert begun.wait(20)
        yield go_on
    finally:
        go_on.set()
        thread.join()


def mean(x: Any) -> Any:
    return np.sum(x) / x.shape[0]


def export_mean() -> None:
    assert fg.export.export(fg.jit(mean))(files.sizes("b")).call(np.arange(3.0)) == 1.0


@forking
def test_a_fork_while_another_thread_exports() -> None:
    def export_slowly(begun: threading.Event, go_on: threading.Event) -> None:
        def slow(x: Any) -> Any:
            if type(x.shape[0]) is Watched:
                begun.set()
                assert go_on.wait(20)
            return mean(x)

        fg.export.export(fg.jit(slow))(files.sizes("b"))

    def check() -> None:
        assert Tracer.__dict__["shape"] is SHAPE
        assert "shape" not in vars(Array)
        export_mean()

    with beside(export_slowly) as go_on:
        assert Tracer.__dict__["shape"] is not SHAPE
        in_child(check, go_on.set)
    assert Tracer.__dict__["shape"] is SHAPE
    export_mean()


@forking
def test_a_fork_in_the_middle_of_ones_own_export() -> None:
    def forked(x: Any) -> Any:
        if type(x.shape[0]) is Watched:
            in_child(lambda: check_is_watching(x))
        return mean(x)

    def check_is_watching(x: Any) -> None:
        assert type(x.shape[0]) is Watched

    assert fg.export.export(fg.jit(forked))(files.sizes("b")).call(np.ones(2)) == 1.0


@forking
@pytest.mark.parametrize("lock", [exported_module._lock, switches._switch], ids=["programs", "switches"])
def test_locks_are_free_in_children(lock: Any) -> None:
    def hold(begun: threading.Event, go_on: threading.Event) -> None:
        with lock:
            begun.set()
            go_on.wait(0.1)

    def check() -> None:
        assert lock.acquire(timeout=1)

    with beside(hold):
        in_child(check)


def test_exported_functions_are_pickled_as_files() -> None:
    known = {key: x for key, x in files.exported().items() if key in ("sizes", "constant")}
    for made in known.values():
        read = pickle.loads(pickle.dumps(made))
        assert read.serialize() == made.serialize()
        assert copy.copy(made) is made
        assert copy.deepcopy([made])[0] is made
    call = pickle.loads(pickle.dumps(known["sizes"].call))
    assert call(files.PARAMS, np.ones((2, 3)))["h"].shape == (2, 4)


def test_pickled_functions_keep_the_derivatives_that_they_have() -> None:
    made = files.exported()["rules"]
    x = np.array([1.0, 2.0])
    for read in (pickle.loads(pickle.dumps(made)), pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(made))))):
        np.testing.assert_array_equal(fg.grad(read.call)(x), 2 * x)
    bare = pickle.loads(pickle.dumps(fg.export.deserialize(made.serialize())))
    assert not bare.has_vjp()
