"""Who runs the pool's workers?  Python threads that enter native code and stay there, without the GIL.

They start when the first program shares a kernel out, end when the pool is made smaller and at the interpreter's
exit, and start again in a forked child that needs them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

EXIT_PATIENCE = 2.0
"""Seconds that the interpreter's exit waits for a worker in the middle of a piece."""


class Workers:
    """The threads beside the caller's.

    Parameters
    ----------
    enter
        The native loop: ``enter(index)`` returns when the pool has no place `index` any more.
    resize
        Tells the native pool how many workers it has.
    reset
        Puts the native pool into its first state.
    """

    def __init__(self, enter: Callable[[int], None], resize: Callable[[int], None], reset: Callable[[], None]) -> None:
        self._enter, self._resize, self._reset = enter, resize, reset
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        reset()

    def grow_or_shrink(self, count: int) -> None:
        """Have `count` workers."""
        with self._lock:
            self._resize(count)
            retired = self._threads[count:]
            del self._threads[count:]
            for thread in retired:
                thread.join()
            for index in range(len(self._threads), count):
                thread = threading.Thread(target=self._enter, args=(index,), name=f"funcgrad-{index + 1}", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # no more threads, or the interpreter is shutting down: fewer will do
                    self._resize(index)
                    return
                self._threads.append(thread)

    def stop(self) -> None:
        """End all workers, so that none runs native code while the interpreter is taken down."""
        with self._lock:
            self._resize(0)
            for thread in self._threads:
                thread.join(EXIT_PATIENCE)
            self._threads.clear()

    def forget(self) -> None:
        """In a forked child, which has none of its parent's threads."""
        self._lock = threading.Lock()
        self._threads = []
        self._reset()
