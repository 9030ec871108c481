"""How do kernels become addresses?  Each distinct text is compiled once, in memory and on disk, several at a time."""

from __future__ import annotations

import functools
import hashlib
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from funcgrad import forks
from funcgrad.compile import cache, cpus, engine
from funcgrad.compile.aside import aside, cores, several, working
from funcgrad.compile.llvm import print_kernel
from funcgrad.lower.loops import Kernel

_PLACE = "fg_kernel"  # the entry point's name while nobody knows the hash that it will carry

_lock = forks.held(threading.Lock())
forks.awaited(working)  # here, for those who work wait for the locks of what is imported above


class Code:
    """A kernel in memory, for as long as this object lives; compiled when somebody asks for the first time."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.library: engine.Library | None = None
        self.address = 0
        self._compiling = threading.Lock()

    def compile(self) -> None:
        """Compile, unless that was done, or another thread does it; one that fails leaves it to the next."""
        with self._compiling:
            if not self.address:
                symbol = symbol_of(self.text)
                named = self.text.replace(_PLACE, symbol, 1)
                self.library = engine.load(cache.fetch(named, lambda: engine.to_object(named)), text=named)
                self.address = self.library.address(symbol)


MOST_KERNELS = 1 << 11  # that are remembered: each takes two of the 65,530 mappings of a process, and some 60 KB
_entries: dict[tuple[str, str, str], Code] = {}


@functools.lru_cache(maxsize=MOST_KERNELS)
def canonical(kernel: Kernel) -> str:
    """The text that two kernels share exactly when they are the same."""
    return print_kernel(kernel, _PLACE)


def symbol_of(text: str) -> str:
    """The entry point's name for a canonical text, which no other kernel has, in this process or another one."""
    return f"fg_{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def printed(kernel: Kernel) -> engine.Symbol:
    """A kernel as text for the CPU to compile for, with its entry point."""
    text = print_kernel(kernel, _PLACE)
    symbol = symbol_of(text)
    return engine.Symbol(text.replace(_PLACE, symbol, 1), symbol)


def compile_kernels(kernels: Sequence[Kernel]) -> list[Code]:
    """The kernels' code; an entry point is ``void (void **bufs, int64_t *ints, int64_t first, int64_t last)``.

    Equal kernels are compiled once, also when several threads ask at the same time; what is in neither cache is
    compiled on as many threads as there are cores.  Of what nobody holds, the latest is remembered.
    """
    texts = [canonical(kernel) for kernel in kernels]
    machine = cpus.target()
    wanted: dict[str, Code] = {}
    with _lock:
        for text in texts:
            wanted[text] = _entries.setdefault((text, *machine), Code(text))
        while len(_entries) > MOST_KERNELS:
            del _entries[next(iter(_entries))]
    misses = [code for code in wanted.values() if not code.address]
    if misses:
        _compile(misses)
    return [wanted[text] for text in texts]


def native_library(
    name: str, text: str, symbols: Mapping[str, int] | None = None, parts: Sequence[str] = ()
) -> engine.Library:
    """Compile and load a module written by hand, through the disk cache.

    Parameters
    ----------
    name
        What the module is, for the reader of error messages.
    text
        LLVM IR without a target.
    symbols
        Addresses of what it refers to; they are no part of the cached code.
    parts
        The same as several modules, which compile at the same time.
    """

    def load() -> engine.Library:
        works: list[Callable[[], bytes]]
        works = [partial(cache.fetch, part, partial(engine.to_object, part)) for part in parts or [text]]
        return engine.load(several(works), symbols, text)

    try:
        return aside(load)
    except RuntimeError as error:
        raise RuntimeError(f"the native module {name!r} cannot be compiled: {error}") from error


def clear() -> None:
    """Forget the kernels in memory; those that nobody else holds are unloaded."""
    with _lock:
        _entries.clear()
    canonical.cache_clear()
    aside(engine.unload)


def _compile(misses: Sequence[Code]) -> None:
    """Compile every one, on several threads, long ones first."""
    waiting = deque(sorted(misses, key=lambda code: -len(code.text)))

    def work() -> None:
        engine.unload()
        while True:
            try:
                code = waiting.popleft()
            except IndexError:
                return
            code.compile()

    try:
        several([work] * min(len(misses), cores()))
    finally:
        waiting.clear()  # whoever stops waiting needs no more of them
