"""Does the library survive what goes wrong around it?  Short forms of ``python -m tests.faults``; what they found."""

from __future__ import annotations

import errno
import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import config
from funcgrad.compile import aside, cache, compiler
from funcgrad.trace.frame import running
from tests.faults import exceptions, files, forked, interrupts, memory, processes
from tests.faults.programs import X, check_nothing_is_held, elementwise

forking = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot fork here")
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:RuntimeWarning", "ignore:.*fork:DeprecationWarning")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(config.CACHE_DIR, str(tmp_path / "cache"))
    monkeypatch.delenv(config.CACHE, raising=False)
    cache._warned.clear()
    yield
    cache._warned.clear()


@forking
def test_kills() -> None:
    found = processes.kills(4, 71)
    assert found["processes"] == 4
    assert found["files"]


@forking
def test_a_crowd() -> None:
    assert processes.crowd(3, 72)["files"] > 4


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # one in a destructor ends nothing
def test_interrupts() -> None:
    found = interrupts.campaign(16, 73)
    assert found["moments"] == 32
    assert sum(found.values()) - found["moments"] > 6


def test_exceptions_in_callbacks() -> None:
    assert exceptions.campaign(every=8)["exceptions"] > 100


@forking
def test_memory_that_runs_out() -> None:
    found = memory.starve(1, 74)
    assert found["memory errors"] < found["calls"] == len(memory.WORK)


@forking
def test_forks() -> None:
    forked.campaign(2, 75)


@forking
def test_disks() -> None:
    assert files.full_disk(76, (0, 60, 700))
    assert files.read_only_homes(76, (None,))
    assert files.refusals(len(files.CALLS), 76)["refused"]


def test_files_that_are_not_what_they_should_be() -> None:
    assert files.damages(3, 77)
    assert files.exchanges(78, 2)
    assert files.clocks(79, (-400, 400))


# What the campaigns found --------------------------------------------------------------------------------------------


def test_an_interrupt_leaves_no_kernel_that_nobody_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next caller waited for ever for a kernel that was noted, and then not begun."""

    def interrupted(works: list[Any]) -> Any:
        raise KeyboardInterrupt

    function = fg.jit(lambda x: x * 0.34567)
    with monkeypatch.context() as patch:
        patch.setattr(compiler, "several", interrupted)
        with pytest.raises(KeyboardInterrupt):
            function(X)
    np.testing.assert_array_equal(function(X), X * 0.34567)


def test_llvm_is_not_used_on_the_thread_that_handles_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C inside of llvmlite left its lock held, and every other thread waited for ever."""
    used: list[threading.Thread] = []
    original = compiler.engine._optimised

    def noted(*args: Any, **kwargs: Any) -> Any:
        used.append(threading.current_thread())
        return original(*args, **kwargs)

    monkeypatch.setattr(compiler.engine, "_optimised", noted)
    elementwise(82_082)()
    assert used
    assert threading.main_thread() not in used


def test_work_is_done_where_there_can_be_no_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert aside.several([lambda: 1, lambda: 2]) == [1, 2]
    with pytest.raises(ZeroDivisionError):
        aside.aside(lambda: 1 // 0)


def test_an_interrupt_at_the_end_of_a_trace_leaves_no_program_under_construction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Calls with side effects became part of a program that nobody ran."""

    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("funcgrad.trace.builder.Builder.__exit__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fg.jit(lambda x: x + 1)(1.0)
    assert (running.builders, running.level) == ((), 0)
    seen: list[float] = []
    fg.io_callback(seen.append, None, 1.0)
    assert seen == [1.0]


def test_an_interrupt_leaves_garbage_collection_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        gc.disable.__self__.isenabled()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("funcgrad.trace.function.gc.get_freeze_count", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fg.jit(lambda x: x + 2)(1.0)
    assert gc.isenabled()


def test_a_file_under_another_ones_name_is_not_used(tmp_path: Path) -> None:
    """Its checksum was right; the symbol was not found, in every process from then on."""
    for key in ("one", "other"):
        cache.fetch(key, key.encode)
    one, other = (tmp_path / "cache").iterdir()
    one.write_bytes(other.read_bytes())
    assert [cache.fetch(key, key.encode) for key in ("one", "other")] == [b"one", b"other"]


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE])
def test_a_directory_that_cannot_be_listed(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of a look at the cache's size came out of the user's call."""

    def refuse(path: Path) -> Any:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(cache, "CHECK_EVERY", 1)
    monkeypatch.setattr(Path, "iterdir", refuse)
    assert cache.fetch("key", lambda: b"code") == b"code"
    assert cache.info().files == 0


def test_unfinished_files_of_others_outlive_a_clock_that_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file from the future made all others old, so that those that were being written were swept up."""
    monkeypatch.setattr(cache, "CHECK_EVERY", 1)
    cache.fetch("key", lambda: b"code")
    (path,) = (tmp_path / "cache").iterdir()
    os.utime(path, (4e9, 4e9))
    unfinished = tmp_path / "cache" / "unfinished.tmp"
    unfinished.write_bytes(b"half")
    cache.fetch("another key", lambda: b"code")
    assert unfinished.exists()


def test_a_directory_that_vanishes_is_no_reason_for_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def swept(source: str, target: Path) -> None:
        os.unlink(source)
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(cache.os, "replace", swept)
    assert cache.fetch("key", lambda: b"code") == b"code"


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user of whom the system knows nothing: looking for the cache raised."""

    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv(config.CACHE_DIR)
    monkeypatch.setattr(Path, "home", unknown)
    assert config.cache_directory() is None
    elementwise(81)()


def test_an_exception_that_cannot_be_printed() -> None:
    """What its ``__str__`` raises took its place."""
    trap = exceptions.Trap()
    trap.armed, trap.at = exceptions.Odd(1, "a reason"), 1
    function = fg.jit(lambda x: fg.pure_callback(trap, exceptions.SCALAR, x))
    with pytest.raises(exceptions.Odd):
        function(1.0)
    trap.armed = None
    assert function(1.0) == 2
    check_nothing_is_held()
