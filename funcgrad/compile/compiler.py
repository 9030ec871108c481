"""How do kernels become addresses?  Each distinct text is compiled once, in memory and on disk, several at a time."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping, Sequence

from funcgrad.compile import cache, engine
from funcgrad.compile.llvm import print_kernel
from funcgrad.lower.loops import Kernel

_PLACE = "fg_kernel"  # the entry point's name while nobody knows the hash that it will carry

_lock = threading.Lock()


class _Entry:
    """A kernel in memory, or on its way there; (`concurrent.futures` has this too, but takes 10 ms to import)."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.done = threading.Event()
        self.library: engine.Library | None = None
        self.address = 0
        self.error: BaseException | None = None

    def settle(self) -> None:
        """Compile, or note why that failed."""
        try:
            symbol = symbol_of(self.text)
            named = self.text.replace(_PLACE, symbol, 1)
            self.library = engine.load(cache.fetch(named, lambda: engine.to_object(named)))
            self.address = self.library.address(symbol)
        except BaseException as error:
            self.error = error
        self.done.set()

    def result(self) -> int:
        """The address, as soon as there is one."""
        self.done.wait()
        if self.error is not None:
            raise self.error
        return self.address


_entries: dict[tuple[str, str, str], _Entry] = {}
_texts: dict[Kernel, str] = {}  # of kernels that were printed before


def canonical(kernel: Kernel) -> str:
    """The text that two kernels share exactly when they are the same."""
    text = _texts.get(kernel)
    if text is None:
        text = _texts[kernel] = print_kernel(kernel, _PLACE)
    return text


def symbol_of(text: str) -> str:
    """The entry point's name for a canonical text, which no other kernel has, in this process or another one."""
    return f"fg_{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def compile_kernels(kernels: Sequence[Kernel]) -> list[int]:
    """The addresses of the kernels' entry points, ``void (void **bufs, int64_t *ints, int64_t first, int64_t last)``.

    Equal kernels are compiled once, also when several threads ask at the same time; what is in neither cache is
    compiled on as many threads as there are cores.  The code stays in memory.
    """
    texts = [canonical(kernel) for kernel in kernels]
    machine = engine.target()
    wanted: dict[str, _Entry] = {}
    misses: list[_Entry] = []
    with _lock:
        for text in texts:
            key = (text, *machine)
            if key not in _entries:
                _entries[key] = _Entry(text)
                misses.append(_entries[key])
            wanted[text] = _entries[key]
    try:
        _settle(misses)
    finally:
        with _lock:  # a failure is not remembered: the next caller tries again
            for key in [key for key, entry in _entries.items() if entry in misses and entry.error is not None]:
                del _entries[key]
    return [wanted[text].result() for text in texts]


def native_library(name: str, text: str, symbols: Mapping[str, int] | None = None) -> engine.Library:
    """Compile and load a module written by hand, through the disk cache.

    Parameters
    ----------
    name
        What the module is, for the reader of error messages.
    text
        LLVM IR without a target.
    symbols
        Addresses of what it refers to; they are no part of the cached code.
    """
    try:
        return engine.load(cache.fetch(text, lambda: engine.to_object(text)), symbols)
    except RuntimeError as error:
        raise RuntimeError(f"the native module {name!r} cannot be compiled: {error}") from error


def clear() -> None:
    """Forget the kernels in memory.  Their addresses must not be called any more."""
    with _lock:
        _entries.clear()
        _texts.clear()


def _settle(misses: Sequence[_Entry]) -> None:
    """Settle every one, on several threads, long ones first."""
    waiting = iter(sorted(misses, key=lambda entry: -len(entry.text)))

    def work() -> None:
        while True:
            with _lock:
                entry = next(waiting, None)
            if entry is None:
                return
            entry.settle()

    helpers = [threading.Thread(target=work, name="funcgrad-compile") for _ in range(min(len(misses), _cores()) - 1)]
    for helper in helpers:
        helper.start()
    work()
    for helper in helpers:
        helper.join()


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not a Linux system
        return os.cpu_count() or 1
