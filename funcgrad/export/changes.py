"""Who changes classes and modules while a function is watched, and who puts back what was there?"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from funcgrad import forks

_ABSENT = object()


class _Changes:
    """What is changed in classes and modules while a thread watches, one at a time, and put back behind it.

    A child is forked from one thread; what another one was watching is put back there at once. The thread that forks
    does not wait for it, since it runs the user's code, which may wait for that thread.
    """

    def __init__(self) -> None:
        self._one_at_a_time = threading.RLock()
        self._thread = 0
        self._before: list[tuple[Any, str, Any]] = []
        forks.in_child(self._forget)

    @contextlib.contextmanager
    def made(self, changes: Iterable[tuple[Any, str, Any]]) -> Iterator[None]:
        """Meanwhile attributes of classes and modules have other values; one thread at a time may look for them."""
        with self._one_at_a_time:
            changes = list(changes)
            outer = self._thread, self._before
            before = [(owner, name, vars(owner).get(name, _ABSENT)) for owner, name, _ in changes]
            self._before = [*before, *self._before]
            self._thread = threading.get_ident()
            try:
                for change in changes:
                    setattr(*change)
                yield
            finally:
                _put_back(before)
                self._thread, self._before = outer

    def _forget(self) -> None:
        """In a child: nobody else is watching."""
        if self._thread != threading.get_ident():
            _put_back(self._before)
            self._one_at_a_time, self._thread, self._before = threading.RLock(), 0, []


def _put_back(before: Iterable[tuple[Any, str, Any]]) -> None:
    for owner, name, value in before:
        if value is not _ABSENT:
            setattr(owner, name, value)
        elif name in vars(owner):
            delattr(owner, name)


changed = _Changes().made
