"""How is the next batch made while the step runs?  A background thread that stays a few elements ahead."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from funcgrad.errors import at_line

T = TypeVar("T")
END = object()


def prefetch(iterable: Iterable[T], size: int = 2) -> Iterator[T]:
    """The elements of `iterable`, made in a background thread, up to `size` of them ahead of the consumer.

    The thread starts with the first element that is asked for, and ends with the last one, with an exception (which
    the consumer gets in its place), or when the iterator is closed or forgotten, as by ``break`` in a ``for`` loop. A
    forked process has no such thread: an iterator that began before the fork raises a `RuntimeError` there.

    Parameters
    ----------
    iterable
        Anything that can be iterated; only the background thread does so, and closes it at the end if it is a
        generator.
    size
        How many elements to keep ready, at least 1.

    Returns
    -------
    iterator
        Over the same elements in the same order; what the iterable raises is raised where its element is due.

    Raises
    ------
    ValueError
        If `size` is less than 1.
    TypeError
        If `iterable` cannot be iterated.

    Examples
    --------
    >>> import funcgrad as fg
    >>> list(fg.training.prefetch(n * n for n in range(4)))
    [0, 1, 4, 9]
    """
    if not isinstance(iterable, Iterable):
        raise TypeError(f"prefetch takes an iterable, not {iterable!r} of type {type(iterable).__name__}{at_line()}")
    if size < 1:
        raise ValueError(f"prefetch keeps at least 1 element ready, not {size}{at_line()}")
    return _ahead(iterable, size)


def _ahead(iterable: Iterable[T], size: int) -> Iterator[T]:
    shelf = Shelf(size)
    thread = threading.Thread(target=_fill, args=(shelf, iterable), name="funcgrad-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            element, error = shelf.take()
            if error is not None:
                raise error
            if element is END:
                return
            yield element
    finally:
        shelf.close()
        thread.join()


def _fill(shelf: Shelf, iterable: Iterable[Any]) -> None:
    """What the thread does; it knows the shelf, but not the generator, which can thus be forgotten."""
    error: BaseException | None = None
    elements: Any = None
    try:
        elements = iter(iterable)
        for element in elements:
            if not shelf.put((element, None)):
                break
    except BaseException as raised:
        error = raised
    try:
        if hasattr(elements, "close"):
            elements.close()
    except BaseException as raised:
        error = error or raised
    shelf.put((END, error))


class Shelf:
    """A queue of limited length that can be closed: then nobody waits any longer."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.items: deque[tuple[Any, BaseException | None]] = deque()
        self.closed = False
        self.changed = threading.Condition()
        self.process = os.getpid()

    def put(self, item: tuple[Any, BaseException | None]) -> bool:
        """Add an item when there is room; False if nobody wants it any more."""
        with self.changed:
            self.changed.wait_for(lambda: self.closed or len(self.items) < self.size)
            if self.closed:
                return False
            self.items.append(item)
            self.changed.notify_all()
            return True

    def take(self) -> tuple[Any, BaseException | None]:
        """The oldest item, when there is one."""
        if os.getpid() != self.process:
            raise RuntimeError(
                "prefetch: the thread that makes the elements is in the process that this one was forked from: call "
                f"prefetch in the process that takes them{at_line()}"
            )
        with self.changed:
            self.changed.wait_for(lambda: bool(self.items))
            item = self.items.popleft()
            self.changed.notify_all()
            return item

    def close(self) -> None:
        """Let go of everything; in a forked process nobody waits, and a thread that is not there may hold the lock."""
        if os.getpid() != self.process:
            return
        with self.changed:
            self.closed = True
            self.items.clear()
            self.changed.notify_all()
