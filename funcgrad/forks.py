"""What must not be under way in another thread when a process forks?  Whatever holds a lock that the child needs.

A child has no other thread than the one that forked: a lock that one of them held is held for ever, and what it was in
the middle of is never finished. So the thread that forks waits for these locks, and for `Work`, and lets go of them in
both processes. The last that is named is waited for first: whoever holds one lock, or is in the middle of work, may
wait only for those named before.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

L = TypeVar("L", bound="threading.Lock | Any")


def around(before: Callable[[], Any], after: Callable[[], Any]) -> None:
    """Have something done before each fork, and something after it in both processes."""
    if hasattr(os, "register_at_fork"):  # absent where processes cannot fork
        os.register_at_fork(before=before, after_in_parent=after, after_in_child=after)


def in_child(after: Callable[[], Any]) -> None:
    """Have something done in each child behind the fork."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=after)


def held(lock: L) -> L:
    """A lock that is free in children: the thread that forks holds it while it does."""
    around(lock.acquire, lock.release)
    return lock


class Work(contextlib.ContextDecorator):
    """A context that any number of threads may be in, except while a process forks.

    A thread that forks inside of it does not wait for itself. It is a decorator too.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.RLock())
        self._inside: dict[int, int] = {}  # how often each thread is

    def __enter__(self) -> None:
        me = threading.get_ident()
        with self._changed:
            self._inside[me] = self._inside.get(me, 0) + 1

    def __exit__(self, *error: object) -> None:
        me = threading.get_ident()
        with self._changed:
            self._inside[me] -= 1
            if not self._inside[me]:
                del self._inside[me]
                self._changed.notify_all()

    def end(self) -> None:
        """Wait for the others, and let them begin no more: the process ends."""
        self._wait()

    def _wait(self) -> None:
        self._changed.acquire()
        me = threading.get_ident()
        while self._inside.keys() - {me}:
            self._changed.wait()

    def _go_on(self) -> None:
        self._changed.release()


def awaited(work: Work) -> Work:
    """Work that a process does not fork in the middle of."""
    around(work._wait, work._go_on)
    return work
