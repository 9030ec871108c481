"""Where does that run which must not be broken off in the middle?  On threads of its own.

Python runs the handlers of signals on the main thread, between any two instructions.  So Ctrl-C may raise inside of
llvmlite, after its lock was taken and before it is given back, and every other thread would wait for that lock for
ever; or between the first and the second of two things that belong together.  What uses LLVM or writes to the disk
cache therefore runs on other threads.  The main thread waits for them, and may stop waiting at any time.
"""

from __future__ import annotations

import atexit
import contextvars
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from funcgrad import forks

T = TypeVar("T")

working = forks.Work()  # what a fork, and the end of the process, wait for
atexit.register(working.end)  # LLVM must not be torn down under a daemon thread


def aside(work: Callable[[], T]) -> T:
    """What `work` gives, or raises, on a thread on which no handler of signals runs."""
    return several([work])[0]


def several(works: list[Callable[[], T]]) -> list[T]:
    """What each of `works` gives, all at once; what one raises is raised when the others are done.

    The caller's thread does the first one's work, unless handlers of signals run there.
    """
    tasks = [_Task(work) for work in works]
    own = 0 if threading.current_thread() is threading.main_thread() else 1
    for task in tasks[own:]:
        task.begin()
    for task in tasks:
        task.end()
    return [task.result() for task in tasks]


def cores() -> int:
    """How many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not a Linux system
        return os.cpu_count() or 1


class _Task:
    """One piece of work, and what came of it."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._context = contextvars.copy_context()
        self._thread: threading.Thread | None = None
        self._value: Any = None
        self._error: BaseException | None = None

    def begin(self) -> None:
        """Do it on a thread of its own; where there can be no more threads, the caller does it later."""
        thread = threading.Thread(target=self._run, name="funcgrad-compile", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return
        self._thread = thread

    def end(self) -> None:
        """Wait for it, or do it now."""
        if self._thread is None:
            self._run()
        else:
            self._thread.join()

    def _run(self) -> None:
        try:
            with working:
                self._value = self._context.run(self._work)
        except BaseException as error:
            self._error = error

    def result(self) -> Any:
        """What the work gave."""
        if self._error is not None:
            raise self._error
        return self._value
