"""How do kernels become addresses?  Each distinct text is compiled once, in memory and on disk, several at a time."""

from __future__ import annotations

import atexit
import hashlib
import os
import threading
from collections.abc import Mapping, Sequence

from funcgrad import forks
from funcgrad.compile import cache, engine
from funcgrad.compile.llvm import print_kernel
from funcgrad.lower.loops import Kernel

_PLACE = "fg_kernel"  # the entry point's name while nobody knows the hash that it will carry

_lock = forks.held(threading.Lock())
compiling = forks.Work()  # what uses LLVM, or leaves kernels behind that others wait for
atexit.register(compiling.end)  # LLVM must not be torn down under a daemon thread


class Code:
    """A kernel in memory, or on its way there, for as long as this object lives.

    (`concurrent.futures` has something like it, but takes 10 ms to import.)
    """

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
            self.library = engine.load(cache.fetch(named, lambda: engine.to_object(named)), text=named)
            self.address = self.library.address(symbol)
        except BaseException as error:
            self.error = error
        self.done.set()

    def result(self) -> Code:
        """This code, as soon as it has an address."""
        self.done.wait()
        if self.error is not None:
            raise self.error
        return self


MOST_KERNELS = 1 << 13  # that are remembered: each takes a page or two, of which a process has 65,530
_entries: dict[tuple[str, str, str], Code] = {}
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


def printed(kernel: Kernel) -> engine.Symbol:
    """A kernel as text for the CPU to compile for, with its entry point."""
    text = print_kernel(kernel, _PLACE)
    symbol = symbol_of(text)
    return engine.Symbol(text.replace(_PLACE, symbol, 1), symbol)


@compiling
def compile_kernels(kernels: Sequence[Kernel]) -> list[Code]:
    """The kernels' code; an entry point is ``void (void **bufs, int64_t *ints, int64_t first, int64_t last)``.

    Equal kernels are compiled once, also when several threads ask at the same time; what is in neither cache is
    compiled on as many threads as there are cores.  Of what nobody holds, the latest is remembered.
    """
    texts = [canonical(kernel) for kernel in kernels]
    machine = engine.target()
    wanted: dict[str, Code] = {}
    misses: list[Code] = []
    with _lock:
        for text in texts:
            key = (text, *machine)
            if key not in _entries:
                _entries[key] = Code(text)
                misses.append(_entries[key])
            wanted[text] = _entries[key]
        for key in list(_entries)[: max(len(_entries) - MOST_KERNELS, 0)]:
            del _entries[key]
    try:
        _settle(misses)
    finally:
        with _lock:  # a failure is not remembered: the next caller tries again
            for key in [key for key, code in _entries.items() if code in misses and code.error is not None]:
                del _entries[key]
    return [wanted[text].result() for text in texts]


@compiling
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
        return engine.load(cache.fetch(text, lambda: engine.to_object(text)), symbols, text)
    except RuntimeError as error:
        raise RuntimeError(f"the native module {name!r} cannot be compiled: {error}") from error


def clear() -> None:
    """Forget the kernels in memory; those that nobody else holds are unloaded."""
    with _lock:
        _entries.clear()
        _texts.clear()


def _settle(misses: Sequence[Code]) -> None:
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
